import {
  ConflictResolver,
  conflictKey,
  resolveSides,
  type SideWriter,
  type TwoSides,
  type WaitingConflict,
  waitingSchema,
} from '@syncscope/protocol/conflict';
import { sameValue } from '@syncscope/protocol/merkle';
import {
  type ConflictPolicy,
  type ReconcilerOptions,
  type References,
  resolverPolicies,
  type WriteConflict,
} from '@syncscope/protocol/offline';
import {
  type RecordKey,
  type ReplicaId,
  recordKey,
  replicaId,
  type SyncRecord,
  type Value,
} from '@syncscope/protocol/state';
import type { FieldGroup, StateView } from '@syncscope/protocol/sync';

/** What holds on the board where two wrote without knowing of each other: each field and group has a policy of its own. */
export const GROUPS: readonly FieldGroup[] = [{ collection: 'note/', fields: ['x', 'y'] }];

/** The field of a note about which a human decides. */
const HUMAN_FIELD = 'text';
const SIDES_MAX = 10;
/** The writer of what stands where nobody is known to have written it. */
const NOBODY = replicaId('board');

const resolver = new ConflictResolver({
  policies: [
    { collection: 'note/', fields: ['x', 'y'], policy: { kind: 'last-write' } },
    { collection: 'note/', fields: ['color'], policy: { kind: 'last-write' } },
    { collection: 'note/', fields: ['tags'], policy: { kind: 'merge', of: 'set' } },
    { collection: 'note/', fields: ['title'], policy: { kind: 'role', ranks: [{ role: 'chair', rank: 1 }] } },
    { collection: 'note/', fields: [HUMAN_FIELD], policy: { kind: 'human' } },
  ],
});

export const waitingKey = (note: RecordKey): RecordKey => conflictKey(note, HUMAN_FIELD);

/** `last/<note>` {field: writer}: who wrote each field last. */
export function lastWritersKey(note: RecordKey): RecordKey {
  return recordKey(`last/${note.slice(note.indexOf('/') + 1)}`);
}

export function roleOf(state: StateView, writer: string): string {
  const role = state.get(recordKey(`member/${writer}`))?.role;
  return typeof role === 'string' ? role : '';
}

export function conflictOf(state: StateView, key: RecordKey): WaitingConflict | undefined {
  const record = state.get(key);
  return record && waitingSchema.parse(record, key);
}

/** Records that change, under their keys. */
export type Writes = readonly (readonly [RecordKey, SyncRecord])[];

/**
 * What a note becomes when fields of it are written. While somebody is asked about its text, another text joins the sides in question, and
 * the base stands.
 */
export function written(state: StateView, key: RecordKey, fields: SyncRecord, writer: ReplicaId): Writes {
  const { [HUMAN_FIELD]: text, ...others } = fields;
  const id = waitingKey(key);
  const waiting = conflictOf(state, id);
  const isAsked = waiting?.state === 'waiting' && text !== undefined;
  const now = isAsked ? others : fields;
  const by = state.get(lastWritersKey(key)) ?? {};
  const changes: [RecordKey, SyncRecord][] = [];
  if (Object.keys(now).length > 0) {
    const writers = Object.fromEntries(Object.keys(now).map((field) => [field, writer]));
    changes.push([key, { ...state.get(key), ...now }], [lastWritersKey(key), { ...by, ...writers }]);
  }
  if (isAsked) changes.push([id, withSide(waiting, text, writer, roleOf(state, writer))]);
  return changes;
}

function withSide(waiting: WaitingConflict, text: Value, writer: ReplicaId, role: string): SyncRecord {
  const others = waiting.sides.filter((side) => side.writer !== writer);
  const counter = Math.max(...waiting.sides.map((side) => side.counter)) + 1;
  const sides = [...others.slice(-(SIDES_MAX - 1)), { writer, counter, role, value: { [HUMAN_FIELD]: text } }];
  return { ...waiting, sides };
}

/** What is meant where a device comes back with a note that somebody else has changed meanwhile. */
export function reconciled(state: StateView, sides: Omit<TwoSides, 'theirs'>, writer: ReplicaId): Writes | undefined {
  const theirs = state.get(sides.key) ?? null;
  const { record, waiting } = resolveSides(resolver, { ...sides, theirs }, writersOf(state, sides.key, sides, writer));
  if (record === null || theirs === null) return undefined;
  const fields: Record<string, Value> = Object.fromEntries(
    Object.entries(record).filter(([name, value]) => !isSameField(theirs, name, value)),
  );
  // A merge orders a set by its items' bytes; on the board tags stand by the alphabet.
  if (Array.isArray(fields.tags)) fields.tags = [...fields.tags].sort();
  const id = waitingKey(sides.key);
  const asked = conflictOf(state, id)?.state === 'waiting' ? [] : waiting;
  const added = asked.flatMap(({ key, record: one }) => (one ? [[key, one] as const] : []));
  if (added.length === 0) return written(state, sides.key, fields, writer);
  // What stands while somebody is asked is what everybody had seen; who wrote it is no longer said.
  const { [HUMAN_FIELD]: base, ...others } = fields;
  const changes = written(state, sides.key, others, writer);
  const note = changes[0]?.[1] ?? theirs;
  const rest = changes.filter(([key]) => key !== sides.key);
  return [[sides.key, base === undefined ? note : { ...note, [HUMAN_FIELD]: base }], ...rest, ...added];
}

