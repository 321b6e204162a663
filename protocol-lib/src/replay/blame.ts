import { changesPath } from '../capture/change-paths.ts';
import type { HistoryEntry, OpenCapture } from '../capture/index.ts';
import { SyncError } from '../errors/index.ts';
import { sameValue } from '../merkle/index.ts';
import type { Change, RecordKey, ReplicaId, SyncRecord, Value, Version } from '../state/index.ts';
import type { MutationId, TraceKind, TraceRecord, VectorEntries } from '../trace/index.ts';

/** What made a value stand: the order of commits, a policy of conflicts, and so on. */
export type BlameRule =
  | 'first state'
  | 'commit order'
  | 'last write'
  | 'policy'
  | 'repair'
  | 'snapshot'
  | 'view'
  | 'prediction'
  | 'rollback'
  | 'refused'
  | 'behind the protocol';

/** One record that touched a value. */
export interface BlameEntry {
  readonly position: number;
  readonly seq: number;
  readonly time: number;
  readonly kind: TraceKind;
  readonly version: Version;
  readonly rule: BlameRule;
  /** Of a `policy`: which. */
  readonly policy?: string;
  readonly writer?: string;
  readonly mutation?: MutationId;
  /** How much of each writer's mutations the replica had seen with this one, as far as the capture tells; sorted by writer. */
  readonly vector?: VectorEntries;
  /** The committed value before and after; absent for what did not change it, such as a prediction. */
  readonly before?: Value | SyncRecord | undefined;
  readonly after?: Value | SyncRecord | undefined;
  readonly sentence: string;
}

export interface Blame {
  readonly replica: ReplicaId;
  readonly key: RecordKey;
  readonly field?: string;
  /** Within the field, where that is a list or a map. */
  readonly within?: readonly string[];
  readonly position: number;
  /** Oldest first; the last that changed the committed value is why it stands. */
  readonly entries: readonly BlameEntry[];
}

const MAX_ENTRIES = 100_000;

/** A commit that touched the value. */
interface Touching {
  readonly version: Version;
  readonly mutation: MutationId | undefined;
  /** Whether it removed the whole record. */
  readonly isRemoval: boolean;
}

/** What one replica was told so far of the value. */
interface Told {
  readonly commits: readonly Touching[];
  readonly policies: readonly { readonly seq: number; readonly policy: string }[];
  /** Whether it sees a part of the state only. */
  readonly hasView: boolean;
  readonly isFirst: boolean;
}

/**
 * Every record up to a position that touched one value of one replica: who wrote it, and the rule that made it win. `within` leads on where the field is a
 * list or a map.
 * @throws SyncError `REPLICA_UNKNOWN`, and what reading the capture throws
 */
export async function blame(
  capture: OpenCapture,
  replica: ReplicaId,
  key: RecordKey,
  field: string | undefined,
  position: number,
  within: readonly string[] = [],
): Promise<Blame> {
  const { replicas } = await capture.info();
  if (!replicas.some(({ id }) => id === replica)) {
    throw new SyncError('REPLICA_UNKNOWN', `no replica ${replica} in this capture`, { origin: 'query' });
  }
  const history = await capture.history(replica, key, field, position, MAX_ENTRIES);
  const changed = new Map(history.flatMap((entry) => nested(entry, within)).map((entry) => [entry.position, entry]));
  const path = field === undefined ? [] : [field, ...within];
  const commits: Touching[] = [];
  const policies: { seq: number; policy: string }[] = [];
  const predicted = new Set<string>();
  const entries: BlameEntry[] = [];
  const seen = new Seen();
  let hasView = false;
  for await (const { position: at, record } of capture.trace(0, position + 1)) {
    const { body } = record;
    if (body.kind === 'commit' && touches(body.changes, key, path)) {
      const isRemoval = body.changes.findLast((change) => change.key === key)?.op === 'remove';
      commits.push({ version: body.version, mutation: body.mutation, isRemoval });
    }
    if (record.replica !== replica) continue;
    if (body.kind === 'view') hasView = true;
    if (body.kind === 'conflict' && body.key === key && (field === undefined || (body.field ?? field) === field)) {
      policies.push({ seq: record.seq, policy: body.policy });
    }
    seen.take(body);
    const entry = changed.get(at);
    const told: Told = { commits, policies, hasView, isFirst: entries.length === 0 };
    const committed = entry && committedEntry(entry, record, key, told);
    const other = committed ?? optimisticEntry(at, record, key, path, predicted);
    // What is only predicted is not seen yet.
    const taken = committed && writtenIn(body, commits);
    if (taken) seen.add(taken);
    if (other) entries.push({ ...other, ...seen.vector() });
  }
  const where = { ...(field === undefined ? {} : { field }), ...(within.length > 0 ? { within } : {}) };
  return { replica, key, ...where, position, entries };
}

