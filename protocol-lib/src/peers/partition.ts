import { VersionVector } from '../clock/index.ts';
import type { MutationOutcome } from '../conflict/index.ts';
import { milliseconds } from '../ports/index.ts';
import { array, boolean, finite, type Infer, literal, nullable, object, string } from '../schema/index.ts';
import { type ReplicaId, replicaIdSchema } from '../state/index.ts';
import { type MutationId, vectorSchema } from '../trace/index.ts';

/**
 * How much of the group a replica can reach. `minority`: some are isolated, and we are with the majority. `split`: no majority is
 * reached from here. `merging`: heard of each other again, but not yet of one state.
 */
export type PartitionState = 'connected' | 'minority' | 'split' | 'merging';

/** What a side of a partition may do. `tentative`: changes are made, and kept apart from what a majority is known to have. */
export type PartitionMode = 'write' | 'tentative' | 'read-only';

export interface PartitionSettings {
  /** Nanoseconds of silence after which a member counts as not reached. */
  readonly silence: number;
  /** What may be done with the majority, while others are isolated. */
  readonly majority: PartitionMode;
  /** What may be done without a majority. */
  readonly minority: PartitionMode;
}

export const PARTITION_DEFAULTS: PartitionSettings = {
  silence: milliseconds(5_000),
  majority: 'write',
  minority: 'tentative',
};

/** What a healed partition came to: every change of either side, applied or rejected with its reason. */
export interface MergeReport {
  /** What both sides had when they lost each other. */
  readonly divergence: VersionVector;
  readonly merged: VersionVector;
  /** In the order of the merge. `side`: `ours` where we had it before we heard of the others again. */
  readonly changes: readonly (MutationOutcome & { readonly side: 'ours' | 'theirs' })[];
}

export interface PartitionView {
  readonly state: PartitionState;
  readonly mode: PartitionMode;
  readonly members: readonly ReplicaId[];
  /** With ourselves, sorted. */
  readonly reachable: readonly ReplicaId[];
}

/** What is known of another member. */
interface Peer {
  /** When it was last heard of; undefined before the first time. */
  heardAt: number | undefined;
  /** What both had when it was last heard of, which is where we diverge from while it is silent. */
  shared: VersionVector;
  isReached: boolean;
  /** Whether it was lost, and has not been found equal since. */
  isDiverged: boolean;
}

/** A member that is heard of again after a silence. */
interface Merge {
  readonly divergence: VersionVector;
  /** What we had when it was. */
  readonly ours: VersionVector;
  /** Whose changes it brings together with ours. One that is lost again before they are equal keeps it open. */
  readonly peers: ReadonlySet<Peer>;
}

export const partitionStandingSchema = object({
  peers: array(
    object({
      replica: replicaIdSchema,
      heardAt: nullable(finite),
      shared: vectorSchema,
      isReached: boolean,
      isDiverged: boolean,
    }),
  ),
  merge: nullable(object({ divergence: vectorSchema, ours: vectorSchema, peers: array(replicaIdSchema) })),
  state: literal('connected', 'minority', 'split', 'merging'),
  reachable: string(),
  startedAt: nullable(finite),
});
export type PartitionStanding = Infer<typeof partitionStandingSchema>;

/** What the manager must know of the replica that it belongs to. */
export interface PartitionPorts {
  readonly vector: VersionVector;
  outcomesSince(divergence: VersionVector): readonly MutationOutcome[];
  changed(state: PartitionState | 'healed', view: PartitionView, detail: string): void;
}

/**
 * Notices by silence alone that the group is cut, says what may be done meanwhile, and follows the merge when the cut has healed:
 * from which point the sides diverged, and what became of everything that either did. It decides nothing about the changes themselves; that
 * is the merge of the history, which is the same for two sides or five, and for a cut during a merge.
 *
 * A member counts as reached from the start, and for `silence` after it was heard. Times are nanoseconds on the replica's clock.
 */
export class PartitionRecoveryManager {
  readonly #replica: ReplicaId;
  readonly #members: readonly ReplicaId[];
  readonly #settings: PartitionSettings;
  readonly #ports: PartitionPorts;
  readonly #peers = new Map<ReplicaId, Peer>();
  readonly #reports: MergeReport[] = [];
  #merge: Merge | undefined;
  #state: PartitionState = 'connected';
  #reachable: string;
  #startedAt: number | undefined;

  constructor(
    replica: ReplicaId,
    members: readonly ReplicaId[],
    settings: Partial<PartitionSettings>,
    ports: PartitionPorts,
  ) {
    this.#replica = replica;
    this.#members = [...new Set([...members, replica])].sort();
    this.#settings = { ...PARTITION_DEFAULTS, ...settings };
    this.#ports = ports;
    for (const member of this.#members) {
      if (member === replica) continue;
      this.#peers.set(member, { heardAt: undefined, shared: ports.vector, isReached: true, isDiverged: false });
    }
    this.#reachable = this.#reached().join(' ');
  }

  /** Where it is, for another one to {@link resume} from; its reports are not in it. */
  get standing(): PartitionStanding {
    const merge = this.#merge;
    const isMerging = (peer: Peer): boolean => merge?.peers.has(peer) === true;
    return {
      peers: Array.from(this.#peers, ([replica, { heardAt, shared, ...rest }]) => {
        return { replica, ...rest, heardAt: heardAt ?? null, shared: shared.entries() };
      }),
      merge: merge
        ? {
            divergence: merge.divergence.entries(),
            ours: merge.ours.entries(),
            peers: [...this.#peers].filter(([, peer]) => isMerging(peer)).map(([replica]) => replica),
          }
        : null,
      state: this.#state,
      reachable: this.#reachable,
      startedAt: this.#startedAt ?? null,
    };
  }

