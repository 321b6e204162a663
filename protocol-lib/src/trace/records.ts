import {
  array,
  boolean,
  branded,
  bytes,
  type Infer,
  literal,
  nullable,
  object,
  optional,
  string,
  uint,
  variant,
} from '../schema/index.ts';
import {
  changeSchema,
  type ReplicaId,
  recordKeySchema,
  recordSchema,
  replicaIdSchema,
  stateHashSchema,
} from '../state/index.ts';

/**
 * The trace model: everything that an endpoint does becomes a {@link TraceRecord}. The inspector, the
 * debugger and the command line know nothing of a session but these.
 */

/** Identifies one mutation for ever: its writer and that writer's counter, from 1. */
export const mutationIdSchema = object({ writer: replicaIdSchema, counter: uint });
export type MutationId = Infer<typeof mutationIdSchema>;

/** A version vector as pairs, sorted by replica. */
export const vectorSchema = array(object({ replica: replicaIdSchema, counter: uint }), 65_535);
export type VectorEntries = Infer<typeof vectorSchema>;

/** A ballot of consensus: rounds rise, the proposer breaks ties. */
export const ballotSchema = object({ round: uint, proposer: replicaIdSchema });
export type Ballot = Infer<typeof ballotSchema>;

const entrySchema = object({ key: recordKeySchema, record: recordSchema });
const differenceSchema = object({ key: recordKeySchema, own: nullable(recordSchema), theirs: nullable(recordSchema) });

