import { isSyncError } from '@syncscope/protocol/errors';
import { answerMerkleQuery, StateRoot } from '@syncscope/protocol/merkle';
import { decodeMessage, type Message, type MessageOf, noNames } from '@syncscope/protocol/messages';
import { BaseRepair, type ConsensusPeer, prefersTheirs } from '@syncscope/protocol/peers';
import { milliseconds } from '@syncscope/protocol/ports';
import { array, finite, type Infer, object, uint } from '@syncscope/protocol/schema';
import {
  type ReplicaId,
  recordKeySchema,
  recordSchema,
  replicaIdSchema,
  type StateHash,
  stateHashSchema,
  type Version,
} from '@syncscope/protocol/state';
import type { PeerPorts } from '../peers/peer-scenario.ts';
import { vectorOf } from './craps-rules.ts';

const PATIENCE_MS = 500;

export const doctorStandingSchema = object({
  stated: array(object({ replica: replicaIdSchema, version: uint, root: stateHashSchema })),
  asked: array(
    object({ replica: replicaIdSchema, records: array(object({ key: recordKeySchema, record: recordSchema })) }),
  ),
  /** -1 before any. */
  agreed: finite,
});
export type DoctorStanding = Infer<typeof doctorStandingSchema>;

/**
 * Compares this member's root with what the others say of theirs, at the same version, with each heartbeat. Where more of them have another
 * one, this member's state is wrong: which records, a Merkle descent finds, and they are put right. Those that are right answer.
 */
export class CrapsDoctor {
  readonly #ports: PeerPorts;
  readonly #consensus: () => ConsensusPeer;
  /** What each said last of where it is. */
  readonly #stated = new Map<ReplicaId, { readonly version: Version; readonly root: StateHash }>();
  /** The state that somebody asks about: the one that there was when it began. */
  readonly #asked = new Map<ReplicaId, StateRoot>();
  #repair: BaseRepair | undefined;
  #repairFrom: number | undefined;
  /** The newest version of which it was told that a majority agrees. */
  #agreed: Version = -1;

  constructor(ports: PeerPorts, consensus: () => ConsensusPeer) {
    this.#ports = ports;
    this.#consensus = consensus;
  }

