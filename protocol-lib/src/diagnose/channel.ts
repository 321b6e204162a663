import type { SentFrame } from './trail.ts';

/** Frames of one channel that are remembered: what is on its way at once, with room to spare. */
export const KEPT_FRAMES = 512;
/** Where only the order speaks for it, so much of a frame must be as it was sent. */
const MIN_ALIKE = 0.3;
/** Frames not yet received that an unreadable one is compared with. */
const MAX_COMPARED = 32;
/** A number so far beyond the last one is none that the sender gave without telling. */
const FAR_BEYOND = 64;

/** What a connection begins with, whatever its number. */
const BEGINNINGS: ReadonlySet<string> = new Set(['HELLO', 'WELCOME']);

/** What one replica sent to another, in order. Numbers begin anew with each connection, which `epoch` counts. */
export class Channel {
  readonly log: SentFrame[] = [];
  forgotten = 0;
  /** Whether it is known from its first frame on: else others may be on their way, of a life before under the same numbers. */
  #isWhole = false;
  #epoch = 0;
  #lastNumber = 0;
  /** The connection of the last frame that was received as it was sent, and that frame's position. */
  #heardEpoch = -1;
  #heardAt = -1;

  sent(frame: Omit<SentFrame, 'epoch'>): SentFrame {
    if (this.#lastNumber === 0) this.#isWhole = frame.sequence === 1 || BEGINNINGS.has(frame.type);
    if (frame.sequence <= this.#lastNumber) this.#epoch++;
    this.#lastNumber = frame.sequence;
    const kept = { ...frame, epoch: this.#epoch };
    this.log.push(kept);
    if (this.log.length > KEPT_FRAMES) {
      this.log.shift();
      this.forgotten++;
    }
    return kept;
  }

  /** The frame that something received was sent as: by its bytes, by its number on the connection that is heard, else by its place. */
  match(type: string, sequence: number, wire: Uint8Array | undefined): SentFrame | undefined {
    const numbered = this.log.findLast((one) => one.sequence === sequence && one.type === type);
    if (!numbered && this.isBefore(sequence)) return undefined;
    if (!wire || (numbered && !numbered.wire)) return numbered && this.#heard(numbered);
    if (numbered?.wire && areEqual(numbered.wire, wire)) return this.#heard(numbered);
    const same = this.log.findLast((one) => one.wire && areEqual(one.wire, wire));
    if (same) return this.#heard(same);
    if (!this.#isWhole && this.#heardEpoch <= 0 && !(numbered && this.#heardAt >= 0)) return undefined;
    // Of a connection of which nothing arrived as it was sent, it may be another one's frame of that number.
    if (numbered && (numbered.epoch === this.#heardEpoch || likeness(numbered.wire!, wire) >= 1 - MIN_ALIKE)) {
      return numbered;
    }
    // What is not told of as sent may have been sent nevertheless, under a number that was free.
    const isTaken = this.log.some((one) => one.sequence === sequence && one.epoch === this.#epoch);
    return isTaken || sequence > this.#lastNumber + FAR_BEYOND ? this.mostAlike(wire) : undefined;
  }

  /** Of the frames that should come next, the one that these bytes were; undefined where they are what was sent, or like nothing. */
  mostAlike(wire: Uint8Array, isUnreadable = false): SentFrame | undefined {
    if (this.log.some((one) => one.wire && areEqual(one.wire, wire))) return undefined;
    // Before anything was heard that is known to have been sent, it may be one from before the first record.
    if (isUnreadable && this.#heardAt < 0) return undefined;
    const next = this.log.filter((one) => one.receipts.length === 0 && one.ref.position > this.#heardAt && one.wire);
    let best: { readonly frame: SentFrame; readonly likeness: number } | undefined;
    for (const frame of next.slice(0, MAX_COMPARED)) {
      const found = likeness(frame.wire!, wire);
      if (found >= MIN_ALIKE && found > (best?.likeness ?? 0)) best = { frame, likeness: found };
    }
    // The one whose turn it is, of the same length, if nothing was recognised: nothing else sends what cannot be read.
    const due = isUnreadable && next[0]?.wire?.length === wire.length ? next[0] : undefined;
    return best?.frame ?? due;
  }

  /** Whether a number was given before the first frame that is known, as where records are missing: what was sent under it nobody can say. */
  isBefore(sequence: number): boolean {
    const [oldest] = this.log;
    return oldest !== undefined && oldest.epoch >= this.#heardEpoch && sequence < oldest.sequence;
  }

  #heard(frame: SentFrame): SentFrame {
    this.#heardEpoch = frame.epoch;
    this.#heardAt = Math.max(this.#heardAt, frame.ref.position);
    return frame;
  }
}

export function areEqual(left: Uint8Array, right: Uint8Array): boolean {
  if (left === right) return true;
  if (left.length !== right.length) return false;
  for (let at = left.length - 1; at >= 0; at--) if (left[at] !== right[at]) return false;
  return true;
}

/** Where two frames differ: from `first` up to before `leftEnd` of the one and `rightEnd` of the other. Undefined where they are equal. */
export function differingBytes(
  left: Uint8Array,
  right: Uint8Array,
): { readonly first: number; readonly leftEnd: number; readonly rightEnd: number } | undefined {
  const shorter = Math.min(left.length, right.length);
  let first = 0;
  while (first < shorter && left[first] === right[first]) first++;
  if (first === left.length && first === right.length) return undefined;
  let tail = 0;
  while (tail < shorter - first && left[left.length - 1 - tail] === right[right.length - 1 - tail]) tail++;
  return { first, leftEnd: left.length - tail, rightEnd: right.length - tail };
}

/** A frame that ends before this says nothing of whose it is. */
const MIN_HEADER = 8;

/** The part of the longer frame that is in the other at the same distance from its beginning or its end. */
function likeness(left: Uint8Array, right: Uint8Array): number {
  const range = differingBytes(left, right);
  const longer = Math.max(left.length, right.length);
  if (!range || longer === 0) return 1;
  // Cut short, and nothing else.
  if (range.first === right.length && right.length > MIN_HEADER) return 1;
  let equal = range.first + (left.length - range.leftEnd);
  if (left.length === right.length) {
    for (let at = range.first; at < range.leftEnd; at++) if (left[at] === right[at]) equal++;
  }
  return equal / longer;
}
