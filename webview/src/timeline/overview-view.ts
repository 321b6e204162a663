import type { KindGroup, Marker, Overview, TimeRange } from '@syncscope/protocol/capture';
import { createView, preparePen, type Surface, type View } from './canvas-view.ts';
import { foldBuckets } from './fold.ts';
import type { Frames } from './frame.ts';
import { GROUP_STYLES, heaviestKind, KIND_STYLES, MARKER_STYLES, PROBLEM_MASK } from './kinds.ts';
import type { Palette } from './palette.ts';
import type { Pen } from './pen.ts';
import { timeScale } from './scale.ts';

export interface OverviewState {
  readonly width: number;
  readonly height: number;
  readonly ratio: number;
  /** What the strip shows from edge to edge: the whole capture. */
  readonly whole: TimeRange;
  readonly overview: Overview | undefined;
  readonly markers: readonly Marker[];
  readonly palette: Palette;
}

/** Bottom first. Problems are not stacked but drawn over all, at full height. */
const STACK: readonly KindGroup[] = ['message', 'change', 'prediction', 'hash', 'other'];
/** Kept free for problems and markers. */
const TOP = 7;
/** As in the lanes: what belongs to a healthy session stands back. */
const ROUTINE_ALPHA = 0.35;

export function createOverviewView(surface: Surface, initial: OverviewState, frames: Frames): View<OverviewState> {
  return createView(initial, frames, (state) => {
    const pen = preparePen(surface, state.width, state.height, state.ratio);
    if (pen) drawOverview(pen, state);
  });
}

/** Draws the strip: kinds stacked as density, and every problem as a stroke of its own. The pen is in CSS pixels. */
export function drawOverview(pen: Pen, state: OverviewState): void {
  const { width, height, overview, palette, whole } = state;
  pen.clearRect(0, 0, width, height);
  const scale = timeScale(whole, width);
  if (overview) {
    const columns = STACK.map((group) => foldBuckets(overview.range, overview.counts[group], overview.kinds, scale));
    const columnCount = columns[0]?.value.length ?? 0;
    const totals = new Float32Array(columnCount);
    let peak = 0;
    for (let x = 0; x < columnCount; x++) {
      for (const { value } of columns) totals[x] = totals[x]! + value[x]!;
      if (totals[x]! > peak) peak = totals[x]!;
    }
    const room = height - TOP;
    const below = new Float32Array(columnCount);
    STACK.forEach((group, index) => {
      const { value } = columns[index]!;
      pen.fillStyle = palette.ink[GROUP_STYLES[group].ink];
      pen.globalAlpha = palette.isHighContrast ? 0.9 : 0.5;
      pen.beginPath();
      for (let x = 0; x < columnCount; x++) {
        if (value[x] === 0) continue;
        // The stack as a whole grows with the square root, its parts share it in proportion.
        const tall = Math.max(1, Math.sqrt(totals[x]! / peak) * room);
        const part = (tall * value[x]!) / totals[x]!;
        pen.rect(x, height - below[x]! - part, 1, part);
        below[x] = below[x]! + part;
      }
      pen.fill();
    });
    pen.globalAlpha = 1;
    drawProblems(pen, columns[0]?.mask ?? new Uint32Array(), state);
  }
  drawMarkerTicks(pen, state);
}

/** From the bitmasks, which hold every record: a stroke for each pixel with a problem. */
function drawProblems(pen: Pen, mask: Uint32Array, { height, palette }: OverviewState): void {
  for (let x = 0; x < mask.length; x++) {
    const kind = heaviestKind((mask[x]! & PROBLEM_MASK) >>> 0);
    if (!kind) continue;
    const { ink } = KIND_STYLES[kind];
    pen.fillStyle = palette.ink[ink];
    if (ink === 'error') {
      pen.globalAlpha = 0.55;
      pen.fillRect(x, TOP, 1, height - TOP);
      pen.globalAlpha = 1;
    }
    pen.globalAlpha = kind === 'rollback' ? ROUTINE_ALPHA : 1;
    pen.fillRect(x - 0.5, 0, 2, TOP - 1);
    pen.globalAlpha = 1;
  }
}

function drawMarkerTicks(pen: Pen, { markers, palette, whole, width }: OverviewState): void {
  const scale = timeScale(whole, width);
  // The most severe last, so that it is on top.
  const byWeight = [...markers].sort((a, b) => MARKER_STYLES[a.kind].weight - MARKER_STYLES[b.kind].weight);
  for (const marker of byWeight) {
    // So many in a healthy session that they would cover the others; their strokes are there.
    if (marker.kind === 'rollback') continue;
    const x = Math.min(width - 2, Math.max(2, Math.round(scale.x(marker.time))));
    pen.fillStyle = palette.ink[MARKER_STYLES[marker.kind].ink];
    pen.beginPath();
    pen.moveTo(x - 3.5, 0);
    pen.lineTo(x + 3.5, 0);
    pen.lineTo(x, TOP - 0.5);
    pen.closePath();
    pen.fill();
  }
}
