import type { OpenCapture } from '../capture/index.ts';
import type { ReplicaId, StateHash, Version } from '../state/index.ts';
import { type MutationId, type ToldRoot, type TraceKind, type TraceRecord, toldRoot } from '../trace/index.ts';
import { isInputs } from './batches.ts';
import { firstDifferenceOf } from './difference.ts';
import type { Placed } from './steps.ts';

/** Where two captures first part on one replica. */
export interface StructuralDifference {
  readonly replica: ReplicaId;
  /** `content`: the same happened with other values; `structure`: something else happened; `left`, `right`: only there did more happen. */
  readonly differs: 'content' | 'structure' | 'left' | 'right';
  /** Path into the record's body where the content differs. */
  readonly path?: string;
  readonly left?: ComparedRecord;
  readonly right?: ComparedRecord;
}

export interface ComparedRecord {
  readonly position: number;
  readonly seq: number;
  readonly kind: TraceKind;
  /** What it is, by its identity: `send DELTA_SYNC 17 to bob`. */
  readonly identity: string;
}

export interface EndState {
  readonly replica: ReplicaId;
  readonly left?: { readonly version: Version; readonly root: StateHash };
  readonly right?: { readonly version: Version; readonly root: StateHash };
}

/** Two captures of one session, or of two that should have gone alike. */
export interface Comparison {
  readonly isEqual: boolean;
  /** The difference that no other can have caused. */
  readonly first?: StructuralDifference;
  /** The first of each replica. */
  readonly differences: readonly StructuralDifference[];
  readonly counts: ReadonlyArray<{ readonly kind: TraceKind; readonly left: number; readonly right: number }>;
  /** What each replica came to. */
  readonly ends: readonly EndState[];
}

/** Kinds that tell of times and loads rather than of what happened. */
const PASSED_OVER = new Set<TraceKind>(['log', 'health', 'pressure', 'gap', 'fault']);

/**
 * Aligns two captures by what happened on each replica (messages by sender and number, mutations by their ids, states by version), never
 * by time, and names where they part. @throws SyncError as reading the captures does
 */
export async function compareCaptures(left: OpenCapture, right: OpenCapture): Promise<Comparison> {
  return compareTraces(await placed(left), await placed(right));
}

async function placed(capture: OpenCapture): Promise<Placed[]> {
  const all: Placed[] = [];
  for await (const one of capture.trace()) all.push(one);
  return all;
}

/** {@link compareCaptures} of traces at hand. */
export function compareTraces(left: readonly Placed[], right: readonly Placed[]): Comparison {
  const lefts = byReplica(left);
  const rights = byReplica(right);
  const replicas = [...new Set([...lefts.keys(), ...rights.keys()])].sort();
  const found = replicas.flatMap((replica) => {
    const difference = firstOf(replica, lefts.get(replica) ?? [], rights.get(replica) ?? []);
    return difference ? [difference] : [];
  });
  // Positions of one capture follow causes: of several, the one that stands first in both cannot have been caused by another.
  const [first] = [...found].sort((a, b) => placeOf(a) - placeOf(b) || (a.replica < b.replica ? -1 : 1));
  return {
    isEqual: found.length === 0,
    ...(first ? { first } : {}),
    differences: found,
    counts: countsOf(left, right),
    ends: replicas.flatMap((replica) => {
      const [one, other] = [endOf(lefts.get(replica)), endOf(rights.get(replica))];
      return one || other ? [{ replica, ...(one ? { left: one } : {}), ...(other ? { right: other } : {}) }] : [];
    }),
  };
}

function placeOf({ left, right }: StructuralDifference): number {
  return Math.min(left?.position ?? Number.POSITIVE_INFINITY, right?.position ?? Number.POSITIVE_INFINITY);
}

function byReplica(trace: readonly Placed[]): Map<ReplicaId, Placed[]> {
  const lists = new Map<ReplicaId, Placed[]>();
  for (const one of trace) {
    if (PASSED_OVER.has(one.record.body.kind) || isInputs(one.record)) continue;
    const list = lists.get(one.record.replica);
    if (list) list.push(one);
    else lists.set(one.record.replica, [one]);
  }
  return lists;
}

function firstOf(
  replica: ReplicaId,
  left: readonly Placed[],
  right: readonly Placed[],
): StructuralDifference | undefined {
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const [one, other] = [left[at], right[at]];
    if (!one || !other) {
      if (one) return { replica, differs: 'left', left: compared(one) };
      if (other) return { replica, differs: 'right', right: compared(other) };
      return undefined;
    }
    const both = { left: compared(one), right: compared(other) };
    if (both.left.identity !== both.right.identity) return { replica, differs: 'structure', ...both };
    const content = firstDifferenceOf(one.record.body, other.record.body);
    if (content) return { replica, differs: 'content', path: content.path, ...both };
  }
  return undefined;
}

function compared({ position, record }: Placed): ComparedRecord {
  return { position, seq: record.seq, kind: record.body.kind, identity: identityOf(record) };
}

/** What a record is, whenever and wherever in its capture it stands. */
export function identityOf({ body }: TraceRecord): string {
  switch (body.kind) {
    case 'send':
      return `send ${body.type} ${body.sequence} to ${body.to}`;
    case 'receive':
      return `receive ${body.type} ${body.sequence} of ${body.sender}`;
    case 'commit':
      return `commit ${body.version}${body.mutation ? ` of ${mutationText(body.mutation)}` : ''}`;
    case 'prediction':
    case 'confirmation':
    case 'rollback':
    case 'rejection':
      return `${body.kind} of ${mutationText(body.mutation)}`;
    case 'apply':
    case 'delta':
      return `${body.kind} ${body.from} to ${body.to}`;
    case 'operation':
      return `operation ${body.writer}:${body.counter}`;
    default:
      return 'version' in body ? `${body.kind} at ${body.version}` : body.kind;
  }
}

function mutationText({ writer, counter }: MutationId): string {
  return `${writer}:${counter}`;
}

function countsOf(left: readonly Placed[], right: readonly Placed[]): Comparison['counts'] {
  const counts = new Map<TraceKind, { left: number; right: number }>();
  for (const [side, trace] of [['left', left] as const, ['right', right] as const]) {
    for (const { record } of trace) {
      if (isInputs(record)) continue;
      const count = counts.get(record.body.kind) ?? { left: 0, right: 0 };
      count[side]++;
      counts.set(record.body.kind, count);
    }
  }
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([kind, count]) => ({ kind, ...count }));
}

function endOf(records: readonly Placed[] = []): ToldRoot | undefined {
  let end: ToldRoot | undefined;
  for (const { record } of records) {
    const told = toldRoot(record.body);
    // What is compared may be an older version, which says nothing of the end.
    const isCompared = record.body.kind === 'hash' || record.body.kind === 'mismatch';
    if (told && !(isCompared && end && told.version < end.version)) end = told;
  }
  return end;
}
