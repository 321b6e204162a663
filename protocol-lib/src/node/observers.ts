import type { Duplex } from 'node:stream';
import { WebSocket } from 'ws';
import { RecordBatch } from '../capture/index.ts';
import type { ReplicaId } from '../state/index.ts';
import {
  encodeAttachFrame,
  type FrameSends,
  type PackedLogs,
  recordsHead,
  SERVER_FRAME_MAX,
  type TraceHub,
  type TraceRecord,
  type TraceSink,
} from '../trace/index.ts';
import type { AccessRole } from './access.ts';
import { closeSocket } from './close-socket.ts';
import { gapFor, gapForLogs, gapForSends } from './encode-or-gap.ts';
import { messageHead } from './websocket-head.ts';

/**
 * Who is attached to a session. Each record is encoded once, a frame to many is told once, and all goes out in batches, the same
 * frame to all observers. One that does not read is closed; the session never waits for one. What one turn of the event loop tells to
 * one that had read all before says nothing of how it reads, however much it is.
 *
 * Whatever is told is encoded where it is told. To keep it until a batch goes out would make the collector carry all of that through its young
 * generation, and a commit of which a batch has had the like takes less to encode than to keep.
 */

export const OBSERVERS_MAX = 8;
/** Bytes that may wait for one observer beyond what it was told when it could not have read any of it yet. */
export const OBSERVER_QUEUE_MAX = 1024 * 1024;
/** What one turn may tell it so, about: as much as it takes at once. A description is told in any case. */
const TURN_MAX = SERVER_FRAME_MAX;
const BATCH_BYTES = 64 * 1024;
/**
 * Where little is told, it goes out soon. In a stream, where each write costs the session more than what is in it, ten times a second, or as often as is
 * enough for everybody, so long as it is once a second.
 */
const BATCH_DELAY_MS = 50;
const STREAM_DELAY_MS = 100;
const STREAM_DELAY_MAX_MS = 1_000;
const STREAM_BYTES = 1024;

/** Close codes of the attach protocol, in the range that WebSocket leaves to applications. */
export const ATTACH_CLOSE = { ended: 4000, invalid: 4400, tooSlow: 4408 } as const;

/** As WebSocket has them: one side has done what it was there for, or the server cannot do it. */
const LEFT = 1000;
const SESSION_FAILED = 1011;

export interface Observer {
  readonly socket: WebSocket;
  /** What the socket writes to. It has no extension and sends nothing in pieces, so that whole messages can be written there. */
  readonly stream: Duplex;
  readonly role: AccessRole;
}

/** Bytes that one observer was told in the turn in which it had read everything before, or as a description; until it has read them all. */
interface Allowance {
  bytes: number;
  turn: number;
  /** Milliseconds between two batches of a stream that are enough for it. */
  pace: number;
}

export interface ObservedSession {
  readonly hub: TraceHub;
  /** Makes every replica of the process report itself and its state to the hub. */
  readonly describe: () => void;
  /** Tells the hub what is kept back to be told together. */
  readonly flush?: () => void;
}

export class Observers implements TraceSink {
  readonly #hub: TraceHub;
  readonly #describe: () => void;
  readonly #tellRest: () => void;
  readonly #observers = new Map<Observer, Allowance>();
  readonly #batch = new RecordBatch();
  #timer: NodeJS.Timeout | undefined;
  #stopListening: (() => void) | undefined;
  #isDescribing = false;
  /** Bytes of the batch before. */
  #lastBytes = 0;
  /** Milliseconds between two batches of a stream. */
  #streamDelay = STREAM_DELAY_MS;
  /** Counts turns of the event loop in which something went out. */
  #turn = 0;
  #turnEnd: NodeJS.Immediate | undefined;

  constructor({ hub, describe, flush = () => undefined }: ObservedSession) {
    this.#hub = hub;
    this.#describe = describe;
    this.#tellRest = flush;
  }

  get count(): number {
    return this.#observers.size;
  }

