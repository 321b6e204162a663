import type { VersionVector } from '../clock/index.ts';
import { type ConflictExplanation, conflictBody, idOf, type Mutation, mutationId } from '../conflict/index.ts';
import { changesBetween, type StateRoot } from '../merkle/index.ts';
import type { EncodedFrame, Message } from '../messages/index.ts';
import { fitText } from '../schema/index.ts';
import type { ReplicaId, Version } from '../state/index.ts';
import type { Tap, TraceBody } from '../trace/index.ts';
import type { BaseRepair } from './divergence.ts';
import type { PartitionState, PartitionView } from './partition.ts';

/** Conflicts that were told of and are not told again. */
const TOLD = 10_000;

/** A peer's version, for people and indexes: how many mutations it has. Equal vectors have equal versions. */
export function versionOf(vector: VersionVector): Version {
  return vector.entries().reduce((sum, { counter }) => sum + counter, 0);
}

/** What a peer writes into the trace. */
export class PeerTrace {
  readonly #tap: Tap;
  readonly #replica: ReplicaId;
  readonly #told = new Set<string>();

  constructor(tap: Tap, replica: ReplicaId) {
    this.#tap = tap;
    this.#replica = replica;
  }

  get isOpen(): boolean {
    return this.#tap.isOpen;
  }

  replica(): void {
    this.#emit({ kind: 'replica', role: 'peer' });
  }

  sent(frame: EncodedFrame, to: ReplicaId, cause: readonly number[]): void {
    const { sender, sequence, type } = frame;
    this.#emit({ kind: 'send', to, type, sender, sequence }, cause, frame.frame);
  }

  received(message: Message, from: ReplicaId, frame: Uint8Array): number {
    const { type, sender, sequence } = message;
    return this.#emit({ kind: 'receive', from, type, sender, sequence }, [], frame);
  }

  refused(from: ReplicaId, code: string, message: string, frame: Uint8Array, cause: readonly number[]): number {
    const body = { kind: 'refused' as const, from, code: code.slice(0, 60), message: fitText(message, 2_000) };
    return this.#emit(body, cause, frame);
  }

  /** A mutation was made here. */
  made(mutation: Mutation, vector: VersionVector, before: StateRoot, after: StateRoot): number {
    return this.#emit({
      kind: 'commit',
      version: versionOf(vector),
      event: { type: mutation.command, player: mutation.writer, detail: idOf(mutation) },
      mutation: mutationId(mutation),
      changes: changesBetween(before, after),
      root: after.hash,
    });
  }

  applied(
    from: VersionVector,
    to: VersionVector,
    before: StateRoot,
    after: StateRoot,
    cause: readonly number[],
  ): number {
    if (!this.isOpen) return 0;
    const changes = changesBetween(before, after);
    return this.#emit({ kind: 'apply', from: versionOf(from), to: versionOf(to), changes, root: after.hash }, cause);
  }

  vector(vector: VersionVector, cause: readonly number[]): void {
    this.#emit({ kind: 'vector', vector: vector.entries() }, cause);
  }

  hash(vector: VersionVector, own: StateRoot['hash'], reference: StateRoot['hash'], cause: readonly number[]): number {
    const body = { kind: 'hash' as const, version: versionOf(vector), own, reference, agrees: own === reference };
    return this.#emit(body, cause);
  }

  mismatch(
    vector: VersionVector,
    to: VersionVector,
    own: StateRoot['hash'],
    expected: StateRoot['hash'],
    cause: readonly number[],
  ): number {
    const version = versionOf(vector);
    return this.#emit(
      { kind: 'mismatch', reason: 'root', version, from: version, to: versionOf(to), own, expected },
      cause,
    );
  }

  /** Each conflict is told of once, and again where it came to another end. */
  conflicts(conflicts: readonly ConflictExplanation[], cause: readonly number[]): void {
    if (!this.isOpen) return;
    for (const conflict of conflicts) {
      const sides = conflict.sides.map(({ mutation }) => idOf(mutation)).join(' ');
      const name = `${conflict.key} ${conflict.part} ${conflict.state} ${conflict.winner} ${sides}`;
      if (this.#told.has(name)) continue;
      if (this.#told.size >= TOLD) this.#told.clear();
      this.#told.add(name);
      this.#emit(conflictBody(conflict), cause);
    }
  }

  partition(state: PartitionState | 'healed', view: PartitionView, vector: VersionVector, detail: string): void {
    const reachable = [...view.reachable];
    const members = [...view.members];
    this.#emit({
      kind: 'partition',
      state,
      reachable,
      members,
      version: versionOf(vector),
      detail: fitText(detail, 500),
    });
  }

  repaired(repair: BaseRepair, vector: VersionVector, root: StateRoot, cause: readonly number[]): number {
    const version = versionOf(vector);
    const { cost } = repair;
    const differences = [...repair.differences];
    const found = this.#emit({ kind: 'divergence', against: repair.peer, version, differences, ...cost }, cause);
    return this.#emit({ kind: 'repair', version, method: 'merkle', root: root.hash, bytes: cost.bytes }, [found]);
  }

  snapshot(reason: 'attach' | 'full-sync' | 'checkpoint', vector: VersionVector, root: StateRoot): void {
    if (!this.isOpen) return;
    const records = Array.from(root.entries(), ([key, record]) => ({ key, record }));
    this.#emit({
      kind: 'snapshot',
      reason,
      version: versionOf(vector),
      records,
      root: root.hash,
      vector: vector.entries(),
    });
  }

  log(level: 'debug' | 'info' | 'warn', text: string, cause: readonly number[]): void {
    this.#emit({ kind: 'log', level, text: fitText(text, 10_000) }, cause);
  }

  #emit(body: TraceBody, cause: readonly number[] = [], wire?: Uint8Array): number {
    return this.#tap.isOpen ? this.#tap.emit(this.#replica, body, cause, wire) : 0;
  }
}
