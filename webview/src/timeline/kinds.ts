import type { Agreement, KindGroup, MarkerKind, Row } from '@syncscope/protocol/capture';
import { TRACE_KINDS, type TraceKind } from '@syncscope/protocol/trace';
import type { Ink } from './palette.ts';

/** A glyph that can be told from every other without its colour. */
export type Shape =
  | 'dot'
  | 'ring'
  | 'square'
  | 'diamond'
  | 'triangle'
  | 'check'
  | 'cross'
  | 'bolt'
  | 'bar'
  | 'plus'
  | 'undo'
  | 'gap'
  | 'stop'
  | 'split'
  | 'fork'
  | 'cut';

export interface KindStyle {
  /** What it is, in words for a tooltip. */
  readonly label: string;
  readonly group: KindGroup;
  readonly shape: Shape;
  readonly ink: Ink;
  /** Which one is drawn where several fall on the same pixels; higher wins. 100 and above is a problem. */
  readonly weight: number;
}

/** How each kind of trace record looks. */
export const KIND_STYLES: Readonly<Record<TraceKind, KindStyle>> = {
  replica: { label: 'appeared', group: 'other', shape: 'bar', ink: 'muted', weight: 30 },
  gone: { label: 'left', group: 'other', shape: 'stop', ink: 'warning', weight: 90 },
  send: { label: 'message sent', group: 'message', shape: 'dot', ink: 'message', weight: 10 },
  receive: { label: 'message received', group: 'message', shape: 'dot', ink: 'message', weight: 11 },
  refused: { label: 'frame refused', group: 'problem', shape: 'stop', ink: 'error', weight: 130 },
  names: { label: 'names', group: 'other', shape: 'dot', ink: 'muted', weight: 1 },
  commit: { label: 'commit', group: 'change', shape: 'square', ink: 'change', weight: 50 },
  delta: { label: 'delta made', group: 'change', shape: 'diamond', ink: 'change', weight: 40 },
  apply: { label: 'delta applied', group: 'change', shape: 'diamond', ink: 'change', weight: 45 },
  // Of a delta that does not fit, as of copies that differ: see {@link lookOf}.
  mismatch: { label: 'mismatch', group: 'problem', shape: 'cross', ink: 'warning', weight: 140 },
  snapshot: { label: 'snapshot', group: 'change', shape: 'bar', ink: 'muted', weight: 35 },
  hash: { label: 'hash', group: 'hash', shape: 'dot', ink: 'muted', weight: 5 },
  vector: { label: 'vector', group: 'hash', shape: 'dot', ink: 'muted', weight: 2 },
  prediction: { label: 'prediction', group: 'prediction', shape: 'ring', ink: 'prediction', weight: 60 },
  confirmation: { label: 'prediction confirmed', group: 'prediction', shape: 'check', ink: 'prediction', weight: 55 },
  rollback: { label: 'prediction rolled back', group: 'prediction', shape: 'undo', ink: 'prediction', weight: 110 },
  rejection: { label: 'mutation refused', group: 'prediction', shape: 'stop', ink: 'muted', weight: 65 },
  rebase: { label: 'predictions rebased', group: 'prediction', shape: 'triangle', ink: 'prediction', weight: 20 },
  divergence: { label: 'divergence', group: 'problem', shape: 'split', ink: 'error', weight: 150 },
  repair: { label: 'repaired', group: 'problem', shape: 'plus', ink: 'good', weight: 120 },
  fault: { label: 'fault', group: 'problem', shape: 'bolt', ink: 'warning', weight: 125 },
  gap: { label: 'records lost', group: 'problem', shape: 'gap', ink: 'warning', weight: 115 },
  log: { label: 'log', group: 'other', shape: 'dot', ink: 'muted', weight: 3 },
  health: { label: 'progress', group: 'problem', shape: 'stop', ink: 'warning', weight: 112 },
  pressure: { label: 'slow link', group: 'problem', shape: 'bar', ink: 'warning', weight: 111 },
  view: { label: 'view', group: 'other', shape: 'bar', ink: 'muted', weight: 25 },
  proposal: { label: 'proposal', group: 'change', shape: 'triangle', ink: 'change', weight: 48 },
  vote: { label: 'vote', group: 'change', shape: 'check', ink: 'muted', weight: 12 },
  conflict: { label: 'conflict', group: 'problem', shape: 'fork', ink: 'warning', weight: 118 },
  partition: { label: 'partition', group: 'problem', shape: 'cut', ink: 'warning', weight: 119 },
  presence: { label: 'presence', group: 'other', shape: 'ring', ink: 'muted', weight: 26 },
  operation: { label: 'operation', group: 'change', shape: 'dot', ink: 'change', weight: 42 },
};

