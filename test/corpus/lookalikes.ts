import type { VerdictClass } from '@syncscope/protocol/diagnose';
import { type Change, type RecordKey, recordKey } from '@syncscope/protocol/state';
import type { PlantedBug } from '../simulation/planted-bugs.ts';
import { CORPUS_BUGS } from './bugs.ts';
import { market } from './market.ts';
import type { CorpusSession } from './session.ts';

/** What looks like a divergence and is none: two hashes or values differ, and both are right. */
export interface Lookalike {
  readonly name: string;
  /** Absent where nothing is to be said at all. */
  readonly verdict?: VerdictClass;
  readonly bug?: PlantedBug;
  session?(draw: () => number): Partial<CorpusSession>;
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
];
