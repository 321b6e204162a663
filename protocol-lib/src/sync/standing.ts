import { domainEventSchema } from '../events/index.ts';
import { SYNC_REASONS } from '../messages/index.ts';
import {
  array,
  boolean,
  finite,
  type Infer,
  literal,
  nullable,
  object,
  optional,
  type Schema,
  string,
  uint,
} from '../schema/index.ts';
import { changeSchema, replicaIdSchema, valueSchema } from '../state/index.ts';
import { mutationIdSchema } from '../trace/index.ts';

/**
 * All that the state machines hold beside the committed state, as plain data: with it and the state, a new machine goes on where one that runs
 * is now. It lets a recording begin in the middle of a session. Receipts, totals and measurements are not in it: nothing follows from them.
 */

const featureSchema = literal('merkle', 'events');
const namesSchema = array(string(256), 65_535);
const protocolsSchema = object({ min: uint, max: uint });

/** Where a sender's encoder is: its names, how many of them were announced, and the number of its last frame. */
export const encoderStandingSchema = object({ names: namesSchema, announced: uint, sequence: uint });
export type EncoderStanding = Infer<typeof encoderStandingSchema>;

export const healthWatchStandingSchema = object({
  verified: nullable(object({ version: uint, time: uint })),
  version: uint,
  behindSince: nullable(uint),
  isStalled: boolean,
});
export type HealthWatchStanding = Infer<typeof healthWatchStandingSchema>;

const pendingSchema = object({
  mutation: mutationIdSchema,
  command: string(),
  args: valueSchema,
  changes: array(changeSchema),
  madeAt: uint,
  madeOn: uint,
  seq: uint,
  sentAt: nullable(uint),
  sends: uint,
  rebases: uint,
  alterations: uint,
});

/** Of a client between two inputs; its committed records and vector stand in its last `snapshot` record. */
export const clientStandingSchema = object({
  session: string(200),
  features: array(featureSchema, 10),
  protocols: protocolsSchema,
  role: literal('client', 'peer'),
  connection: object({
    authority: replicaIdSchema,
    phase: literal('closed', 'greeting', 'live'),
    openedAt: uint,
    lastSequence: uint,
    names: namesSchema,
    encoder: encoderStandingSchema,
  }),
  version: uint,
  progress: uint,
  counter: uint,
  isSynced: boolean,
  incarnation: uint,
  authorityIncarnation: uint,
  mayReset: boolean,
  request: nullable(object({ reason: literal(...SYNC_REASONS), retryAt: uint, wait: uint })),
  acknowledging: object({
    rule: object({ every: uint, within: uint }),
    owed: uint,
    cause: uint,
    toldAt: nullable(finite),
  }),
  mismatch: nullable(uint),
  nextHeartbeat: uint,
  health: object({ newest: uint, doubtedSince: nullable(uint), watch: healthWatchStandingSchema }),
  pending: object({ list: array(pendingSchema, 10_000), resendAt: uint, resendWait: uint }),
});
export type ClientStanding = Infer<typeof clientStandingSchema>;

const pointSchema = object({ version: uint, progress: uint });

export const queueStandingSchema = object({
  isTold: boolean,
  queued: uint,
  isSlow: boolean,
  wasSlow: boolean,
  granted: uint,
  read: uint,
  since: uint,
  droppedEvents: uint,
  droppedAnswers: uint,
  heldRounds: uint,
  lacksNames: boolean,
});
export type QueueStanding = Infer<typeof queueStandingSchema>;

/** Of one client, as the authority keeps it while its connection lasts. */
export const servedStandingSchema = object({
  replica: replicaIdSchema,
  bytes: uint,
  queue: queueStandingSchema,
  features: array(featureSchema, 10),
  decided: uint,
  acknowledged: pointSchema,
  lastSyncTime: uint,
  sent: pointSchema,
  sentAt: uint,
  unacknowledged: array(pointSchema, 100_000),
  resendAt: uint,
  resendWait: uint,
  needsFullSync: boolean,
  isDue: boolean,
  isStalled: boolean,
  repair: nullable(object({ version: uint, until: uint, queries: uint, bytes: optional(uint) })),
  answered: optional(uint),
  isNamed: optional(boolean),
  cause: uint,
  health: object({
    since: uint,
    untold: array(object({ progress: uint, time: uint }), 10_000),
    watch: healthWatchStandingSchema,
  }),
  toldView: nullable(string()),
});
export type ServedStanding = Infer<typeof servedStandingSchema>;

