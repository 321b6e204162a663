import type { Duplex } from 'node:stream';
import { WebSocket } from 'ws';
import { RecordBatch } from '../capture/index.ts';
import {
  encodeAttachFrame,
  type FrameSends,
  recordsHead,
  type TraceHub,
  type TraceRecord,
  type TraceSink,
} from '../trace/index.ts';
import type { AccessRole } from './access.ts';
import { closeSocket } from './close-socket.ts';
import { gapFor } from './encode-or-gap.ts';
import { messageHead } from './websocket-head.ts';

/**
 * Who is attached to a session. Each record is encoded once, a frame to many is told once, and all goes out in batches, the same
 * frame to all observers. One that does not read is closed; the session never waits for one.
 *
 * Commits and what is sent of them come in the middle of the session's work. They wait, and are encoded one after the other when there
 * are some: that takes a fraction of what it takes to encode each where it is told, with nothing of the encoder in the processor's caches.
 */

export const OBSERVERS_MAX = 8;
/** Bytes that may wait for one observer beyond what describing the session takes. */
export const OBSERVER_QUEUE_MAX = 1024 * 1024;
const BATCH_BYTES = 64 * 1024;
/** Where little is told, it goes out soon. In a stream, where each write costs the session more than what is in it, ten times a second. */
const BATCH_DELAY_MS = 50;
const STREAM_DELAY_MS = 100;
const STREAM_BYTES = 4 * 1024;

/** Facts that wait to be encoded, at most. */
const WAITING_MAX = 256;
/** What waits is small, as far as can be told at a glance. */
const WAITING_CHANGES_MAX = 8;
const WAITING_WIRE_MAX = 1_024;

/** Close codes of the attach protocol, in the range that WebSocket leaves to applications. */
export const ATTACH_CLOSE = { ended: 4000, invalid: 4400, tooSlow: 4408 } as const;

export interface Observer {
  readonly socket: WebSocket;
  /** What the socket writes to. It has no extension and sends nothing in pieces, so that whole messages can be written there. */
  readonly stream: Duplex;
  readonly role: AccessRole;
}

/** What is told by {@link TraceSink.sends}. */
interface ToldSends {
  readonly firstSeq: number;
  readonly time: number;
  readonly sends: FrameSends;
  readonly cause: readonly number[];
  readonly wire: Uint8Array;
}

export class Observers implements TraceSink {
  readonly #hub: TraceHub;
  readonly #describe: () => void;
  readonly #observers = new Map<Observer, { described: number }>();
  readonly #batch = new RecordBatch();
  /** Behind what is in the batch. */
  #waiting: (TraceRecord | ToldSends)[] = [];
  /** Bytes of one that waited, by those that were encoded last. */
  #bytesEach = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopListening: (() => void) | undefined;
  #isDescribing = false;
  /** Bytes of the batch before. */
  #lastBytes = 0;
  /** Bytes of all batches. */
  #sentBytes = 0;

  /** `describe` makes every replica of the process report itself and its state to the hub. */
  constructor(hub: TraceHub, describe: () => void) {
    this.#hub = hub;
    this.#describe = describe;
  }

  get count(): number {
    return this.#observers.size;
  }

