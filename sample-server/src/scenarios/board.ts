import { vectorEntriesSchema } from '@syncscope/protocol/clock';
import { array, bytes, finite, literal, nullable, object, optional, string } from '@syncscope/protocol/schema';
import {
  type Change,
  type RecordKey,
  recordKey,
  recordKeySchema,
  recordSchema,
  replicaId,
  type SyncRecord,
  type Value,
} from '@syncscope/protocol/state';
import type {
  CommandHandler,
  CommandOutcome,
  DomainEvent,
  SessionDefinition,
  StateView,
} from '@syncscope/protocol/sync';
import { AUTHORITY } from './adventure.ts';
import {
  decided,
  GROUPS,
  isSameField,
  lastWritersKey,
  reconciled,
  roleOf,
  type Writes,
  waitingKey,
  written,
} from './board-conflicts.ts';
import { collectable, collected, emptyText, refusalOf, SEEN, typed } from './board-text.ts';

/**
 * The board: notes, tasks and a page of text that several people work on, some of them on devices without a network now and then.
 *
 * Records: `note/<id>` {title, text, color, x, y, tags}, `last/<note>` {field: writer}, `task/<id>` {title, owner}, `member/<replica>` {role},
 * `conflict/<hash>` as `waitingSchema` has it, and the text of {@link documentOf}.
 */

const NOTES_MAX = 60;
const TASKS_MAX = 12;
const CONFLICTS_MAX = 50;
const TAGS_MAX = 12;
const MEMBERS_MAX = 1_000;

const noteFields = {
  title: optional(string(60)),
  text: optional(string(500)),
  color: optional(literal('yellow', 'green', 'blue', 'pink')),
  x: optional(finite),
  y: optional(finite),
};
const noteSchema = object({
  title: string(60),
  text: string(500),
  color: literal('yellow', 'green', 'blue', 'pink'),
  x: finite,
  y: finite,
  tags: array(string(20), TAGS_MAX),
});

const ARGS = {
  join: object({ role: literal('chair', 'writer') }),
  add: object({
    key: recordKeySchema,
    title: string(60),
    color: literal('yellow', 'green', 'blue', 'pink'),
    x: finite,
    y: finite,
  }),
  edit: object({ key: recordKeySchema, fields: object(noteFields) }),
  tag: object({ key: recordKeySchema, add: array(string(20), TAGS_MAX), remove: array(string(20), TAGS_MAX) }),
  key: object({ key: recordKeySchema }),
  claim: object({ key: recordKeySchema, seen: nullable(string(100)) }),
  type: object({ operation: bytes(64 * 1024), seen: nullable(vectorEntriesSchema) }),
  reconcile: object({
    changes: array(object({ key: recordKeySchema, base: nullable(recordSchema), mine: nullable(recordSchema) }), 100),
  }),
  decide: object({ conflict: recordKeySchema, chosen: string(200) }),
  post: object({ title: string(60) }),
  writer: object({ writer: string(100) }),
};

const refuse = (reason: string): CommandOutcome => ({ accepted: false, reason });
const happened = (type: string, player: string, detail: string, data: Value = null): CommandOutcome => ({
  accepted: true,
  events: [{ type, player, detail, data }],
});

const noteAt = (state: StateView, key: RecordKey): SyncRecord | undefined =>
  key.startsWith('note/') ? state.get(key) : undefined;

/** Whole records that take the place of others, as an event carries them. */
function asWritten(type: string, writer: string, detail: string, writes: Writes): CommandOutcome {
  return happened(type, writer, detail, { writes: writes.map(([key, record]) => ({ key, record })) });
}

function count(state: StateView, prefix: string): number {
  let found = 0;
  for (const _ of state.entries(prefix)) found++;
  return found;
}

const join: CommandHandler = (state, args, writer) => {
  const { role } = ARGS.join.parse(args, 'join');
  if (roleOf(state, writer) !== '') return refuse(`${writer} is here already`);
  for (const [, member] of state.entries('member/')) {
    if (role === 'chair' && member.role === 'chair') return refuse('there is a chair already');
  }
  if (count(state, 'member/') >= MEMBERS_MAX) return refuse('the board has no room for more people');
  return happened('MEMBER_JOINED', writer, role);
};

const leave: CommandHandler = (state, _args, writer) =>
  roleOf(state, writer) === '' ? refuse(`${writer} is not here`) : happened('MEMBER_LEFT', writer, '');

const add: CommandHandler = (state, args, writer) => {
  const { key, ...fields } = ARGS.add.parse(args, 'add');
  if (!key.startsWith('note/')) return refuse(`${key} is no note`);
  if (state.get(key)) return refuse(`${key} is there already`);
  if (count(state, 'note/') >= NOTES_MAX) return refuse('the board is full');
  const note = { ...fields, text: '', tags: [] };
  const by = Object.fromEntries(Object.keys(note).map((field) => [field, writer]));
  return asWritten('NOTE_ADDED', writer, fields.title, [
    [key, note],
    [lastWritersKey(key), by],
  ]);
};