/** An entry as it is about what lies within the field; none where that is as it was. */
function nested(entry: HistoryEntry, within: readonly string[]): HistoryEntry[] {
  if (within.length === 0) return [entry];
  const before = inner(entry.before, within);
  const after = inner(entry.after, within);
  const isSame = before === undefined || after === undefined ? before === after : sameValue(before, after);
  return isSame ? [] : [{ ...entry, before, after }];
}

function inner(value: Value | SyncRecord | undefined, path: readonly string[]): Value | undefined {
  let found: Value | undefined = value;
  for (const name of path) {
    const isNested = typeof found === 'object' && found !== null && !(found instanceof Uint8Array);
    found = isNested && Object.hasOwn(found as object, name) ? (found as SyncRecord)[name] : undefined;
  }
  return found;
}

/** What one replica had seen, by its own records: it tells its vector at times, and what it takes in between comes on top. */
class Seen {
  #counters: Map<string, VectorEntries[number]> | undefined;

  take(body: TraceRecord['body']): void {
    // A whole state may be that of another life, which has seen less.
    if (body.kind === 'snapshot') this.#counters = new Map();
    if (body.kind === 'snapshot' || body.kind === 'vector') {
      this.#counters ??= new Map();
      for (const { replica, counter } of body.vector) this.add({ writer: replica, counter });
    } else if (body.kind === 'commit' && body.mutation) this.add(body.mutation);
  }