  /** Goes on where another one of the same members was; for one that has heard nothing yet. */
  resume({ peers, merge, state, reachable, startedAt }: PartitionStanding): void {
    for (const { replica, heardAt, shared, isReached, isDiverged } of peers) {
      const vector = VersionVector.from(shared);
      this.#peers.set(replica, { heardAt: heardAt ?? undefined, shared: vector, isReached, isDiverged });
    }
    this.#merge = merge
      ? {
          divergence: VersionVector.from(merge.divergence),
          ours: VersionVector.from(merge.ours),
          peers: new Set(merge.peers.flatMap((replica) => this.#peers.get(replica) ?? [])),
        }
      : undefined;
    this.#state = state;
    this.#reachable = reachable;
    this.#startedAt = startedAt ?? undefined;
  }

  get view(): PartitionView {
    return { state: this.#state, mode: this.mode, members: this.#members, reachable: this.#reached() };
  }

  /** What may be done now. */
  get mode(): PartitionMode {
    if (this.#reached().length === this.#members.length) return 'write';
    return this.hasMajority ? this.#settings.majority : this.#settings.minority;
  }

  /** Whether more than half of the members are reached, ourselves among them. */
  get hasMajority(): boolean {
    return this.#reached().length * 2 > this.#members.length;
  }

  /** The merges that were completed, oldest first, at most {@link REPORTS_KEPT}. */
  get reports(): readonly MergeReport[] {
    return this.#reports;
  }

  isReached(member: ReplicaId): boolean {
    return member === this.#replica || this.#peers.get(member)?.isReached === true;
  }

  /** A member said that it stands at `vector`; `isEqual` where that is where we stand, with one root. */
  heard(member: ReplicaId, vector: VersionVector, isEqual: boolean, now: number): void {
    const peer = this.#peers.get(member);
    if (!peer) return;
    const wasReached = peer.isReached;
    peer.heardAt = now;
    peer.isReached = true;
    if (!wasReached) {
      this.#beginMerge(peer);
      this.#follow();
    }
    peer.shared = this.#ports.vector.meet(vector);
    if (isEqual) peer.isDiverged = false;
    this.#follow();
  }

  /** Carries out what is due: members that are silent for too long are lost. */
  tick(now: number): void {
    this.#startedAt ??= now;
    for (const peer of this.#peers.values()) {
      if (!peer.isReached || now - (peer.heardAt ?? this.#startedAt) < this.#settings.silence) continue;
      peer.isReached = false;
      peer.isDiverged = true;
    }
    this.#follow();
  }

  #reached(): ReplicaId[] {
    return this.#members.filter((member) => this.isReached(member));
  }

  #beginMerge(peer: Peer): void {
    const divergence = this.#merge ? this.#merge.divergence.meet(peer.shared) : peer.shared;
    const peers = new Set([...(this.#merge?.peers ?? []), peer]);
    this.#merge = { divergence, ours: this.#merge?.ours ?? this.#ports.vector, peers };
  }

  #follow(): void {
    const before = this.#state;
    const reachable = this.#reached();
    const isMerging = [...this.#peers.values()].some(({ isReached, isDiverged }) => isReached && isDiverged);
    const standing = reachable.length === this.#members.length ? 'connected' : this.hasMajority ? 'minority' : 'split';
    this.#state = isMerging ? 'merging' : standing;
    if (this.#merge && [...this.#merge.peers].every(({ isDiverged }) => !isDiverged)) this.#endMerge(this.#merge);
    const joined = reachable.join(' ');
    if (this.#state === before && joined === this.#reachable) return;
    this.#reachable = joined;
    this.#ports.changed(this.#state, this.view, detailOf(this.#state, this.mode));
  }

  /** All whom it was with have had one state with us since. */
  #endMerge({ divergence, ours }: Merge): void {
    this.#merge = undefined;
    const merged = this.#ports.vector;
    const changes = this.#ports.outcomesSince(divergence).map((outcome) => ({
      ...outcome,
      side: isCovered(outcome.mutation, ours) ? ('ours' as const) : ('theirs' as const),
    }));
    this.#reports.push({ divergence, merged, changes });
    if (this.#reports.length > REPORTS_KEPT) this.#reports.shift();
    const rejected = changes.filter(({ state }) => state === 'rejected').length;
    const waiting = changes.filter(({ state }) => state === 'waiting').length;
    this.#ports.changed(
      'healed',
      this.view,
      `${changes.length} changes since the divergence: ${changes.length - rejected - waiting} applied, ${rejected} rejected, ${waiting} waiting`,
    );
  }
}

export const REPORTS_KEPT = 100;

function isCovered({ writer, counter }: MutationId, vector: VersionVector): boolean {
  return vector.get(writer) >= counter;
}

function detailOf(state: PartitionState, mode: PartitionMode): string {
  if (state === 'connected') return 'all members are heard';
  if (state === 'merging') return 'both sides bring together what they did';
  const side = state === 'minority' ? 'with the majority' : 'without a majority';
  return `${side}: ${mode}`;
}
