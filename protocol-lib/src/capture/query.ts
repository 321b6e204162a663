import type { MerkleNode, RecordDifference } from '../merkle/index.ts';
import type { FrameField } from '../messages/index.ts';
import type { RecordKey, ReplicaId, StateHash, SyncRecord, Value, Version } from '../state/index.ts';
import type { MutationId, SourceLocation, TraceHeader, TraceKind, TraceRecord, VectorEntries } from '../trace/index.ts';

export type { FieldDifference, MerkleLeaf, MerkleNode, RecordDifference } from '../merkle/index.ts';
export type { FrameField } from '../messages/index.ts';

/**
 * The only way into a capture, whether it is a file or still growing. Everything is asked by range and
 * resolution; an answer never holds the whole capture. All methods reject with a `SyncError`, and where
 * an `AbortSignal` is given they stop at it.
 *
 * A *position* is an index into the capture's records, from 0; the state "at" a position is the state
 * after that record. -1 is before everything. A record's `seq` stays what its session gave it.
 */
export interface CaptureQuery {
  info(): Promise<CaptureInfo>;
  /** The whole capture or a part of it in equal time buckets: counts by kind group, and every kind seen as a bitmask. */
  overview(range: TimeRange, buckets: number): Promise<Overview>;
  /** What to draw between two times: one lane a replica. Falls back from single records to density where there are more than `limit`. */
  lanes(range: TimeRange, buckets: number, limit: number): Promise<LanesWindow>;
  /** The rows of the stream table that pass `filter`, from the `offset`-th passing one. */
  rows(filter: string, offset: number, limit: number, signal?: AbortSignal): Promise<RowsPage>;
  /**
   * {@link rows} at once. A call looks one part further through the capture, and answers as soon as the rows asked for are found: what is
   * known by then. Asked again while `looked` is below `of`, it goes on from there; who asks no more has stopped it.
   */
  rowsSoFar(filter: string, offset: number, limit: number, signal?: AbortSignal): Promise<RowsSoFar>;
  /** Index among the rows that pass `filter` of the first one at or after `position`; the row count where there is none. */
  rowIndex(filter: string, position: number, signal?: AbortSignal): Promise<number>;
  /** One record whole, with its frame decoded and mapped to bytes. */
  record(position: number): Promise<RecordDetail>;
  /** The last position at or before a time; -1 where there is none. */
  positionAt(time: number): Promise<number>;
  /** Direct causes and effects: `cause` links, and the send or receipts that belong together. */
  related(position: number): Promise<Related>;
  /** State of each replica in a few figures, for gutters and the verdict. */
  status(position: number): Promise<CaptureStatus>;
  /** Committed and optimistic records of one replica, those under `prefix`, at most `limit`. */
  state(replica: ReplicaId, position: number, prefix: string, limit: number): Promise<StatePage>;
  /** Every change to one key (and field) on one replica up to a position, newest first. */
  history(
    replica: ReplicaId,
    key: RecordKey,
    field: string | undefined,
    position: number,
    limit: number,
  ): Promise<HistoryEntry[]>;
  diff(left: StateAt, right: StateAt, limit: number): Promise<StateDiff>;
  vectors(position: number): Promise<VectorMatrix>;
  merkleDiff(left: StateAt, right: StateAt, limit: number): Promise<MerkleDiff>;
  /** Markers in a time range, at most `limit`, the most severe first when there are more. */
  markers(range: TimeRange, limit: number): Promise<MarkersPage>;
  /** The next marker after, or before, a position; of one kind where given. */
  nextMarker(position: number, direction: 1 | -1, kind?: MarkerKind): Promise<Marker | undefined>;
  /** Why a replica came to differ: for a divergence marker's record, or any record between cause and repair. */
  explain(position: number): Promise<Explanation | undefined>;
}

/** Nanoseconds, `from` included, `to` excluded. */
export interface TimeRange {
  readonly from: number;
  readonly to: number;
}

export interface CaptureInfo {
  readonly header: TraceHeader;
  readonly records: number;
  /** Time of the first and last record. */
  readonly range: TimeRange;
  readonly replicas: readonly ReplicaInfo[];
  readonly kinds: Readonly<Partial<Record<TraceKind, number>>>;
  readonly versions: { readonly first: Version; readonly last: Version };
  /** Records that were dropped before they reached the capture. */
  readonly lost: number;
  /** Set where the file ends before its end: what could be read, and what is missing, in words. */
  readonly cut?: { readonly offset: number; readonly message: string };
  readonly isGrowing: boolean;
  /** Bytes of the capture so far. */
  readonly size: number;
}

export interface ReplicaInfo {
  readonly id: ReplicaId;
  readonly role: 'server' | 'client' | 'peer';
  readonly title?: string;
  readonly first: number;
  readonly last: number;
}