/** The body of each kind of trace record. */
export const traceBodySchema = variant('kind', {
  /** A replica appeared in the trace; emitted first for each, and again on attach. */
  replica: object({ role: literal('server', 'client', 'peer'), title: optional(string(200)) }),
  /** A replica left, or its connection ended. */
  gone: object({ reason: string(500) }),
  /** A frame was handed to the transport. `wire` is set. (`sender`, `sequence`) pairs it with its receipt. */
  send: object({ to: replicaIdSchema, type: string(40), sender: replicaIdSchema, sequence: uint }),
  /** A frame arrived. `wire` is set. */
  receive: object({ from: replicaIdSchema, type: string(40), sender: replicaIdSchema, sequence: uint }),
  /** A frame was refused or could not be decoded. `wire` is set where there was one. Nothing changed. */
  refused: object({ from: replicaIdSchema, code: string(60), message: string(2_000) }),
  /** Names that later frames of `sender` refer to by number, from `first` on. A frame is decodable from these alone. */
  names: object({ sender: replicaIdSchema, first: uint, names: array(string(256), 65_535) }),
  /**
   * The authority accepted a mutation: the event, and the changes that its reducer made of it. Where many come in one round, only the first tell their root;
   * a `hash` at the end of the round then tells that of the newest version.
   */
  commit: object({
    version: uint,
    event: object({ type: string(80), player: string(80), detail: string(500) }),
    mutation: optional(mutationIdSchema),
    changes: array(changeSchema),
    root: optional(stateHashSchema),
  }),
  /** A delta was made for sending. */
  delta: object({ from: uint, to: uint, count: uint, root: stateHashSchema }),
  /** A replica applied a delta to its committed state. */
  apply: object({ from: uint, to: uint, changes: array(changeSchema), root: stateHashSchema }),
  /** A delta did not fit and nothing was applied: wrong base, missing record, or another root after it. */
  mismatch: object({
    reason: literal('base', 'record', 'root', 'heartbeat'),
    version: uint,
    from: uint,
    to: uint,
    own: stateHashSchema,
    expected: optional(stateHashSchema),
    got: optional(stateHashSchema),
  }),
  /** The whole committed state of a replica at a version: at attach, at a full sync, each second at the authority, or as found at a mismatch. */
  snapshot: object({
    reason: literal('attach', 'full-sync', 'periodic', 'mismatch', 'checkpoint'),
    version: uint,
    records: array(entrySchema),
    root: stateHashSchema,
    vector: vectorSchema,
  }),
  /** A replica's own root hash at a version, next to the authority's where it is known. */
  hash: object({
    version: uint,
    own: stateHashSchema,
    reference: optional(stateHashSchema),
    agrees: optional(boolean),
  }),
  /** How much of each replica's mutations this replica has seen. */
  vector: object({ vector: vectorSchema }),
  /** A client applied a mutation to its optimistic state before the authority answered. */
  prediction: object({ mutation: mutationIdSchema, command: string(80), version: uint, changes: array(changeSchema) }),
  /** The authority took the mutation; it is no longer pending. */
  confirmation: object({ mutation: mutationIdSchema, version: uint }),
  /** The authority refused the mutation and its prediction was taken back. */
  rollback: object({ mutation: mutationIdSchema, reason: string(500), version: uint }),
  /** The authority refused a mutation (written by the authority). */
  rejection: object({ mutation: mutationIdSchema, reason: string(500), version: uint }),
  /** Pending predictions were applied again on a newer committed state. */
  rebase: object({
    version: uint,
    pending: array(object({ mutation: mutationIdSchema, changes: array(changeSchema) })),
  }),
  /** A client found its committed state to differ from the authority's and says in which records. */
  divergence: object({
    against: replicaIdSchema,
    version: uint,
    differences: array(differenceSchema),
    rounds: uint,
    hashes: uint,
    bytes: uint,
  }),
  /** The divergence was repaired; own root equals the reference again. */
  repair: object({ version: uint, method: literal('delta', 'merkle', 'snapshot'), root: stateHashSchema, bytes: uint }),
  /** Somebody asked for trouble: a fault was started, stopped, or struck. */
  fault: object({
    fault: string(40),
    phase: literal('armed', 'struck', 'cleared'),
    target: nullable(replicaIdSchema),
    detail: string(500),
  }),
  /** Records that were lost before they reached the capture. */
  gap: object({ count: uint, reason: string(200) }),
  /** Anything else worth a line. */
  log: object({ level: literal('debug', 'info', 'warn', 'error'), text: string(10_000) }),
  /**
   * `target` is connected but not progressing, or progresses again, as the writer of the record sees it. `version` and `verified` (0: none)
   * are what it has and what was last found equal; `oldestPending` is in nanoseconds.
   */
  health: object({
    target: replicaIdSchema,
    state: literal('stalled', 'recovered'),
    stalls: array(literal('behind', 'pending', 'unverified'), 3),
    version: uint,
    lag: uint,
    oldestPending: uint,
    verified: uint,
  }),
  /**
   * The authority found the link to `target` to be slow, with room again, or hopeless (`text` says why), with `queued` bytes waiting. The counts are since the link
   * was opened: messages that were dropped, and rounds of which the news went into a later delta or snapshot.
   */
  pressure: object({
    target: replicaIdSchema,
    state: literal('slow', 'relieved', 'dropped'),
    queued: uint,
    droppedEvents: uint,
    droppedAnswers: uint,
    heldRounds: uint,
    text: string(500),
  }),
  /**
   * The authority shows the replica only a part of the state from now on: at `version` so many records with this root. Its root says
   * nothing about that of the whole state; a `hash` with its reference does.
   */
  view: object({ view: string(200), version: uint, records: uint, root: stateHashSchema }),
  /** A peer tries to have a change decided as `version`, under a ballot, on the state with the root `base`; or its try ended. */
  proposal: object({
    version: uint,
    ballot: ballotSchema,
    phase: literal('prepare', 'accept', 'decided', 'superseded', 'retried', 'abandoned'),
    base: stateHashSchema,
    command: string(80),
    changes: array(changeSchema),
    reason: string(500),
  }),
  /** A peer answered a proposal. `own` is the root of its state. */
  vote: object({
    version: uint,
    ballot: ballotSchema,
    phase: literal('prepare', 'accept'),
    answer: literal('accept', 'invalid-change', 'state-conflict', 'resource-constraint', 'stale-ballot'),
    own: stateHashSchema,
    reason: string(500),
  }),
  /** Two writers changed the same thing without knowing of each other, and a policy decided, or waits for a human. */
  conflict: object({
    key: recordKeySchema,
    field: optional(string(256)),
    policy: string(80),
    state: literal('resolved', 'waiting', 'decided'),
    base: nullable(recordSchema),
    sides: array(object({ writer: replicaIdSchema, record: nullable(recordSchema) }), 100),
    result: nullable(recordSchema),
    winner: nullable(replicaIdSchema),
    reason: string(500),
  }),
  /** How much of the group the replica can reach changed, or a cut was healed. */
  partition: object({
    state: literal('connected', 'minority', 'split', 'merging', 'healed'),
    reachable: array(replicaIdSchema, 65_535),
    members: array(replicaIdSchema, 65_535),
    version: uint,
    detail: string(500),
  }),
  /** Somebody came, fell silent, or left, as the writer of the record sees it. */
  presence: object({
    target: replicaIdSchema,
    device: string(200),
    state: literal('joined', 'active', 'idle', 'problem', 'disconnected', 'left'),
    detail: string(500),
  }),
  /** An operation of a replicated data type was made here or came in; the `apply` that it caused has the changes. `vector`: what was seen after it. */
  operation: object({
    crdt: string(40),
    origin: literal('local', 'remote'),
    writer: replicaIdSchema,
    counter: uint,
    vector: vectorSchema,
    detail: string(500),
    /** The operation itself, where the changes alone do not say it: as its type encodes it. */
    data: optional(bytes(65_536)),
  }),
});

