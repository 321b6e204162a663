import type { StateRoot } from '../merkle/index.ts';
import type { ReplicaId, Version } from '../state/index.ts';
import type { Forgotten } from './finding.ts';
import { Recent } from './recent.ts';
import type { Trail } from './trail.ts';

const KEPT_VERSIONS = 512;
/** Different states of one version: of as many parts, or lives, of a session. */
const KEPT_STATES = 8;

/** Somebody else who had a state. */
export interface Witness {
  readonly replica: ReplicaId;
  readonly root: StateRoot;
}

/**
 * What clients had at each version, to be held against each other where their authority tells nothing. That two differ says nothing by itself, since
 * each may be shown another part: only a root that the authority has sent says which of them is right.
 */
export class Witnesses {
  readonly #states = new Recent<Version, readonly Witness[]>('states', KEPT_VERSIONS);

  took({ id, version, root }: Trail): void {
    const known = this.#states.get(version) ?? [];
    if (!root || known.length >= KEPT_STATES) return;
    if (known.some((one) => one.replica === id && one.root.hash === root.hash)) return;
    this.#states.replace(version, [...known, { replica: id, root }]);
  }

  at(version: Version, except: ReplicaId): readonly Witness[] {
    return (this.#states.get(version) ?? []).filter(({ replica }) => replica !== except);
  }

  get forgotten(): Forgotten {
    return this.#states.forgotten;
  }
}
