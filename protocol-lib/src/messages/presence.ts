import { vectorEntriesSchema } from '../clock/index.ts';
import { array, boolean, literal, object, string, uint } from '../schema/index.ts';
import { recordKeySchema, recordSchema, replicaIdSchema, stateHashSchema } from '../state/index.ts';
import { entriesSchema } from './replication.ts';

/**
 * A replica is there: its heartbeat to its peers, with the checksum of what it holds. `incarnation` rises with each life of the
 * replica, so that what an earlier life said late brings nobody back. `hasMedia`: it sends or gets media now.
 */
export const presenceSchema = object({
  incarnation: uint,
  user: string(200),
  device: string(200),
  activity: literal('active', 'idle', 'left'),
  hasMedia: boolean,
  metadata: recordSchema,
  /** How many changes it has taken in. */
  version: uint,
  vector: vectorEntriesSchema,
  root: stateHashSchema,
});

/**
 * Two replicas whose checksums differ come to terms. `claim` and `counter`: each side states its version, vector and hash. The
 * claimant then asks with MERKLE_QUERY what differs, joins it, and sends as `difference` the `entries` that the other lacks and
 * the keys that it has `learned` itself. `agreed` states the hash that both have then.
 */
export const reconcileSchema = object({
  exchange: uint,
  step: literal('claim', 'counter', 'difference', 'agreed'),
  version: uint,
  vector: vectorEntriesSchema,
  root: stateHashSchema,
  entries: entriesSchema,
  learned: array(recordKeySchema, 65_535),
});

/** One operation on a replicated data type, as the small delta that is joined: `counter` counts those of `writer` from 1. */
export const operationSchema = object({
  crdt: string(40),
  writer: replicaIdSchema,
  counter: uint,
  detail: string(500),
  entries: entriesSchema,
});