  /** What it has heard, for another one to go on from; undefined while it mends. */
  get standing(): DoctorStanding | undefined {
    if (this.#repair) return undefined;
    return {
      stated: Array.from(this.#stated, ([replica, one]) => ({ replica, ...one })),
      asked: Array.from(this.#asked, ([replica, root]) => {
        return { replica, records: Array.from(root.entries(), ([key, record]) => ({ key, record })) };
      }),
      agreed: this.#agreed,
    };
  }

  /** Goes on where another one was; for one that has heard nothing yet. */
  resume({ stated, asked, agreed }: DoctorStanding): void {
    for (const { replica, version, root } of stated) this.#stated.set(replica, { version, root });
    for (const { replica, records } of asked) {
      this.#asked.set(replica, StateRoot.from(records.map(({ key, record }) => [key, record] as const)));
    }
    this.#agreed = agreed;
  }

  /** Takes a question or an answer of a repair; false where the frame is something else. */
  receive(from: ReplicaId, frame: Uint8Array): boolean {
    const message = readMessage(frame);
    if (message?.sender !== from || (message.type !== 'MERKLE_QUERY' && message.type !== 'MERKLE_ANSWER')) return false;
    const { type, sender, sequence } = message;
    const { tap, replica } = this.#ports;
    const cause = tap.isOpen ? tap.emit(replica, { kind: 'receive', from, type, sender, sequence }, [], frame) : 0;
    if (message.type === 'MERKLE_QUERY') this.#answer(message, cause);
    else this.#onAnswer(message, cause);
    return true;
  }

  /** A frame of another member came in; heartbeats say where it stands. */
  heard(from: ReplicaId, frame: Uint8Array): void {
    const message = readMessage(frame);
    if (message?.type !== 'HEARTBEAT' || message.sender !== from) return;
    const { version, root } = message;
    this.#stated.set(from, { version, root });
    const consensus = this.#consensus();
    if (version !== consensus.version) return;
    if (root === consensus.root.hash) this.#agree(version, root);
    else this.#differ(from, root);
  }

  tick(): void {
    const repair = this.#repair;
    if (!repair) return;
    if (this.#repairFrom !== this.#consensus().version) {
      this.#repair = undefined;
      return;
    }
    this.#ask(repair, []);
  }

  /** A majority, this member included, is of one root: said once a version. */
  #agree(version: Version, root: StateHash): void {
    const { members, tap, replica } = this.#ports;
    const same = [...this.#stated.values()].filter((one) => one.version === version && one.root === root).length + 1;
    if (this.#agreed === version || same * 2 <= members.length) return;
    this.#agreed = version;
    if (tap.isOpen) tap.emit(replica, { kind: 'hash', version, own: root, reference: root, agrees: true });
  }

  #differ(peer: ReplicaId, theirs: StateHash): void {
    const { replica, tap, members } = this.#ports;
    const { version, root } = this.#consensus();
    const stated = new Map<ReplicaId, StateHash>();
    for (const [member, one] of this.#stated) if (one.version === version) stated.set(member, one.root);
    // Fewer than a majority may all be wrong.
    const holders = [...stated.values()].filter((one) => one === theirs).length;
    if (this.#repair || holders * 2 <= members.length || !prefersTheirs({ replica, root: root.hash }, stated, theirs)) {
      return;
    }
    this.#repair = new BaseRepair(peer, { vector: vectorOf(root), root: theirs }, root);
    this.#repairFrom = version;
    const found = tap.isOpen
      ? [
          tap.emit(replica, { kind: 'hash', version, own: root.hash, reference: theirs, agrees: false }),
          tap.emit(replica, {
            kind: 'mismatch',
            reason: 'heartbeat',
            version,
            from: version,
            to: version,
            own: root.hash,
            expected: theirs,
          }),
        ]
      : [];
    this.#traceSnapshot('mismatch', found);
    this.#ask(this.#repair, found);
  }

  #ask(repair: BaseRepair, cause: readonly number[]): void {
    const query = repair.ask(this.#ports.clock.now(), milliseconds(PATIENCE_MS));
    if (query) this.#consensus().say(repair.peer, { type: 'MERKLE_QUERY', ...query }, cause);
  }

  #answer(query: MessageOf<'MERKLE_QUERY'>, cause: number): void {
    const isFirst = query.paths.some((path) => path.length === 0);
    const root = (isFirst ? undefined : this.#asked.get(query.sender)) ?? this.#consensus().root;
    this.#asked.set(query.sender, root);
    this.#consensus().say(query.sender, { type: 'MERKLE_ANSWER', ...answerMerkleQuery(root, query) }, [cause]);
  }

  #onAnswer(answer: MessageOf<'MERKLE_ANSWER'>, cause: number): void {
    const repair = this.#repair;
    if (repair?.peer !== answer.sender || this.#repairFrom !== this.#consensus().version) return;
    try {
      const root = repair.receive(answer);
      if (root) this.#mend(repair, root, cause);
      else this.#ask(repair, [cause]);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      // The other has gone on meanwhile: begun anew with its next heartbeat.
      this.#repair = undefined;
    }
  }

  #mend(repair: BaseRepair, root: StateRoot, cause: number): void {
    this.#repair = undefined;
    const consensus = this.#consensus();
    const { tap, replica } = this.#ports;
    const { version } = consensus;
    consensus.mend(root);
    if (!tap.isOpen) return;
    const differences = [...repair.differences];
    const told = { kind: 'divergence', against: repair.peer, version, differences, ...repair.cost } as const;
    const found = tap.emit(replica, told, [cause]);
    const { bytes } = repair.cost;
    const done = tap.emit(replica, { kind: 'repair', version, method: 'merkle', root: root.hash, bytes }, [found]);
    this.#traceSnapshot('full-sync', [done]);
  }

  #traceSnapshot(reason: 'mismatch' | 'full-sync', cause: readonly number[]): void {
    const { tap, replica } = this.#ports;
    if (!tap.isOpen) return;
    const { version, root } = this.#consensus();
    const records = Array.from(root.entries(), ([key, record]) => ({ key, record }));
    const vector = vectorOf(root).entries();
    tap.emit(replica, { kind: 'snapshot', reason, version, records, root: root.hash, vector }, cause);
  }
}

function readMessage(frame: Uint8Array): Message | undefined {
  try {
    return decodeMessage(frame, noNames);
  } catch (error) {
    if (!isSyncError(error)) throw error;
    return undefined;
  }
}
