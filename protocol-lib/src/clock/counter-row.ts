/**
 * The counters of a vector in a row. Wide rows lie in 32-bit lanes that are compared two at a time, as one float 64: that
 * halves the work. A row with a counter of 2^30 or more, and a short one, is a plain array.
 */
export type CounterRow = readonly number[] | PackedRow;

interface PackedRow {
  readonly length: number;
  /** Counters above {@link BIAS}; one of 0 more where the length is odd. */
  readonly lanes: Int32Array;
  /** The same memory. */
  readonly pairs: Float64Array;
}

const WIDE = 32;
const PACKED_LIMIT = 2 ** 30;

/** Makes each pair of lanes a normal float, neither NaN nor slow to compare, so that equal floats are equal lanes. */
const BIAS = 0x3ff0_0000;

export function makeRow(values: readonly number[]): CounterRow {
  const { length } = values;
  if (length < WIDE || values.some((value) => value >= PACKED_LIMIT)) return values;
  const pairs = new Float64Array((length + 1) >> 1);
  const lanes = new Int32Array(pairs.buffer).fill(BIAS);
  for (let at = 0; at < length; at++) lanes[at]! += values[at]!;
  return { length, lanes, pairs };
}

function isPlain(row: CounterRow): row is readonly number[] {
  return Array.isArray(row);
}

export function counterAt(row: CounterRow, at: number): number {
  return isPlain(row) ? row[at]! : row.lanes[at]! - BIAS;
}

export function valuesOf(row: CounterRow): number[] {
  return Array.from({ length: row.length }, (_, at) => counterAt(row, at));
}

/** The row with another counter at one place. */
export function withCounter(row: CounterRow, at: number, counter: number): CounterRow {
  if (isPlain(row) || counter >= PACKED_LIMIT) return makeRow(valuesOf(row).with(at, counter));
  const pairs = row.pairs.slice();
  const lanes = new Int32Array(pairs.buffer);
  lanes[at] = BIAS + counter;
  return { length: row.length, lanes, pairs };
}

/** How a row relates to another of the same writers. */
export function compareRows(own: CounterRow, theirs: CounterRow): 'before' | 'after' | 'equal' | 'concurrent' {
  if (isPlain(own)) return compareValues(own, isPlain(theirs) ? theirs : valuesOf(theirs));
  return isPlain(theirs) ? compareValues(valuesOf(own), theirs) : comparePacked(own, theirs);
}

function compareValues(own: readonly number[], theirs: readonly number[]) {
  const end = own.length;
  let at = 0;
  while (at < end && own[at] === theirs[at]) at++;
  if (at === end) return 'equal';
  if (own[at]! < theirs[at]!) return isNowhereAbove(own, theirs, at) ? 'before' : 'concurrent';
  return isNowhereAbove(theirs, own, at) ? 'after' : 'concurrent';
}

function isNowhereAbove(low: readonly number[], high: readonly number[], from: number): boolean {
  const end = low.length;
  for (let at = from; at < end; at++) if (low[at]! > high[at]!) return false;
  return true;
}

function comparePacked(own: PackedRow, theirs: PackedRow) {
  const pair = nextDifference(own.pairs, theirs.pairs, 0);
  if (pair === own.pairs.length) return 'equal';
  const first = own.lanes[pair * 2] === theirs.lanes[pair * 2] ? pair * 2 + 1 : pair * 2;
  if (own.lanes[first]! < theirs.lanes[first]!)
    return isPackedNowhereAbove(own, theirs, pair) ? 'before' : 'concurrent';
  return isPackedNowhereAbove(theirs, own, pair) ? 'after' : 'concurrent';
}

/**
 * The first pair from `from` on that differs, or the length. Eight at a time: their differences are exact and neither
 * overflow nor vanish when squared, so the sum is 0 only where all are, and one branch does for eight.
 */
function nextDifference(l: Float64Array, r: Float64Array, from: number): number {
  const end = l.length;
  let at = from;
  for (; at + 8 <= end; at += 8) {
    const a = l[at]! - r[at]!;
    const b = l[at + 1]! - r[at + 1]!;
    const c = l[at + 2]! - r[at + 2]!;
    const d = l[at + 3]! - r[at + 3]!;
    const e = l[at + 4]! - r[at + 4]!;
    const f = l[at + 5]! - r[at + 5]!;
    const g = l[at + 6]! - r[at + 6]!;
    const h = l[at + 7]! - r[at + 7]!;
    if (a * a + b * b + (c * c + d * d) + (e * e + f * f + (g * g + h * h)) !== 0) break;
  }
  while (at < end && l[at] === r[at]) at++;
  return at;
}

function isPackedNowhereAbove(low: PackedRow, high: PackedRow, from: number): boolean {
  const end = low.pairs.length;
  for (let pair = from; pair < end; pair = nextDifference(low.pairs, high.pairs, pair + 1)) {
    const lane = pair * 2;
    if (low.lanes[lane]! > high.lanes[lane]! || low.lanes[lane + 1]! > high.lanes[lane + 1]!) return false;
  }
  return true;
}