/** Kinds as drawn: stacked in the overview, one shape and colour each. */
export const KIND_GROUPS = ['message', 'change', 'hash', 'prediction', 'problem', 'other'] as const;
export type KindGroup = (typeof KIND_GROUPS)[number];

export interface Overview {
  readonly range: TimeRange;
  /** `counts[group][bucket]`. */
  readonly counts: Readonly<Record<KindGroup, Uint32Array>>;
  /** Bit `i` is set where a record of kind `TRACE_KINDS[i]` falls into the bucket. */
  readonly kinds: Uint32Array;
}

export const AGREEMENT = { unknown: 0, agrees: 1, predicted: 2, differs: 3 } as const;
export type Agreement = (typeof AGREEMENT)[keyof typeof AGREEMENT];

export interface LanesWindow {
  readonly range: TimeRange;
  readonly lanes: readonly Lane[];
  /** Present where there are few enough to draw singly. */
  readonly arrows?: readonly Arrow[];
  readonly points?: readonly Point[];
}

export interface Lane {
  readonly replica: ReplicaId;
  /** Records a bucket. */
  readonly density: Uint32Array;
  /** Kinds a bucket, as in {@link Overview.kinds}. */
  readonly kinds: Uint32Array;
  /** The worst {@link Agreement} in each bucket. */
  readonly ribbon: Uint8Array;
}

/** A message from its sending to its receipt; `receivedAt` is absent where none was seen. */
export interface Arrow {
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  readonly type: string;
  readonly sentAt: number;
  readonly sentPosition: number;
  readonly receivedAt?: number;
  readonly receivedPosition?: number;
  /** Why it never arrived, where the capture knows. */
  readonly lost?: boolean;
}

export interface Point {
  readonly replica: ReplicaId;
  readonly time: number;
  readonly position: number;
  readonly kind: TraceKind;
}

export interface Row {
  readonly position: number;
  readonly seq: number;
  readonly time: number;
  readonly replica: ReplicaId;
  readonly kind: TraceKind;
  /** What it is in a few words: `delta 117→118 to bot-2`. */
  readonly summary: string;
  /** Bytes of the frame, 0 where there is none. */
  readonly bytes: number;
  readonly severity: Severity;
}

export type Severity = 'none' | 'note' | 'warning' | 'error';

export interface RowsPage {
  readonly rows: readonly Row[];
  readonly offset: number;
  /** Rows that pass the filter in all. */
  readonly total: number;
}

export interface RowsSoFar extends RowsPage {
  /** How many records have been looked through, of how many; `total` counts those that pass among them. */
  readonly looked: number;
  readonly of: number;
}

export interface RecordDetail {
  readonly position: number;
  readonly record: TraceRecord;
  readonly row: Row;
  /** The frame decoded, where there was one and it could be. */
  readonly frame?: FrameField;
  readonly frameError?: { readonly code: string; readonly message: string; readonly offset?: number };
}

export interface Related {
  readonly causes: readonly number[];
  readonly effects: readonly number[];
}

export interface ReplicaStatus {
  readonly replica: ReplicaId;
  readonly connection: 'connected' | 'gone' | 'unknown';
  readonly version: Version;
  readonly root: StateHash | null;
  readonly agreement: Agreement;
  /** Versions behind the authority; where a group decides, behind the newest that any of it has. */
  readonly lag: number;
  /** Nanoseconds since the authority has had a version that this replica lacks; 0 where it lacks none, or nobody is the authority. */
  readonly behindFor: number;
  readonly pending: number;
  /** Nanoseconds since the oldest pending mutation was made; 0 where none is pending. */
  readonly oldestPending: number;
  /** Since which version and position it differs, where it does. */
  readonly differs?: { readonly since: Version; readonly position: number };
  /** Position of the record in which it refused a delta that did not fit, where it has not got on since. */
  readonly refused?: number;
  /** Since which version and position it does not reach all others, where it said so; `merging` where it does again. */
  readonly cut?: {
    readonly state: 'minority' | 'split' | 'merging';
    readonly since: Version;
    readonly position: number;
  };
}

export interface CaptureStatus {
  readonly position: number;
  readonly replicas: readonly ReplicaStatus[];
  readonly verdict: Verdict;
}

/** The header's sentence. `position` is where a click leads. */
export interface Verdict {
  readonly level: 'quiet' | 'warning' | 'error';
  readonly text: string;
  readonly position?: number;
}

export interface StateEntry {
  readonly key: RecordKey;
  readonly record: SyncRecord;
  /** The record with predictions applied, where that differs; null where predicted away. */
  readonly optimistic?: SyncRecord | null;
  /** Position of the record that last changed it. */
  readonly changedAt: number;
}