export function isSameField(record: SyncRecord, name: string, value: Value): boolean {
  return Object.hasOwn(record, name) && sameValue(record[name]!, value);
}

/** The conflict and its note once somebody has decided; a text where there is nothing to decide. */
export function decided(state: StateView, id: RecordKey, chosen: string, writer: ReplicaId): Writes | string {
  const conflict = conflictOf(state, id);
  if (!conflict) return 'there is no such conflict';
  if (conflict.state !== 'waiting') return `${conflict.by} has decided already`;
  const side = conflict.sides.find((one) => `${one.writer}:${one.counter}` === chosen);
  if (!side && chosen !== 'base') return `it has no side ${chosen}`;
  const note = state.get(conflict.key);
  if (!note) return 'the note is gone';
  const value = side?.value ?? conflict.base;
  const by = { ...state.get(lastWritersKey(conflict.key)), [HUMAN_FIELD]: side?.writer ?? writer };
  return [
    [conflict.key, { ...note, ...value }],
    [lastWritersKey(conflict.key), by],
    [id, { ...conflict, state: 'decided', by: writer, chosen: value }],
  ];
}

function writersOf(
  state: StateView,
  key: RecordKey,
  { mine, base }: Omit<TwoSides, 'theirs'>,
  writer: ReplicaId,
): { readonly theirs: SideWriter; readonly mine: SideWriter } {
  const last = state.get(lastWritersKey(key)) ?? {};
  const changed = ['title', HUMAN_FIELD, 'tags', 'x', 'color'].filter((field) => {
    const [before, after] = [base, mine].map((one) => (one && Object.hasOwn(one, field) ? one[field] : null));
    return !sameValue(before ?? null, after ?? null);
  });
  const writers = changed.map((field) => last[field]).filter((one) => typeof one === 'string' && one !== writer);
  const theirs = typeof writers[0] === 'string' ? replicaId(writers[0]) : NOBODY;
  return {
    theirs: { writer: theirs === writer ? NOBODY : theirs, counter: 1, role: roleOf(state, theirs) },
    mine: { writer, counter: 2, role: roleOf(state, writer) },
  };
}

const REFERENCES: References = {
  commands: {
    add: ['key'],
    edit: ['key'],
    tag: ['key'],
    remove: ['key'],
    claim: ['key'],
    finish: ['key'],
    reconcile: ['changes.*.key'],
  },
  records: { conflict: ['key'] },
};

/** Commands that know what to do with a record that has changed meanwhile. */
const DECIDE_THEMSELVES: ReadonlySet<string> = new Set(['decide', 'remove', 'claim', 'finish']);

const byCommand: ConflictPolicy = {
  name: 'domain',
  decide: () => ({ winner: 'mine', reason: 'the rule of the command decides on the present state' }),
};

/** How devices that were offline are reconciled: the same policies, run by the same rules as at the authority. */
export function boardReconciling(view: () => StateView): Omit<ReconcilerOptions, 'authority' | 'tap'> {
  const policyOf = resolverPolicies({
    resolver,
    writersOf: (conflict) => writersOf(view(), conflict.key, conflict, conflict.mutation.writer),
  });
  return {
    references: REFERENCES,
    groups: GROUPS,
    policyOf: (key) => {
      const policy = policyOf(key);
      const decide = (conflict: WriteConflict) =>
        (DECIDE_THEMSELVES.has(conflict.command) ? byCommand : policy).decide(conflict);
      return { name: key.startsWith('note/') ? policy.name : byCommand.name, decide };
    },
    mergesItself: (key) => !key.startsWith('note/') && !key.startsWith('task/'),
    // Only what the device saw and meant is told: the command itself merges it with what stands, by the same policies.
    writeMerged: {
      command: 'reconcile',
      args: (_records, { base, mine }) => ({
        changes: mine
          .filter(({ key }) => key.startsWith('note/'))
          .map(({ key, record }) => {
            return { key, base: base.find((one) => one.key === key)?.record ?? null, mine: record };
          }),
      }),
    },
  };
}

export { REFERENCES as BOARD_REFERENCES };
