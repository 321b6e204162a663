export { CrdtReplica, type CrdtReplicaOptions, type JoinedState, type OperationOutcome } from './crdt-replica.ts';
