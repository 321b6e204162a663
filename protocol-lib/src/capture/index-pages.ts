import { TRACE_KINDS } from '../trace/index.ts';
import { BYTES_PER_RECORD, type ColumnPage, PAGE_RECORDS } from './columns.ts';
import { LIST_PAGE, type ListPage } from './integer-list.ts';
import { BlockReader, BlockWriter, damagedIndex, type NumberArray } from './number-block.ts';
import type { Agreement } from './query.ts';
import type { PendingMutation, Standing } from './standing.ts';

/** Pages of the index as bytes: blocks of numbers one after the other; `docs/capture-format.md` has their order. */

const UINT_32 = 0xffff_ffff;
const SAFE = Number.MAX_SAFE_INTEGER;

export function encodeColumnPage(page: ColumnPage, count: number, first: number): Uint8Array {
  const writer = new BlockWriter();
  const { time, number, high, low, replica, kind, flags, frame, offset } = page;
  for (const column of [time, number, high, low, replica, kind, flags, frame, offset]) writer.numbers(column, count);
  writer.numbers(distances(page.cause, count, first)).numbers(distances(page.partner, count, first));
  writer.numbers(flatStandings(page.standings));
  return writer.take();
}

/**
 * A page out of a file. Its columns are unpacked one by one when they are first asked for: a search that compares kinds needs no other.
 * Each column throws `INDEX_DAMAGED` then where its values cannot be.
 */
class FiledPage implements ColumnPage {
  readonly #bytes: Uint8Array;
  readonly #starts: readonly number[];
  readonly #count: number;
  readonly #first: number;
  readonly #records: number;
  readonly #names: number;
  #time: Float64Array | undefined;
  #number: Float64Array | undefined;
  #high: Uint32Array | undefined;
  #low: Uint32Array | undefined;
  #replica: Uint16Array | undefined;
  #kind: Uint8Array | undefined;
  #flags: Uint16Array | undefined;
  #frame: Uint32Array | undefined;
  #offset: Uint32Array | undefined;
  #cause: Int32Array | undefined;
  #partner: Int32Array | undefined;
  #standings: ColumnPage['standings'] | undefined;

  constructor(
    bytes: Uint8Array,
    starts: readonly number[],
    count: number,
    first: number,
    records: number,
    names: number,
  ) {
    this.#bytes = bytes;
    this.#starts = starts;
    this.#count = count;
    this.#first = first;
    this.#records = records;
    this.#names = names;
  }

  /** Of its columns about half are asked for. */
  get bytes(): number {
    return this.#bytes.length + (this.#count * BYTES_PER_RECORD) / 2;
  }

  get time(): Float64Array {
    this.#time ??= this.#read(COLUMN.time, new Float64Array(this.#count), SAFE);
    return this.#time;
  }

  get number(): Float64Array {
    this.#number ??= this.#read(COLUMN.number, new Float64Array(this.#count), SAFE);
    return this.#number;
  }

  get high(): Uint32Array {
    this.#high ??= this.#read(COLUMN.high, new Uint32Array(this.#count), UINT_32);
    return this.#high;
  }

  get low(): Uint32Array {
    this.#low ??= this.#read(COLUMN.low, new Uint32Array(this.#count), UINT_32);
    return this.#low;
  }

  get replica(): Uint16Array {
    this.#replica ??= this.#read(COLUMN.replica, new Uint16Array(this.#count), this.#names - 1);
    return this.#replica;
  }

  get kind(): Uint8Array {
    this.#kind ??= this.#read(COLUMN.kind, new Uint8Array(this.#count), TRACE_KINDS.length - 1);
    return this.#kind;
  }

  get flags(): Uint16Array {
    this.#flags ??= this.#read(COLUMN.flags, new Uint16Array(this.#count), 0xffff);
    return this.#flags;
  }

  get frame(): Uint32Array {
    this.#frame ??= this.#read(COLUMN.frame, new Uint32Array(this.#count), UINT_32);
    return this.#frame;
  }

  get offset(): Uint32Array {
    this.#offset ??= this.#read(COLUMN.offset, new Uint32Array(this.#count), UINT_32);
    return this.#offset;
  }

  get cause(): Int32Array {
    this.#cause ??= this.#positions(COLUMN.cause);
    return this.#cause;
  }

  get partner(): Int32Array {
    this.#partner ??= this.#positions(COLUMN.partner);
    return this.#partner;
  }

  get standings(): ColumnPage['standings'] {
    this.#standings ??= readStandings(
      this.#reader(COLUMN.standings).numbers((there) => new Float64Array(there), -1, SAFE),
    );
    return this.#standings;
  }

  #reader(column: number): BlockReader {
    return new BlockReader(this.#bytes, this.#starts[column]!);
  }

  #read<T extends NumberArray>(column: number, into: T, max: number): T {
    return this.#reader(column).numbers(() => into, 0, max);
  }

  #positions(column: number): Int32Array {
    const into = new Int32Array(this.#count);
    return positions(this.#reader(column), into, this.#first, this.#records);
  }
}

/** The blocks of a page in their order. */
const COLUMN = {
  time: 0,
  number: 1,
  high: 2,
  low: 3,
  replica: 4,
  kind: 5,
  flags: 6,
  frame: 7,
  offset: 8,
  cause: 9,
  partner: 10,
  standings: 11,
} as const;

