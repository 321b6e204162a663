import {
  AGREEMENT,
  type Agreement,
  type Arrow,
  type CaptureInfo,
  type CaptureStatus,
  type Explanation,
  type FindingClass,
  type FrameField,
  type HistoryEntry,
  type KIND_GROUPS,
  type Lane,
  type LanesWindow,
  MARKER_KINDS,
  type Marker,
  type MarkersPage,
  type MerkleDiff,
  type MerkleNode,
  type Overview,
  type Point,
  type RecordDetail,
  type RecordDifference,
  type Related,
  type Row,
  type RowsPage,
  type RowsSoFar,
  type StateAt,
  type StateDiff,
  type StatePage,
  type TimeRange,
  type VectorMatrix,
  type VerdictClass,
} from '@syncscope/protocol/capture';
import {
  array,
  boolean,
  finite,
  literal,
  nullable,
  object,
  optional,
  type Schema,
  string,
  uint,
} from '@syncscope/protocol/schema';
import {
  recordKeySchema,
  recordSchema,
  replicaIdSchema,
  stateHashSchema,
  valueSchema,
} from '@syncscope/protocol/state';
import {
  mutationIdSchema,
  sourceLocationSchema,
  TRACE_KINDS,
  traceHeaderSchema,
  traceRecordSchema,
  vectorSchema,
} from '@syncscope/protocol/trace';
import { either, integer, named, pair, recursive, uint8Array, uint32Array } from './values.ts';

/** One schema for each answer of `CaptureQuery`, so that a webview never trusts what a message claims to be. */

const text = string(100_000);
const traceKind = literal(...TRACE_KINDS);
const agreement: Schema<Agreement> = literal(...Object.values(AGREEMENT));
const severity = literal('none', 'note', 'warning', 'error');
export const markerKind = literal(...MARKER_KINDS);

export const timeRange: Schema<TimeRange> = object({ from: finite, to: finite });
export const stateAt: Schema<StateAt> = object({ replica: replicaIdSchema, position: integer });

const replicaInfo = object({
  id: replicaIdSchema,
  role: literal('server', 'client', 'peer'),
  title: optional(text),
  first: integer,
  last: integer,
});

export const captureInfo: Schema<CaptureInfo> = object({
  header: traceHeaderSchema,
  records: uint,
  range: timeRange,
  replicas: array(replicaInfo),
  kinds: named(TRACE_KINDS, uint),
  versions: object({ first: integer, last: integer }),
  lost: uint,
  cut: optional(object({ offset: uint, message: text })),
  isGrowing: boolean,
  size: uint,
});

export const overview: Schema<Overview> = object({
  range: timeRange,
  counts: object({
    message: uint32Array,
    change: uint32Array,
    hash: uint32Array,
    prediction: uint32Array,
    problem: uint32Array,
    other: uint32Array,
  } satisfies Record<(typeof KIND_GROUPS)[number], Schema<Uint32Array>>),
  kinds: uint32Array,
});

const lane: Schema<Lane> = object({
  replica: replicaIdSchema,
  density: uint32Array,
  kinds: uint32Array,
  ribbon: uint8Array,
});
const arrow: Schema<Arrow> = object({
  from: replicaIdSchema,
  to: replicaIdSchema,
  type: text,
  sentAt: finite,
  sentPosition: integer,
  receivedAt: optional(finite),
  receivedPosition: optional(integer),
  lost: optional(boolean),
});
const point: Schema<Point> = object({ replica: replicaIdSchema, time: finite, position: integer, kind: traceKind });

export const lanesWindow: Schema<LanesWindow> = object({
  range: timeRange,
  lanes: array(lane),
  arrows: optional(array(arrow)),
  points: optional(array(point)),
});

const row: Schema<Row> = object({
  position: integer,
  seq: uint,
  time: finite,
  replica: replicaIdSchema,
  kind: traceKind,
  summary: text,
  bytes: uint,
  severity,
});
export const rowsPage: Schema<RowsPage> = object({ rows: array(row), offset: uint, total: uint });
export const rowsSoFar: Schema<RowsSoFar> = object({
  rows: array(row),
  offset: uint,
  total: uint,
  looked: uint,
  of: uint,
});

const frameField: Schema<FrameField> = recursive<FrameField>(
  (self) => object({ name: text, text, offset: uint, length: uint, children: array(self) }),
  80,
);
export const recordDetail: Schema<RecordDetail> = object({
  position: integer,
  record: traceRecordSchema,
  row,
  frame: optional(frameField),
  frameError: optional(object({ code: text, message: text, offset: optional(uint) })),
});

export const related: Schema<Related> = object({ causes: array(integer), effects: array(integer) });

