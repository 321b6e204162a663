import type { Severity } from './query.ts';

/** Bits of the index's `flags` column. */
export const FLAG = {
  /** Bits 0 and 1: severity. */
  severity: 0b11,
  /** The record says whether own and reference hash agree, … */
  agreesKnown: 1 << 2,
  /** … and they do. */
  agrees: 1 << 3,
  /** A frame was recorded. */
  wire: 1 << 4,
  /** Records are missing before this one. */
  gapBefore: 1 << 5,
  /** A snapshot that says something else than the records before it. */
  reset: 1 << 6,
  /** A receipt of a frame that had been received already. */
  duplicate: 1 << 7,
  /** A received frame whose sequence is below one received before on the same link. */
  late: 1 << 8,
  /** It carries a hash. */
  hash: 1 << 9,
} as const;

/** From bit 10 on: number of a mismatch's or snapshot's reason, plus one; 0 for none. */
export const REASON_SHIFT = 10;

export const SEVERITIES = ['none', 'note', 'warning', 'error'] as const satisfies readonly Severity[];
