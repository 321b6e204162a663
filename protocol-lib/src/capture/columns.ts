/**
 * What is known of every record without decoding it: one growable typed array a property. Index 0 is the
 * record at position {@link start}, which is above 0 only where a live capture has dropped its oldest.
 *
 * What `number`, `high` and `low` hold depends on the kind:
 *
 * | kind | number | high | low |
 * |---|---|---|---|
 * | send, receive | sequence | peer << 16, sender | message type |
 * | delta | version after | version before | changes |
 * | commit, apply, snapshot, repair | version after | root hash | root hash |
 * | hash, mismatch | version | own hash | own hash |
 * | prediction, confirmation, rollback, rejection | version | counter | writer |
 * | divergence, rebase | version | other replica << 16 | pending mutations |
 * | refused, names, fault, gap, log | first, count or 0 | other replica << 16 | level or phase |
 */
export class Columns {
  start = 0;
  end = 0;
  #capacity = 0;
  time = new Float64Array(0);
  number = new Float64Array(0);
  high = new Uint32Array(0);
  low = new Uint32Array(0);
  replica = new Uint16Array(0);
  kind = new Uint8Array(0);
  flags = new Uint16Array(0);
  frame = new Uint32Array(0);
  /** Where the record's bytes begin in its chunk's payload. */
  offset = new Uint32Array(0);
  /** Position of the first cause, -1 for none. */
  cause = new Int32Array(0);
  /** Position of the other end of a message, -1 where none was seen. */
  partner = new Int32Array(0);

  get bytes(): number {
    return this.#capacity * BYTES_PER_RECORD;
  }

  /** Makes room for one more and returns its array index; {@link end} is then past it. */
  grow(): number {
    const index = this.end - this.start;
    if (index === this.#capacity) this.#resize(Math.max(1_024, Math.ceil(this.#capacity * 1.6)));
    this.end++;
    return index;
  }

  /** Forgets the records before `position`. */
  dropBelow(position: number): void {
    const from = Math.min(position, this.end) - this.start;
    if (from <= 0) return;
    const kept = this.end - this.start - from;
    for (const array of this.#arrays()) array.copyWithin(0, from, from + kept);
    this.start += from;
  }

  #arrays() {
    return [
      this.time,
      this.number,
      this.high,
      this.low,
      this.replica,
      this.kind,
      this.flags,
      this.frame,
      this.offset,
      this.cause,
      this.partner,
    ];
  }

  #resize(capacity: number): void {
    this.time = grown(this.time, new Float64Array(capacity));
    this.number = grown(this.number, new Float64Array(capacity));
    this.high = grown(this.high, new Uint32Array(capacity));
    this.low = grown(this.low, new Uint32Array(capacity));
    this.replica = grown(this.replica, new Uint16Array(capacity));
    this.kind = grown(this.kind, new Uint8Array(capacity));
    this.flags = grown(this.flags, new Uint16Array(capacity));
    this.frame = grown(this.frame, new Uint32Array(capacity));
    this.offset = grown(this.offset, new Uint32Array(capacity));
    this.cause = grown(this.cause, new Int32Array(capacity));
    this.partner = grown(this.partner, new Int32Array(capacity));
    this.#capacity = capacity;
  }
}

const BYTES_PER_RECORD = 8 + 8 + 4 + 4 + 2 + 1 + 2 + 4 + 4 + 4 + 4;

function grown<T extends { set(from: T): void }>(from: T, to: T): T {
  to.set(from);
  return to;
}

/** A growing list of integers with typed storage, ascending where it holds positions. */
export class IntegerList {
  #values = new Int32Array(16);
  length = 0;

  push(value: number): void {
    if (this.length === this.#values.length) this.#values = grown(this.#values, new Int32Array(this.length * 2));
    this.#values[this.length++] = value;
  }

  at(index: number): number {
    return this.#values[index]!;
  }

  /** How many values are below `value`, which is also the index of the first that is not. */
  countBelow(value: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#values[middle]! < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The largest value at or below `value`; -1 where there is none. */
  lastAtOrBelow(value: number): number {
    const count = this.countBelow(value + 1);
    return count === 0 ? -1 : this.#values[count - 1]!;
  }

  dropBelow(value: number): void {
    this.dropFirst(this.countBelow(value));
  }

  dropFirst(count: number): void {
    if (count <= 0) return;
    this.#values.copyWithin(0, count, this.length);
    this.length -= count;
  }

  slice(from: number, to: number): Int32Array {
    return this.#values.slice(from, Math.min(to, this.length));
  }
}
