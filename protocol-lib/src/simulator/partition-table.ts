import {
  ConflictResolver,
  crapsPolicies,
  crapsRule,
  type Intent,
  type Mutation,
  type PolicyEntry,
  tokensIn,
} from '../conflict/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import type { PeerReplica } from '../peers/index.ts';
import { type Change, type RecordKey, recordKey, type SyncRecord, type Value } from '../state/index.ts';
import type { Stream } from './choices.ts';

/** The session of the simulated group: a table of craps, and a record for each policy. */

const policies: readonly PolicyEntry[] = [
  { collection: 'box/', fields: ['x', 'y', 'by'], policy: { kind: 'last-write' } },
  { collection: 'box/', fields: ['low', 'high'], policy: { kind: 'last-write' } },
  { collection: 'box/', fields: ['votes'], policy: { kind: 'merge', of: 'counter' } },
  { collection: 'box/', fields: ['tags'], policy: { kind: 'merge', of: 'set' } },
  { collection: 'box/', fields: ['title'], policy: { kind: 'role', ranks: [{ role: 'owner', rank: 1 }] } },
  { collection: 'plan/', whole: true, policy: { kind: 'human' } },
  ...crapsPolicies,
];

export function makeTable(): ConflictResolver {
  return new ConflictResolver({ policies, rules: [crapsRule([{ role: 'owner', rank: 1 }])] });
}

const BOX = recordKey('box/1');
const PLAN = recordKey('plan/1');
const TOKENS = 100;

export function recordsOf(names: readonly string[]): (readonly [RecordKey, SyncRecord])[] {
  const accounts = [...names, 'house'].map((name) => [recordKey(`account/${name}`), { tokens: TOKENS }] as const);
  return [
    [BOX, { x: '', y: '', by: '', low: 0, high: 10, votes: 0, tags: [], title: '' }],
    [PLAN, { when: 'today' }],
    [recordKey('note/0'), { text: '' }],
    ...accounts,
  ];
}

/** What a member wants next; undefined where there is nothing of that kind to do. */
export function drawTableIntent(peer: PeerReplica, names: readonly string[], stream: Stream): Intent | undefined {
  const { root, replica } = peer;
  const label = `${replica}-${stream.int(0, 999_999)}`;
  const amount = stream.int(1, 60);
  const round = stream.int(1, 3);
  const note = recordKey(`note/${stream.int(0, 2)}`);
  const patch = (key: RecordKey, fields: SyncRecord) => write([{ op: 'patch', key, fields, removed: [] }]);
  const box = root.get(BOX)!;
  switch (stream.int(0, 11)) {
    case 0:
      return stream.chance(0.5) ? patch(BOX, { x: label, y: label, by: label }) : patch(BOX, narrowed(box, stream));
    case 1:
      return patch(BOX, { votes: Number(box.votes) + stream.int(1, 5) });
    case 2:
      return patch(BOX, { tags: [...(box.tags as string[]), label] });
    case 3:
      return patch(BOX, { title: label });
    case 4:
      return write([{ op: 'put', key: note, record: { text: label } }]);
    case 5:
      return root.has(note) ? write([{ op: 'remove', key: note }]) : undefined;
    case 6:
      return root.has(note) ? patch(note, { color: label }) : undefined;
    case 7:
      return planned(peer, label, stream);
    case 8:
      return command('transfer', { from: replica, to: stream.pick([...names, 'house']), amount });
    case 9:
      return command('bet', { round, on: stream.pick(['pass', 'dont-pass']), amount });
    case 10:
      return command('roll', { round, first: stream.int(1, 6), second: stream.int(1, 6) });
    default:
      return command('settle', { round });
  }
}

function write(changes: readonly Change[]): Intent {
  return { command: 'write', args: null, changes };
}

function command(name: string, args: Value): Intent {
  return { command: name, args, changes: [] };
}

/** One end of the range moved towards the other, which is as its writer sees it: only together do they make sense. */
function narrowed({ low, high }: SyncRecord, stream: Stream): SyncRecord {
  const [from, to] = [Number(low), Number(high)];
  if (from >= to) return { low: from - 5, high: to + 5 };
  return stream.chance(0.5) ? { low: stream.int(from + 1, to) } : { high: stream.int(from, to - 1) };
}

function planned(peer: PeerReplica, label: string, stream: Stream): Intent {
  const [waiting] = peer.conflicts.waiting;
  const [decided] = peer.conflicts.decided;
  if (waiting) return peer.conflicts.decide(waiting.id, stream.pick(waiting.sides));
  if (decided && stream.chance(0.3)) return peer.conflicts.reopen(decided.id);
  return write([{ op: 'put', key: PLAN, record: { when: label } }]);
}

/** What is wrong with a state, whoever has it. */
export function tableProblem(root: StateRoot, names: readonly string[]): string | undefined {
  const tokens = tokensIn(root);
  const all = (names.length + 1) * TOKENS;
  if (tokens !== all) return `${tokens} tokens, not ${all}`;
  for (const [key, record] of root.entries('account/')) if (Number(record.tokens) < 0) return `${key} is overdrawn`;
  const box = root.get(BOX)!;
  if (box.x !== box.y || box.x !== box.by) return `${BOX} is of two writers: ${box.x}, ${box.y}, ${box.by}`;
  if (Number(box.low) > Number(box.high)) return `${BOX} is of two writers: ${box.low} to ${box.high}`;
  return undefined;
}

/** The writes of the box's first group that no other of them had known of; of several only one can have been applied. */
export function lastWrites(made: readonly Mutation[]): Mutation[] {
  const writes = made.filter(({ changes }) =>
    changes.some((change) => change.key === BOX && change.op === 'patch' && 'x' in change.fields),
  );
  const knew = (one: Mutation, other: Mutation) =>
    one.writer === other.writer
      ? one.counter > other.counter
      : one.seen.some(({ replica, counter }) => replica === other.writer && counter >= other.counter);
  return writes.filter((one) => !writes.some((other) => other !== one && knew(other, one)));
}

/**
 * What the box must be after all of these mutations, in whichever order they came. Shares no code with the merge: it adds up what was
 * counted, unites what was tagged, and looks for the last of the writes that no other write had known of.
 */
export function expectedBox(made: readonly Mutation[]): SyncRecord {
  let votes = 0;
  const tags = new Set<string>();
  let last: { mutation: Mutation; x: string } | undefined;
  for (const mutation of made) {
    mutation.changes.forEach((change, index) => {
      if (change.key !== BOX || change.op !== 'patch') return;
      const { fields } = change;
      const before = mutation.before[index]!;
      if (fields.votes !== undefined) votes += Number(fields.votes) - Number(before.votes);
      for (const tag of (fields.tags ?? []) as string[]) tags.add(tag);
      if ('x' in fields && (!last || isLater(mutation, last.mutation))) {
        last = { mutation, x: String(fields.x ?? before.x) };
      }
    });
  }
  const x = last?.x ?? '';
  return { x, votes, tags: [...tags].sort() };
}

/** By time, count and writer. */
function isLater(one: Mutation, other: Mutation): boolean {
  if (one.time !== other.time) return one.time > other.time;
  if (one.count !== other.count) return one.count > other.count;
  return one.writer > other.writer;
}

export function boxOf(root: StateRoot): SyncRecord {
  const { x, votes, tags } = root.get(BOX)!;
  return { x: x!, votes: votes!, tags: [...(tags as string[])].sort() };
}