  /** Lets an observer in. `greeting` is its first frame; the description of the session follows. */
  add(observer: Observer, greeting: Uint8Array): void {
    this.#flush();
    observer.socket.send(greeting);
    this.#observers.set(observer, { described: 0 });
    observer.socket.once('close', () => this.#remove(observer));
    this.#stopListening ??= this.#hub.attach(this);
    this.#isDescribing = true;
    try {
      this.#describe();
      this.#flush();
    } finally {
      this.#isDescribing = false;
    }
  }

  /** Says why, and closes everyone. */
  closeAll(reason: string): void {
    this.#flush();
    const closing = encodeAttachFrame({ type: 'closing', reason });
    for (const { socket } of [...this.#observers.keys()]) {
      socket.send(closing);
      closeSocket(socket, ATTACH_CLOSE.ended, reason);
    }
  }

  #remove(observer: Observer): void {
    this.#observers.delete(observer);
    if (this.#observers.size > 0) return;
    this.#stopListening?.();
    this.#stopListening = undefined;
    this.#drop();
  }

  record(record: TraceRecord): void {
    const { body, wire } = record;
    if (body.kind === 'commit' && wire === undefined && body.changes.length <= WAITING_CHANGES_MAX) this.#wait(record);
    else {
      this.#encodeWaiting();
      this.#add(record);
      this.#begin();
    }
  }

  sends(firstSeq: number, time: number, sends: FrameSends, cause: readonly number[], wire: Uint8Array): void {
    const told = { firstSeq, time, sends, cause, wire };
    if (wire.length <= WAITING_WIRE_MAX) this.#wait(told);
    else {
      this.#encodeWaiting();
      this.#addSends(told);
      this.#begin();
    }
  }

  #wait(told: TraceRecord | ToldSends): void {
    const waiting = this.#waiting;
    waiting.push(told);
    if (waiting.length >= WAITING_MAX || waiting.length * this.#bytesEach >= BATCH_BYTES) this.#encodeWaiting();
    this.#begin();
  }

  #encodeWaiting(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    const before = this.#sentBytes + this.#batch.length;
    for (const told of waiting) {
      if ('sends' in told) this.#addSends(told);
      else this.#add(told);
    }
    this.#bytesEach = (this.#sentBytes + this.#batch.length - before) / waiting.length;
  }

  #add(record: TraceRecord): void {
    try {
      this.#batch.add(record);
    } catch (error) {
      this.#batch.add(gapFor(record, error));
    }
    this.#added();
  }

  #addSends({ firstSeq, time, sends, cause, wire }: ToldSends): void {
    for (let from = 0; from < sends.to.length; ) {
      from = this.#batch.addSends(firstSeq, time, sends, cause, wire, from);
      this.#added();
    }
  }

  #added(): void {
    if (this.#batch.length >= BATCH_BYTES || this.#batch.isFull) this.#sendBatch();
  }

  /** Sees to it that what was told goes out. */
  #begin(): void {
    if (this.#timer !== undefined || this.#batch.length + this.#waiting.length === 0) return;
    const delay = this.#lastBytes < STREAM_BYTES ? BATCH_DELAY_MS : STREAM_DELAY_MS;
    this.#timer = setTimeout(() => this.#onTimer(), delay);
  }

  #onTimer(): void {
    this.#timer = undefined;
    this.#flush();
  }

  #flush(): void {
    this.#encodeWaiting();
    this.#sendBatch();
  }

  #sendBatch(): void {
    // A timer that runs is left to run: it sends what has come since.
    this.#lastBytes = this.#batch.length;
    if (this.#lastBytes === 0) return;
    this.#sentBytes += this.#lastBytes;
    const message = recordsMessage(this.#batch.take());
    for (const [observer, queue] of this.#observers) this.#send(observer, queue, message);
  }

  #send(observer: Observer, queue: { described: number }, message: Uint8Array): void {
    const { socket, stream } = observer;
    if (socket.readyState !== WebSocket.OPEN) return;
    // A description may be larger than the queue by itself; it counts extra until it has been read.
    if (socket.bufferedAmount === 0) queue.described = 0;
    if (this.#isDescribing) queue.described += message.length;
    if (socket.bufferedAmount + message.length > OBSERVER_QUEUE_MAX + queue.described) {
      this.#observers.delete(observer);
      closeSocket(socket, ATTACH_CLOSE.tooSlow, `too slow: more than ${OBSERVER_QUEUE_MAX} bytes were waiting`);
      return;
    }
    stream.write(message);
  }

  #drop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiting = [];
    this.#batch.clear();
  }
}

/** A batch as a message on the WebSocket, in a memory of its own: one write, where a header by itself would make it two. */
function recordsMessage(batch: Uint8Array): Uint8Array {
  const head = recordsHead(batch.length);
  const before = messageHead(head.length + batch.length);
  const message = Buffer.allocUnsafeSlow(before.length + head.length + batch.length);
  message.set(before);
  message.set(head, before.length);
  message.set(batch, before.length + head.length);
  return message;
}
