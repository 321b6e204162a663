import type { TimeRange } from '@syncscope/protocol/capture';

/** Maps time (nanoseconds) to horizontal CSS pixels and back. */
export interface TimeScale {
  readonly range: TimeRange;
  readonly width: number;
  /** Pixels a nanosecond. */
  readonly factor: number;
  x(time: number): number;
  time(x: number): number;
}

/** Nothing in a trace is finer than this; zooming further only shows emptiness. Nanoseconds. */
export const MIN_SPAN = 2_000;

/** How far past either end of the capture a view may reach, as a part of its own span. */
const OVERSHOOT = 0.25;

export function timeScale(range: TimeRange, width: number): TimeScale {
  const span = Math.max(range.to - range.from, 1);
  const factor = width / span;
  return {
    range,
    width,
    factor,
    x: (time) => (time - range.from) * factor,
    time: (x) => range.from + x / Math.max(factor, Number.MIN_VALUE),
  };
}

/** The whole capture with a little air on both sides, so that the first and last record can be seen and hit. */
export function fitRange(bounds: TimeRange): TimeRange {
  const span = Math.max(bounds.to - bounds.from, MIN_SPAN);
  const air = span * 0.01;
  return { from: bounds.from - air, to: bounds.from + span + air };
}

/** `range` moved and shortened as little as needed to stay near `bounds`. Its span stays where that is possible. */
export function clampRange(range: TimeRange, bounds: TimeRange): TimeRange {
  const whole = fitRange(bounds);
  const most = whole.to - whole.from;
  const asked = range.to - range.from;
  const span = Math.min(Math.max(Number.isFinite(asked) ? asked : most, MIN_SPAN), most);
  if (span >= most) return whole;
  const reach = span * OVERSHOOT;
  const from = Math.min(Math.max(range.from, bounds.from - reach), bounds.to + reach - span);
  return { from, to: from + span };
}

/** Most that a view opens on by itself, nanoseconds: enough to see a round trip in its surroundings. */
const FOCUS_SPAN = 5e9;
const FOCUS_SPAN_MIN = 250e6;
/** Records a pixel up to which messages are told apart at a glance. */
const FOCUS_DENSITY = 0.9;

/** How much time to show where the user has not chosen: so little that messages are arrows, whatever the session's pace. */
export function focusSpan(bounds: TimeRange, records: number, width: number): number {
  const pace = records / Math.max(bounds.to - bounds.from, 1);
  return Math.min(Math.max((width * FOCUS_DENSITY) / Math.max(pace, Number.MIN_VALUE), FOCUS_SPAN_MIN), FOCUS_SPAN);
}

/** Zooms by `factor` (below 1 goes nearer) and keeps the instant `at` under the same pixel. */
export function zoomRange(range: TimeRange, at: number, factor: number, bounds: TimeRange): TimeRange {
  const span = range.to - range.from;
  const next = Math.max(span * factor, MIN_SPAN);
  const share = (at - range.from) / span;
  const from = at - share * next;
  return clampRange({ from, to: from + next }, bounds);
}

export function panRange(range: TimeRange, by: number, bounds: TimeRange): TimeRange {
  return clampRange({ from: range.from + by, to: range.to + by }, bounds);
}

/** The same span with its right edge at the newest record, and a little room for the next. */
export function followRange(range: TimeRange, bounds: TimeRange): TimeRange {
  const span = range.to - range.from;
  const to = bounds.to + span * 0.02;
  return { from: to - span, to };
}

/** `range` moved just so far that `time` lies inside it with a margin; unchanged where it already does. */
export function revealTime(range: TimeRange, time: number, bounds: TimeRange): TimeRange {
  if (time >= range.from && time <= range.to) return range;
  const span = range.to - range.from;
  return clampRange({ from: time - span / 2, to: time + span / 2 }, bounds);
}

/** A part of the time axis to ask for, on a grid that stays put while the user pans. */
export interface WindowRequest {
  readonly range: TimeRange;
  readonly buckets: number;
  /** Nanoseconds a bucket: a power of two, so that neighbouring zoom levels share their grid. */
  readonly step: number;
}

/**
 * What to ask for to draw `view` on `width` pixels: half a view more on either side, in buckets of one to
 * two pixels whose edges lie on multiples of the bucket, so that density does not shimmer when panned.
 */
export function windowFor(view: TimeRange, width: number): WindowRequest {
  const span = Math.max(view.to - view.from, MIN_SPAN);
  const step = 2 ** Math.max(0, Math.ceil(Math.log2(span / Math.max(width, 1))));
  const from = Math.floor((view.from - span / 2) / step) * step;
  const to = Math.ceil((view.to + span / 2) / step) * step;
  return { range: { from, to }, buckets: Math.max(1, Math.round((to - from) / step)), step };
}

/** Whether a window already held serves `view` at its resolution. */
export function covers(held: WindowRequest, view: TimeRange, width: number): boolean {
  return held.step === windowFor(view, width).step && held.range.from <= view.from && held.range.to >= view.to;
}
