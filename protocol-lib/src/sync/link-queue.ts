import type { MessageType } from '../messages/index.ts';
import { milliseconds } from '../ports/index.ts';
import type { QueueStanding } from './standing.ts';

/** How much may wait in a link before it counts as slow, and how long. */
export interface QueueLimits {
  /** Bytes from which on a link is slow; it is no longer when no more than half of them wait. */
  readonly queueLimit: number;
  /** Bytes with which a reader is hopeless, beside the state that it was given while there was room. */
  readonly maxQueued: number;
  /** A slow reader that has not read `queueLimit` bytes in these nanoseconds is hopeless. */
  readonly slowTimeout: number;
}

export const QUEUE_DEFAULTS: QueueLimits = {
  queueLimit: 64 * 1024,
  maxQueued: 1024 * 1024,
  slowTimeout: milliseconds(30_000),
};

/**
 * What becomes of a message for a slow reader. `state` waits: what is new is one delta, or one snapshot, when it reads again.
 * `event` is dropped: what it did to the state comes with the delta. `answer` is dropped: the delta tells again, or the reader asks again.
 * `control` is sent.
 */
export type TrafficClass = 'state' | 'event' | 'answer' | 'control';

/** Whatever is not named here is `control`. */
const CLASSES: Readonly<Partial<Record<MessageType, TrafficClass>>> = {
  ERROR: 'answer',
  NAMES: 'state',
  FULL_SYNC: 'state',
  DELTA_SYNC: 'state',
  EVENT: 'event',
  REJECT: 'answer',
  MERKLE_OFFER: 'state',
  MERKLE_ANSWER: 'state',
};

export function trafficClass(type: MessageType): TrafficClass {
  return CLASSES[type] ?? 'control';
}

/** What a link has waiting and what was kept from it, in bytes and messages. */
export interface QueueState {
  /** Bytes that wait, as last told and with what was handed out since; 0 where the driver does not tell. */
  readonly queued: number;
  readonly isSlow: boolean;
  readonly droppedEvents: number;
  readonly droppedAnswers: number;
  /** Rounds of which the news went into a later delta or snapshot. */
  readonly heldRounds: number;
}

/** How much waits in one link, as its driver tells; a link of which nothing is told is never slow. */
export class LinkQueue {
  readonly #limits: QueueLimits;
  #isTold = false;
  #queued = 0;
  #isSlow = false;
  #wasSlow = false;
  /** Bytes of state that it was given since there last was room. */
  #granted = 0;
  /** While slow: bytes read since `#since`. */
  #read = 0;
  #since = 0;
  #droppedEvents = 0;
  #droppedAnswers = 0;
  #heldRounds = 0;
  /** Whether NAMES frames were kept from it, so that it needs all names before its next frame. */
  lacksNames = false;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  get isSlow(): boolean {
    return this.#isSlow;
  }

  get state(): QueueState {
    return {
      queued: this.#queued,
      isSlow: this.#isSlow,
      droppedEvents: this.#droppedEvents,
      droppedAnswers: this.#droppedAnswers,
      heldRounds: this.#heldRounds,
    };
  }

  get standing(): QueueStanding {
    return {
      ...{ isTold: this.#isTold, queued: this.#queued, isSlow: this.#isSlow, wasSlow: this.#wasSlow },
      ...{ granted: this.#granted, read: this.#read, since: this.#since, lacksNames: this.lacksNames },
      ...{ droppedEvents: this.#droppedEvents, droppedAnswers: this.#droppedAnswers, heldRounds: this.#heldRounds },
    };
  }

  resume(standing: QueueStanding): void {
    this.#isTold = standing.isTold;
    this.#queued = standing.queued;
    this.#isSlow = standing.isSlow;
    this.#wasSlow = standing.wasSlow;
    this.#granted = standing.granted;
    this.#read = standing.read;
    this.#since = standing.since;
    this.#droppedEvents = standing.droppedEvents;
    this.#droppedAnswers = standing.droppedAnswers;
    this.#heldRounds = standing.heldRounds;
    this.lacksNames = standing.lacksNames;
  }

  /** The driver says how much waits. */
  told(bytes: number, now: number): void {
    this.#isTold = true;
    this.#read += Math.max(0, this.#queued - bytes);
    this.#queued = bytes;
    if (bytes <= this.#limits.queueLimit / 2) {
      this.#isSlow = false;
      this.#granted = 0;
    }
    if (!this.#isSlow || this.#read >= this.#limits.queueLimit) {
      this.#read = 0;
      this.#since = now;
    }
    this.#judge();
  }

  /** A frame was handed to the driver. */
  handed(bytes: number, kind: TrafficClass): void {
    if (kind === 'state') this.#granted += bytes;
    if (!this.#isTold) return;
    this.#queued += bytes;
    this.#judge();
  }

  /** Whether a message may go out now; one that may not is counted. */
  admits(kind: TrafficClass): boolean {
    if (!this.#isSlow && !this.lacksNames) return true;
    if (kind === 'event') this.#droppedEvents++;
    else if (!this.#isSlow) return true;
    else if (kind === 'answer') this.#droppedAnswers++;
    else return true;
    return false;
  }

  /** There was news, and it has to wait. */
  hold(): void {
    this.#heldRounds++;
  }

  /** Whether there is nothing to look after: it is not slow, was not when that was asked last, and no more waits than may. */
  get isWell(): boolean {
    return !this.#isSlow && !this.#wasSlow && this.#queued <= this.#limits.maxQueued;
  }

  /** Whether it has become slow, or has room again, since this was asked last. */
  hasTurned(): boolean {
    const hasTurned = this.#isSlow !== this.#wasSlow;
    this.#wasSlow = this.#isSlow;
    return hasTurned;
  }

  /** Why nothing more can be hoped of this reader; undefined while it reads. */
  verdict(now: number): string | undefined {
    const { maxQueued, slowTimeout, queueLimit } = this.#limits;
    if (this.#queued > maxQueued + this.#granted) return `${this.#queued} bytes wait, at most ${maxQueued} may`;
    if (!this.#isSlow || now - this.#since < slowTimeout) return undefined;
    return `${this.#queued} bytes wait and less than ${queueLimit} were read in ${slowTimeout / 1e9} s`;
  }

  #judge(): void {
    if (this.#queued >= this.#limits.queueLimit) this.#isSlow = true;
  }
}