/** @throws SyncError `INDEX_DAMAGED` where it is not whole; its columns throw the same where a value cannot be */
export function decodeColumnPage(
  bytes: Uint8Array,
  count: number,
  first: number,
  records: number,
  names: number,
): ColumnPage {
  const reader = new BlockReader(bytes);
  const starts: number[] = [];
  for (let column = 0; column <= COLUMN.standings; column++) {
    starts.push(reader.offset);
    const there = reader.skip();
    if (column < COLUMN.standings && (there !== count || count > PAGE_RECORDS))
      throw damagedIndex(`has a page of ${there} records for ${count}`);
  }
  if (!reader.isAtEnd) throw damagedIndex('has a page that is too long');
  return new FiledPage(bytes, starts, count, first, records, names);
}

/** How far back each position is from its record; 0 for none, and one less for what is not before it. */
function distances(values: Int32Array, count: number, first: number): Int32Array {
  const far = new Int32Array(count);
  for (let slot = 0; slot < count; slot++) {
    const value = values[slot]!;
    const back = first + slot - value;
    far[slot] = value < 0 ? 0 : back > 0 ? back : back - 1;
  }
  return far;
}

function positions(reader: BlockReader, into: Int32Array, first: number, records: number): Int32Array {
  const values = reader.numbers(() => into, -records - 1, records);
  for (let slot = 0; slot < values.length; slot++) {
    const back = values[slot]!;
    const value = back === 0 ? -1 : first + slot - (back > 0 ? back : back + 1);
    if (value < -1 || value >= records) throw damagedIndex(`points at position ${value}`);
    values[slot] = value;
  }
  return values;
}

/** Numbers of a standing before what is pending. */
const STANDING_WIDTH = 12;
const IS = { present: 1, connected: 2, partial: 4, root: 8 } as const;

/** Each as: number, bits with the agreement above, version, root (two words), differs since, from position, how it is cut off, since, from position, position of a refused delta, pending count, then four each. */
function flatStandings(standings: ColumnPage['standings']): number[] {
  const flat: number[] = [];
  for (const [number, one] of standings.entries()) {
    if (!one) continue;
    const bits =
      (one.isPresent ? IS.present : 0) |
      (one.isConnected ? IS.connected : 0) |
      (one.isPartial ? IS.partial : 0) |
      (one.hasRoot ? IS.root : 0) |
      (one.base << 4);
    flat.push(number, bits, one.version, one.high, one.low, one.differsSince, one.differsPosition);
    flat.push(one.cut, one.cutSince, one.cutPosition, one.refusedPosition, one.pending.length);
    for (const { writer, counter, position, time } of one.pending) flat.push(writer, counter, position, time);
  }
  return flat;
}

function readStandings(flat: Float64Array): (Standing | undefined)[] {
  const standings: (Standing | undefined)[] = [];
  for (let at = 0; at < flat.length; ) {
    if (at + STANDING_WIDTH > flat.length) throw damagedIndex('has a standing that is not whole');
    const fixed = flat.subarray(at, at + STANDING_WIDTH);
    const [number, bits, version, high, low, differsSince, differsPosition] = fixed;
    const [cut, cutSince, cutPosition, refusedPosition, waiting] = fixed.subarray(7);
    at += STANDING_WIDTH;
    if (number! > 0xffff || waiting! * 4 > flat.length - at) throw damagedIndex('has a standing that cannot be');
    const pending = Array.from({ length: waiting! }, (_, index): PendingMutation => {
      const [writer, counter, position, time] = flat.subarray(at + index * 4, at + index * 4 + 4);
      return { writer: writer!, counter: counter!, position: position!, time: time! };
    });
    at += waiting! * 4;
    standings[number!] = {
      isPresent: (bits! & IS.present) !== 0,
      isConnected: (bits! & IS.connected) !== 0,
      isPartial: (bits! & IS.partial) !== 0,
      hasRoot: (bits! & IS.root) !== 0,
      base: ((bits! >> 4) & 3) as Agreement,
      version: version!,
      high: high!,
      low: low!,
      differsSince: differsSince!,
      differsPosition: differsPosition!,
      refusedPosition: refusedPosition!,
      cut: cut!,
      cutSince: cutSince!,
      cutPosition: cutPosition!,
      pending,
    };
  }
  return standings;
}

export function encodeListPage(values: ListPage): Uint8Array {
  return new BlockWriter().numbers(values).take();
}

/** @throws SyncError `INDEX_DAMAGED` */
export function decodeListPage(bytes: Uint8Array, count: number, isWide: boolean): ListPage {
  const reader = new BlockReader(bytes);
  const make = (there: number): ListPage => {
    if (there !== count || count > LIST_PAGE) throw damagedIndex(`has a list page of ${there} values for ${count}`);
    return isWide ? new Float64Array(count) : new Int32Array(count);
  };
  const values = reader.numbers(make, isWide ? -SAFE : -0x8000_0000, isWide ? SAFE : 0x7fff_ffff);
  if (!reader.isAtEnd) throw damagedIndex('has a list page that is too long');
  return values;
}
