/**
 * Scrolling of lists too long for the browser's own: a scroll area is capped at 33.5 million pixels, so here a
 * position is a row and a fraction of one, never a pixel of the whole.
 */

export const ROW_HEIGHT = 22;
const MIN_THUMB = 24;

export interface Viewport {
  /** Rows in all. */
  readonly count: number;
  /** Height of what is seen, CSS pixels. */
  readonly height: number;
}

/** Rows that fit, a fraction of one included. */
export function rowsInView({ height }: Viewport): number {
  return height / ROW_HEIGHT;
}

/** The nearest top row that leaves no empty space below the last row. */
export function clampTop(top: number, viewport: Viewport): number {
  return Math.max(0, Math.min(top, viewport.count - rowsInView(viewport)));
}

/** Rows to draw, `from` included and `to` excluded, those partly seen too. */
export function rowsToDraw(top: number, viewport: Viewport): { readonly from: number; readonly to: number } {
  const from = Math.floor(clampTop(top, viewport));
  return { from, to: Math.min(viewport.count, Math.ceil(clampTop(top, viewport) + rowsInView(viewport))) };
}

/** Where the scrollbar's thumb is and how long, pixels; undefined where everything fits. */
export function thumbOf(
  top: number,
  viewport: Viewport,
): { readonly offset: number; readonly length: number } | undefined {
  const seen = rowsInView(viewport);
  if (viewport.count <= seen || viewport.height <= MIN_THUMB) return undefined;
  const length = Math.max(MIN_THUMB, (seen / viewport.count) * viewport.height);
  const travel = viewport.height - length;
  return { offset: (clampTop(top, viewport) / (viewport.count - seen)) * travel, length };
}

/** The top row for a thumb dragged to `offset`; the inverse of {@link thumbOf}. */
export function topOfThumb(offset: number, viewport: Viewport): number {
  const thumb = thumbOf(0, viewport);
  if (!thumb) return 0;
  return clampTop((offset / (viewport.height - thumb.length)) * (viewport.count - rowsInView(viewport)), viewport);
}

/** The top row with which `index` is seen: unchanged where it is already, else with the row in the middle. */
export function reveal(index: number, top: number, viewport: Viewport): number {
  const now = clampTop(top, viewport);
  if (index >= now && index + 1 <= now + rowsInView(viewport)) return now;
  // A whole row on top: no row is shown cut where it need not be.
  return clampTop(Math.round(index - rowsInView(viewport) / 2 + 0.5), viewport);
}

/** The top row with which `index` is seen, moving as little as possible: for stepping with the keyboard. */
export function nudge(index: number, top: number, viewport: Viewport): number {
  const now = clampTop(top, viewport);
  if (index < now) return clampTop(index, viewport);
  if (index + 1 > now + rowsInView(viewport)) return clampTop(index + 1 - rowsInView(viewport), viewport);
  return now;
}

/** Rows that a wheel event asks for. */
export function wheelRows(event: Pick<WheelEvent, 'deltaY' | 'deltaMode'>, viewport: Viewport): number {
  if (event.deltaMode === 1) return event.deltaY;
  if (event.deltaMode === 2) return event.deltaY * rowsInView(viewport);
  return event.deltaY / ROW_HEIGHT;
}
