import { SyncError } from '../errors/index.ts';
import { changesBetween, StateRoot } from '../merkle/index.ts';
import { array } from '../schema/index.ts';
import { type Change, changeSchema, replicaId } from '../state/index.ts';
import { carryCounts } from './diff.ts';
import {
  type Store,
  type StoreListener,
  type StoreVersion,
  storeVersionSchema,
  type VersionDraft,
  type VersionLink,
  versionLinkSchema,
} from './store.ts';

const changesSchema = array(changeSchema);

/** What a store has to keep, given before the store itself changes: where keeping throws, nothing has happened. */
export interface StoreKeeper {
  applied(changes: readonly Change[], root: StateRoot): void;
  /** `changes` lead from the version before on the branch, or from an empty state. What is pruned goes in the same step. */
  committed(version: StoreVersion, changes: readonly Change[], pruned?: PrunedVersions): void;
  linked(link: VersionLink): void;
}

/** Versions that a store forgets. */
export interface PrunedVersions {
  readonly numbers: ReadonlySet<number>;
  /** The oldest that is left of their branch, which has no parent now, and the changes that lead to it from an empty state. */
  readonly oldest: StoreVersion;
  readonly changes: readonly Change[];
  /** Every link that is left. */
  readonly links: readonly VersionLink[];
}

export interface StoreOptions {
  /**
   * How much history there is at least: as soon as a branch has twice as many versions, all but so many of its newest go, with their
   * links. 1,000 unless given, and at least 2, for a sync that is broken off may have kept its result on one side only.
   */
  readonly keepVersions?: number;
}

const KEEP_VERSIONS = 1_000;

/** What a store was when it was closed. */
export interface StoreContents {
  readonly root: StateRoot;
  readonly versions: ReadonlyArray<readonly [StoreVersion, StateRoot]>;
  readonly links: readonly VersionLink[];
}

/**
 * A store that lasts as long as its process, or, with a keeper, the part in memory of one that lasts longer. Versions share
 * what they have in common, so a version costs what changed.
 */
export class MemoryStore implements Store {
  readonly name: string;
  readonly #keeper: StoreKeeper | undefined;
  readonly #keepVersions: number;
  readonly #versions: StoreVersion[] = [];
  readonly #roots = new Map<number, StateRoot>();
  readonly #links: VersionLink[] = [];
  readonly #listeners = new Set<StoreListener>();
  #root: StateRoot;
  #revision = 0;

  /**
   * @throws SyncError `REPLICA_INVALID` for a name that no replica could have: in a trace the store is one; `HISTORY_INVALID` for a
   *   history that is none
   */
  constructor(name: string, contents?: Partial<StoreContents>, keeper?: StoreKeeper, options: StoreOptions = {}) {
    this.name = replicaId(name);
    this.#keeper = keeper;
    this.#keepVersions = checkedKeep(options.keepVersions ?? KEEP_VERSIONS);
    this.#root = contents?.root ?? StateRoot.empty;
    for (const [version, root] of contents?.versions ?? []) this.#addVersion(version, root);
    this.#links.push(...(contents?.links ?? []));
  }

  get revision(): number {
    return this.#revision;
  }

  root(): StateRoot {
    return this.#root;
  }

  apply(changes: readonly Change[]): StateRoot {
    const before = this.#root;
    const after = before.apply(changesSchema.parse(changes, 'changes'));
    if (after.hash === before.hash) return before;
    this.#keeper?.applied(changes, after);
    carryCounts(before, after, changes);
    this.#root = after;
    this.#revision++;
    for (const listener of [...this.#listeners]) listener(changes, after);
    return after;
  }

  subscribe(listener: StoreListener): () => void {
    // Wrapped, so that one function given twice is told twice and ended once each.
    const own: StoreListener = (changes, root) => listener(changes, root);
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  }

  commit({ branch, root, time, message }: VersionDraft): StoreVersion {
    const parent = this.#versions.findLast((version) => version.branch === branch)?.number ?? null;
    const number = (this.#versions.at(-1)?.number ?? 0) + 1;
    const version = storeVersionSchema.parse({ number, branch, parent, root: root.hash, time, message }, 'version');
    const pruned = this.#toPrune(branch);
    if (this.#keeper !== undefined) {
      const before = parent === null ? new StateRoot(null, root.hasher) : this.at(parent);
      this.#keeper.committed(version, changesBetween(before, root), pruned);
    }
    this.#addVersion(version, root);
    if (pruned !== undefined) this.#prune(pruned);
    return version;
  }

  versions(): readonly StoreVersion[] {
    return [...this.#versions];
  }

  at(version: number): StateRoot {
    const root = this.#roots.get(version);
    if (root === undefined) throw unknownVersion(this.name, version);
    return root;
  }

  link(link: VersionLink): void {
    const checked = versionLinkSchema.parse(link, 'link');
    this.at(checked.version);
    this.#keeper?.linked(checked);
    this.#links.push(checked);
  }

  links(): readonly VersionLink[] {
    return [...this.#links];
  }

  /** What goes where one more version comes to a branch. */
  #toPrune(branch: string): PrunedVersions | undefined {
    const all = this.#versions.filter((version) => version.branch === branch);
    if (all.length + 1 < 2 * this.#keepVersions) return undefined;
    const first = all.length + 1 - this.#keepVersions;
    const oldest = all[first]!;
    const root = this.at(oldest.number);
    const numbers = new Set(all.slice(0, first).map(({ number }) => number));
    return {
      numbers,
      oldest: { ...oldest, parent: null },
      changes: changesBetween(new StateRoot(null, root.hasher), root),
      links: this.#links.filter(({ version }) => !numbers.has(version)),
    };
  }

  #prune({ numbers, oldest, links }: PrunedVersions): void {
    const left = this.#versions.filter(({ number }) => !numbers.has(number));
    this.#versions.splice(
      0,
      Number.POSITIVE_INFINITY,
      ...left.map((one) => (one.number === oldest.number ? oldest : one)),
    );
    this.#links.splice(0, Number.POSITIVE_INFINITY, ...links);
    for (const number of numbers) this.#roots.delete(number);
  }

  #addVersion(version: StoreVersion, root: StateRoot): void {
    this.#versions.push(version);
    this.#roots.set(version.number, root);
  }
}

function checkedKeep(versions: number): number {
  if (Number.isSafeInteger(versions) && versions >= 2) return versions;
  throw new SyncError('HISTORY_INVALID', `a store keeps a whole number of versions from 2 on, not ${versions}`, {
    origin: 'setting',
  });
}

function unknownVersion(store: string, version: number): SyncError {
  return new SyncError('VERSION_UNKNOWN', `the store ${store} has no version ${version}`, {
    origin: 'state',
    place: Number.isSafeInteger(version) ? { version } : {},
  });
}
