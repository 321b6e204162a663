import { type MerkleDifference, StateRoot } from '../merkle/index.ts';
import type { RecordKey, ReplicaId, SyncRecord } from '../state/index.ts';
import type { MutationId, TraceBodyOf, TraceRecord } from '../trace/index.ts';
import { type BazaarSize, brokenRule, operationOf } from './bazaar.ts';
import { differenceOf, foldChange, textOf, textOfRecord, textsOf } from './small-fold.ts';

/** Which rule was broken, and how. */
export interface Violation {
  readonly invariant: Invariant;
  readonly text: string;
}

/** The rules that are checked after every event; those of `SIMULATION.md` that concern one authority and its clients. */
export const INVARIANTS = [
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
  readonly #size: BazaarSize;
  readonly #report: (violation: Violation) => void;
  readonly #versions = new Map<number, KnownVersion>();
  readonly #state: Map<string, SyncRecord>;
  readonly #settled = new Map<string, Settled>();
  readonly #counters = new Map<ReplicaId, number>();
  readonly #operations = new Set<string>();
  #version = 1;

  constructor(
    initial: Iterable<readonly [RecordKey, SyncRecord]>,
    size: BazaarSize,
    report: (violation: Violation) => void,
  ) {
    this.#state = new Map(initial);
    this.#size = size;
    this.#report = report;
    this.#keep();
  }

  /** The newest version of the log. */
  get version(): number {
    return this.#version;
  }

  get latest(): KnownVersion {
    return this.#versions.get(this.#version)!;
  }

  at(version: number): KnownVersion | undefined {
    return this.#versions.get(version);
  }

  outcome({ writer, counter }: MutationId): Settled | undefined {
    return this.#settled.get(`${writer}#${counter}`);
  }

  /** Mutations of a writer that were settled. */
  counter(writer: ReplicaId): number {
    return this.#counters.get(writer) ?? 0;
  }

  /** A record of the authority's. */
  follow({ body }: TraceRecord): void {
    if (body.kind === 'commit') this.#onCommit(body);
    else if (body.kind === 'rejection') this.#settle(body.mutation, { isAccepted: false, operation: undefined });
  }

  /** Checks that what a repair found is exactly how a replica's state differs from a version. */
  checkDifferences(own: ReadonlyMap<string, string>, version: number, found: readonly MerkleDifference[]): void {
    const known = this.#versions.get(version);
    if (!known) {
      this.#report({ invariant: 'repair-exact', text: `a repair towards version ${version}, which never was` });
      return;
    }
    const expected = new Map<string, string>();
    for (const key of new Set([...own.keys(), ...known.texts.keys()])) {
      const [left, right] = [own.get(key), known.texts.get(key)];
      if (left !== right) expected.set(key, `${left} → ${right}`);
    }
    const told = new Map<string, string>();
    for (const one of found) {
      told.set(
        one.key,
        `${one.own ? textOfRecord(one.own) : undefined} → ${one.theirs ? textOfRecord(one.theirs) : undefined}`,
      );
    }
    const difference = differenceOf(told, expected);
    if (difference) this.#report({ invariant: 'repair-exact', text: `a repair at version ${version}: ${difference}` });
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
    if (hash !== root) {
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
    const expected = this.counter(writer) + 1;
    if (counter !== expected) {
      const text = `mutation ${counter} of ${writer} was settled when ${expected} was next`;
      this.#report({ invariant: 'exactly-once', text });
    }
    this.#counters.set(writer, Math.max(counter, expected - 1));
    this.#settled.set(`${writer}#${counter}`, outcome);
  }

  #keep(): KnownVersion {
    const records = new Map(this.#state);
    const entries = records as Map<RecordKey, SyncRecord>;
    const known = { records, texts: textsOf(records), hash: StateRoot.from(entries).hash };
    this.#versions.set(this.#version, known);
    return known;
  }
}

/** What an operation was, for people. */
export function operationText(command: string, args: Parameters<typeof textOf>[0]): string {
  return `${command} ${textOf(args)}`.slice(0, 200);
}
