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
  /** `changes` lead from the version before on the branch, or from an empty state. */
  committed(version: StoreVersion, changes: readonly Change[]): void;
  linked(link: VersionLink): void;
}

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
  readonly #versions: StoreVersion[] = [];
  readonly #roots = new Map<number, StateRoot>();
  readonly #links: VersionLink[] = [];
  readonly #listeners = new Set<StoreListener>();
  #root: StateRoot;
  #revision = 0;

  /** @throws SyncError `REPLICA_INVALID` for a name that no replica could have: in a trace the store is one */
  constructor(name: string, contents?: Partial<StoreContents>, keeper?: StoreKeeper) {
    this.name = replicaId(name);
    this.#keeper = keeper;
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
    if (this.#keeper !== undefined) {
      const before = parent === null ? new StateRoot(null, root.hasher) : this.at(parent);
      this.#keeper.committed(version, changesBetween(before, root));
    }
    this.#addVersion(version, root);
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

  #addVersion(version: StoreVersion, root: StateRoot): void {
    this.#versions.push(version);
    this.#roots.set(version.number, root);
  }
}

function unknownVersion(store: string, version: number): SyncError {
  return new SyncError('VERSION_UNKNOWN', `the store ${store} has no version ${version}`, {
    origin: 'state',
    place: Number.isSafeInteger(version) ? { version } : {},
  });
}
