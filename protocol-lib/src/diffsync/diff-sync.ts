import { SyncError } from '../errors/index.ts';
import { StateRoot } from '../merkle/index.ts';
import type { Clock } from '../ports/index.ts';
import type { RecordKey } from '../state/index.ts';
import type { Tap } from '../trace/index.ts';
import { cancelled, type LoadOptions, loadSide, type Side } from './adapter.ts';
import { applyDiff } from './apply.ts';
import { type Diff, diffModels } from './diff.ts';
import { commonState, planTwoWay, type TwoWayPlan } from './merge.ts';
import { typeName } from './model.ts';
import type { PolicyStrategies } from './policies.ts';
import type { ApplyOptions, SyncReport } from './report.ts';
import { commonBranch, MAIN, newestOf, type Store, type StoreVersion, type VersionLink } from './store.ts';
import type { ConflictDecision, ConflictStrategies, DecidedConflict, ModelConflict } from './strategy.ts';
import { SyncTrace } from './sync-trace.ts';

export interface DiffSyncOptions {
  /** Where versions get their time from, in its nanoseconds; without one it is 0. */
  readonly clock?: Clock;
  readonly tap?: Tap;
}

export interface SyncOptions extends ApplyOptions, Pick<LoadOptions, 'onLoaded'> {
  /** Not to read the systems before, where the stores are known to be as they are. */
  readonly skipLoad?: boolean;
  /** Said of the versions that the sync makes. */
  readonly message?: string;
}

export interface TwoWayOptions extends SyncOptions {
  /** Changes of both sides to one field, or to a model that the other deleted. `fail` unless given. */
  readonly strategies?: ConflictStrategies | PolicyStrategies;
  readonly decisions?: ReadonlyMap<RecordKey, ConflictDecision>;
}

export interface OneWayReport extends SyncReport {
  /** The versions that belong together now; absent where nothing was done or not all of it. */
  readonly versions?: VersionPair;
}

/** Numbers of two versions that are linked. */
export interface VersionPair {
  readonly source: number;
  readonly destination: number;
}

export interface TwoWayReport {
  readonly source: SyncReport;
  readonly destination: SyncReport;
  readonly decided: readonly DecidedConflict[];
  /** Both sides keep what they have, until `decisions` say what counts. */
  readonly open: readonly ModelConflict[];
  readonly mended: readonly RecordKey[];
  readonly isEqual: boolean;
  readonly versions: VersionPair;
}

/** Brings sides together, each a store and, where there is one, the adapter of the system that it mirrors. */
export class DiffSync {
  readonly #clock: Clock | undefined;
  readonly #trace: SyncTrace;

  constructor({ clock, tap }: DiffSyncOptions = {}) {
    this.#clock = clock;
    this.#trace = new SyncTrace(tap);
  }

  /** What would make the destination like the source. Reads both systems, changes neither. @throws SyncError as {@link loadSide} */
  async diff(source: Side, destination: Side, options: SyncOptions = {}): Promise<Diff> {
    checkSides(source, destination);
    await this.#load([source, destination], options);
    return diffModels(destination.store.root(), source.store.root());
  }

  /**
   * Makes the destination like the source, as far as the flags say.
   * @throws SyncError as {@link loadSide}, before anything is changed; what fails after has its status in the report
   */
  async oneWay(source: Side, destination: Side, options: SyncOptions = {}): Promise<OneWayReport> {
    const diff = await this.diff(source, destination, options);
    return this.applyOneWay(diff, source, destination, options);
  }

  /** Carries out a diff that somebody has looked at. What changed at the destination since is left alone and named. */
  async applyOneWay(diff: Diff, source: Side, destination: Side, options: SyncOptions = {}): Promise<OneWayReport> {
    this.#trace.begin(destination);
    const report = await applyDiff(diff, destination, options);
    this.#trace.end(destination, report);
    if (report.counts.success === 0) return report;
    const message = options.message ?? `sync from ${source.store.name}`;
    const versions = {
      source: this.#kept(source.store, options.message ?? `sync to ${destination.store.name}`),
      destination: this.#kept(destination.store, message),
    };
    linkBoth(source.store, destination.store, versions, 'to', 'from');
    return { ...report, versions };
  }

  /**
   * Brings the changes of both sides since their last common version to the other one: a three-way merge, after which both are equal
   * where nothing failed, is open or is left alone by a flag.
   * @throws SyncError as {@link loadSide} and `planTwoWay`, before anything is changed
   */
  async twoWay(source: Side, destination: Side, options: TwoWayOptions = {}): Promise<TwoWayReport> {
    checkSides(source, destination);
    await this.#load([source, destination], options);
    const base = lastCommon(source.store, destination.store);
    return this.mergeFrom(base, source, destination, options);
  }

