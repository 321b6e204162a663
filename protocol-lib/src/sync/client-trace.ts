import type { VersionVector } from '../clock/index.ts';
import type { MerkleDescent, StateRoot } from '../merkle/index.ts';
import { diffRoots } from '../merkle/index.ts';
import type { EncodedFrame, Message } from '../messages/index.ts';
import { fitText } from '../schema/index.ts';
import type { Change, ReplicaId, StateHash, Version } from '../state/index.ts';
import type { MutationId, Tap, TraceBody, TraceBodyOf } from '../trace/index.ts';
import type { Committed } from './committed.ts';
import type { PendingMutation } from './pending.ts';

type Cause = readonly number[];

/**
 * What a client reports into its tap. Nothing is built where nobody listens. Every method that makes a record answers its `seq`,
 * or `otherwise` (0 where there is none) where nobody listens, to be named as the cause of what follows.
 */
export class ClientTrace {
  readonly #tap: Tap;
  readonly #replica: ReplicaId;

  constructor(tap: Tap, replica: ReplicaId) {
    this.#tap = tap;
    this.#replica = replica;
  }

  get isOpen(): boolean {
    return this.#tap.isOpen;
  }

  replica(role: 'client' | 'peer'): void {
    this.#emit(() => ({ kind: 'replica', role }));
  }

  gone(reason: string): void {
    this.#emit(() => ({ kind: 'gone', reason: fitText(reason, 500) }));
  }

  sent({ names, type, sender, sequence, frame }: EncodedFrame, to: ReplicaId, cause: Cause): void {
    if (names) this.names(sender, names.first, names.names, []);
    if (this.#tap.isOpen) this.#tap.emit(this.#replica, { kind: 'send', to, type, sender, sequence }, cause, frame);
  }

  received({ type, sender, sequence }: Message, frame: Uint8Array): number {
    if (!this.#tap.isOpen) return 0;
    return this.#tap.emit(this.#replica, { kind: 'receive', from: sender, type, sender, sequence }, [], frame);
  }

  refused(from: ReplicaId, code: string, message: string, cause: Cause, frame?: Uint8Array): number {
    if (!this.#tap.isOpen) return 0;
    return this.#tap.emit(this.#replica, { kind: 'refused', from, code, message }, cause, frame);
  }

  names(sender: ReplicaId, first: number, names: readonly string[], cause: Cause): void {
    if (names.length > 0) this.#emit(() => ({ kind: 'names', sender, first, names: [...names] }), cause);
  }

  prediction(mutation: MutationId, command: string, version: Version, changes: readonly Change[]): number {
    return this.#emit(() => ({
      kind: 'prediction',
      mutation,
      command: fitText(command, 80),
      version,
      changes: [...changes],
    }));
  }

  confirmation(mutation: MutationId, version: Version, cause: number): void {
    this.#emit(() => ({ kind: 'confirmation', mutation, version }), [cause]);
  }

  rollback(mutation: MutationId, reason: string, version: Version, cause: number): void {
    this.#emit(() => ({ kind: 'rollback', mutation, reason, version }), [cause]);
  }

  rebase(pending: readonly PendingMutation[], version: Version, cause: Cause): void {
    if (pending.length === 0) return;
    this.#emit(() => {
      const list = pending.map(({ mutation, changes }) => ({ mutation, changes: [...changes] }));
      return { kind: 'rebase', version, pending: list };
    }, cause);
  }

  apply(from: Version, to: Version, changes: readonly Change[], root: StateHash, cause: number): number {
    return this.#emit(() => ({ kind: 'apply', from, to, changes: [...changes], root }), [cause], cause);
  }

  vector(vector: VersionVector, cause: Cause): void {
    this.#emit(() => ({ kind: 'vector', vector: vector.entries() }), cause);
  }

  hash(version: Version, own: StateHash): number {
    return this.#emit(() => ({ kind: 'hash', version, own }));
  }

  snapshot(reason: 'attach' | 'mismatch' | 'full-sync', { version, root, vector }: Committed, cause: Cause): number {
    return this.#emit(
      () => {
        const records = Array.from(root.entries(), ([key, record]) => ({ key, record }));
        return { kind: 'snapshot', reason, version, records, root: root.hash, vector: vector.entries() };
      },
      cause,
      cause[0],
    );
  }

  mismatch(body: Omit<TraceBodyOf<'mismatch'>, 'kind'>, cause: number): number {
    return this.#emit(() => ({ kind: 'mismatch', ...body }), [cause]);
  }

  /** What a finished descent found. */
  divergence(against: ReplicaId, version: Version, descent: MerkleDescent, cause: Cause): number {
    return this.#emit(
      () => {
        const { differences, rounds, hashes, bytes } = descent;
        return { kind: 'divergence', against, version, differences, rounds, hashes, bytes };
      },
      cause,
      cause[0],
    );
  }

  /** What a full sync of the version that was here already puts right. */
  replaced(against: ReplicaId, version: Version, own: StateRoot, theirs: StateRoot, cause: Cause): void {
    if (!this.#tap.isOpen || own.hash === theirs.hash) return;
    this.#emit(() => {
      const differences = diffRoots(own, theirs).map(({ key, left, right }) => ({
        key,
        own: left ?? null,
        theirs: right ?? null,
      }));
      return { kind: 'divergence', against, version, differences, rounds: 0, hashes: 0, bytes: 0 };
    }, cause);
  }

  health(body: TraceBodyOf<'health'>): void {
    this.#emit(() => body);
  }

  repair(
    method: TraceBodyOf<'repair'>['method'],
    version: Version,
    root: StateRoot,
    bytes: number,
    cause: Cause,
  ): void {
    this.#emit(() => ({ kind: 'repair', version, method, root: root.hash, bytes }), cause);
  }

  log(level: 'debug' | 'warn', text: string, cause: Cause): void {
    this.#emit(() => ({ kind: 'log', level, text: fitText(text, 10_000) }), cause);
  }

  #emit(body: () => TraceBody, cause: Cause = [], otherwise = 0): number {
    return this.#tap.isOpen ? this.#tap.emit(this.#replica, body(), cause) : otherwise;
  }
}
