/**
 * What a batch of the attach stream is made of (docs/capture-format.md, "On the attach stream"): entries one after the other, each behind the byte that
 * says what it is. Numbers are those of `bytes/varint.ts`. Whatever a batch has had once it refers to by number: texts, the shapes of changes, and lists of
 * receivers. Each batch begins anew, so that an observer needs nothing of what was told before it came.
 */
export const ENTRY = {
  /** `seq` and `time` count from 0 again. */
  again: 0,
  /** A trace record as it is in a capture. */
  record: 1,
  /** A `commit` record. */
  commit: 2,
  /** The `send` records of a frame that went to many. */
  sends: 3,
  /** The `log` records that carry inputs. */
  inputs: 4,
} as const;

/** How a text begins; every number from {@link KNOWN_TEXT} on is that of a text that the batch has had, counted from there. */
export const NEW_TEXT = 0;
export const UNNUMBERED_TEXT = 1;
export const KNOWN_TEXT = 2;
/** Instead of a shape or of receivers that the batch has had, of which the numbers are counted from 1. */
export const NEW = 0;

/** In the values of fields, which are msgpack otherwise: a text as above. No msgpack value begins so. */
export const TEXT_VALUE = 0xc1;

export const HAS_MUTATION = 1;
export const HAS_ROOT = 2;
export const OPS = ['put', 'patch', 'remove'] as const;

/** Texts that have numbers, in one batch, and UTF-16 units of one of them. */
export const TEXTS_MAX = 65_535;
export const TEXT_UNITS_MAX = 64;
/** Shapes in one batch, and what a shape may have: fields and removed fields together. */
export const SHAPES_MAX = 65_535;
export const SHAPE_NAMES_MAX = 64;

/** Receivers of one frame, and causes, at most: what is longer is refused before it is read. */
export const AUDIENCE_MAX = 65_535;
export const CAUSES_MAX = 1_000;
/** Bytes of the records that a batch stands for without having them in it. */
export const EXPANDED_MAX_BYTES = 64 * 1024 * 1024;
/** Bytes of a `send` record beside its frame, at most: numbers, field names, two replicas and a type. */
export const SEND_BYTES = 320;
/** Bytes of a `log` record beside its text, at most. */
export const LOG_BYTES = 256;
/** Bytes of a `commit` record beside its texts and changes, and of a change beside its key, names and values, at most. */
export const COMMIT_BYTES = 192;
export const CHANGE_BYTES = 64;
