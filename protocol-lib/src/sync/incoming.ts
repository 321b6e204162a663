import { isSyncError } from '../errors/index.ts';
import type { Message, MessageOf, ProtocolRange } from '../messages/index.ts';
import { fitText } from '../schema/index.ts';
import type { ReplicaId, Version } from '../state/index.ts';
import type { Tap } from '../trace/index.ts';
import type { AuthorityState } from './authority-state.ts';
import { type Connections, type Link, protocolError } from './connections.ts';
import type { Client, DeltaSynchronizer } from './delta-synchronizer.ts';
import type { Handshake } from './handshake.ts';
import { type Outbox, STRANGER } from './outbox.ts';
import type { SyncSettings } from './settings.ts';
import type { Moment } from './settlement.ts';

/** What {@link Incoming} needs of its manager. */
export interface IncomingParts {
  readonly replica: ReplicaId;
  readonly protocols: ProtocolRange;
  readonly settings: SyncSettings;
  readonly state: AuthorityState;
  readonly connections: Connections;
  readonly handshake: Handshake;
  readonly synchronizer: DeltaSynchronizer;
  readonly outbox: Outbox;
  readonly tap: Tap;
  moment(seen: Version, now: number): Moment;
  /** A mutation was decided, and is perhaps durable already. */
  followLog(now: number): void;
  /** A client has said goodbye. */
  goodbye(replica: ReplicaId, now: number): void;
}

/** Frames on their way in to an authority: read, checked against who sends them, and handed to whom they concern. */
export class Incoming {
  /** Frames of kinds that are not known here. */
  passedOver = 0;
  readonly #parts: IncomingParts;
  readonly #synchronizer: DeltaSynchronizer;

  constructor(parts: IncomingParts) {
    this.#parts = parts;
    this.#synchronizer = parts.synchronizer;
  }

  /** A frame that is refused changes nothing. */
  receive(link: Link, frame: Uint8Array, now: number): void {
    const { connections, tap, replica } = this.#parts;
    const message = this.#read(link, frame);
    if (!message) return;
    const { type, sender, sequence } = message;
    const from = link.client?.replica ?? (type === 'HELLO' ? message.replica : STRANGER);
    const seq = tap.isOpen ? tap.emit(replica, { kind: 'receive', from, type, sender, sequence }, [], frame) : 0;
    if (link.client ? sender !== link.client.replica : type === 'HELLO' && sender !== message.replica) {
      connections.refuse(link.id, protocolError('SENDER_MISMATCH', `a frame of ${sender} came from ${from}`), [seq]);
      return;
    }
    if (sequence <= link.lastSequence) {
      connections.log('debug', `frame ${sequence} of ${from} came again or late and was passed over`, [seq]);
      return;
    }
    link.lastSequence = sequence;
    if (message.type === 'HELLO') this.#parts.handshake.onHello(link, message, seq, now);
    else if (link.client) this.#onMessage(link, link.client, message, seq, now);
    else connections.refuse(link.id, protocolError('HELLO_MISSING', `${type} came before HELLO`), [seq]);
  }