export type TraceBody = Infer<typeof traceBodySchema>;
export type TraceKind = TraceBody['kind'];
export type TraceBodyOf<K extends TraceKind> = Extract<TraceBody, { kind: K }>;

/** Every kind in wire order: its position is its number in indexes and bitmasks (at most 32). Append only. */
export const TRACE_KINDS = [
  'replica',
  'gone',
  'send',
  'receive',
  'refused',
  'names',
  'commit',
  'delta',
  'apply',
  'mismatch',
  'snapshot',
  'hash',
  'vector',
  'prediction',
  'confirmation',
  'rollback',
  'rejection',
  'rebase',
  'divergence',
  'repair',
  'fault',
  'gap',
  'log',
  'health',
  'pressure',
  'view',
  'proposal',
  'vote',
  'conflict',
  'partition',
  'presence',
  'operation',
] as const satisfies readonly TraceKind[];

export const sourceLocationSchema = object({ file: string(1_000), line: uint, column: uint });
export type SourceLocation = Infer<typeof sourceLocationSchema>;

export interface TraceRecord {
  /** Position in the session's trace: 1, 2, 3, … without gaps. What was dropped is itself a `gap` record. */
  readonly seq: number;
  /** Nanoseconds at the observer, monotonic, from the session's start. */
  readonly time: number;
  readonly replica: ReplicaId;
  /** `seq` of the records that made this one happen. */
  readonly cause: readonly number[];
  readonly body: TraceBody;
  /** The frame, where there was one. */
  readonly wire?: Uint8Array;
  readonly source?: SourceLocation;
}

/** A key or its start with `*`, a dot, and the name of a field. */
const secretPathSchema = branded<string>((path) => {
  if (path.length > 600 || !/^.+\.[^.]+$/s.test(path)) throw new RangeError('no path of a field');
  return path;
}, 'the path of a field, such as player/*.pin');

/** What a capture or an attached observer must know before the first record. */
export const traceHeaderSchema = object({
  sessionId: string(100),
  title: string(200),
  scenario: string(100),
  /** Version of the trace model, {@link TRACE_VERSION}. */
  traceVersion: uint,
  /** Version of the sync protocol whose frames are in `wire`. */
  protocolVersion: uint,
  /** Wall clock at trace time 0, milliseconds since 1970. */
  startedAt: uint,
  /** The replica that others are compared with, where there is an authority. */
  authority: nullable(replicaIdSchema),
  /** Which build wrote this, for finding schema or build skew. */
  build: string(100),
  /** What was redacted while this was written: what is secret by name and by itself, or by rules as well; absent where nothing was. */
  redaction: optional(literal('names', 'rules')),
  /** Fields that the app marked as secret, such as `player/*.pin`: what their keys begin with, then the field. */
  secrets: optional(array(secretPathSchema, 10_000)),
});
export type TraceHeader = Infer<typeof traceHeaderSchema>;

export const TRACE_VERSION = 1;

export const traceRecordSchema = object({
  seq: uint,
  time: uint,
  replica: replicaIdSchema,
  cause: array(uint, 1_000),
  body: traceBodySchema,
  wire: optional(bytes()),
  source: optional(sourceLocationSchema),
});
