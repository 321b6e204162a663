import type { Standing } from './standing.ts';

/** Records in one page of the columns. Part of the file format. */
export const PAGE_RECORDS = 4_096;
const PAGE_SHIFT = 12;
const PAGE_MASK = PAGE_RECORDS - 1;
const FIRST_CAPACITY = 512;

/**
 * What is known of {@link PAGE_RECORDS} records in a row without decoding them: one typed array a property.
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
 * | refused, names, fault, gap | first, count or 0 | other replica << 16 | level or phase |
 * | log | 1 where it only carries inputs | 0 | level |
 */
export interface ColumnPage {
  readonly time: Float64Array;
  readonly number: Float64Array;
  readonly high: Uint32Array;
  readonly low: Uint32Array;
  readonly replica: Uint16Array;
  readonly kind: Uint8Array;
  readonly flags: Uint16Array;
  readonly frame: Uint32Array;
  /** Where the record's bytes begin in its chunk's payload. */
  readonly offset: Uint32Array;
  /** Position of the first cause, -1 for none. */
  readonly cause: Int32Array;
  /** Position of the other end of a message, -1 where none was seen. */
  readonly partner: Int32Array;
  /** How each replica stood before the page's first record, by number. */
  readonly standings: readonly (Readonly<Standing> | undefined)[];
  /** Bytes that it takes at most, about. */
  readonly bytes: number;
}

/** A page that is filled record by record. */
export class GrowingPage implements ColumnPage {
  capacity = 0;
  time = new Float64Array(0);
  number = new Float64Array(0);
  high = new Uint32Array(0);
  low = new Uint32Array(0);
  replica = new Uint16Array(0);
  kind = new Uint8Array(0);
  flags = new Uint16Array(0);
  frame = new Uint32Array(0);
  offset = new Uint32Array(0);
  cause = new Int32Array(0);
  partner = new Int32Array(0);
  standings: readonly (Readonly<Standing> | undefined)[] = [];

  constructor(capacity = FIRST_CAPACITY) {
    this.resize(capacity);
  }

  get bytes(): number {
    return this.capacity * BYTES_PER_RECORD;
  }

  resize(capacity: number): void {
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
    this.capacity = capacity;
  }
}

export const BYTES_PER_RECORD = 8 + 8 + 4 + 4 + 2 + 1 + 2 + 4 + 4 + 4 + 4;

/** Gives the page of a number where it is not in memory. */
export type PageLoader = (page: number) => ColumnPage;

/**
 * The columns of a capture, in pages. The records kept are those from {@link start}, which is above 0 only
 * where a live capture has dropped its oldest, up to {@link end}. Pages may be away and come back by a loader.
 */
export class Columns {
  start = 0;
  end = 0;
  readonly #pages: (ColumnPage | undefined)[] = [];
  /** The page that is being filled. */
  #last: GrowingPage | undefined;
  #load: PageLoader = missing;
  #spare: GrowingPage | undefined;

  /** Bytes of the records kept, about. */
  get bytes(): number {
    return (this.end - this.start) * BYTES_PER_RECORD;
  }

  /** Says that `records` exist, and how their pages come. Only for columns without any. */
  loadFrom(records: number, load: PageLoader): void {
    this.end = records;
    this.#load = load;
  }

  /** Makes room for one more record; {@link end} is then past it. Returns its page. */
  grow(): GrowingPage {
    const number = this.end >>> PAGE_SHIFT;
    const at = this.end & PAGE_MASK;
    let page = this.#last;
    if (!page || at === 0) {
      page = this.#spare ?? new GrowingPage(number === 0 ? FIRST_CAPACITY : PAGE_RECORDS);
      this.#spare = undefined;
      this.#pages[number] = page;
      this.#last = page;
    } else if (at === page.capacity) page.resize(Math.min(PAGE_RECORDS, page.capacity * 2));
    this.end++;
    return page;
  }

  /** The page that holds a position; the place in it is {@link slotOf}. */
  page(position: number): ColumnPage {
    const number = position >>> PAGE_SHIFT;
    return this.#pages[number] ?? this.#fetch(number);
  }

  /** Whether the page of a position is in memory. */
  has(position: number): boolean {
    return this.#pages[position >>> PAGE_SHIFT] !== undefined;
  }

  /** Lets go of a page, which comes back by the loader if there is one. */
  release(page: number): void {
    this.#pages[page] = undefined;
  }

  /** As {@link release}, where nobody else has the page: its memory is filled again by a later one. */
  recycle(page: number): void {
    const there = this.#pages[page];
    if (there instanceof GrowingPage && there !== this.#last && there.capacity === PAGE_RECORDS) this.#spare = there;
    this.release(page);
  }

  /** Forgets the records before `position`. */
  dropBelow(position: number): void {
    const until = Math.min(position, this.end);
    if (until <= this.start) return;
    for (let page = this.start >>> PAGE_SHIFT; page < until >>> PAGE_SHIFT; page++) this.#pages[page] = undefined;
    this.start = until;
  }

  time(position: number): number {
    return this.page(position).time[position & PAGE_MASK]!;
  }

  number(position: number): number {
    return this.page(position).number[position & PAGE_MASK]!;
  }

  high(position: number): number {
    return this.page(position).high[position & PAGE_MASK]!;
  }

  low(position: number): number {
    return this.page(position).low[position & PAGE_MASK]!;
  }

  replica(position: number): number {
    return this.page(position).replica[position & PAGE_MASK]!;
  }

  kind(position: number): number {
    return this.page(position).kind[position & PAGE_MASK]!;
  }

  flags(position: number): number {
    return this.page(position).flags[position & PAGE_MASK]!;
  }

  frame(position: number): number {
    return this.page(position).frame[position & PAGE_MASK]!;
  }

  offset(position: number): number {
    return this.page(position).offset[position & PAGE_MASK]!;
  }

  cause(position: number): number {
    return this.page(position).cause[position & PAGE_MASK]!;
  }

  partner(position: number): number {
    return this.page(position).partner[position & PAGE_MASK]!;
  }

  #fetch(number: number): ColumnPage {
    const page = this.#load(number);
    this.#pages[number] = page;
    return page;
  }
}

/** Place of a position in its page. */
export function slotOf(position: number): number {
  return position & PAGE_MASK;
}

/** The first position behind the page that holds `position`. */
export function pageEnd(position: number): number {
  return (Math.floor(position / PAGE_RECORDS) + 1) * PAGE_RECORDS;
}

/** Number of the page that holds a position. */
export function pageOf(position: number): number {
  return position >>> PAGE_SHIFT;
}

function missing(page: number): ColumnPage {
  throw new TypeError(`page ${page} of the columns is not in memory`);
}

function grown<T extends { set(from: T): void }>(from: T, to: T): T {
  to.set(from);
  return to;
}