  /** Undefined where the frame could not be read, which is dealt with then. */
  #read(link: Link, frame: Uint8Array): Message | undefined {
    try {
      const { maxFrame } = this.#parts.settings;
      if (frame.length > maxFrame) {
        throw protocolError('FRAME_TOO_LARGE', `${frame.length} bytes, at most ${maxFrame}`);
      }
      return link.decoder.decode(frame);
    } catch (error) {
      this.#onUnreadable(link, frame, error);
      return undefined;
    }
  }

  #onUnreadable(link: Link, frame: Uint8Array, error: unknown): void {
    if (!isSyncError(error)) throw error;
    const { connections, outbox, tap, replica } = this.#parts;
    const body = { from: link.client?.replica ?? STRANGER, code: error.code, message: fitText(error.message, 2_000) };
    const seq = tap.isOpen ? tap.emit(replica, { kind: 'refused', ...body }, [], frame) : 0;
    // A kind of a later version's is passed over; all else that cannot be read ends the link.
    if (error.code === 'MESSAGE_UNKNOWN_TYPE' && link.client) {
      this.passedOver++;
      return;
    }
    if (error.code === 'PROTOCOL_UNSUPPORTED') {
      const { min, max } = this.#parts.protocols;
      const upgrade = { protocolMin: min, protocolMax: max, message: error.message };
      outbox.sendToStranger(link.id, { type: 'UPGRADE_REQUIRED', ...upgrade }, [seq]);
      connections.close(link.id, 'UPGRADE_REQUIRED');
      return;
    }
    connections.refuse(link.id, error, [seq]);
  }

  #onMessage(link: Link, client: Client, message: Message, seq: number, now: number): void {
    const { connections, outbox, tap, replica } = this.#parts;
    switch (message.type) {
      case 'ACK':
      case 'HEARTBEAT':
        if (this.#isUnheardOf(client, message.version)) {
          const text = `${client.replica} says that it has version ${message.version}, which there is not yet: come again, and be given the state`;
          connections.refuse(link.id, protocolError('VERSION_UNKNOWN', text), [seq]);
          return;
        }
        this.#synchronizer.onStanding(client, message, seq, now);
        return;
      case 'COMMAND':
        this.#onCommand(client, message, seq, now);
        return;
      case 'SYNC_REQUEST':
        this.#synchronizer.onSyncRequest(client, message, seq, now);
        return;
      case 'MERKLE_QUERY':
        this.#synchronizer.onMerkleQuery(client, message, seq, now);
        return;
      case 'NAMES': {
        if (!tap.isOpen) return;
        const { sender, first, names } = message;
        tap.emit(replica, { kind: 'names', sender, first, names }, [seq]);
        return;
      }
      case 'BYE':
        connections.gone(link.id, message.reason);
        outbox.close(link.id, 'bye');
        this.#parts.goodbye(client.replica, now);
        return;
      case 'ERROR':
        connections.log('warn', `${client.replica} reports ${message.code}: ${message.message}`, [seq]);
        return;
      default: {
        const unexpected = protocolError('MESSAGE_UNEXPECTED', `${message.type} is not for an authority`);
        connections.refuse(link.id, unexpected, [seq]);
      }
    }
  }

  /**
   * A client that has been in step on this link, and says now that it is ahead of everybody, was told a wrong version. Whatever it is sent is old to it, so that
   * only a new link puts it right. Before its first answer it may speak of another life of the session.
   */
  #isUnheardOf({ acknowledged }: Client, version: Version): boolean {
    return acknowledged.version > 0 && version > this.#parts.state.version;
  }

  #onCommand(client: Client, message: MessageOf<'COMMAND'>, seq: number, now: number): void {
    const { state, outbox } = this.#parts;
    const { counter } = message;
    const decided = state.decided(client.replica);
    if (counter <= decided) {
      // One that is not durable yet is answered when it is.
      if (counter <= state.ledger.settled(client.replica)) this.#answerAgain(client, counter, seq);
      return;
    }
    if (counter > decided + 1) {
      const text = `mutation ${counter} of ${client.replica} came before ${decided + 1}: send them again in order`;
      outbox.send([client], { type: 'ERROR', code: 'COMMAND_GAP', message: text }, [seq]);
      return;
    }
    if (state.isBehind) {
      outbox.send([client], { type: 'ERROR', code: 'LOG_BEHIND', message: LOG_BEHIND }, [seq]);
      return;
    }
    const moment = this.#parts.moment(client.acknowledged.version, now);
    state.commit(message.command, message.args, client.replica, counter, [seq], moment);
    this.#parts.followLog(now);
  }

  /** A mutation that was settled before is not carried out again, but its writer is told once more how it ended. */
  #answerAgain(client: Client, counter: number, seq: number): void {
    const { state, outbox } = this.#parts;
    const reason = state.ledger.rejection(client.replica, counter);
    if (reason !== undefined) {
      outbox.send([client], { type: 'REJECT', counter, reason, version: state.version }, [seq]);
    }
    this.#synchronizer.tellAgain(client, seq);
  }
}

export const LOG_BEHIND = 'too much waits for the log: send it again later';
