import type { LogEntry } from '../events/index.ts';
import { type MerkleDifference, StateRoot } from '../merkle/index.ts';
import type { RecordKey, ReplicaId, SyncRecord } from '../state/index.ts';
import type { MutationId, TraceBodyOf, TraceRecord } from '../trace/index.ts';
import { type BazaarSize, brokenRule, isVisible, operationOf } from './bazaar.ts';
import { differenceOf, foldChange, textOfRecord, textsOf } from './small-fold.ts';

/** Which rule was broken, and how. */
export interface Violation {
  readonly invariant: Invariant;
  readonly text: string;
}

/** The rules that are checked after every event; those of `SIMULATION.md` that concern one authority and its clients. */
export const INVARIANTS = [
  'acked-durable',
  'exactly-once',
  'monotonic',
  'gap-free',
  'rollback',
  'hash-on-wire',
  'state-at-version',
  'liveness',
  'convergence',
  'nothing-vanishes',
  'repair-exact',
  'domain',
  'bounded',
  'capture-faithful',
  'permission',
  'one-decision',
  'deterministic',
  'no-throw',
  'canary',
] as const;
export type Invariant = (typeof INVARIANTS)[number];

/** A committed version as the small fold has it. */
export interface KnownVersion {
  readonly texts: ReadonlyMap<string, string>;
  readonly records: ReadonlyMap<string, SyncRecord>;
  /** Hash of a trie that was built from scratch. */
  readonly hash: string;
}

/** What is still known of a log that the authority lost. */
interface LostLog {
  readonly versions: ReadonlyMap<number, KnownVersion>;
  readonly settled: ReadonlyMap<string, Settled>;
  readonly counters: ReadonlyMap<ReplicaId, number>;
}

/** How a mutation ended at the authority. */
interface Settled {
  readonly isAccepted: boolean;
  /** What it carried; unknown of refused ones, whose records do not tell. */
  readonly operation: string | undefined;
}

/**
 * Follows the authority's log, its `commit` and `rejection` records, with a fold of its own, and knows what every version must
 * be and how every mutation ended. It reads nothing of the authority's state.
 */
export class Oracle {
  readonly #initial: ReadonlyMap<RecordKey, SyncRecord>;
  readonly #size: BazaarSize;
  readonly #report: (violation: Violation) => void;
  readonly #hasViews: boolean;
  /** What a replica may see of a version, worked out once. */
  readonly #seen = new WeakMap<KnownVersion, Map<ReplicaId, KnownVersion>>();
  /** Of logs that were lost, newest first. */
  #lost: LostLog[] = [];
  #versions = new Map<number, KnownVersion>();
  #settled = new Map<string, Settled>();
  #counters = new Map<ReplicaId, number>();
  #operations = new Set<string>();
  #state: Map<string, SyncRecord>;
  #version = 1;

  constructor(
    initial: Iterable<readonly [RecordKey, SyncRecord]>,
    size: BazaarSize,
    report: (violation: Violation) => void,
    hasViews = false,
  ) {
    this.#hasViews = hasViews;
    this.#initial = new Map(initial);
    this.#state = new Map(this.#initial);
    this.#size = size;
    this.#report = report;
    this.#keep();
  }

  /** Logs so far; more than one where the authority has lost its memory. */
  get logs(): number {
    return this.#lost.length + 1;
  }

  /** The newest version of the log. */
  get version(): number {
    return this.#version;
  }

  get latest(): KnownVersion {
    return this.#versions.get(this.#version)!;
  }

  /** A version, of the present log first and then of those before it. */
  at(version: number): KnownVersion[] {
    return [this.#versions, ...this.#lost.map(({ versions }) => versions)].flatMap(
      (versions) => versions.get(version) ?? [],
    );
  }

  /** As {@link at}, of what a client may see. */
  seenBy(replica: ReplicaId, version: number): KnownVersion[] {
    return this.at(version).map((known) => this.partOf(known, replica));
  }

