import { milliseconds } from '../ports/index.ts';
import type { Choices, Stream } from './choices.ts';
import type { EventQueue } from './event-queue.ts';
import type { LinkShape } from './shape.ts';

/** How a client's way to the authority behaves now; shared by all its connections, and changed by faults. */
export interface Conditions {
  readonly shape: LinkShape;
  /** Whether the rates of the shape count. */
  isRough: boolean;
  /** Until when frames to either side are held up (stream) or lost (datagram). */
  readonly blockedUntil: { up: number; down: number };
  /** Nothing passes any more, and nothing can be opened. */
  isCutOff: boolean;
}

interface Flying {
  readonly frame: Uint8Array;
  readonly at: number;
}

/**
 * One direction of one connection. Frames go in with {@link send} and come out of `deliver`, by one of two models:
 * a stream, which keeps the order and loses nothing as long as it is whole, or datagrams.
 */
export class Line {
  readonly #queue: EventQueue;
  readonly #conditions: Conditions;
  readonly #direction: 'up' | 'down';
  readonly #choices: Choices;
  readonly #deliver: (frame: Uint8Array) => void;
  readonly #flying: Flying[] = [];
  #inFlight = 0;
  #lastArrival = 0;
  #busyUntil = 0;
  #isPumping = false;
  #isCut = false;
  #isDead = false;
  #finished: (() => void) | undefined;

  constructor(
    queue: EventQueue,
    conditions: Conditions,
    direction: 'up' | 'down',
    choices: Choices,
    deliver: (frame: Uint8Array) => void,
  ) {
    this.#queue = queue;
    this.#conditions = conditions;
    this.#direction = direction;
    this.#choices = choices;
    this.#deliver = deliver;
  }

  /** Bytes of a stream that the other side has not read yet. */
  get waiting(): number {
    return this.#flying.reduce((sum, { frame }) => sum + frame.length, 0);
  }

  /** Frames on their way. */
  get inFlight(): number {
    return this.#inFlight;
  }

  send(frame: Uint8Array): void {
    const { stream, isSkipped } = this.#choices.next();
    if (this.#isCut) return;
    const { shape, isRough } = this.#conditions;
    const isCalm = isSkipped || !isRough;
    const latency = shape.latency + (isCalm ? 0 : stream.next() * shape.jitter);
    if (shape.model === 'stream') this.#sendOnStream(frame, latency, isRough);
    else this.#sendDatagram(frame, latency, isCalm, stream);
  }

  /** The connection breaks: of what is on the way the first part arrives, the rest and all later frames do not. */
  cut(part: number): void {
    this.#isCut = true;
    const kept = Math.floor(part * (this.#flying.length + 1));
    this.#inFlight -= Math.max(0, this.#flying.length - kept);
    this.#flying.length = Math.min(kept, this.#flying.length);
    if (this.#conditions.shape.model === 'datagram') this.#isDead = part < 0.5;
    this.#finishWhenEmpty();
  }

  /** Nothing more goes in; `finished` is called when what is on the way has arrived. */
  finish(finished: () => void): void {
    this.#isCut = true;
    this.#finished = finished;
    this.#finishWhenEmpty();
  }

  /** Nothing more comes out. */
  drop(): void {
    this.#isCut = true;
    this.#isDead = true;
    this.#inFlight -= this.#flying.length;
    this.#flying.length = 0;
    this.#finishWhenEmpty();
  }

  #sendOnStream(frame: Uint8Array, latency: number, isRough: boolean): void {
    const { bandwidth } = this.#conditions.shape;
    const now = this.#queue.now();
    const time = isRough && bandwidth > 0 ? frame.length / bandwidth : 0;
    this.#busyUntil = Math.max(now, this.#busyUntil) + time;
    this.#lastArrival = Math.max(this.#busyUntil + latency, this.#lastArrival);
    this.#flying.push({ frame, at: this.#lastArrival });
    this.#inFlight++;
    this.#pumpAt(this.#lastArrival);
  }

  #pumpAt(time: number): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    this.#queue.at(time, () => {
      this.#isPumping = false;
      this.#pump();
    });
  }

  #pump(): void {
    const blockedUntil = this.#conditions.blockedUntil[this.#direction];
    if (this.#queue.now() < blockedUntil) {
      this.#pumpAt(blockedUntil);
      return;
    }
    for (let first = this.#flying[0]; first !== undefined; first = this.#flying[0]) {
      if (Math.round(first.at) > this.#queue.now()) {
        this.#pumpAt(first.at);
        return;
      }
      this.#flying.shift();
      this.#inFlight--;
      this.#deliver(first.frame);
    }
    this.#finishWhenEmpty();
  }

  #sendDatagram(frame: Uint8Array, latency: number, isCalm: boolean, stream: Stream): void {
    const { shape, blockedUntil, isCutOff } = this.#conditions;
    if (isCutOff || this.#queue.now() < blockedUntil[this.#direction]) return;
    if (isCalm) {
      // Without reordering, what comes later in arrives later.
      this.#lastArrival = Math.max(this.#lastArrival, this.#queue.now() + latency);
      this.#fly(frame, this.#lastArrival);
      return;
    }
    if (stream.chance(shape.loss)) return;
    const copies = stream.chance(shape.duplication) ? stream.int(2, 3) : 1;
    for (let copy = 0; copy < copies; copy++) {
      const delay = stream.chance(shape.reordering) ? stream.next() * milliseconds(600) : 0;
      const arrival = this.#queue.now() + latency + delay;
      if (delay === 0) this.#lastArrival = Math.max(this.#lastArrival, arrival);
      this.#fly(frame, delay === 0 ? this.#lastArrival : arrival);
    }
  }

  #fly(frame: Uint8Array, at: number): void {
    this.#inFlight++;
    this.#queue.at(at, () => {
      this.#inFlight--;
      if (!this.#isDead) this.#deliver(frame);
      this.#finishWhenEmpty();
    });
  }

  #finishWhenEmpty(): void {
    if (!this.#isCut || this.#inFlight > 0 || !this.#finished) return;
    const finished = this.#finished;
    this.#finished = undefined;
    this.#queue.after(0, finished);
  }
}