export const ledgerStandingSchema = object({
  progress: uint,
  /** In the order in which they came: refusals are told in it. */
  writers: array(
    object({
      replica: replicaIdSchema,
      counter: uint,
      progress: uint,
      rejections: array(object({ counter: uint, reason: string(), progress: uint }), 10_000),
    }),
    65_535,
  ),
});
export type LedgerStanding = Infer<typeof ledgerStandingSchema>;

/** Kept versions: each is what `changes` make of the one before it in the list, the first of the present state. */
export const ringStandingSchema = object({
  versions: array(object({ version: uint, changes: array(changeSchema) }), 1_000_000),
  recent: array(uint, 1_000_000),
  periodic: array(uint, 1_000_000),
});
export type RingStanding = Infer<typeof ringStandingSchema>;

/** A decided mutation that waits for the log. */
const waitingSchema = object({
  mutation: mutationIdSchema,
  command: optional(string()),
  outcome: literal('committed', 'refused', 'adopted'),
  reason: optional(string()),
  events: optional(array(domainEventSchema, 10_000)),
  changes: optional(array(changeSchema)),
  version: uint,
  time: uint,
  seen: uint,
  cause: array(uint, 1_000),
});

export const commitLogStandingSchema = object({
  position: uint,
  taken: uint,
  time: uint,
  waiting: array(waitingSchema, 100_000),
});
export type CommitLogStanding = Infer<typeof commitLogStandingSchema>;

const settingsSchema: Schema<Readonly<Record<string, number>>> = {
  kind: 'settings',
  parse(value, path) {
    const record = valueSchema.parse(value, path) as Readonly<Record<string, unknown>>;
    for (const [name, number] of Object.entries(record ?? {})) finite.parse(number, `${path}/${name}`);
    return record as Readonly<Record<string, number>>;
  },
};

/** Of an authority between two inputs; its records stand in its last `snapshot` record. */
export const authorityStandingSchema = object({
  session: string(200),
  settings: settingsSchema,
  features: array(featureSchema, 10),
  protocols: protocolsSchema,
  verifiesReducer: boolean,
  /** As the definition has them. */
  groups: array(object({ collection: string(256), fields: array(string(256), 1_000) }), 10_000),
  hasViews: boolean,
  start: uint,
  now: uint,
  nextSync: uint,
  nextSnapshot: uint,
  /** Absent in recordings that looked at it in each round. */
  nextHealth: optional(uint),
  snapshotVersion: uint,
  encoder: encoderStandingSchema,
  state: object({
    version: uint,
    startTime: uint,
    incarnation: uint,
    ledger: ledgerStandingSchema,
    ring: ringStandingSchema,
    commits: array(object({ version: uint, seq: uint }), 10_000),
    /** Commits since a root was told at the end of a round; absent where each tells its own. */
    sinceRoot: optional(uint),
    /** Whether the round before had more commits than tell their root; absent where that changes nothing. */
    wasBusy: optional(boolean),
    log: nullable(commitLogStandingSchema),
  }),
  durability: nullable(literal('memory', 'broker', 'process', 'log')),
  /** Whether others append to its log as well. */
  isShared: optional(boolean),
  links: array(
    object({ id: uint, since: uint, lastSequence: uint, names: namesSchema, client: nullable(servedStandingSchema) }),
    1_000_000,
  ),
  /** Links of those that are let in, in the order in which they were. */
  clients: array(uint, 1_000_000),
});
export type AuthorityStanding = Infer<typeof authorityStandingSchema>;
