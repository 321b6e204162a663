import type { VerdictClass } from '@syncscope/protocol/diagnose';
import { type Change, type RecordKey, recordKey } from '@syncscope/protocol/state';
import type { SessionDefinition } from '@syncscope/protocol/sync';
import type { TraceRecord } from '@syncscope/protocol/trace';
import type { PlantedBug } from '../simulation/planted-bugs.ts';
import { CORPUS_BUGS } from './bugs.ts';
import { market, marketReducer } from './market.ts';
import { withGap } from './parts.ts';
import type { Deliver } from './schedule.ts';
import type { CorpusSession } from './session.ts';

/** What looks like a divergence and is none: two hashes or values differ, and both are right. */
export interface Lookalike {
  readonly name: string;
  /** The kind of session; with an authority where absent. */
  readonly of?: 'peers' | 'crdt' | 'group';
  /** Absent where nothing is to be said at all. */
  readonly verdict?: VerdictClass;
  readonly bug?: PlantedBug;
  session?(draw: () => number): Partial<CorpusSession>;
  /** What the capture has of what was told. */
  captured?(records: readonly TraceRecord[]): readonly TraceRecord[];
}

const QUIET_ITEM = recordKey('item/quiet');
const NOTHING = { count: 0, note: null, rate: 0 };

/** A market with a record that nobody touches, and its copy at one client written in another way that says the same. */
function writtenAs(change: (key: RecordKey) => Change) {
  return (draw: () => number): Partial<CorpusSession> => {
    const definition = market();
    return {
      definition: {
        ...definition,
        *initialRecords(random) {
          yield* definition.initialRecords(random);
          yield [QUIET_ITEM, NOTHING];
        },
      },
      strikeAt: { at: 1_500 + Math.floor(draw() * 3_000), change: () => [change(QUIET_ITEM)] },
    };
  };
}

const patch = (fields: Readonly<Record<string, number>>, removed: string[] = []) =>
  writtenAs((key) => ({ op: 'patch', key, fields, removed }));

export const LOOKALIKES: readonly Lookalike[] = [
  { name: 'hash of an earlier version', verdict: 'other-version', bug: CORPUS_BUGS.laterVersion },
  { name: 'hash of a predicted state', verdict: 'predicted', bug: CORPUS_BUGS.predictedHash },
  { name: 'minus zero', verdict: 'number', session: patch({ rate: -0 }) },
  { name: 'no number', verdict: 'number', session: patch({ note: Number.NaN }) },
  { name: 'default left out', verdict: 'missing-or-default', session: patch({}, ['count']) },
  {
    name: 'delta lost and asked for again',
    verdict: 'refused-delta',
    session: (draw) => {
      let wait = 10 + Math.floor(draw() * 40);
      return {
        deliver: (frame, _from, to) => (to === 'bot-2' && frame[1] === 8 && wait-- === 0 ? [] : [{ frame, later: 0 }]),
      };
    },
  },
  { name: 'part of the state', session: () => ({ definition: market({ hasViews: true }) }) },
  {
    name: 'no number predicted for nothing',
    verdict: 'number',
    session: () => ({
      ...{ pause: 1_500, length: 30_000, definition: seenAs(null), intent: touch },
      asPlayed: { replica: 'bot-2', definition: seenAs(Number.NaN) },
    }),
  },
  {
    name: 'every frame twice',
    session: () => ({ deliver: (frame) => [0, 37].map((later) => ({ frame: frame.slice(), later })) }),
  },
  {
    name: 'connection comes back, again and again',
    session: (draw) => ({
      reconnects: [1_500, 3_000, 4_500].map((at) => ({ at: at + draw() * 500, after: 20 + draw() * 800 })),
    }),
  },
  {
    name: 'clock set by hours',
    session: (draw) => ({
      clock: { at: 2_000, by: Math.round((draw() < 0.5 ? -1 : 1) * (1 + draw() * 5) * 3_600_000) },
    }),
  },
  { name: 'twenty clients', session: () => ({ bots: 20, length: 2_000 }) },
  { name: 'records missing', captured: lossy },
  { name: 'records missing, of peers', of: 'peers', captured: lossy },
  { name: 'records missing, of a group', of: 'group', captured: lossy },
  {
    name: 'one client alone in the capture',
    captured: (records) => records.filter(({ replica }) => replica === 'bot-2'),
  },
  { name: 'a peer not in the capture', of: 'peers', captured: withoutTarget },
  { name: 'a member not in the capture', of: 'group', captured: withoutTarget },
  { name: 'capture from the middle', captured: (records) => records.slice(Math.floor(records.length / 3)) },
  {
    name: 'frames not in the capture, of a group',
    of: 'group',
    captured: (records) => records.map(({ wire: _, ...rest }) => rest),
  },
  { name: 'loss and doubles, of peers', of: 'peers', session: (draw) => ({ deliver: weather(draw) }) },
  { name: 'loss and doubles, of operations', of: 'crdt', session: (draw) => ({ deliver: weather(draw) }) },
  { name: 'loss and doubles, of a group', of: 'group', session: (draw) => ({ deliver: weather(draw) }) },
];

function withoutTarget(records: readonly TraceRecord[]): readonly TraceRecord[] {
  return records.filter(({ replica }) => replica !== 'peer-2');
}

function lossy(records: readonly TraceRecord[]): readonly TraceRecord[] {
  return withGap(records, Math.floor(records.length * 0.4), Math.floor(records.length * 0.03));
}

function weather(draw: () => number): Deliver {
  return (frame) => {
    const what = draw();
    if (what < 0.15) return [];
    if (what < 0.3)
      return [
        { frame, later: 0 },
        { frame: frame.slice(), later: draw() * 300 },
      ];
    return [{ frame, later: what < 0.4 ? draw() * 200 : 0 }];
  };
}

/** Few things, each with a result that can be compared. */
function touch(draw: () => number): ReturnType<CorpusSession['intent']> {
  return { command: 'touch', args: { key: `item/${Math.floor(draw() * 24)}`, seen: 1 } };
}

/** A market in which what was seen last is always this. */
function seenAs(seen: number | null): SessionDefinition {
  return market({
    reduce: (state, event) =>
      marketReducer(state, event).map((change) =>
        change.op === 'patch' && 'seen' in change.fields ? { ...change, fields: { ...change.fields, seen } } : change,
      ),
  });
}
