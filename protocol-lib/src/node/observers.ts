import { WebSocket } from 'ws';
import { RecordBatch } from '../capture/index.ts';
import { encodeAttachFrame, type FrameSends, type TraceHub, type TraceRecord, type TraceSink } from '../trace/index.ts';
import type { AccessRole } from './access.ts';
import { closeSocket } from './close-socket.ts';
import { gapFor } from './encode-or-gap.ts';

/**
 * Who is attached to a session. Each record is encoded once, a frame to many is told once, and all goes out in batches, the same
 * frame to all observers. One that does not read is closed; the session never waits for one.
 */

export const OBSERVERS_MAX = 8;
/** Bytes that may wait for one observer beyond what describing the session takes. */
export const OBSERVER_QUEUE_MAX = 1024 * 1024;
const BATCH_BYTES = 64 * 1024;
/** Where little is told, it goes out soon. In a stream, where each write costs the session more than what is in it, ten times a second. */
const BATCH_DELAY_MS = 50;
const STREAM_DELAY_MS = 100;
const STREAM_BYTES = 4 * 1024;

/** Close codes of the attach protocol, in the range that WebSocket leaves to applications. */
export const ATTACH_CLOSE = { ended: 4000, invalid: 4400, tooSlow: 4408 } as const;

export interface Observer {
  readonly socket: WebSocket;
  readonly role: AccessRole;
}

export class Observers implements TraceSink {
  readonly #hub: TraceHub;
  readonly #describe: () => void;
  readonly #observers = new Map<Observer, { described: number }>();
  readonly #batch = new RecordBatch();
  #timer: NodeJS.Timeout | undefined;
  #stopListening: (() => void) | undefined;
  #isDescribing = false;
  /** Bytes of the batch before. */
  #lastBytes = 0;

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
    try {
      this.#batch.add(record);
    } catch (error) {
      this.#batch.add(gapFor(record, error));
    }
    this.#added();
  }

  sends(firstSeq: number, time: number, sends: FrameSends, cause: readonly number[], wire: Uint8Array): void {
    for (let from = 0; from < sends.to.length; ) {
      from = this.#batch.addSends(firstSeq, time, sends, cause, wire, from);
      this.#added();
    }
  }

  #added(): void {
    if (this.#batch.length >= BATCH_BYTES || this.#batch.isFull) this.#flush();
    else if (this.#timer === undefined) {
      const delay = this.#lastBytes < STREAM_BYTES ? BATCH_DELAY_MS : STREAM_DELAY_MS;
      this.#timer = setTimeout(() => this.#onTimer(), delay);
    }
  }

  #onTimer(): void {
    this.#timer = undefined;
    this.#flush();
  }

  #flush(): void {
    // A timer that runs is left to run: it sends what has come since.
    this.#lastBytes = this.#batch.length;
    if (this.#lastBytes === 0) return;
    const frame = encodeAttachFrame({ type: 'records', batch: this.#batch.take() });
    for (const [observer, queue] of this.#observers) this.#send(observer, queue, frame);
  }

  #send(observer: Observer, queue: { described: number }, frame: Uint8Array): void {
    const { socket } = observer;
    if (socket.readyState !== WebSocket.OPEN) return;
    // A description may be larger than the queue by itself; it counts extra until it has been read.
    if (socket.bufferedAmount === 0) queue.described = 0;
    if (this.#isDescribing) queue.described += frame.length;
    if (socket.bufferedAmount + frame.length > OBSERVER_QUEUE_MAX + queue.described) {
      this.#observers.delete(observer);
      closeSocket(socket, ATTACH_CLOSE.tooSlow, `too slow: more than ${OBSERVER_QUEUE_MAX} bytes were waiting`);
      return;
    }
    socket.send(frame);
  }

  #drop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#batch.clear();
  }
}