  /** Nothing while it has not told any vector. */
  add({ writer, counter }: MutationId): void {
    if (!this.#counters || counter <= (this.#counters.get(writer)?.counter ?? 0)) return;
    this.#counters.set(writer, { replica: writer, counter });
  }

  vector(): { readonly vector?: VectorEntries } {
    if (!this.#counters) return {};
    return { vector: [...this.#counters.values()].sort((left, right) => (left.replica < right.replica ? -1 : 1)) };
  }
}

function committedEntry(entry: HistoryEntry, record: TraceRecord, key: RecordKey, told: Told): BlameEntry {
  const { seq, time } = record;
  const { kind } = record.body;
  const policy = told.policies.at(-1);
  // A conflict's record stands directly beside what came of it.
  const decided = policy && (record.cause.includes(policy.seq) || Math.abs(policy.seq - seq) <= 2) ? policy : undefined;
  const sight = decided ? undefined : inSight(record.body, key, told);
  const { rule, text } = sight ?? ruleOf(record, decided?.policy, told.isFirst);
  const mutation = sight ? sight.mutation : rule === 'commit order' ? writtenIn(record.body, told.commits) : undefined;
  const writer = mutation?.writer ?? (sight ? undefined : entry.writer);
  return {
    ...{ position: entry.position, seq, time, kind, version: entry.version, rule },
    ...(decided ? { policy: decided.policy } : {}),
    ...(writer === undefined ? {} : { writer }),
    ...(mutation ? { mutation } : {}),
    before: entry.before,
    after: entry.after,
    sentence: writer === undefined ? text : `${text}, written by ${writer}`,
  };
}

/** The mutation that a commit, or a delta of several, brought; an older one is not what the record is about: those that are may be missing in the capture. */
function writtenIn(body: TraceRecord['body'], commits: readonly Touching[]): MutationId | undefined {
  if (body.kind === 'commit') return body.mutation;
  if (body.kind !== 'apply') return undefined;
  return commits.findLast(({ version }) => version > body.from && version <= body.to)?.mutation;
}

/** Of a replica that sees a part of the state: a record that came into its view, or went out of it, while it was there. */
function inSight(body: TraceRecord['body'], key: RecordKey, { commits, hasView }: Told) {
  if (!hasView || body.kind !== 'apply') return undefined;
  const change = body.changes.findLast((one) => one.key === key);
  const among = commits.filter(({ version }) => version <= body.to);
  const last = among.at(-1);
  const isNew = last !== undefined && last.version > body.from;
  const rule: BlameRule = 'view';
  if (change?.op === 'remove' && !(isNew && last.isRemoval)) {
    return { rule, text: `it went out of view with the delta from ${body.from} to ${body.to}`, mutation: undefined };
  }
  if (change?.op !== 'put' || isNew) return undefined;
  const since = last ? `, as it was since version ${last.version}` : '';
  return {
    rule,
    text: `it came into view with the delta from ${body.from} to ${body.to}${since}`,
    mutation: last?.mutation,
  };
}

/** Why the record made a value what it is. `policy`: of the conflict that it settled; `isFirst`: nothing touched the value before. */
export function ruleOf(
  { body }: Pick<TraceRecord, 'body'>,
  policy: string | undefined,
  isFirst: boolean,
): { readonly rule: BlameRule; readonly text: string } {
  if (policy !== undefined) return { rule: 'policy', text: `the policy ${policy} decided between several writers` };
  switch (body.kind) {
    case 'commit':
      return { rule: 'commit order', text: `commit ${body.version} (${body.event.type})` };
    case 'apply':
      if (body.from === body.to && body.from > 0)
        return { rule: 'repair', text: 'a repair took over what the others have' };
      return body.from === 0 && body.to === 0
        ? { rule: 'last write', text: 'the newest of the writes that were merged' }
        : { rule: 'commit order', text: `the delta from ${body.from} to ${body.to} brought it` };
    case 'snapshot':
      return isFirst
        ? { rule: 'first state', text: `it was so in the first state that was told, at version ${body.version}` }
        : { rule: 'snapshot', text: `a whole snapshot of version ${body.version} took its place` };
    case 'repair':
      return { rule: 'repair', text: `the repair by ${body.method} took over what the others have` };
    default:
      return { rule: 'behind the protocol', text: `a ${body.kind} shows that it was changed behind the protocol` };
  }
}

/** Predictions of the value, and what became of them. */
function optimisticEntry(
  position: number,
  record: TraceRecord,
  key: RecordKey,
  path: readonly string[],
  predicted: Set<string>,
): BlameEntry | undefined {
  const { body, seq, time } = record;
  if (body.kind !== 'prediction' && body.kind !== 'rollback' && body.kind !== 'rejection') return undefined;
  const { mutation, version } = body;
  const id = `${mutation.writer}:${mutation.counter}`;
  const place = { position, seq, time, kind: body.kind, version, writer: mutation.writer, mutation };
  if (body.kind === 'prediction') {
    if (!touches(body.changes, key, path)) return undefined;
    predicted.add(id);
    return { ...place, rule: 'prediction', sentence: `${id} (${body.command}) was predicted here before its answer` };
  }
  if (!predicted.has(id)) return undefined;
  const rule = body.kind === 'rollback' ? 'rollback' : 'refused';
  return { ...place, rule, sentence: `${id} was taken back: ${body.reason}` };
}

function touches(changes: readonly Change[], key: RecordKey, path: readonly string[]): boolean {
  return changes.some((change) => change.key === key && changesPath(change, path));
}
