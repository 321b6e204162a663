import { canonicalBytes, unpackMsgpack } from '../../bytes/index.ts';
import { array, type Infer, object, optional, string, uint, variant } from '../../schema/index.ts';
import {
  changeSchema,
  type ReplicaId,
  recordKeySchema,
  recordSchema,
  replicaIdSchema,
  stateHashSchema,
  valueSchema,
} from '../../state/index.ts';
import { ballotSchema } from '../../trace/index.ts';
import type { Accepted, StateProposal } from './proposal.ts';
import type { Standing } from './standing.ts';

export const proposalSchema = object({
  version: uint,
  base: stateHashSchema,
  writer: replicaIdSchema,
  counter: uint,
  command: string(80),
  changes: array(changeSchema, 65_535),
  root: stateHashSchema,
  args: optional(valueSchema),
});

/** Whose log it is: a promise is one member's, in one group. */
export interface LogOwner {
  readonly replica: ReplicaId;
  readonly members: readonly ReplicaId[];
}

/** What a member writes down before it says it. */
export const consensusRecordSchema = variant('kind', {
  /** It accepts nothing any more under a lower ballot. */
  promise: object({ ballot: ballotSchema }),
  /** It has accepted this under this ballot, which is a promise as well. */
  accept: object({ ballot: ballotSchema, proposal: proposalSchema }),
  /** The version is decided; `proposal` is absent where it is the one that was accepted last. */
  decide: object({ version: uint, proposal: optional(proposalSchema) }),
  /** All that went before, summed up. Always the first of a file. */
  checkpoint: object({
    version: uint,
    root: stateHashSchema,
    records: array(object({ key: recordKeySchema, record: recordSchema }), 100_000_000),
    writers: array(object({ writer: replicaIdSchema, counter: uint }), 65_535),
    promised: ballotSchema,
    accepted: optional(object({ ballot: ballotSchema, proposal: proposalSchema })),
    recent: array(proposalSchema, 1_000_000),
    /** Whose log it is, and of which group. */
    owner: optional(object({ replica: replicaIdSchema, members: array(replicaIdSchema, 65_535) })),
  }),
});
export type ConsensusRecord = Infer<typeof consensusRecordSchema>;

/** Records are checksummed before they are decoded, and a checkpoint may be as large as a state. */
const LIMITS = { depth: 64, nodes: 2 ** 31, mapKeys: 65_535 };

/** Canonical bytes. @throws SyncError where a value has none */
export function encodeRecord(record: ConsensusRecord): Uint8Array {
  // Built by the engine from what went through a schema; absent optional fields are simply not there.
  return canonicalBytes(record);
}

/** @throws SyncError where these are not the bytes of a record */
export function decodeRecord(bytes: Uint8Array): ConsensusRecord {
  return consensusRecordSchema.parse(unpackMsgpack(bytes, LIMITS), 'record');
}

export function acceptRecord({ ballot, proposal }: Accepted): ConsensusRecord {
  return { kind: 'accept', ballot, proposal: written(proposal) };
}

export function checkpointOf(standing: Standing, kept: number, owner: LogOwner): ConsensusRecord {
  const { version, root, writers, promised, accepted, recent } = standing;
  const records = Array.from(root.entries(), ([key, record]) => ({ key, record }));
  return {
    kind: 'checkpoint',
    version,
    root: root.hash,
    records: records.sort((left, right) => (left.key < right.key ? -1 : 1)),
    writers: Array.from(writers, ([writer, counter]) => ({ writer, counter })),
    promised,
    ...(accepted ? { accepted: { ballot: accepted.ballot, proposal: written(accepted.proposal) } } : {}),
    recent: recent.slice(-kept).map(written),
    owner: { replica: owner.replica, members: [...owner.members] },
  };
}

/** With the type that the schema has, whose arrays are not marked as never changing. */
export function written(proposal: StateProposal): Infer<typeof proposalSchema> {
  return { ...proposal, changes: [...proposal.changes] };
}