export interface StatePage {
  readonly replica: ReplicaId;
  readonly version: Version;
  readonly root: StateHash | null;
  readonly total: number;
  readonly entries: readonly StateEntry[];
  readonly pending: readonly MutationId[];
  /** Set where the capture cannot know the state there: before the first snapshot, or after a gap. */
  readonly unknown?: string;
}

export interface HistoryEntry {
  readonly position: number;
  readonly time: number;
  readonly version: Version;
  readonly before: Value | SyncRecord | undefined;
  readonly after: Value | SyncRecord | undefined;
  readonly writer?: string;
  readonly summary: string;
}

export interface StateAt {
  readonly replica: ReplicaId;
  readonly position: number;
}

export interface StateDiff {
  readonly left: { readonly version: Version; readonly root: StateHash | null; readonly records: number };
  readonly right: { readonly version: Version; readonly root: StateHash | null; readonly records: number };
  readonly differences: readonly RecordDifference[];
  readonly total: number;
  readonly equal: number;
  readonly unknown?: string;
}

/** `cells[row][column]`: how much of the column's mutations the row's replica has seen; -1 where unknown. */
export interface VectorMatrix {
  readonly replicas: readonly ReplicaId[];
  readonly writers: readonly ReplicaId[];
  readonly cells: ReadonlyArray<readonly number[]>;
  /** Pairs of rows of which neither has seen all that the other has. */
  readonly concurrent: ReadonlyArray<readonly [ReplicaId, ReplicaId]>;
  readonly vectors: ReadonlyArray<{ readonly replica: ReplicaId; readonly vector: VectorEntries }>;
}

export interface MerkleDiff {
  readonly root: MerkleNode;
  readonly comparedNodes: number;
  readonly totalNodes: number;
  /** What the repair in the capture cost, where there was one for this pair nearby. */
  readonly repair?: {
    readonly position: number;
    readonly method: string;
    readonly rounds: number;
    readonly hashes: number;
    readonly bytes: number;
  };
  readonly unknown?: string;
}

export const MARKER_KINDS = [
  'desync',
  'conflict',
  'rollback',
  'partition',
  'fault',
  'gap',
  'repair',
  'refused',
  'refused-delta',
] as const;
export type MarkerKind = (typeof MARKER_KINDS)[number];

export interface Marker {
  readonly position: number;
  readonly time: number;
  readonly kind: MarkerKind;
  readonly replica: ReplicaId;
  readonly text: string;
}

export interface MarkersPage {
  readonly markers: readonly Marker[];
  readonly total: number;
}

/** Why it is believed that two replicas came to differ. */
export type DivergenceClass =
  | 'lost'
  | 'duplicated'
  | 'reordered'
  | 'corrupted-in-transit'
  | 'corrupted-at-rest'
  | 'wrong-base'
  | 'missed-change'
  | 'nondeterministic-reducer'
  | 'clock'
  | 'build-skew'
  | 'codec-fault'
  | 'conflict-resolved-differently'
  | 'split-decision'
  | 'unknown';

/** What a finding is about: replicas that differ, or one that is connected and does not get on. */
export type FindingClass = DivergenceClass | 'not-progressing' | 'pending-stuck';

/** How sure a class is. `high`: a hash or bytes in the capture prove it; `medium`: nothing else fits; `low`: a guess. */
export type Confidence = 'high' | 'medium' | 'low';

/** Why two hashes or values that are not equal are no divergence. */
export type VerdictClass =
  | 'other-version'
  | 'predicted'
  | 'partial-view'
  | 'refused-delta'
  | 'missing-or-default'
  | 'ordering'
  | 'number';

/** One finding of the diagnosis, or its verdict on what only looks like one, for the records that it is about. */
export interface Explanation {
  readonly sentence: string;
  readonly replica: ReplicaId;
  readonly against: ReplicaId;
  readonly sinceVersion: Version;
  /** Nanoseconds from the session's start, of {@link detected}. */
  readonly time: number;
  /** The record that made it happen; for a value that changed in memory, the last one at which it was right. */
  readonly firstDifference: number;
  /** The record that noticed it. */
  readonly detected: number;
  readonly repaired?: number;
  readonly class: FindingClass;
  /** Where there is no divergence: why it looks like one. */
  readonly verdict?: VerdictClass;
  readonly confidence: Confidence;
  /** Why that sure. */
  readonly reason: string;
  /** What to look at, or to record, to be sure. */
  readonly confirm: string;
  /** Why this class, a sentence each, with the records that show it. */
  readonly evidence: ReadonlyArray<{ readonly text: string; readonly position?: number }>;
  readonly differences: readonly RecordDifference[];
  readonly source?: SourceLocation;
}

/** A capture that is still being written tells what grew. Calls are at most one a frame. */
export interface GrowingCapture extends CaptureQuery {
  onGrow(listener: (info: { readonly records: number; readonly range: TimeRange }) => void): () => void;
}