const edit: CommandHandler = (state, args, writer) => {
  const { key, fields } = ARGS.edit.parse(args, 'edit');
  const given = present(fields);
  if (!noteAt(state, key)) return refuse('the note is gone');
  if (Object.keys(given).length === 0) return refuse('nothing is to be changed');
  return asWritten(
    'NOTE_EDITED',
    writer,
    `${key}: ${Object.keys(given).join(', ')}`,
    written(state, key, given, writer),
  );
};

function present(fields: Readonly<Record<string, Value | undefined>>): SyncRecord {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

const tag: CommandHandler = (state, args, writer) => {
  const { key, add: added, remove } = ARGS.tag.parse(args, 'tag');
  const note = noteAt(state, key);
  if (!note) return refuse('the note is gone');
  const tags = new Set([...(note.tags as readonly string[]), ...added]);
  for (const one of remove) tags.delete(one);
  if (tags.size > TAGS_MAX) return refuse('too many tags');
  return asWritten('NOTE_TAGGED', writer, key, written(state, key, { tags: [...tags].sort() }, writer));
};

const remove: CommandHandler = (state, args, writer) => {
  const { key } = ARGS.key.parse(args, 'remove');
  return noteAt(state, key) ? happened('NOTE_REMOVED', writer, key) : refuse('the note is gone');
};

/** Who claims what another has claimed meanwhile without its knowing gets it where the other has two tasks more. */
const claim: CommandHandler = (state, args, writer) => {
  const { key, seen } = ARGS.claim.parse(args, 'claim');
  const task = key.startsWith('task/') ? state.get(key) : undefined;
  if (!task) return refuse('the task is gone');
  const { owner = null } = task;
  if (owner === writer) return refuse('has it already');
  if (owner !== null && owner === seen) return refuse(`${owner} has it`);
  if (owner !== null && tasksOf(state, owner) - tasksOf(state, writer) < 2) {
    return refuse(`${owner} was first, and has few tasks`);
  }
  return happened('TASK_CLAIMED', writer, key);
};

function tasksOf(state: StateView, owner: Value): number {
  let found = 0;
  for (const [, task] of state.entries('task/')) if (task.owner === owner) found++;
  return found;
}

const finish: CommandHandler = (state, args, writer) => {
  const { key } = ARGS.key.parse(args, 'finish');
  const task = key.startsWith('task/') ? state.get(key) : undefined;
  return task?.owner === writer ? happened('TASK_FINISHED', writer, key) : refuse('not yours');
};

const type: CommandHandler = (state, args, writer) => {
  const { operation, seen } = ARGS.type.parse(args, 'type');
  const refusal = refusalOf(state, operation, seen, writer);
  if (refusal !== undefined) return refuse(refusal);
  return happened('TYPED', writer, '', { operation, seen: seen?.map((entry) => ({ ...entry })) ?? null });
};

/** A device is back with notes that others have changed meanwhile: what it saw and meant is merged with what stands. */
const reconcile: CommandHandler = (state, args, writer) => {
  const { changes } = ARGS.reconcile.parse(args, 'reconcile');
  const writes: (readonly [RecordKey, SyncRecord])[] = [];
  for (const { key, base, mine } of changes) {
    if (!noteAt(state, key)) return refuse('the note is gone');
    if (base === null || mine === null) return refuse(`${key} was made or removed, not changed`);
    const made = reconciled(
      state,
      { key, base: noteSchema.parse(base, 'base'), mine: noteSchema.parse(mine, 'mine') },
      writer,
    );
    if (!made) return refuse('the note is gone');
    const isFull = made.some(([one, { tags }]) => one === key && Array.isArray(tags) && tags.length > TAGS_MAX);
    if (isFull) return refuse('too many tags');
    writes.push(...made);
  }
  if (writes.length === 0) return refuse('what others wrote prevails');
  if (count(state, 'conflict/') + changes.length > CONFLICTS_MAX) return refuse('too much waits to be decided');
  return asWritten('NOTE_RECONCILED', writer, changes.map(({ key }) => key).join(', '), writes);
};

const decide: CommandHandler = (state, args, writer) => {
  const { conflict, chosen } = ARGS.decide.parse(args, 'decide');
  const writes = decided(state, conflict, chosen, writer);
  if (typeof writes === 'string') return refuse(writes);
  return asWritten('CONFLICT_DECIDED', writer, `${conflict}: ${chosen}`, writes);
};

// — the authority's own —

const own =
  (handler: CommandHandler): CommandHandler =>
  (state, args, writer) =>
    writer === AUTHORITY ? handler(state, args, writer) : refuse('only the server itself may');

const post = own((state, args, writer) => {
  const { title } = ARGS.post.parse(args, 'post');
  if (count(state, 'task/') >= TASKS_MAX) return refuse('enough is to be done');
  return happened('TASK_POSTED', writer, title);
});

const sweep = own((state, args, writer) => {
  const { conflict } = object({ conflict: recordKeySchema }).parse(args, 'sweep');
  const record = conflict.startsWith('conflict/') ? state.get(conflict) : undefined;
  return record?.state === 'decided' ? happened('CONFLICT_SWEPT', writer, conflict) : refuse('it waits');
});

const collect = own((state, _args, writer) => {
  const dropped = collectable(state);
  return dropped > 0 ? happened('TEXT_COLLECTED', writer, `${dropped} tombstones`) : refuse('nothing is to be dropped');
});

const forget = own((state, args, writer) => {
  const { writer: gone } = ARGS.writer.parse(args, 'forget');
  return state.get(recordKey(SEEN + gone)) ? happened('WRITER_FORGOTTEN', writer, gone) : refuse('nobody of that name');
});

function reduce(state: StateView, event: DomainEvent): readonly Change[] {
  const { type: what, player, detail, data } = event;
  switch (what) {
    case 'MEMBER_JOINED':
      return [{ op: 'put', key: recordKey(`member/${player}`), record: { role: detail } }];
    case 'MEMBER_LEFT':
      return [recordKey(`member/${player}`), recordKey(SEEN + player)]
        .filter((key) => state.get(key))
        .map((key) => ({ op: 'remove', key }));
    case 'NOTE_ADDED':
    case 'NOTE_EDITED':
    case 'NOTE_TAGGED':
    case 'NOTE_RECONCILED':
    case 'CONFLICT_DECIDED':
      return writesOf(data ?? null).map(({ key, record }) => changeTo(state, key, record));
    case 'NOTE_REMOVED':
      return [recordKey(detail), lastWritersKey(recordKey(detail)), waitingKey(recordKey(detail))]
        .filter((key) => state.get(key))
        .map((key) => ({ op: 'remove', key }));
    case 'TASK_POSTED':
      return [{ op: 'put', key: nextTask(state), record: { title: detail, owner: null } }];
    case 'TASK_CLAIMED':
      return [{ op: 'patch', key: recordKey(detail), fields: { owner: player }, removed: [] }];
    case 'TASK_FINISHED':
    case 'CONFLICT_SWEPT':
      return [{ op: 'remove', key: recordKey(detail) }];
    case 'TYPED': {
      const { operation, seen } = ARGS.type.parse(data, 'typed');
      return typed(state, operation, seen, replicaId(player));
    }
    case 'TEXT_COLLECTED':
      return collected(state);
    case 'WRITER_FORGOTTEN':
      return [{ op: 'remove', key: recordKey(SEEN + detail) }];
    default:
      return [];
  }
}

const writesSchema = object({ writes: array(object({ key: recordKeySchema, record: recordSchema }), 1_000) });

function writesOf(data: Value) {
  return writesSchema.parse(data, 'data').writes;
}

/** A patch where the record is there, so that a delta has what changed alone; a conflict is told whole each time. */
function changeTo(state: StateView, key: RecordKey, record: SyncRecord): Change {
  const before = state.get(key);
  if (!before || key.startsWith('conflict/')) return { op: 'put', key, record };
  const fields = Object.fromEntries(
    Object.entries(record).filter(([name, value]) => !isSameField(before, name, value)),
  );
  return { op: 'patch', key, fields, removed: [] };
}

function nextTask(state: StateView): RecordKey {
  let number = 1;
  while (state.get(recordKey(`task/${number}`))) number++;
  return recordKey(`task/${number}`);
}

function* initialRecords(): Iterable<readonly [RecordKey, SyncRecord]> {
  yield* emptyText();
  const notes = [
    ['plan', 'Plan', 'yellow', 'What we do this week.'],
    ['menu', 'Menu', 'green', 'Soup, bread, tea.'],
    ['trip', 'Trip', 'blue', 'The early train.'],
  ] as const;
  for (const [index, [id, title, color, text]] of notes.entries()) {
    yield [recordKey(`note/${id}`), { title, text, color, x: 40 + index * 220, y: 60, tags: [] }];
    yield [recordKey(`last/${id}`), {}];
  }
}

export const board: SessionDefinition = {
  name: 'board',
  initialRecords,
  commands: {
    join,
    leave,
    add,
    edit,
    tag,
    remove,
    claim,
    finish,
    type,
    reconcile,
    decide,
    post,
    sweep,
    collect,
    forget,
  },
  reduce,
  groups: GROUPS,
};
