import type { StateRoot } from '../merkle/index.ts';
import { type Infer, literal, nullable, object, string, uint } from '../schema/index.ts';
import { type Change, stateHashSchema } from '../state/index.ts';

/** A state that was kept under a number, which no other state ever has. */
export const storeVersionSchema = object({
  /** From 1, over all branches of a store. */
  number: uint,
  /** `main` for what the store was; `common:NAME` for what it had in common with the store NAME after a sync. */
  branch: string(200),
  /** The version before it on its branch; null for the first, and for the oldest that is left where older ones were pruned. */
  parent: nullable(uint),
  root: stateHashSchema,
  /** As the caller counts it, such as milliseconds since 1970. */
  time: uint,
  message: string(500),
});
export type StoreVersion = Infer<typeof storeVersionSchema>;

/** Which version of another store belongs to a version of this one. */
export const versionLinkSchema = object({
  version: uint,
  /** The other store's name, and its version's number. */
  store: string(100),
  other: uint,
  /** Seen from this store's version: it came `from` the other, went `to` it, or both came to be by a sync in both directions. */
  relation: literal('from', 'to', 'synchronized'),
});
export type VersionLink = Infer<typeof versionLinkSchema>;

/** What is said of a state that is to be kept. */
export interface VersionDraft {
  readonly branch: string;
  readonly root: StateRoot;
  readonly time: number;
  readonly message: string;
}

export type StoreListener = (changes: readonly Change[], root: StateRoot) => void;

/** A state of models with its history. The port that storage implements; {@link storeContract} is its acceptance suite. */
export interface Store {
  /** Unique among the stores that are synced with each other. */
  readonly name: string;
  /** How often the state has changed. */
  readonly revision: number;
  /** The state as it is now. */
  root(): StateRoot;
  /**
   * All of the changes, durably, or none; listeners are told after. Answers the state after; without an effect, nothing is told.
   * @throws SyncError `RECORD_MISSING`, `VALUE_INVALID` and as `StateRoot.apply`
   */
  apply(changes: readonly Change[]): StateRoot;
  /** Tells of each change from now on. Answers the function that ends it. */
  subscribe(listener: StoreListener): () => void;
  /** Keeps a state as the newest version of a branch, and may forget old ones by a rule that the store states. @throws SyncError `SCHEMA_MISMATCH` */
  commit(draft: VersionDraft): StoreVersion;
  /** Every version that is kept, by number. */
  versions(): readonly StoreVersion[];
  /** The state of a version. @throws SyncError `VERSION_UNKNOWN` */
  at(version: number): StateRoot;
  /** @throws SyncError `VERSION_UNKNOWN`, `SCHEMA_MISMATCH` */
  link(link: VersionLink): void;
  /** Every link of these versions, in the order in which they were made. */
  links(): readonly VersionLink[];
}

/** The branch of what a store was. */
export const MAIN = 'main';

/** The branch of what a store had in common with another. */
export function commonBranch(other: string): string {
  return `common:${other}`;
}

/** The newest version of a branch. */
export function newestOf(store: Pick<Store, 'versions'>, branch: string): StoreVersion | undefined {
  return store.versions().findLast((version) => version.branch === branch);
}
