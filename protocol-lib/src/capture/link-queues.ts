const OPEN_MAX = 65_536;
const RECEIVED_MAX = 1_024;
const FIRST_ROOM = 16;
const TAKEN = -1;

/**
 * Sends of one link that have no receipt yet, by sequence; the lowest are forgotten beyond a limit. They are sent and received in
 * order, mostly, so this is a queue that is looked into where they are not.
 */
export class OpenSends {
  /** Ascending from `#head` up to `#end`. */
  #sequences = new Float64Array(FIRST_ROOM);
  /** {@link TAKEN} where the receipt has come. */
  #positions = new Float64Array(FIRST_ROOM);
  #head = 0;
  #end = 0;

  /** A later send of the same sequence takes the place of the earlier one. */
  add(sequence: number, position: number): void {
    if (this.#end === this.#sequences.length) this.#makeRoom();
    const isInOrder = this.#head === this.#end || sequence > this.#sequences[this.#end - 1]!;
    if (!isInOrder) {
      this.#insert(sequence, position);
      return;
    }
    this.#sequences[this.#end] = sequence;
    this.#positions[this.#end] = position;
    this.#end++;
    if (this.#end - this.#head > OPEN_MAX) this.#head++;
  }

  /** Takes the send of a sequence out and returns its position; -1 for none. */
  take(sequence: number): number {
    if (this.#head < this.#end && this.#sequences[this.#head] === sequence) return this.#takeAt(this.#head);
    const at = this.#search(sequence);
    return at < this.#end && this.#sequences[at] === sequence ? this.#takeAt(at) : -1;
  }

  #takeAt(at: number): number {
    const position = this.#positions[at]!;
    this.#positions[at] = TAKEN;
    while (this.#head < this.#end && this.#positions[this.#head] === TAKEN) this.#head++;
    return position;
  }

  /** The first place whose sequence is not below. */
  #search(sequence: number): number {
    let low = this.#head;
    let high = this.#end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#sequences[middle]! < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #insert(sequence: number, position: number): void {
    const at = this.#search(sequence);
    if (this.#sequences[at] !== sequence) {
      this.#sequences.copyWithin(at + 1, at, this.#end);
      this.#positions.copyWithin(at + 1, at, this.#end);
      this.#sequences[at] = sequence;
      this.#end++;
    }
    this.#positions[at] = position;
    if (this.#end - this.#head > OPEN_MAX) this.#head++;
  }

  /** Moves what is there to the front, into larger arrays where it fills more than half of these. */
  #makeRoom(): void {
    const { length } = this.#sequences;
    const isFull = this.#end - this.#head > length / 2;
    this.#sequences = moved(this.#sequences, this.#head, isFull ? length * 2 : length);
    this.#positions = moved(this.#positions, this.#head, isFull ? length * 2 : length);
    this.#end -= this.#head;
    this.#head = 0;
  }
}

function moved(from: Float64Array<ArrayBuffer>, start: number, length: number): Float64Array<ArrayBuffer> {
  if (length === from.length) return from.copyWithin(0, start);
  const to = new Float64Array(length);
  to.set(from.subarray(start));
  return to;
}

/** Where the latest frames of one link were received first, for finding those that come twice. */
export class Receipts {
  #sequences = new Float64Array(FIRST_ROOM);
  #positions = new Float64Array(FIRST_ROOM);
  #count = 0;

  add(sequence: number, position: number): void {
    const { length } = this.#sequences;
    if (this.#count === length && length < RECEIVED_MAX) {
      this.#sequences = moved(this.#sequences, 0, length * 2);
      this.#positions = moved(this.#positions, 0, length * 2);
    }
    // From here on round and round: the oldest is forgotten.
    const at = this.#count % this.#sequences.length;
    this.#sequences[at] = sequence;
    this.#positions[at] = position;
    this.#count++;
  }

  /** Position of the first receipt; -1 where none is remembered. */
  find(sequence: number): number {
    const there = Math.min(this.#count, this.#sequences.length);
    for (let at = 0; at < there; at++) if (this.#sequences[at] === sequence) return this.#positions[at]!;
    return -1;
  }
}
