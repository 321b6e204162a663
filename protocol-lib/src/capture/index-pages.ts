import { TRACE_KINDS } from '../trace/index.ts';
import { ColumnPage, PAGE_RECORDS } from './columns.ts';
import { LIST_PAGE, type ListPage } from './integer-list.ts';
import { BlockReader, BlockWriter, damagedIndex } from './number-block.ts';
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

/** @throws SyncError `INDEX_DAMAGED` */
export function decodeColumnPage(
  bytes: Uint8Array,
  count: number,
  first: number,
  records: number,
  names: number,
): ColumnPage {
  const reader = new BlockReader(bytes);
  const exactly = (there: number): number => {
    if (there !== count || count > PAGE_RECORDS) throw damagedIndex(`has a page of ${there} records for ${count}`);
    return there;
  };
  const page = new ColumnPage(0);
  page.time = reader.numbers((there) => new Float64Array(exactly(there)), 0, SAFE);
  page.number = reader.numbers((there) => new Float64Array(exactly(there)), 0, SAFE);
  page.high = reader.numbers((there) => new Uint32Array(exactly(there)), 0, UINT_32);
  page.low = reader.numbers((there) => new Uint32Array(exactly(there)), 0, UINT_32);
  page.replica = reader.numbers((there) => new Uint16Array(exactly(there)), 0, names - 1);
  page.kind = reader.numbers((there) => new Uint8Array(exactly(there)), 0, TRACE_KINDS.length - 1);
  page.flags = reader.numbers((there) => new Uint16Array(exactly(there)), 0, 0xffff);
  page.frame = reader.numbers((there) => new Uint32Array(exactly(there)), 0, UINT_32);
  page.offset = reader.numbers((there) => new Uint32Array(exactly(there)), 0, UINT_32);
  page.cause = positions(reader, exactly, first, records);
  page.partner = positions(reader, exactly, first, records);
  page.capacity = count;
  page.standings = readStandings(reader.numbers((there) => new Float64Array(there), -1, SAFE));
  if (!reader.isAtEnd) throw damagedIndex('has a page that is too long');
  return page;
}

/** How far back each position is from its record; 0 for none, and one less for what is not before it. */
function distances(values: Int32Array, count: number, first: number): Int32Array {
  return Int32Array.from({ length: count }, (_, slot) => {
    const value = values[slot]!;
    if (value < 0) return 0;
    const back = first + slot - value;
    return back > 0 ? back : back - 1;
  });
}

function positions(
  reader: BlockReader,
  exactly: (there: number) => number,
  first: number,
  records: number,
): Int32Array<ArrayBuffer> {
  const values = reader.numbers((there) => new Int32Array(exactly(there)), -records - 1, records);
  for (let slot = 0; slot < values.length; slot++) {
    const back = values[slot]!;
    const value = back === 0 ? -1 : first + slot - (back > 0 ? back : back + 1);
    if (value < -1 || value >= records) throw damagedIndex(`points at position ${value}`);
    values[slot] = value;
  }
  return values;
}

/** Numbers of a standing before what is pending. */
const STANDING_WIDTH = 11;
const IS = { present: 1, connected: 2, partial: 4, root: 8 } as const;

/** Each as: number, bits with the agreement above, version, root (two words), differs since, from position, how it is cut off, since, from position, pending count, then four each. */
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
    flat.push(one.cut, one.cutSince, one.cutPosition, one.pending.length);
    for (const { writer, counter, position, time } of one.pending) flat.push(writer, counter, position, time);
  }
  return flat;
}

function readStandings(flat: Float64Array): (Standing | undefined)[] {
  const standings: (Standing | undefined)[] = [];
  for (let at = 0; at < flat.length; ) {
    if (at + STANDING_WIDTH > flat.length) throw damagedIndex('has a standing that is not whole');
    const fixed = flat.subarray(at, at + STANDING_WIDTH);
    const [number, bits, version, high, low, differsSince, differsPosition, cut, cutSince, cutPosition, waiting] =
      fixed;
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
