import { type CaptureQuery, LiveCapture } from '@syncscope/protocol/capture';
import { replicaId } from '@syncscope/protocol/state';
import { beforeEach, describe, expect, it } from 'vitest';
import { header, openLive } from './live-capture.test-helper.ts';
import { getState, goTo, setTab, update } from './store.ts';
import { alongReplica, goToMarker, nextPosition, stepReplica, toEnd, toStart } from './transport.ts';

describe('moving through a capture', () => {
  let live: LiveCapture;
  beforeEach(() => {
    live = openLive(40);
  });

  it('steps along the replica of the selection', async () => {
    goTo(7);
    await stepReplica(live, 1);
    expect(getState().view.playhead).toBe(10);
    await stepReplica(live, -1);
    await stepReplica(live, -1);
    expect(getState().view.playhead).toBe(4);
    expect(alongReplica('', replicaId('bot-1'))).toBe('who:bot-1');
  });

  it('finds nothing beyond the last', async () => {
    expect(await nextPosition(live, 'kind:hash', 36, 1)).toBeUndefined();
    expect(await nextPosition(live, 'kind:hash', 0, -1)).toBeUndefined();
  });

  it('goes to the oldest record that is there, and before everything where there is none', async () => {
    goTo(30);
    await toStart(live);
    expect(getState().view.playhead).toBe(0);
    const shortened: Pick<CaptureQuery, 'rowsSoFar'> = {
      rowsSoFar: (filter, offset, limit) => live.rowsSoFar(filter, offset + 25, limit),
    };
    await toStart(shortened as CaptureQuery);
    expect(getState().view.playhead).toBe(25);
    await toStart(new LiveCapture(header));
    expect(getState().view.playhead).toBe(-1);
  });

  it('shows the cause and the pair of a divergence, whichever way its marker was reached', async () => {
    const explanation = { replica: replicaId('bot-2'), against: replicaId('server') };
    const query = { explain: async () => explanation } as unknown as CaptureQuery;
    setTab('bytes');
    await goToMarker(query, { kind: 'repair', position: 12 });
    expect(getState().view).toMatchObject({ selection: 12, tab: 'bytes', left: undefined });
    await goToMarker(query, { kind: 'desync', position: 14 });
    expect(getState().view).toMatchObject({ selection: 14, tab: 'cause', left: 'bot-2', right: 'server' });
  });

  it('goes to the end of a file, and follows a live session there', async () => {
    await toEnd(live);
    expect(getState().view).toMatchObject({ playhead: 39, following: false });
    update((draft) => {
      draft.session = { ...draft.session, source: 'live', state: 'open' };
    });
    await toEnd(live);
    expect(getState().view.following).toBe(true);
  });

  it('passes over inputs at both ends, and not over what the filter hides', async () => {
    update((draft) => {
      draft.hasInputs = true;
      draft.view.filter = 'kind:hash';
    });
    const asked: string[] = [];
    const query: Pick<CaptureQuery, 'rowIndex' | 'rowsSoFar'> = {
      rowIndex: async (filter) => {
        asked.push(filter);
        return 12;
      },
      rowsSoFar: async (filter, offset) => {
        asked.push(filter);
        const { rows } = await live.rows('', offset * 3, 1);
        return { rows, offset, total: 1, looked: 40, of: 40 };
      },
    };
    await toEnd(query as CaptureQuery);
    expect(getState().view.playhead).toBe(33);
    await toStart(query as CaptureQuery);
    expect(getState().view.playhead).toBe(0);
    expect(asked).toEqual(Array(3).fill('-kind:inputs'));
  });
});