  /** {@link DiffSync.twoWay} without reading the systems, against this base, and of these keys only where they are given. */
  async mergeFrom(
    base: StateRoot,
    source: Side,
    destination: Side,
    options: TwoWayOptions & { readonly keys?: Iterable<RecordKey> } = {},
  ): Promise<TwoWayReport> {
    const plan = planFor(base, source, destination, options);
    this.#trace.begin(source);
    this.#trace.begin(destination);
    for (const one of plan.decided) this.#trace.decided(source, destination, one);
    for (const one of plan.open) this.#trace.waiting(source, destination, one);
    for (const key of plan.mended) this.#trace.mended(destination, key);
    // Flags were honoured by the plan: what they leave alone is in neither diff.
    const applying = { ...options, skipUnmatchedSource: false, skipUnmatchedDestination: false, ignore: [] };
    const reports = {
      source: await applyDiff(plan.source, source, applying),
      destination: await applyDiff(plan.destination, destination, applying),
    };
    this.#trace.end(source, reports.source);
    this.#trace.end(destination, reports.destination);
    const versions = this.#keepCommon(base, source.store, destination.store, options.message);
    return {
      ...reports,
      decided: plan.decided,
      open: plan.open,
      mended: plan.mended,
      isEqual: source.store.root().hash === destination.store.root().hash,
      versions,
    };
  }

  async #load(sides: readonly Side[], options: SyncOptions): Promise<void> {
    if (options.skipLoad) return;
    for (const side of sides) await loadSide(side, options);
    if (options.signal?.aborted) throw cancelled(0);
  }

  /** The number of the version that a store is now; a new one where it has changed since the last. */
  #kept(store: Store, message: string): number {
    const newest = newestOf(store, MAIN);
    const root = store.root();
    if (newest !== undefined && newest.root === root.hash) return newest.number;
    return store.commit({ branch: MAIN, root, time: this.#clock?.now() ?? 0, message }).number;
  }

  /** Keeps what both are, and what they have in common, on both sides. */
  #keepCommon(base: StateRoot, source: Store, destination: Store, message?: string): VersionPair {
    const common = commonState(base, source.root(), destination.root());
    for (const [own, other] of [
      [source, destination],
      [destination, source],
    ] as const) {
      const branch = commonBranch(other.name);
      if (newestOf(own, branch)?.root === common.hash) continue;
      const time = this.#clock?.now() ?? 0;
      own.commit({ branch, root: common, time, message: `in common with ${other.name}` });
    }
    const versions = {
      source: this.#kept(source, message ?? `sync with ${destination.name}`),
      destination: this.#kept(destination, message ?? `sync with ${source.name}`),
    };
    linkBoth(source, destination, versions, 'synchronized', 'synchronized');
    return versions;
  }
}

function planFor(
  base: StateRoot,
  source: Side,
  destination: Side,
  options: TwoWayOptions & { readonly keys?: Iterable<RecordKey> },
): TwoWayPlan {
  const { strategies = { default: 'fail' }, decisions, keys, ignore = [] } = options;
  const isOthers = 'default' in strategies && strategies.default === 'destination';
  const prefer = isOthers ? 'destination' : 'source';
  return planTwoWay(base, source.store.root(), destination.store.root(), {
    models: source.models,
    strategies,
    prefer,
    isLeftAlone: (key, left, right) =>
      ignore.includes(typeName(key)) ||
      (options.skipUnmatchedSource === true && right === undefined) ||
      (options.skipUnmatchedDestination === true && left === undefined),
    ...(decisions === undefined ? {} : { decisions }),
    ...(keys === undefined ? {} : { keys }),
  });
}

function checkSides(source: Side, destination: Side): void {
  if (source.store.name !== destination.store.name) return;
  throw new SyncError('STORES_ALIKE', `both sides are called ${source.store.name}; give each store a name of its own`, {
    origin: 'setting',
  });
}

/** The newest state that both stores know to have had in common; the empty one before the first sync. */
export function lastCommon(source: Store, destination: Store): StateRoot {
  const known = new Set(
    destination
      .versions()
      .filter(({ branch }) => branch === commonBranch(source.name))
      .map(({ root }) => root),
  );
  const common = source
    .versions()
    .findLast(({ branch, root }) => branch === commonBranch(destination.name) && known.has(root));
  return common === undefined ? new StateRoot(null, source.root().hasher) : source.at(common.number);
}

function linkBoth(
  source: Store,
  destination: Store,
  versions: VersionPair,
  forward: VersionLink['relation'],
  back: VersionLink['relation'],
): void {
  linkOnce(source, {
    version: versions.source,
    store: destination.name,
    other: versions.destination,
    relation: forward,
  });
  linkOnce(destination, { version: versions.destination, store: source.name, other: versions.source, relation: back });
}

function linkOnce(store: Store, link: VersionLink): void {
  const isKnown = store
    .links()
    .some(
      (one) =>
        one.version === link.version &&
        one.store === link.store &&
        one.other === link.other &&
        one.relation === link.relation,
    );
  if (!isKnown) store.link(link);
}

/** The versions of another store that belong to a version of this one. */
export function linkedVersions(store: Store, version: number): readonly VersionLink[] {
  return store.links().filter((link) => link.version === version);
}

/** The history of a branch, oldest first. */
export function historyOf(store: Store, branch: string = MAIN): readonly StoreVersion[] {
  return store.versions().filter((version) => version.branch === branch);
}
