import { StateRoot } from '../merkle/index.ts';
import type { ConsensusRules, Intent } from '../peers/index.ts';
import { array, object, uint } from '../schema/index.ts';
import {
  type Change,
  type RecordKey,
  recordKey,
  recordKeySchema,
  type StateHash,
  type SyncRecord,
  stateHash,
  type Value,
} from '../state/index.ts';
import type { Stream } from './choices.ts';
import { drawValue } from './operations.ts';
import { isSendable, type SmallState } from './small-fold.ts';

/** What the group has in common: counters, purses whose tokens are conserved, and notes that hold what programs stumble over. */
const COUNTERS = ['clicks', 'visits'].map((name) => recordKey(`counter/${name}`));
const PURSES = ['a', 'b', 'c'].map((name) => recordKey(`purse/${name}`));
const NOTES = ['1', '2', '3', '4'].map((name) => recordKey(`note/${name}`));
const TOKENS = 10;

export const GROUP_RECORDS: readonly (readonly [RecordKey, SyncRecord])[] = PURSES.map((key) => [
  key,
  { tokens: TOKENS },
]);

/** What must be true of an operation's outcome. */
export type Expected = 'any' | 'never' | 'unknown-base';

export interface DrawnIntent {
  readonly intent: Intent;
  /** What {@link groupChanges} makes the changes of that are made of the state; null where they are plain. */
  readonly args: Value;
  readonly expected: Expected;
}

const NO_STATE: StateHash = stateHash('00000000deadbeef');

/** Counters never go down, and tokens neither come nor go. Says nothing that the oracle relies on. */
export const groupRules: ConsensusRules = {
  validate: (before, after) => {
    for (const key of COUNTERS) {
      if (numberOf(after.get(key)?.value) < numberOf(before.get(key)?.value)) return `${key} would go down`;
    }
    const tokens = PURSES.reduce((sum, key) => sum + numberOf(after.get(key)?.tokens), 0);
    return tokens === TOKENS * PURSES.length ? undefined : `there would be ${tokens} tokens`;
  },
};

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

/** Something that a member wants. `operation` names it in the command. */
export function drawGroupIntent(stream: Stream, operation: string, root: StateRoot, maxChanges: number): DrawnIntent {
  const dice = stream.next();
  const any = (what: string, changes: readonly Change[]): DrawnIntent => {
    return { intent: { command: `${what} ${operation}`, changes }, args: null, expected: 'any' };
  };
  const made = (what: string, args: Value): DrawnIntent => {
    const command = `${what} ${operation}`;
    return { intent: { command, changes: groupChanges(command, args) }, args, expected: 'any' };
  };
  if (dice < 0.4) return made('increment', [stream.pick(COUNTERS)]);
  if (dice < 0.6) {
    const [from, to, count] = [stream.pick(PURSES), stream.pick(PURSES), stream.int(1, 4)];
    return made('pay', { keys: [from, to], count });
  }
  if (dice < 0.82) return any('write', drawNotes(stream));
  if (dice < 0.88) {
    const { intent } = any('based', drawNotes(stream));
    return { intent: { ...intent, base: root.hash }, args: null, expected: 'any' };
  }
  return drawWrong(stream, operation, maxChanges);
}

const keysSchema = array(recordKeySchema, 2);
const paymentSchema = object({ keys: keysSchema, count: uint });

/** What the commands do whose changes depend on the state. */
export function groupChanges(command: string, args: Value): Intent['changes'] {
  const [what, operation = ''] = command.split(' ');
  if (what === 'pay') {
    const { keys, count } = paymentSchema.parse(args, what);
    return payment(keys[0]!, keys[1]!, count);
  }
  const [key] = keysSchema.parse(args, command);
  return (state) => [{ op: 'put', key: key!, record: { value: numberOf(state.get(key!)?.value) + 1, by: operation } }];
}

function payment(from: RecordKey, to: RecordKey, count: number): Intent['changes'] {
  return (state) => {
    const [payer, payee] = [numberOf(state.get(from)?.tokens), numberOf(state.get(to)?.tokens)];
    if (payer < count) throw new RangeError(`${from} has ${payer} tokens`);
    if (from === to) return [];
    return [
      { op: 'patch', key: from, fields: { tokens: payer - count }, removed: [] },
      { op: 'patch', key: to, fields: { tokens: payee + count }, removed: [] },
    ];
  };
}

/** Changes that are right or wrong by what the state happens to be. */
function drawNotes(stream: Stream): readonly Change[] {
  return Array.from({ length: stream.int(1, 3) }, () => drawNote(stream, stream.pick(NOTES)));
}

function drawNote(stream: Stream, key: RecordKey): Change {
  const drawn = drawValue(stream);
  const value = isSendable(drawn) ? drawn : 'unsendable';
  const op = stream.pick(['put', 'put', 'patch', 'remove'] as const);
  if (op === 'put') return { op, key, record: { text: value, at: stream.int(0, 9) } };
  if (op === 'remove') return { op, key };
  return { op, key, fields: { more: value }, removed: stream.chance(0.3) ? ['at'] : [] };
}

/** What no member may agree to. */
function drawWrong(stream: Stream, operation: string, maxChanges: number): DrawnIntent {
  const wrong = (changes: Intent['changes'], base?: StateHash): DrawnIntent => ({
    intent: { command: `wrong ${operation}`, changes, ...(base ? { base } : {}) },
    args: null,
    expected: base ? 'unknown-base' : 'never',
  });
  switch (stream.pick(['down', 'tokens', 'many', 'base', 'surrogate'] as const)) {
    case 'down':
      return wrong([{ op: 'put', key: stream.pick(COUNTERS), record: { value: -1 } }]);
    case 'tokens':
      return wrong([{ op: 'put', key: stream.pick(PURSES), record: { tokens: 1_000 } }]);
    case 'many':
      return wrong(
        Array.from({ length: maxChanges + 1 }, (_, at) => ({ op: 'put', key: stream.pick(NOTES), record: { at } })),
      );
    case 'base':
      return wrong([{ op: 'put', key: stream.pick(NOTES), record: {} }], NO_STATE);
    case 'surrogate':
      return wrong([{ op: 'put', key: stream.pick(NOTES), record: { text: 'a\ud800' } }]);
  }
}

/** What is wrong with a state by the group's own rules; `increments` were decided up to it. */
export function groupProblem(state: SmallState, increments: number): string | undefined {
  const tokens = PURSES.reduce((sum, key) => sum + numberOf(state.get(key)?.tokens), 0);
  if (tokens !== TOKENS * PURSES.length) return `there are ${tokens} tokens`;
  const counted = COUNTERS.reduce((sum, key) => sum + numberOf(state.get(key)?.value), 0);
  return counted === increments ? undefined : `${increments} increments were decided, and the counters have ${counted}`;
}

export const GROUP_INITIAL = () => StateRoot.from(GROUP_RECORDS);
