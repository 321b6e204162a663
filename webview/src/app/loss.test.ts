import { beforeEach, describe, expect, it } from 'vitest';
import { emptySession } from '../rpc/index.ts';
import { wouldLose } from './loss.ts';
import { type AppState, getState, resetState } from './store.ts';

beforeEach(() => resetState());

function live(state: 'open' | 'closed', playhead: number, following: boolean, saved: number): AppState {
  const now = getState();
  const session = { ...emptySession, source: 'live' as const, state };
  return { ...now, session, records: 100, saved, view: { ...now.view, playhead, following } };
}

describe('wouldLose', () => {
  it('is about what somebody stopped at, and has not saved', () => {
    expect(wouldLose(live('open', 40, false, 0))).toBe(true);
    expect(wouldLose(live('open', 40, false, 41))).toBe(false);
    expect(wouldLose(live('open', 41, false, 41))).toBe(true);
    expect(wouldLose(live('open', 99, true, 0))).toBe(false);
  });

  it('is about all of a session that is over', () => {
    expect(wouldLose(live('closed', 99, true, 0))).toBe(true);
    expect(wouldLose(live('closed', 99, true, 99))).toBe(true);
    expect(wouldLose(live('closed', 99, false, 100))).toBe(false);
  });

  it('is never about a file', () => {
    const state = live('closed', 10, false, 0);
    expect(wouldLose({ ...state, session: { ...state.session, source: 'file' } })).toBe(false);
  });
});
