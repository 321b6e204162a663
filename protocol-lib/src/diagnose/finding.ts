import type { DivergenceClass } from '../capture/query.ts';
import type { RecordKey, ReplicaId, Value, Version } from '../state/index.ts';

/** What a finding is about: replicas that differ, or one that is connected and does not get on. */
export type FindingClass = DivergenceClass | 'not-progressing' | 'pending-stuck';

/** How sure a class is. `high`: a hash or bytes in the capture prove it; `medium`: nothing else fits; `low`: a guess. */
export type Confidence = 'high' | 'medium' | 'low';

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
  readonly value?: WrongValue;
  readonly confidence: Confidence;
  /** Why that sure. */
  readonly reason: string;
  readonly evidence: readonly Proof[];
  /** What to look at, or to record, to be sure. */
  readonly confirm: string;
}

/** Why two hashes or values that are not equal are no divergence. */
export type VerdictClass =
  | 'other-version'
  | 'predicted'
  | 'partial-view'
  | 'refused-delta'
  | 'missing-or-default'
  | 'ordering'
  | 'number';

export interface NoDivergence {
  readonly verdict: VerdictClass;
  readonly replica: ReplicaId;
  readonly record: RecordRef;
  readonly text: string;
}

/** What a diagnosis says of a whole capture. */
export interface Diagnosis {
  readonly findings: readonly Finding[];
  /** What looks like a divergence and is none. */
  readonly verdicts: readonly NoDivergence[];
  readonly records: number;
  /** What the capture lacks, so that something may have gone unseen. */
  readonly missing: readonly string[];
}
