import { type EncodedFrame, FrameEncoder, type MessageBody } from '../messages/index.ts';
import { type ReplicaId, replicaId } from '../state/index.ts';
import { emitSends, type Tap } from '../trace/index.ts';
import { LinkQueue, QUEUE_DEFAULTS, type TrafficClass, trafficClass } from './link-queue.ts';
import type { EncoderStanding } from './standing.ts';

/** One connection, as its driver numbers it. */
export type LinkId = number;

/** What a driver must do: send one frame over some links, or close the connection with a reason for people. */
export type Outgoing =
  | { readonly links: readonly LinkId[]; readonly frame: Uint8Array }
  | { readonly link: LinkId; readonly close: string };

/** {@link Outgoing} of one link. */
export type LinkOutgoing =
  | { readonly link: LinkId; readonly frame: Uint8Array }
  | { readonly link: LinkId; readonly close: string };

/** Link by link, for a driver that has nothing to gain from what they share. */
export function* perLink(outgoing: Iterable<Outgoing>): Generator<LinkOutgoing> {
  for (const one of outgoing) {
    if ('close' in one) yield one;
    else for (const link of one.links) yield { link, frame: one.frame };
  }
}

/** Somebody who is to get frames. */
export interface Receiver {
  readonly link: LinkId;
  readonly replica: ReplicaId;
  bytes: number;
  readonly queue: LinkQueue;
}

/** In trace records, who has not yet said its name. */
export const STRANGER = replicaId('unknown');

const NAMES_CLASS = trafficClass('NAMES');

/** Nobody tells how much waits for a stranger. */
const STRANGERS_QUEUE = new LinkQueue(QUEUE_DEFAULTS);

/** Encodes what the authority says, traces it and holds it until the driver takes it. */
export class Outbox {
  readonly #encoder: FrameEncoder;
  readonly #tap: Tap;
  readonly #receivers: () => readonly Receiver[];
  #waiting: Outgoing[] = [];
  #bytes = 0;
  /** Who was told last, and whether that list was handed over. */
  #audience: ReplicaId[] = [];
  #isHanded = false;

  /** `receivers` are all that share the name table; with `namesNothing` there is none. */
  constructor(sender: ReplicaId, tap: Tap, receivers: () => readonly Receiver[], namesNothing: boolean) {
    this.#encoder = new FrameEncoder(sender);
    if (namesNothing) this.#encoder.names.seal();
    this.#tap = tap;
    this.#receivers = receivers;
  }

  /** Of its encoder; nothing waits between two inputs. */
  get standing(): EncoderStanding {
    return this.#encoder.standing;
  }

  resume(standing: EncoderStanding): void {
    this.#encoder.resume(standing);
  }

  /** Bytes of frames handed out so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Everything that waits, in order; the driver sends it. */
  drain(): Outgoing[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    return waiting;
  }

  /** One message, encoded once, to some receivers. New names go to everybody before it. */
  send(receivers: readonly Receiver[], body: MessageBody, cause: readonly number[]): void {
    const kind = trafficClass(body.type);
    for (const encoded of this.#encoder.encode(body)) {
      if (encoded.names) {
        this.#traceNames(encoded.names.first, encoded.names.names);
        this.#announce(encoded, new Set(kind === 'state' ? receivers : []), cause);
      } else {
        const { frame } = encoded;
        const isTold = this.#tap.isOpen;
        const links: LinkId[] = [];
        for (const receiver of receivers) {
          if (!receiver.queue.admits(kind)) continue;
          if (isTold) this.#note(links.length, receiver.replica);
          links.push(receiver.link);
          count(receiver, frame, kind);
        }
        this.#hand(links, frame);
        if (isTold) this.#traceSends(this.#noted(links.length), encoded, cause);
      }
    }
  }

  /**
   * New names, to everybody. A table with a hole in it would be refused: who is slow is given it as a whole when there is room again, unless it
   * `needs` them for the frame that follows, by which it has perhaps only now become slow.
   */
  #announce(encoded: EncodedFrame, needs: ReadonlySet<Receiver>, cause: readonly number[]): void {
    const told: ReplicaId[] = [];
    const links: LinkId[] = [];
    for (const receiver of this.#receivers()) {
      const { queue } = receiver;
      queue.lacksNames ||= queue.isSlow && !needs.has(receiver);
      if (queue.lacksNames) continue;
      count(receiver, encoded.frame, NAMES_CLASS);
      links.push(receiver.link);
      told.push(receiver.replica);
    }
    this.#hand(links, encoded.frame);
    this.#traceSends(told, encoded, cause);
  }

  /** All names so far, to a receiver that has none or has lost some. */
  sendNames(receiver: Receiver, cause: readonly number[]): void {
    receiver.queue.lacksNames = receiver.queue.isSlow;
    if (receiver.queue.isSlow) return;
    for (const encoded of this.#encoder.encodeNames()) {
      count(receiver, encoded.frame, NAMES_CLASS);
      this.#hand([receiver.link], encoded.frame);
      this.#traceSends([receiver.replica], encoded, cause);
    }
  }

  /** To a link that is nobody's yet. Only for messages without names. */
  sendToStranger(link: LinkId, body: MessageBody, cause: readonly number[]): void {
    this.send([{ link, replica: STRANGER, bytes: 0, queue: STRANGERS_QUEUE }], body, cause);
  }

  close(link: LinkId, reason: string): void {
    this.#waiting.push({ link, close: reason });
  }

  /** Tells the whole name table to whoever has begun to listen. */
  describe(): void {
    this.#traceNames(0, this.#encoder.names.slice(0));
  }

  /** The receiver of a frame, by its place among them. Mostly those who got the frame before get this one. */
  #note(at: number, replica: ReplicaId): void {
    if (this.#audience[at] === replica) return;
    // What was handed over stays as it was.
    if (this.#isHanded) this.#audience = this.#audience.slice(0, at);
    this.#isHanded = false;
    this.#audience.push(replica);
  }

  /** The receivers noted: the same list as long as they are the same. */
  #noted(count: number): readonly ReplicaId[] {
    if (this.#audience.length > count) this.#audience = this.#audience.slice(0, count);
    this.#isHanded = true;
    return this.#audience;
  }

  #hand(links: readonly LinkId[], frame: Uint8Array): void {
    if (links.length === 0) return;
    this.#waiting.push({ links, frame });
    this.#bytes += frame.length * links.length;
  }

  #traceSends(to: readonly ReplicaId[], encoded: EncodedFrame, cause: readonly number[]): void {
    if (!this.#tap.isOpen) return;
    const { frame, type, sender, sequence } = encoded;
    emitSends(this.#tap, { sender, to, type, sequence }, cause, frame);
  }

  #traceNames(first: number, names: readonly string[]): void {
    if (!this.#tap.isOpen || names.length === 0) return;
    const sender = this.#encoder.sender;
    this.#tap.emit(sender, { kind: 'names', sender, first, names: [...names] });
  }
}

function count(receiver: Receiver, { length }: Uint8Array, kind: TrafficClass): void {
  receiver.bytes += length;
  receiver.queue.handed(length, kind);
}