const replicaStatus = object({
  replica: replicaIdSchema,
  connection: literal('connected', 'gone', 'unknown'),
  version: integer,
  root: nullable(stateHashSchema),
  agreement,
  lag: integer,
  pending: uint,
  behindFor: finite,
  oldestPending: finite,
  differs: optional(object({ since: integer, position: integer })),
  refused: optional(integer),
  cut: optional(object({ state: literal('minority', 'split', 'merging'), since: integer, position: integer })),
});
export const captureStatus: Schema<CaptureStatus> = object({
  position: integer,
  replicas: array(replicaStatus),
  verdict: object({ level: literal('quiet', 'warning', 'error'), text, position: optional(integer) }),
});

export const statePage: Schema<StatePage> = object({
  replica: replicaIdSchema,
  version: integer,
  root: nullable(stateHashSchema),
  total: uint,
  entries: array(
    object({
      key: recordKeySchema,
      record: recordSchema,
      optimistic: optional(nullable(recordSchema)),
      changedAt: integer,
    }),
  ),
  pending: array(mutationIdSchema),
  unknown: optional(text),
});

const valueOrRecord = either(valueSchema, recordSchema);
/** Absent is not null here: a field may well hold null. */
const side = (value: unknown, path: string) => (value === undefined ? undefined : valueOrRecord.parse(value, path));
const historyFields = object({
  position: integer,
  time: finite,
  version: integer,
  writer: optional(text),
  summary: text,
});
/** `before` and `after` are always present in the type, and absent in a message where there was nothing. */
const historyEntry: Schema<HistoryEntry> = {
  parse(value, path) {
    const fields = historyFields.parse(value, path);
    const sides = value as { readonly before?: unknown; readonly after?: unknown };
    return {
      ...fields,
      before: side(sides.before, `${path}/before`),
      after: side(sides.after, `${path}/after`),
    };
  },
};
export const historyEntries: Schema<HistoryEntry[]> = array(historyEntry);

const recordDifference: Schema<RecordDifference> = object({
  key: recordKeySchema,
  side: literal('left', 'right', 'both'),
  fields: array(object({ field: text, left: optional(valueSchema), right: optional(valueSchema) })),
});

const diffSide = object({ version: integer, root: nullable(stateHashSchema), records: uint });
export const stateDiff: Schema<StateDiff> = object({
  left: diffSide,
  right: diffSide,
  differences: array(recordDifference),
  total: uint,
  equal: uint,
  unknown: optional(text),
});

export const vectorMatrix: Schema<VectorMatrix> = object({
  replicas: array(replicaIdSchema),
  writers: array(replicaIdSchema),
  cells: array(array(integer)),
  concurrent: array(pair(replicaIdSchema)),
  vectors: array(object({ replica: replicaIdSchema, vector: vectorSchema })),
});

const merkleNode: Schema<MerkleNode> = recursive<MerkleNode>(
  (self) =>
    object({
      path: text,
      equal: boolean,
      leftHash: nullable(text),
      rightHash: nullable(text),
      leftCount: uint,
      rightCount: uint,
      children: optional(array(self)),
      leaves: optional(
        array(
          object({
            key: recordKeySchema,
            equal: boolean,
            leftHash: nullable(text),
            rightHash: nullable(text),
            difference: optional(recordDifference),
          }),
        ),
      ),
    }),
  40,
);
export const merkleDiff: Schema<MerkleDiff> = object({
  root: merkleNode,
  comparedNodes: uint,
  totalNodes: uint,
  repair: optional(object({ position: integer, method: text, rounds: uint, hashes: uint, bytes: uint })),
  unknown: optional(text),
});

export const marker: Schema<Marker> = object({
  position: integer,
  time: finite,
  kind: markerKind,
  replica: replicaIdSchema,
  text,
});
export const markersPage: Schema<MarkersPage> = object({ markers: array(marker), total: uint });

const findingClass: Schema<FindingClass> = literal(
  'lost',
  'duplicated',
  'reordered',
  'corrupted-in-transit',
  'corrupted-at-rest',
  'wrong-base',
  'missed-change',
  'nondeterministic-reducer',
  'clock',
  'build-skew',
  'codec-fault',
  'conflict-resolved-differently',
  'split-decision',
  'unknown',
  'not-progressing',
  'pending-stuck',
);
const verdictClass: Schema<VerdictClass> = literal(
  'other-version',
  'predicted',
  'partial-view',
  'refused-delta',
  'missing-or-default',
  'ordering',
  'number',
);
export const explanation: Schema<Explanation> = object({
  sentence: text,
  replica: replicaIdSchema,
  against: replicaIdSchema,
  sinceVersion: integer,
  time: finite,
  firstDifference: integer,
  detected: integer,
  repaired: optional(integer),
  class: findingClass,
  verdict: optional(verdictClass),
  confidence: literal('high', 'medium', 'low'),
  reason: text,
  confirm: text,
  evidence: array(object({ text, position: optional(integer) })),
  differences: array(recordDifference),
  source: optional(sourceLocationSchema),
});
