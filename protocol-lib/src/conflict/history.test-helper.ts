import fc from 'fast-check';
import { HybridClock, VersionVector } from '../clock/index.ts';
import { StateRoot } from '../merkle/index.ts';
import {
  type Change,
  type RecordKey,
  type ReplicaId,
  recordKey,
  replicaId,
  type SyncRecord,
  type Value,
} from '../state/index.ts';
import { type ConflictResolver, draftMutation, type Mutation } from './index.ts';

/** A writer of a history: what it has seen, and the state that it sees. */
export class Writer {
  readonly replica: ReplicaId;
  readonly role: string;
  readonly #resolver: ConflictResolver;
  readonly #base: StateRoot;
  readonly #clock: HybridClock;
  readonly known: Mutation[] = [];
  #vector = VersionVector.empty;

  constructor(name: string, resolver: ConflictResolver, base: StateRoot, role = '') {
    this.replica = replicaId(name);
    this.role = role;
    this.#resolver = resolver;
    this.#base = base;
    this.#clock = new HybridClock(this.replica, { maxDrift: Number.MAX_SAFE_INTEGER });
  }

  get root(): StateRoot {
    return this.#resolver.merge(this.#base, this.known).root;
  }

  /** Makes a mutation, whatever becomes of it. `wall` is what this writer's wall clock shows. */
  make(wall: number, changes: readonly Change[], command = 'write', args: Value = null): Mutation {
    const mutation = draftMutation(this.#resolver.policies, {
      state: this.root,
      stamp: this.#clock.tick(wall),
      counter: this.#vector.get(this.replica) + 1,
      seen: this.#vector.entries(),
      role: this.role,
      command,
      args,
      changes,
    });
    this.#take(mutation);
    return mutation;
  }

  /** Hears of everything that another has seen. */
  hear(other: Writer, wall: number): void {
    for (const mutation of other.known) {
      if (mutation.counter <= this.#vector.get(mutation.writer)) continue;
      const { time, count, writer } = mutation;
      this.#clock.observe({ time, count, replica: writer }, wall);
      this.#take(mutation);
    }
  }

  #take(mutation: Mutation): void {
    this.known.push(mutation);
    this.#vector = this.#vector.advance(mutation.writer, mutation.counter);
  }
}

export function stateOf(records: Readonly<Record<string, SyncRecord>>): StateRoot {
  return StateRoot.from(Object.entries(records).map(([key, record]) => [recordKey(key), record] as const));
}

export function patch(key: string, fields: SyncRecord, removed: readonly string[] = []): Change {
  return { op: 'patch', key: recordKey(key), fields, removed };
}

/** One step of a random history: a writer acts, or hears of another. Wall clocks differ by up to a second. */
export type Step =
  | {
      readonly kind: 'act';
      readonly writer: number;
      readonly what: number;
      readonly pick: number;
      readonly wall: number;
    }
  | { readonly kind: 'hear'; readonly writer: number; readonly from: number; readonly wall: number };

export function arbitrarySteps(writers: number, maxLength: number): fc.Arbitrary<Step[]> {
  const writer = fc.nat(writers - 1);
  const wall = fc.nat(2_000);
  return fc.array(
    fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({ kind: fc.constant('act' as const), writer, what: fc.nat(99), pick: fc.nat(999), wall }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('hear' as const), writer, from: writer, wall }) },
    ),
    { maxLength },
  );
}

/** Lets writers do it. `act` makes what one does of two numbers. Answers every mutation that was made. */
export function runSteps(
  writers: readonly Writer[],
  steps: readonly Step[],
  act: (writer: Writer, what: number, pick: number, wall: number) => Mutation | undefined,
): Mutation[] {
  const made: Mutation[] = [];
  steps.forEach((step, index) => {
    const writer = writers[step.writer]!;
    const wall = 10_000 + index * 50 + step.wall;
    if (step.kind === 'hear') {
      writer.hear(writers[step.from]!, wall);
      return;
    }
    const mutation = act(writer, step.what, step.pick, wall);
    if (mutation) made.push(mutation);
  });
  return made;
}

export function keysOf(root: StateRoot, prefix: string): RecordKey[] {
  return Array.from(root.entries(prefix), ([key]) => key).sort();
}
