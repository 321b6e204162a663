/**
 * The counters of a vector in a row, all rows of one vector's writers alike long. Four layouts, each for what it is
 * quick with: a short row is an array of small integers; wide ones lie in lanes of 16 or of 32 bits that are compared four
 * or two at a time, as one float 64; a row with a counter of 2^30 or more is a list of any numbers.
 */
export type CounterRow = readonly number[] | PackedRow | LargeRow;

interface PackedRow {
  readonly kind: 'narrow' | 'wide';
  readonly length: number;
  /** Counters above {@link NARROW_BIAS} or {@link WIDE_BIAS}; counters of 0 more up to a whole float. */
  readonly lanes: Int16Array | Int32Array;
  /** The same memory. */
  readonly floats: Float64Array;
}

interface LargeRow {
  readonly kind: 'large';
  readonly length: number;
  readonly values: readonly number[];
}

type RowOrder = 'before' | 'after' | 'equal' | 'concurrent';

/** Fewer counters than this are an array: every mutation makes a vector, and typed arrays are slow to make. */
const SHORT = 32;
const NARROW_LIMIT = 2 ** 14;
const SMALL_LIMIT = 2 ** 30;

/**
 * Make what lies at the top of a float, and so the float itself, neither NaN nor infinite, neither negative nor slow to
 * compare: then equal floats are equal lanes.
 */
const NARROW_BIAS = 0x2000;
const WIDE_BIAS = 0x3ff0_0000;

export function makeRow(values: readonly number[]): CounterRow {
  const { length } = values;
  let highest = 0;
  for (let at = 0; at < length; at++) if (values[at]! > highest) highest = values[at]!;
  if (highest >= SMALL_LIMIT) return { kind: 'large', length, values };
  if (length < SHORT) return values;
  const row = highest < NARROW_LIMIT ? narrowRow(length) : wideRow(length);
  const bias = biasOf(row);
  for (let at = 0; at < length; at++) row.lanes[at] = bias + values[at]!;
  return row;
}

function narrowRow(length: number): PackedRow {
  const floats = new Float64Array((length + 3) >> 2);
  return { kind: 'narrow', length, lanes: new Int16Array(floats.buffer).fill(NARROW_BIAS), floats };
}

function wideRow(length: number): PackedRow {
  const floats = new Float64Array((length + 1) >> 1);
  return { kind: 'wide', length, lanes: new Int32Array(floats.buffer).fill(WIDE_BIAS), floats };
}

function biasOf({ kind }: PackedRow): number {
  return kind === 'narrow' ? NARROW_BIAS : WIDE_BIAS;
}

function isShort(row: CounterRow): row is readonly number[] {
  return Array.isArray(row);
}

export function counterAt(row: CounterRow, at: number): number {
  if (isShort(row)) return row[at]!;
  return row.kind === 'large' ? row.values[at]! : row.lanes[at]! - biasOf(row);
}

export function valuesOf(row: CounterRow): number[] {
  const values: number[] = [];
  for (let at = 0; at < row.length; at++) values.push(counterAt(row, at));
  return values;
}

/** The row with another counter at one place. */
export function withCounter(row: CounterRow, at: number, counter: number): CounterRow {
  if (isShort(row)) return counter < SMALL_LIMIT ? row.with(at, counter) : makeRow(row.with(at, counter));
  const isStaying = row.kind !== 'large' && counter < (row.kind === 'narrow' ? NARROW_LIMIT : SMALL_LIMIT);
  if (!isStaying) return makeRow(valuesOf(row).with(at, counter));
  const floats = row.floats.slice();
  const lanes = row.kind === 'narrow' ? new Int16Array(floats.buffer) : new Int32Array(floats.buffer);
  lanes[at] = biasOf(row) + counter;
  return { kind: row.kind, length: row.length, lanes, floats };
}

/** How a row relates to another of the same writers. */
export function compareRows(own: CounterRow, theirs: CounterRow): RowOrder {
  if (isShort(own)) return compareValues(own, isShort(theirs) ? theirs : valuesOf(theirs));
  if (isShort(theirs) || own.kind !== theirs.kind) return compareValues(valuesOf(own), valuesOf(theirs));
  if (own.kind === 'large') return compareValues(own.values, valuesOf(theirs));
  return comparePacked(own, theirs as PackedRow);
}

function compareValues(own: readonly number[], theirs: readonly number[]): RowOrder {
  const end = own.length;
  let at = 0;
  while (at < end && own[at] === theirs[at]) at++;
  if (at === end) return 'equal';
  if (own[at]! < theirs[at]!) return isNowhereAbove(own, theirs, at + 1) ? 'before' : 'concurrent';
  return isNowhereAbove(theirs, own, at + 1) ? 'after' : 'concurrent';
}

function isNowhereAbove(low: readonly number[], high: readonly number[], from: number): boolean {
  const end = low.length;
  for (let at = from; at < end; at++) if (low[at]! > high[at]!) return false;
  return true;
}

function comparePacked(own: PackedRow, theirs: PackedRow): RowOrder {
  const [l, r] = [own.floats, theirs.floats];
  const perFloat = own.kind === 'narrow' ? 4 : 2;
  let below = 0;
  let above = 0;
  for (let at = nextDifference(l, r, 0); at < l.length; at = nextDifference(l, r, at + 1)) {
    for (let lane = at * perFloat; lane < (at + 1) * perFloat; lane++) {
      const difference = (own.lanes[lane]! - theirs.lanes[lane]!) | 0;
      below |= difference;
      above |= -difference;
    }
    if ((below & above) < 0) return 'concurrent';
  }
  if (below < 0) return 'before';
  return above < 0 ? 'after' : 'equal';
}

/**
 * The first float from `from` on that differs, or the length. Eight at a time: a difference of two that are not equal is
 * never 0, and none is negative, so the sum is 0 only where all are, and one branch does for eight.
 */
function nextDifference(l: Float64Array, r: Float64Array, from: number): number {
  const end = l.length;
  let at = from;
  for (; at + 8 <= end; at += 8) {
    const a = Math.abs(l[at]! - r[at]!);
    const b = Math.abs(l[at + 1]! - r[at + 1]!);
    const c = Math.abs(l[at + 2]! - r[at + 2]!);
    const d = Math.abs(l[at + 3]! - r[at + 3]!);
    const e = Math.abs(l[at + 4]! - r[at + 4]!);
    const f = Math.abs(l[at + 5]! - r[at + 5]!);
    const g = Math.abs(l[at + 6]! - r[at + 6]!);
    const h = Math.abs(l[at + 7]! - r[at + 7]!);
    if (a + b + (c + d) + (e + f + (g + h)) !== 0) break;
  }
  while (at < end && l[at] === r[at]) at++;
  return at;
}
