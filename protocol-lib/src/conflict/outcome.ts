import type { RecordKey, ReplicaId, SyncRecord } from '../state/index.ts';
import type { MutationId, TraceBodyOf } from '../trace/index.ts';

/** What became of one part of a mutation: a unit of a record, the record as such, or, with a domain rule, all of it. */
export interface PartOutcome {
  /** Absent for a command of a rule that is about no single record. */
  readonly key?: RecordKey;
  /** The unit's name; `record` where a record was put or removed; `command` for a rule's. */
  readonly part: string;
  readonly state: 'applied' | 'merged' | 'rejected' | 'waiting';
  /** Why, for all but `applied`. */
  readonly reason: string;
  /** The mutation that it gave way to. */
  readonly by?: MutationId;
}

/** What became of a mutation: nothing that anybody did is ever left without one of these. */
export interface MutationOutcome {
  readonly mutation: MutationId;
  /** `partly`: some of its parts were rejected. */
  readonly state: 'applied' | 'partly' | 'rejected' | 'waiting';
  readonly parts: readonly PartOutcome[];
}

/** What later became of a part that waited. */
export interface Amendment {
  readonly mutation: MutationId;
  readonly part: PartOutcome;
}

/** The outcome with a part as it is now. */
export function amended(outcome: MutationOutcome, { part }: Amendment): MutationOutcome {
  const parts = outcome.parts.map((one) => (one.key === part.key && one.part === part.part ? part : one));
  return outcomeOf(outcome.mutation, parts);
}

/** Outcomes with all that was decided later, in the order of the decisions. */
export function withAmendments(
  outcomes: readonly MutationOutcome[],
  amendments: readonly Amendment[],
): readonly MutationOutcome[] {
  if (amendments.length === 0) return outcomes;
  const places = new Map(outcomes.map(({ mutation }, index) => [`${mutation.writer}:${mutation.counter}`, index]));
  const result = [...outcomes];
  for (const amendment of amendments) {
    const place = places.get(`${amendment.mutation.writer}:${amendment.mutation.counter}`);
    if (place !== undefined) result[place] = amended(result[place]!, amendment);
  }
  return result;
}

/** A decision that explains itself. */
export interface ConflictExplanation {
  readonly key: RecordKey;
  readonly part: string;
  readonly policy: string;
  readonly state: 'resolved' | 'waiting' | 'decided';
  readonly base: SyncRecord | null;
  /** In the order of the merge. */
  readonly sides: readonly { readonly mutation: MutationId; readonly record: SyncRecord | null }[];
  readonly result: SyncRecord | null;
  readonly winner: ReplicaId | null;
  readonly reason: string;
}

export function outcomeOf(mutation: MutationId, parts: readonly PartOutcome[]): MutationOutcome {
  const has = (state: PartOutcome['state']) => parts.some((part) => part.state === state);
  const isAllRejected = parts.length > 0 && parts.every(({ state }) => state === 'rejected');
  const state = isAllRejected ? 'rejected' : has('waiting') ? 'waiting' : has('rejected') ? 'partly' : 'applied';
  return { mutation, state, parts };
}

const SIDES_MAX = 100;
const REASON_MAX = 500;

/** The trace record of a decision. */
export function conflictBody(one: ConflictExplanation): TraceBodyOf<'conflict'> {
  return {
    kind: 'conflict',
    key: one.key,
    field: one.part.slice(0, 256),
    policy: one.policy.slice(0, 80),
    state: one.state,
    base: one.base,
    sides: one.sides.slice(0, SIDES_MAX).map(({ mutation, record }) => ({ writer: mutation.writer, record })),
    result: one.result,
    winner: one.winner,
    reason: one.reason.slice(0, REASON_MAX),
  };
}
