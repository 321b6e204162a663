import { changesBetween, patched, type StateRoot } from '../merkle/index.ts';
import type { Change, Version } from '../state/index.ts';
import type { RingStanding } from './standing.ts';

/** A version's state, kept. It shares with its neighbours all that did not change. */
export interface StateSnapshot {
  readonly version: Version;
  readonly root: StateRoot;
}

/**
 * The versions from which deltas can still be made: every version that was sent, up to `capacity`, and of older ones
 * those of the last `periodic` snapshot intervals.
 */
export class SnapshotRing {
  readonly #capacity: number;
  readonly #periodicCapacity: number;
  readonly #recent = new Map<Version, StateSnapshot>();
  readonly #periodic = new Map<Version, StateSnapshot>();

  constructor(capacity: number, periodicCapacity: number) {
    this.#capacity = capacity;
    this.#periodicCapacity = periodicCapacity;
  }

  /** Snapshots held now. */
  get size(): number {
    return new Set([...this.#recent.keys(), ...this.#periodic.keys()]).size;
  }

  /** As what changes from one kept version to the one before it, beginning with the present state. */
  standing(present: StateRoot): RingStanding {
    const roots = new Map<Version, StateRoot>();
    for (const ring of [this.#recent, this.#periodic])
      for (const { version, root } of ring.values()) roots.set(version, root);
    let newer = present;
    const versions = [...roots]
      .sort(([left], [right]) => right - left)
      .map(([version, root]) => {
        const changes = changesBetween(newer, root).map((change) => inOrder(change, newer, root));
        newer = root;
        return { version, changes };
      });
    return { versions, recent: [...this.#recent.keys()], periodic: [...this.#periodic.keys()] };
  }

  /** Goes on where another one was; for one that has kept nothing. */
  resume({ versions, recent, periodic }: RingStanding, present: StateRoot): void {
    const kept = new Map<Version, StateSnapshot>();
    let root = present;
    for (const { version, changes } of versions) {
      root = root.apply(changes);
      kept.set(version, { version, root });
    }
    const fill = (ring: Map<Version, StateSnapshot>, order: readonly Version[]): void => {
      for (const version of order) {
        const snapshot = kept.get(version);
        if (snapshot) ring.set(version, snapshot);
      }
    };
    fill(this.#recent, recent);
    fill(this.#periodic, periodic);
  }

  /** Keeps a version; one that is kept already stays as it is. */
  keep(snapshot: StateSnapshot): void {
    push(this.#recent, snapshot, this.#capacity);
  }

  /** Keeps a version for longer, as one of the periodic ones. */
  keepPeriodic(snapshot: StateSnapshot): void {
    push(this.#periodic, this.get(snapshot.version) ?? snapshot, this.#periodicCapacity);
  }

  get(version: Version): StateSnapshot | undefined {
    return this.#recent.get(version) ?? this.#periodic.get(version);
  }
}

/** A change that leads to the very record, its fields in their order too: deltas are written by it. */
function inOrder(change: Change, from: StateRoot, to: StateRoot): Change {
  const [before, record] = [from.get(change.key), to.get(change.key)];
  if (change.op !== 'patch' || !before || !record) return change;
  const names = Object.keys(patched(before, change.fields, change.removed));
  const isSame = Object.keys(record).every((name, at) => name === names[at]);
  return isSame ? change : { op: 'put', key: change.key, record };
}

function push(ring: Map<Version, StateSnapshot>, snapshot: StateSnapshot, capacity: number): void {
  if (ring.has(snapshot.version)) return;
  ring.set(snapshot.version, snapshot);
  if (ring.size <= capacity) return;
  // A map keeps the order of insertion, and versions only rise.
  const [oldest] = ring.keys();
  if (oldest !== undefined) ring.delete(oldest);
}
