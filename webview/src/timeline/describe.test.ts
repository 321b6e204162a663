import { AGREEMENT, type ReplicaStatus } from '@syncscope/protocol/capture';
import { replicaId } from '@syncscope/protocol/state';
import { describe, expect, it } from 'vitest';
import { describeReplica, describeView, standingOf } from './describe.ts';

const status = (patch: Partial<ReplicaStatus>): ReplicaStatus => ({
  replica: replicaId('bot-2'),
  connection: 'connected',
  version: 121,
  root: null,
  agreement: AGREEMENT.agrees,
  lag: 0,
  behindFor: 0,
  pending: 0,
  oldestPending: 0,
  ...patch,
});

describe('standingOf', () => {
  it('has a sign and a name of its own for each state, the worst first', () => {
    const standings = [
      status({}),
      status({ lag: 3 }),
      status({ lag: 3, agreement: AGREEMENT.differs }),
      status({ connection: 'gone', agreement: AGREEMENT.differs }),
      status({ connection: 'unknown' }),
    ].map(standingOf);
    expect(standings.map((one) => one.name)).toEqual(['connected', 'behind', 'differing', 'gone', 'unknown']);
    expect(new Set(standings.map((one) => one.sign)).size).toBe(5);
  });
});

it('a replica that refused a delta is behind, and differs only where it is known to', () => {
  expect(standingOf(status({ refused: 9, lag: 2 }))).toMatchObject({ name: 'behind', word: 'asks again' });
  expect(standingOf(status({ refused: 9, agreement: AGREEMENT.differs })).name).toBe('differing');
});

describe('sentences', () => {
  it('tell a replica’s state', () => {
    expect(describeReplica(status({}))).toBe('bot-2 at version 121, connected and in agreement');
    expect(
      describeReplica(status({ agreement: AGREEMENT.differs, differs: { since: 118, position: 4 }, lag: 2 })),
    ).toBe('bot-2 at version 121, differs since version 118, 2 behind');
    expect(describeReplica(status({ refused: 9, lag: 2 }))).toBe(
      'bot-2 at version 121, refused a delta and asks again, 2 behind',
    );
    expect(describeReplica(status({ lag: 3, behindFor: 2_100_000_000 }))).toContain('3 behind for 2.10 s');
    expect(describeReplica(status({ pending: 2, oldestPending: 6e9 }))).toContain('2 pending, the oldest for 6.00 s');
  });

  it('tell what is shown', () => {
    expect(describeView({ from: -5, to: 2e9 }, false, 1e9, undefined)).toBe(
      'Shown is 0.000 s to 2.000 s. Playhead at 1.000 s.',
    );
    expect(describeView({ from: 0, to: 2e9 }, true, undefined, undefined)).toBe('The whole capture is shown.');
  });
});
