import type { VectorEntry } from '../clock/index.ts';
import type { MerkleDescent, MerkleDifference, StateRoot } from '../merkle/index.ts';
import type { BodyOf, MessageBody, MessageOf } from '../messages/index.ts';
import type { RecordKey, ReplicaId, StateHash } from '../state/index.ts';
import type { SharedState } from './shared-state.ts';

/** What one side of an exchange said of itself. */
export interface Standing {
  readonly version: number;
  readonly root: StateHash;
  readonly vector: readonly VectorEntry[];
}

/** A record in which the two sides differed, who wrote each, and what it was agreed to be. */
export interface ExplainedDifference extends MerkleDifference {
  readonly ownWriters: readonly ReplicaId[];
  readonly theirWriters: readonly ReplicaId[];
}

/** How two replicas came to terms, or failed to: kept, so that it can be asked afterwards who had changed what. */
export interface Reconciliation {
  readonly with: ReplicaId;
  /** Whether this side asked. */
  readonly isClaimant: boolean;
  /** Nanoseconds. */
  readonly started: number;
  readonly ended: number;
  readonly own: Standing;
  /** Undefined where the other side never answered. */
  readonly theirs: Standing | undefined;
  /** Every record that differed, by key; the other side of it may lack what only the claimant has looked into. */
  readonly differences: readonly ExplainedDifference[];
  readonly outcome: 'agreed' | 'still different' | 'timed out' | 'refused';
  /** The hash that both have then. */
  readonly result: StateHash;
  readonly rounds: number;
  readonly hashes: number;
  readonly bytes: number;
}

/** An exchange that this side has asked for. */
export interface Claim {
  readonly role: 'claimant';
  readonly exchange: number;
  readonly started: number;
  /** When the other side was last heard in it. */
  heard: number;
  readonly base: StateRoot;
  readonly own: Standing;
  theirs: Standing | undefined;
  descent: MerkleDescent | undefined;
  differences: readonly ExplainedDifference[];
  /** Set once the difference was joined and sent: the hash that the other side is to have then. */
  result: StateHash | undefined;
  /** `seq` of the trace record that it began with. */
  readonly cause: number;
}

/** An exchange that the other side has asked for. */
export interface Answering {
  readonly role: 'answerer';
  readonly exchange: number;
  readonly started: number;
  heard: number;
  /** Kept as it was stated, whatever changes meanwhile: the claimant descends against it. */
  readonly base: StateRoot;
  readonly own: Standing;
  readonly theirs: Standing;
  readonly cause: number;
}

export type Exchange = Claim | Answering;

/** What a driver must send. */
export interface ToPeer {
  readonly to: ReplicaId;
  readonly body: MessageBody;
  /** `seq` of the trace records that made it happen. */
  readonly cause: readonly number[];
}

export function standingNow(state: SharedState): Standing {
  return { version: state.version, root: state.root().hash, vector: state.vector.entries() };
}

export function standingOf(message: BodyOf<'RECONCILE'> | MessageOf<'PRESENCE'>): Standing {
  return { version: message.version, root: message.root, vector: message.vector };
}

/** A message of an exchange that carries nothing but where its sender stands. */
export function statement(
  exchange: number,
  step: 'claim' | 'counter' | 'agreed',
  standing: Standing,
): BodyOf<'RECONCILE'> {
  return { type: 'RECONCILE', exchange, step, ...standing, vector: [...standing.vector], entries: [], learned: [] };
}

/** What the claimant sends: what the other lacks, and what it has taken over itself. */
export function differenceOf(
  exchange: number,
  after: Standing,
  differences: readonly MerkleDifference[],
  root: StateRoot,
): BodyOf<'RECONCILE'> {
  const entries: { key: RecordKey; record: NonNullable<MerkleDifference['own']> }[] = [];
  const learned: RecordKey[] = [];
  for (const { key, own, theirs } of differences) {
    const record = root.get(key);
    if (record !== undefined && record !== theirs) entries.push({ key, record });
    if (theirs !== null && record !== own) learned.push(key);
  }
  return { type: 'RECONCILE', exchange, step: 'difference', ...after, vector: [...after.vector], entries, learned };
}