  /** What a client may see of a version, by the rule alone. */
  partOf(known: KnownVersion, replica: ReplicaId): KnownVersion {
    if (!this.#hasViews) return known;
    const parts = this.#seen.get(known) ?? new Map<ReplicaId, KnownVersion>();
    this.#seen.set(known, parts);
    const part =
      parts.get(replica) ?? knownOf([...known.records].filter(([key, record]) => isVisible(replica, key, record)));
    parts.set(replica, part);
    return part;
  }

  /** How a mutation ended, in every log in which it did. */
  outcomes({ writer, counter }: MutationId): Settled[] {
    const id = `${writer}#${counter}`;
    return [this.#settled, ...this.#lost.map(({ settled }) => settled)].flatMap((settled) => settled.get(id) ?? []);
  }

  /** The highest counter of a writer that was ever settled. */
  counter(writer: ReplicaId): number {
    return Math.max(
      ...[this.#counters, ...this.#lost.map(({ counters }) => counters)].map((one) => one.get(writer) ?? 0),
    );
  }

  /** The authority has lost its memory: a new log begins with the first state. */
  restart(): void {
    this.#lost = [{ versions: this.#versions, settled: this.#settled, counters: this.#counters }, ...this.#lost];
    this.#versions = new Map();
    this.#settled = new Map();
    this.#counters = new Map();
    this.#operations = new Set();
    this.#state = new Map(this.#initial);
    this.#version = 1;
    this.#keep();
  }

  /**
   * The authority was started again from its log. All that was told of must be in it; what it holds beyond that took
   * effect as well, though nobody had heard of it.
   */
  recover(entries: readonly LogEntry[]): void {
    const found = new Map<ReplicaId, number>();
    for (const entry of entries) {
      const { mutation, version, root } = entry;
      found.set(mutation.writer, Math.max(mutation.counter, found.get(mutation.writer) ?? 0));
      if (mutation.counter <= (this.#counters.get(mutation.writer) ?? 0)) {
        if (this.#versions.get(version)?.hash === root) continue;
        const text = `the log has version ${version} with ${root}, which was told as ${this.#versions.get(version)?.hash}`;
        this.#report({ invariant: 'acked-durable', text });
      } else if (entry.outcome === 'committed') {
        const [first] = entry.events;
        const event = { type: first?.type ?? 'nothing', player: first?.player ?? '', detail: first?.detail ?? '' };
        this.#onCommit({ kind: 'commit', version, mutation, root, event, changes: [...(entry.changes ?? [])] });
      } else if (entry.outcome === 'refused') {
        this.#settle(mutation, { isAccepted: false, operation: undefined });
      } else {
        this.#counters.set(mutation.writer, mutation.counter);
      }
    }
    for (const [writer, counter] of this.#counters) {
      const kept = found.get(writer) ?? 0;
      if (kept >= counter) continue;
      const text = `mutation ${counter} of ${writer} was told as settled, but the log ends at its ${kept}`;
      this.#report({ invariant: 'acked-durable', text });
    }
  }

  /** A record of the authority's. */
  follow({ body }: TraceRecord): void {
    if (body.kind === 'commit') this.#onCommit(body);
    else if (body.kind === 'rejection') this.#settle(body.mutation, { isAccepted: false, operation: undefined });
  }

  /** Checks that what a repair found is exactly how a replica's state differs from a version. */
  checkDifferences(
    replica: ReplicaId,
    own: ReadonlyMap<string, string>,
    version: number,
    found: readonly MerkleDifference[],
  ): void {
    const wrong = this.seenBy(replica, version).map((known) => wrongDifference(own, known, found));
    if (wrong.includes(undefined)) return;
    const text = `a repair towards version ${version}: ${wrong[0] ?? 'there never was such a version'}`;
    this.#report({ invariant: 'repair-exact', text });
  }

  #onCommit({ version, mutation, changes, root, event }: TraceBodyOf<'commit'>): void {
    const operation = operationOf(event.detail);
    if (!mutation || operation === undefined) {
      this.#report({ invariant: 'exactly-once', text: `version ${version} was committed for nobody` });
      return;
    }
    if (this.#operations.has(operation)) {
      this.#report({
        invariant: 'exactly-once',
        text: `operation ${operation} took effect a second time, as version ${version}`,
      });
    }
    this.#operations.add(operation);
    this.#settle(mutation, { isAccepted: true, operation });
    const before = new Map(this.latest.texts);
    try {
      for (const change of changes) foldChange(this.#state, change);
    } catch (error) {
      this.#report({ invariant: 'state-at-version', text: `version ${version}: ${(error as Error).message}` });
    }
    const isChanged = differenceOf(textsOf(this.#state), before) !== undefined;
    const next = isChanged ? this.#version + 1 : this.#version;
    if (version !== next) {
      this.#report({
        invariant: 'gap-free',
        text: `version ${version} was committed after ${this.#version}, not ${next}`,
      });
    }
    if (version <= this.#version && !isChanged) return;
    this.#version = version;
    const { hash } = this.#keep();
    if (root !== undefined && hash !== root) {
      this.#report({
        invariant: 'hash-on-wire',
        text: `version ${version} has the hash ${hash}, the authority says ${root}`,
      });
    }
    const broken = brokenRule(this.#state, this.#size);
    if (broken) this.#report({ invariant: 'domain', text: `version ${version}: ${broken}` });
  }

  #settle(mutation: MutationId, outcome: Settled): void {
    const { writer, counter } = mutation;
    const before = this.#counters.get(writer);
    const expected = (before ?? 0) + 1;
    // A log that was begun anew takes up where the writer is.
    if (counter !== expected && !(this.logs > 1 && counter > expected)) {
      const text = `mutation ${counter} of ${writer} was settled when ${expected} was next`;
      this.#report({ invariant: 'exactly-once', text });
    }
    this.#counters.set(writer, Math.max(counter, expected - 1));
    this.#settled.set(`${writer}#${counter}`, outcome);
  }

  #keep(): KnownVersion {
    const known = knownOf(this.#state);
    this.#versions.set(this.#version, known);
    return known;
  }
}

function knownOf(state: Iterable<readonly [string, SyncRecord]>): KnownVersion {
  const records = new Map(state);
  return { records, texts: textsOf(records), hash: StateRoot.from(records as Map<RecordKey, SyncRecord>).hash };
}

/** What is wrong with the differences that a repair found between a state and a version; undefined where they are exact. */
function wrongDifference(
  own: ReadonlyMap<string, string>,
  known: KnownVersion,
  found: readonly MerkleDifference[],
): string | undefined {
  const expected = new Map<string, string>();
  for (const key of new Set([...own.keys(), ...known.texts.keys()])) {
    const [left, right] = [own.get(key), known.texts.get(key)];
    if (left !== right) expected.set(key, `${left} → ${right}`);
  }
  const textOfEither = (record: SyncRecord | null): string | undefined => (record ? textOfRecord(record) : undefined);
  const told = new Map(found.map((one) => [one.key, `${textOfEither(one.own)} → ${textOfEither(one.theirs)}`]));
  return differenceOf(told, expected);
}