const DIFFERING_MISMATCH: KindStyle = { ...KIND_STYLES.mismatch, shape: 'split', ink: 'error' };

/** How a record looks: a mismatch like a divergence where its replica differs by then, and otherwise like what is asked for again. */
export function lookOf(kind: TraceKind, differs: boolean): KindStyle {
  return kind === 'mismatch' && differs ? DIFFERING_MISMATCH : KIND_STYLES[kind];
}

/** The same of a row of the stream, which is an error where somebody differs. */
export function lookOfRow({ kind, severity }: Pick<Row, 'kind' | 'severity'>): KindStyle {
  return lookOf(kind, severity === 'error');
}

export interface MarkerStyle {
  readonly label: string;
  readonly shape: Shape;
  readonly ink: Ink;
  readonly weight: number;
}

/** How each kind of marker looks; the shapes are those of the records behind them. */
export const MARKER_STYLES: Readonly<Record<MarkerKind, MarkerStyle>> = {
  desync: { label: 'differs', shape: 'split', ink: 'error', weight: 9 },
  gap: { label: 'records lost', shape: 'gap', ink: 'warning', weight: 8 },
  refused: { label: 'frame refused', shape: 'stop', ink: 'error', weight: 7 },
  partition: { label: 'partition', shape: 'cut', ink: 'warning', weight: 6 },
  fault: { label: 'fault', shape: 'bolt', ink: 'warning', weight: 5 },
  conflict: { label: 'conflict', shape: 'fork', ink: 'warning', weight: 4 },
  'refused-delta': { label: 'delta did not fit', shape: 'cross', ink: 'warning', weight: 3 },
  rollback: { label: 'rolled back', shape: 'undo', ink: 'prediction', weight: 1 },
  repair: { label: 'repaired', shape: 'plus', ink: 'good', weight: 2 },
};

/** How each group is stacked in the overview, bottom first. */
export const GROUP_STYLES: Readonly<Record<KindGroup, { readonly label: string; readonly ink: Ink }>> = {
  message: { label: 'messages', ink: 'message' },
  change: { label: 'changes', ink: 'change' },
  hash: { label: 'hashes', ink: 'muted' },
  prediction: { label: 'predictions', ink: 'prediction' },
  problem: { label: 'problems', ink: 'error' },
  other: { label: 'other', ink: 'faint' },
};

export const AGREEMENT_WORDS: Readonly<Record<Agreement, string>> = {
  0: 'unknown',
  1: 'agrees',
  2: 'predicted',
  3: 'differs',
};

/** Kinds by weight, the heaviest first, each with its bit in a kinds mask. */
const KINDS_BY_WEIGHT = TRACE_KINDS.map((kind, index) => ({ kind, bit: 2 ** index, style: KIND_STYLES[kind] })).sort(
  (a, b) => b.style.weight - a.style.weight,
);

/** Up to this weight a record is a mere tick on the life line. */
export const TICK_WEIGHT = 20;

/** Kinds that are mere ticks. */
export const TICK_KINDS: ReadonlySet<TraceKind> = new Set(
  TRACE_KINDS.filter((kind) => KIND_STYLES[kind].weight <= TICK_WEIGHT),
);

/** Kinds at or above this weight are never folded away. */
export const PROBLEM_WEIGHT = 100;

/** Bits of all kinds that are never folded away. */
export const PROBLEM_MASK = KINDS_BY_WEIGHT.filter((entry) => entry.style.weight >= PROBLEM_WEIGHT).reduce(
  (mask, entry) => (mask | entry.bit) >>> 0,
  0,
);

/** The weightiest kind in a mask; undefined for an empty one. */
export function heaviestKind(mask: number): TraceKind | undefined {
  const bits = mask >>> 0;
  return KINDS_BY_WEIGHT.find((entry) => (bits & entry.bit) !== 0)?.kind;
}

/** The kinds in a mask, the weightiest first. */
export function kindsIn(mask: number): TraceKind[] {
  const bits = mask >>> 0;
  return KINDS_BY_WEIGHT.filter((entry) => (bits & entry.bit) !== 0).map((entry) => entry.kind);
}
