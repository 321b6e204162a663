export * from './consensus/index.ts';
export {
  CrdtReplica,
  type CrdtReplicaOptions,
  type CrdtStanding,
  crdtStandingSchema,
  type JoinedState,
  type OperationOutcome,
} from './crdt-replica.ts';
export { BaseRepair, prefersTheirs, type StatedBase } from './divergence.ts';
export { type Checkpoint, PeerHistory } from './history.ts';
export { KeepFirst } from './keep-first.ts';
export * from './partition.ts';
export type { PeerFrame } from './peer-links.ts';
export type { MakeResult, PeerEvent, PeerReplicaOptions, SavedPeer } from './peer-options.ts';
export { PeerReplica } from './peer-replica.ts';
export { PEER_DEFAULTS, type PeerSettings } from './peer-settings.ts';
export { PeerStorage } from './peer-storage.ts';
export type { PeerStanding } from './peer-sync.ts';
export type { Session, SessionOutcome } from './session.ts';
export type { Connect, LinePorts } from './session-line.ts';
export { sessionRule } from './session-rule.ts';
export { openSession, type SessionOptions } from './source-of-truth.ts';
