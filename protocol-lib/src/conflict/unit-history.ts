import { patched, sameRecord } from '../merkle/index.ts';
import type { Change, SyncRecord, Value } from '../state/index.ts';
import { areConcurrent, hasSeen, type Mutation } from './mutation.ts';
import type { Unit } from './policy.ts';

/** One writer's value of one unit. */
export interface Write {
  readonly mutation: Mutation;
  /** The unit's fields as the writer saw them, and as it left them. Always all of them, so that two writers are never mixed. */
  readonly before: SyncRecord;
  readonly after: SyncRecord;
  /** Whether it decides, or opens again, what waited for a human. */
  readonly isDecision: boolean;
}

export const DECIDE = 'conflict.decide';
export const REOPEN = 'conflict.reopen';

/** What a change does to a unit of its record. */
export function writeOf(mutation: Mutation, unit: Unit, change: Change, before: SyncRecord | null): Write {
  const was = before ?? {};
  const is = change.op === 'put' ? change.record : change.op === 'patch' ? patchedWhole(was, change) : {};
  const isDecision = mutation.command === DECIDE || mutation.command === REOPEN;
  return { mutation, before: fieldsOf(unit, was), after: fieldsOf(unit, is), isDecision };
}

function patchedWhole(was: SyncRecord, change: Extract<Change, { op: 'patch' }>): SyncRecord {
  return patched(was, change.fields, change.removed);
}

/** The fields of a unit that a record has. */
export function fieldsOf(unit: Unit, record: SyncRecord): SyncRecord {
  if (unit.fields === undefined) return record;
  const found: Record<string, Value> = {};
  for (const field of unit.fields) if (Object.hasOwn(record, field)) found[field] = record[field]!;
  return found;
}

/** All that was written to a unit since the writers last agreed, in the order of the merge. */
export class UnitHistory {
  readonly unit: Unit;
  /** As the divergence began. */
  readonly base: SyncRecord;
  readonly writes: Write[] = [];

  constructor(unit: Unit, base: SyncRecord) {
    this.unit = unit;
    this.base = base;
  }

  /** Whether somebody wrote without knowing of `mutation`, or it without knowing of them. */
  concurrentWith(mutation: Mutation): Write[] {
    return this.writes.filter((one) => areConcurrent(one.mutation, mutation));
  }

  /** The writes that no other write had seen: more than one where writers disagree. */
  heads(): Write[] {
    return this.writes.filter(
      (one) => !this.writes.some((other) => other !== one && hasSeen(other.mutation, one.mutation)),
    );
  }

  /** What all of `heads` had seen: the base that they disagree about. */
  commonBase(heads: readonly Write[]): SyncRecord {
    const common = this.writes.findLast((one) =>
      heads.every((head) => head !== one && hasSeen(head.mutation, one.mutation)),
    );
    return common?.after ?? this.base;
  }
}

/** Whether writers that knew nothing of each other wrote the same. */
export function doAgree(writes: readonly Write[]): boolean {
  return writes.every(({ after }) => sameRecord(after, writes[0]!.after));
}