  /** Lets an observer in. `greeting` is its first frame; the description of the session follows. One to whom it cannot be given is sent away. */
  add(observer: Observer, greeting: Uint8Array): void {
    this.#sendBatch();
    observer.socket.send(greeting);
    this.#observers.set(observer, { bytes: 0, turn: this.#turn, pace: STREAM_DELAY_MS });
    this.#keepPace();
    observer.socket.once('close', () => this.#remove(observer));
    this.#stopListening ??= this.#hub.attach(this);
    this.#isDescribing = true;
    try {
      this.#describe();
      this.#sendBatch();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#observers.delete(observer);
      closeSocket(observer.socket, SESSION_FAILED, `the session could not be described: ${why}`);
    } finally {
      this.#isDescribing = false;
    }
  }

  /** Of a stream, something each so many milliseconds is enough for this one. */
  setPace(socket: WebSocket, every: number): void {
    for (const [observer, allowance] of this.#observers) if (observer.socket === socket) allowance.pace = every;
    this.#keepPace();
  }

  #keepPace(): void {
    const paces = [...this.#observers.values()].map(({ pace }) => pace);
    this.#streamDelay = Math.max(STREAM_DELAY_MS, Math.min(STREAM_DELAY_MAX_MS, ...paces));
  }

  /** Hands everyone all that happened up to now. */
  flush(): void {
    this.#flushAll();
  }

  /** Hands an observer all that happened, then `answer`, and closes it; the others stay. */
  release(socket: WebSocket, answer: Uint8Array): void {
    this.#flushAll();
    for (const observer of this.#observers.keys()) if (observer.socket === socket) this.#observers.delete(observer);
    socket.send(answer);
    closeSocket(socket, LEFT, 'it asked for the end');
  }

  /** Says why, and closes everyone. */
  closeAll(reason: string): void {
    this.#flushAll();
    const closing = encodeAttachFrame({ type: 'closing', reason });
    for (const { socket } of [...this.#observers.keys()]) {
      socket.send(closing);
      closeSocket(socket, ATTACH_CLOSE.ended, reason);
    }
  }

  #remove(observer: Observer): void {
    this.#observers.delete(observer);
    this.#keepPace();
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
    this.#begin();
  }

  sends(firstSeq: number, time: number, sends: FrameSends, cause: readonly number[], wire: Uint8Array): void {
    for (let from = 0; from < sends.to.length; ) {
      try {
        from = this.#batch.addSends(firstSeq, time, sends, cause, wire, from);
      } catch (error) {
        this.#batch.add(gapForSends(firstSeq + from, sends.to.length - from, { time, sends }, error));
        from = sends.to.length;
      }
      this.#added();
    }
    this.#begin();
  }

  logs(firstSeq: number, time: number, replica: ReplicaId, { packed, count }: PackedLogs): void {
    try {
      this.#batch.addInputs(firstSeq, time, replica, packed);
    } catch (error) {
      this.#batch.add(gapForLogs(firstSeq, count, { time, replica }, error));
    }
    this.#added();
    this.#begin();
  }

  #added(): void {
    if (this.#batch.length >= BATCH_BYTES || this.#batch.isFull) this.#sendBatch();
  }

  /** Sees to it that what was told goes out. */
  #begin(): void {
    if (this.#timer !== undefined || this.#batch.length === 0) return;
    const delay = this.#lastBytes < STREAM_BYTES ? BATCH_DELAY_MS : this.#streamDelay;
    this.#timer = setTimeout(() => this.#onTimer(), delay);
  }

  #onTimer(): void {
    this.#timer = undefined;
    this.#sendBatch();
  }

  /** With what the session keeps back. */
  #flushAll(): void {
    try {
      if (this.#observers.size > 0) this.#tellRest();
    } catch {
      // A session that is being closed may have nothing more to tell; what it told before goes out.
    }
    this.#sendBatch();
  }

  #sendBatch(): void {
    // A timer that runs is left to run: it sends what has come since.
    this.#lastBytes = this.#batch.length;
    if (this.#lastBytes === 0) return;
    const message = recordsMessage(this.#batch.take());
    this.#turnEnd ??= setImmediate(() => {
      this.#turnEnd = undefined;
      this.#turn++;
    });
    for (const [observer, allowance] of this.#observers) this.#send(observer, allowance, message);
  }

  #send(observer: Observer, allowance: Allowance, message: Uint8Array): void {
    const { socket, stream } = observer;
    if (socket.readyState !== WebSocket.OPEN) return;
    const waiting = socket.bufferedAmount;
    if (waiting === 0) {
      allowance.bytes = 0;
      allowance.turn = this.#turn;
    }
    const isOfThisTurn = allowance.turn === this.#turn && allowance.bytes < TURN_MAX;
    if (this.#isDescribing || isOfThisTurn) allowance.bytes += message.length;
    if (waiting + message.length > OBSERVER_QUEUE_MAX + allowance.bytes) {
      this.#observers.delete(observer);
      closeSocket(socket, ATTACH_CLOSE.tooSlow, `too slow: more than ${OBSERVER_QUEUE_MAX} bytes were waiting`);
      return;
    }
    stream.write(message);
  }

  #drop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
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
