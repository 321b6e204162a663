import type { Confidence, DivergenceClass, FindingClass, VerdictClass } from '../capture/query.ts';
import type { RecordDifference } from '../merkle/index.ts';
import type { RecordKey, ReplicaId, Value, Version } from '../state/index.ts';

export type { Confidence, FindingClass, VerdictClass } from '../capture/query.ts';

/** A record by its number in the session (`seq`) and its place in the capture. */
export interface RecordRef {
  readonly seq: number;
  readonly position: number;
}

export interface Proof {
  readonly text: string;
  readonly record?: RecordRef;
}

/** A replica's value and the one that it should have. */
export interface WrongValue {
  readonly key: RecordKey;
  readonly field?: string;
  readonly own?: Value;
  readonly expected?: Value;
}

export interface Finding {
  readonly class: FindingClass;
  readonly replica: ReplicaId;
  readonly against: ReplicaId;
  /** The version at which, or on the way to which, it went wrong. */
  readonly version: Version;
  /** Nanoseconds from the session's start, of {@link detected}. */
  readonly time: number;
  /** The record that made it happen; for a value that changed in memory, the last one at which it was right. */
  readonly cause: RecordRef;
  /** The record that noticed it. */
  readonly detected: RecordRef;
  /** The record with which it was right again; absent where the capture does not tell that it ever was. */
  readonly repaired?: RecordRef;
  /** The first of {@link differences}. */
  readonly value?: WrongValue;
  /** Left is what the replica has, right what it should have; at most {@link MAX_DIFFERENCES}. */
  readonly differences: readonly RecordDifference[];
  readonly confidence: Confidence;
  /** Why that sure. */
  readonly reason: string;
  readonly evidence: readonly Proof[];
  /** What to look at, or to record, to be sure. */
  readonly confirm: string;
}

/** Differences that a finding lists. */
export const MAX_DIFFERENCES = 100;

export interface NoDivergence {
  readonly verdict: VerdictClass;
  readonly replica: ReplicaId;
  readonly against: ReplicaId;
  /** The version at which it was compared. */
  readonly version: Version;
  /** Nanoseconds from the session's start, of {@link record}. */
  readonly time: number;
  readonly record: RecordRef;
  readonly text: string;
  /** What made a delta not fit, where the capture shows it. */
  readonly because?: Because;
}

/** What kept a frame from being taken in. */
export interface Because {
  readonly class: DivergenceClass;
  readonly cause: RecordRef;
  readonly confidence: Confidence;
  readonly reason: string;
  readonly evidence: readonly Proof[];
  readonly confirm: string;
  /** What the replica lacked by it: left is what it had, right what it came to have. */
  readonly differences: readonly RecordDifference[];
}

/** What is remembered while a capture is read, each up to a bound, so that memory does not grow with the capture. */
export const MEMORIES = [
  'records',
  'frames',
  'states',
  'mutations',
  'predictions',
  'conflicts',
  'stamps',
  'operations',
  'cases',
  'findings',
  'verdicts',
] as const;
export type Memory = (typeof MEMORIES)[number];

/** Something that was let go of to bound memory: what comes later and needs it is not judged by it, or not listed. */
export interface Forgotten {
  readonly memory: Memory;
  /** Entries that are remembered at once; of `states`, `frames` and `predictions` of one replica. */
  readonly kept: number;
  /** Entries that were let go of. */
  readonly forgotten: number;
}

/** What a diagnosis says of a whole capture. */
export interface Diagnosis {
  readonly findings: readonly Finding[];
  /** What looks like a divergence and is none. */
  readonly verdicts: readonly NoDivergence[];
  readonly records: number;
  /** What the capture lacks, so that something may have gone unseen. */
  readonly missing: readonly string[];
  /** What was let go of while it was read; empty for a capture that is short enough. */
  readonly forgotten: readonly Forgotten[];
}
