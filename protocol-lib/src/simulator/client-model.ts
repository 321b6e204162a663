import type { StateRoot } from '../merkle/index.ts';
import type { SyncRecord, Value } from '../state/index.ts';
import type { ClientEvent, ClientState, PendingMutation, SessionDefinition } from '../sync/index.ts';
import type { VectorEntries } from '../trace/index.ts';
import { type BazaarSize, brokenRule, changesOf } from './bazaar.ts';
import type { Invariant, Oracle, Violation } from './oracle.ts';
import { differenceOf, foldChange, textOf, textsOf } from './small-fold.ts';

interface Made {
  readonly operation: string;
  readonly command: string;
  readonly args: string;
}

export interface ModelContext {
  readonly oracle: Oracle;
  readonly definition: SessionDefinition;
  readonly size: BazaarSize;
  /** Whether the client sees a part only. */
  readonly isPartial: boolean;
  report(violation: Violation): void;
}

/**
 * What must be true of one client, checked from outside after every event that touched it. Keeps a list of its own of what the
 * client has pending.
 */
export class ClientModel {
  readonly #client: ClientState;
  readonly #context: ModelContext;
  readonly #made = new Map<number, Made>();
  #version = 0;
  #committed: StateRoot | undefined;
  #optimistic: StateRoot | undefined;
  #pending: readonly PendingMutation[] = [];
  #vector: VectorEntries = [];
  /** Logs of the authority when something last went back. */
  #logs = 1;
  /** The version at which the copy was corrupted; what was found of it may differ until the version moves on. */
  #taintedAt: number | undefined;

  constructor(client: ClientState, context: ModelContext) {
    this.#client = client;
    this.#context = context;
    client.on((event) => this.#onEvent(event));
  }

  /** Whether the client may hold a corrupted copy. */
  get isTainted(): boolean {
    return this.#taintedAt !== undefined;
  }

  predicted(counter: number, operation: string, command: string, args: Value): void {
    if (this.#made.has(counter)) this.#report('exactly-once', `counter ${counter} was given twice`);
    this.#made.set(counter, { operation, command, args: textOf(args) });
  }

  corrupted(): void {
    this.#taintedAt = this.#client.version;
    this.#committed = this.#client.committed;
  }

  /** After an event that touched the client; `isDeep` trusts nothing that was looked at before. */
  check(isDeep = false): void {
    const { version, committed, optimistic, pending } = this.#client;
    if (version < this.#version && !this.#mayGoBack()) {
      this.#report('monotonic', `version ${version} after ${this.#version}`);
    }
    const isMoved = version !== this.#version || committed !== this.#committed;
    const isRebased = isMoved || pending !== this.#pending || optimistic !== this.#optimistic;
    this.#version = version;
    this.#committed = committed;
    this.#pending = pending;
    this.#optimistic = optimistic;
    if (isMoved || isDeep) this.#checkCommitted(isDeep);
    if (isRebased || isDeep) {
      this.#checkPending();
      this.#checkView(isDeep);
    }
    if (isMoved) this.#checkVector();
  }

  /** Once for each memory that the authority lost. */
  #mayGoBack(): boolean {
    if (this.#logs >= this.#context.oracle.logs) return false;
    this.#logs++;
    return true;
  }

  #checkCommitted(isDeep: boolean): void {
    const { version, committed } = this.#client;
    const known = this.#context.oracle.seenBy(this.#client.replica, version);
    const [latest] = known;
    if (version === 0) {
      if (committed.size > 0) this.#report('state-at-version', 'records before any state came');
      return;
    }
    if (!latest) {
      this.#report('state-at-version', `it is at version ${version}, which the authority never made`);
      return;
    }
    const texts = textsOf(committed.entries(), isDeep);
    const own = known.find((one) => differenceOf(texts, one.texts) === undefined);
    if (own) {
      this.#taintedAt = undefined;
      if (committed.hash !== own.hash) {
        this.#report('hash-on-wire', `version ${version} has the hash ${committed.hash}, should be ${own.hash}`);
      }
    } else if (this.#taintedAt !== version) {
      this.#report('state-at-version', `version ${version}: ${differenceOf(texts, latest.texts)}`);
    }
  }

  #checkPending(): void {
    const { pending } = this.#client;
    const made = [...this.#made.keys()];
    const own = pending.map(({ mutation }) => mutation.counter);
    if (own.join() !== made.join()) {
      this.#report('nothing-vanishes', `pending are ${own.join() || 'none'}, should be ${made.join() || 'none'}`);
      return;
    }
    for (const { mutation, command, args } of pending) {
      const expected = this.#made.get(mutation.counter)!;
      if (command === expected.command && textOf(args) === expected.args) continue;
      this.#report('rollback', `mutation ${mutation.counter} has become another: ${command}`);
    }
  }

  #checkView(isDeep: boolean): void {
    const { committed, optimistic, pending, replica } = this.#client;
    const { definition, size } = this.#context;
    if (pending.length === 0 && committed === optimistic && !isDeep) return;
    let state = new Map<string, SyncRecord>(committed.entries());
    for (const { command, args } of pending) {
      state = changesOf(definition, state, command, args, replica, foldChange) ?? state;
    }
    const difference = differenceOf(textsOf(optimistic.entries(), isDeep), textsOf(state));
    if (difference)
      this.#report('rollback', `the view is not the base with ${pending.length} pending on top: ${difference}`);
    if (!isDeep || this.isTainted || committed.size === 0 || this.#context.isPartial) return;
    const broken = brokenRule(new Map(optimistic.entries()), size);
    if (broken) this.#report('domain', `in the optimistic state: ${broken}`);
  }

  #checkVector(): void {
    const vector = this.#client.vector.entries();
    const counters = new Map(vector.map(({ replica, counter }) => [replica, counter]));
    for (const { replica, counter } of this.#vector) {
      const now = counters.get(replica) ?? 0;
      if (now < counter && this.#context.oracle.logs === 1)
        this.#report('monotonic', `its vector has ${now} for ${replica} after ${counter}`);
    }
    for (const { replica, counter } of vector) {
      const settled = this.#context.oracle.counter(replica);
      if (counter > settled)
        this.#report('monotonic', `its vector has ${counter} for ${replica}, of which ${settled} were settled`);
    }
    this.#vector = vector;
  }

  #onEvent(event: ClientEvent): void {
    if (event.type !== 'confirmed' && event.type !== 'rejected') return;
    const { mutation } = event;
    const made = this.#made.get(mutation.counter);
    const what = `mutation ${mutation.counter}`;
    if (!made) {
      this.#report('nothing-vanishes', `${what} was ${event.type}, but was not pending`);
      return;
    }
    this.#made.delete(mutation.counter);
    const outcomes = this.#context.oracle.outcomes(mutation);
    const isConfirmed = event.type === 'confirmed';
    const fitting = outcomes.filter(({ isAccepted }) => isAccepted === isConfirmed);
    if (outcomes.length === 0) {
      this.#report('exactly-once', `${what} was ${event.type} before the authority decided`);
    } else if (fitting.length === 0) {
      this.#report('nothing-vanishes', `${what} was ${event.type}, but the authority decided otherwise`);
    } else if (isConfirmed && !fitting.some(({ operation }) => operation === made.operation)) {
      const text = `${what} was confirmed as ${made.operation}, but what took effect was ${fitting[0]?.operation}`;
      this.#report('exactly-once', text);
    }
  }

  #report(invariant: Invariant, text: string): void {
    this.#context.report({ invariant, text: `${this.#client.replica}: ${text}` });
  }
}
