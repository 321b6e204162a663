import type { LanesWindow, Marker, Point, ReplicaInfo, Severity, TimeRange } from '@syncscope/protocol/capture';
import type { ReplicaId } from '@syncscope/protocol/state';
import type { TraceKind } from '@syncscope/protocol/trace';
import { type ArrowShape, layoutArrows } from './arrows.ts';
import {
  type Columns,
  foldBuckets,
  foldMarkers,
  foldPoints,
  type MarkerCluster,
  type PointCluster,
  peakOf,
  problemClusters,
  type RibbonRun,
  ribbonRuns,
} from './fold.ts';
import type { Scene } from './hit.ts';
import { TICK_KINDS } from './kinds.ts';
import type { LaneBox } from './lane-layout.ts';
import { type TimeScale, timeScale } from './scale.ts';
import { type Tick, timeTicks } from './ticks.ts';

/** Height of the ruler above the lanes: tick labels, then the row of markers. */
export const RULER_HEIGHT = 36;
const MARKER_CENTRE = 26;
/** Glyphs closer than this are folded. */
const GLYPH_GAP = 9;
const MARKER_GAP = 12;
const TICK_SPACING = 110;

/** One record as far as highlighting needs to know it. */
export interface Mark {
  readonly position: number;
  readonly time: number;
  readonly replica: ReplicaId;
  readonly kind: TraceKind;
  readonly severity: Severity;
}

/** The selected record with what made it happen and what it made happen. */
export interface Highlight {
  readonly selected: Mark;
  readonly causes: readonly Mark[];
  readonly effects: readonly Mark[];
}

/** All that a picture of the lanes depends on. */
export interface SceneInput {
  readonly width: number;
  readonly height: number;
  readonly scroll: number;
  readonly view: TimeRange;
  /** First and last record of the capture. */
  readonly bounds: TimeRange;
  readonly lanes: readonly LaneBox[];
  readonly replicas: readonly ReplicaInfo[];
  readonly window: LanesWindow | undefined;
  /** That window is not the one for `view`, which is long in coming. */
  readonly isLate: boolean;
  readonly markers: readonly Marker[];
  readonly highlight: Highlight | undefined;
}

/** A lane with what is drawn along it. */
export interface LaneScene {
  readonly box: LaneBox;
  /** Where its life line begins and ends. */
  readonly from: number;
  readonly to: number;
  readonly columns: Columns | undefined;
  readonly runs: readonly RibbonRun[];
}

/** A stretch of which it is not known yet what is in it, or only coarsely. */
export interface PendingBand {
  readonly x: number;
  readonly width: number;
}

/** A picture of the lanes in pixels: everything that is drawn, and everything that can be hit. */
export interface LanesScene extends Scene {
  readonly scale: TimeScale;
  readonly ticks: readonly Tick[];
  readonly laneScenes: readonly LaneScene[];
  /** Messages singly, or density where there are too many. */
  readonly isSingle: boolean;
  readonly peak: number;
  readonly pending: readonly PendingBand[];
  /** Points that are mere ticks on the life line. */
  readonly dots: readonly { readonly x: number; readonly y: number }[];
  /** Positions that belong to the selection. */
  readonly lit: ReadonlySet<number>;
  readonly highlight: Highlight | undefined;
}

export function buildScene(input: SceneInput): LanesScene {
  const scale = timeScale(input.view, input.width);
  const laneOf = new Map<ReplicaId, LaneBox>(input.lanes.map((lane) => [lane.replica, lane]));
  const lit = litPositions(input.highlight);
  const { window } = input;
  const isSingle = window?.points !== undefined && window.arrows !== undefined;
  const laneScenes = input.lanes.map((box) => laneScene(box, input, scale, isSingle));
  const clusters: PointCluster[] = isSingle
    ? foldPoints(onShownLanes(window.points, laneOf), scale, GLYPH_GAP, lit)
    : laneScenes.flatMap(({ box, columns }) =>
        columns ? problemClusters(box.replica, columns, scale, GLYPH_GAP) : [],
      );
  const arrows: ArrowShape[] = isSingle ? layoutArrows(window.arrows, laneOf, scale) : [];
  const markers: MarkerCluster[] = foldMarkers(input.markers, scale, MARKER_GAP);
  return {
    top: RULER_HEIGHT,
    scroll: input.scroll,
    markerCentre: MARKER_CENTRE,
    lanes: input.lanes,
    laneOf,
    markers,
    clusters,
    arrows,
    scale,
    ticks: timeTicks(input.view, Math.max(2, Math.floor(input.width / TICK_SPACING))),
    laneScenes,
    isSingle,
    peak: peakOf(laneScenes.flatMap(({ columns }) => (columns ? [columns] : []))),
    pending: input.isLate ? pendingBands(window, scale, isSingle) : [],
    dots: isSingle ? dotsOf(window.points, laneOf, scale) : [],
    lit,
    highlight: input.highlight,
  };
}

/** Wider than this a bucket is drawn as if it were evenly filled, which it need not be. Pixels. */
const BUCKET_MAX = 3;

/** Records that are drawn singly are where they are; of density, what is coarse says little. */
function pendingBands(window: LanesWindow | undefined, scale: TimeScale, isSingle: boolean): PendingBand[] {
  const { width } = scale;
  if (!window) return [{ x: 0, width }];
  const from = scale.x(window.range.from);
  const to = scale.x(window.range.to);
  const buckets = window.lanes[0]?.density.length ?? 1;
  if (!isSingle && (to - from) / Math.max(1, buckets) > BUCKET_MAX) return [{ x: 0, width }];
  const left = Math.max(0, Math.min(from, width));
  const right = Math.max(left, Math.min(to, width));
  return [
    { x: 0, width: left },
    { x: right, width: width - right },
  ].filter((band) => band.width >= 1);
}

function laneScene(box: LaneBox, input: SceneInput, scale: TimeScale, isSingle: boolean): LaneScene {
  const info = input.replicas.find((replica) => replica.id === box.replica);
  const lane = input.window?.lanes.find((other) => other.replica === box.replica);
  const range = input.window?.range;
  return {
    box,
    from: scale.x(info?.first ?? input.bounds.from),
    to: scale.x(info?.last ?? input.bounds.to),
    columns: lane && range && !isSingle ? foldBuckets(range, lane.density, lane.kinds, scale) : undefined,
    runs: lane && range ? ribbonRuns(range, lane.ribbon, scale) : [],
  };
}

function onShownLanes(points: readonly Point[], laneOf: ReadonlyMap<ReplicaId, LaneBox>): readonly Point[] {
  return points.filter((point) => laneOf.has(point.replica));
}

function dotsOf(
  points: readonly Point[],
  laneOf: ReadonlyMap<ReplicaId, LaneBox>,
  scale: TimeScale,
): Array<{ x: number; y: number }> {
  const dots: Array<{ x: number; y: number }> = [];
  const lastX = new Map<string, number>();
  for (const point of points) {
    if (!TICK_KINDS.has(point.kind)) continue;
    const lane = laneOf.get(point.replica);
    const x = Math.round(scale.x(point.time));
    // Two ticks on the same pixel of a lane look like one.
    if (!lane || x < 0 || x > scale.width || lastX.get(point.replica) === x) continue;
    lastX.set(point.replica, x);
    dots.push({ x, y: lane.centre });
  }
  return dots;
}

function litPositions(highlight: Highlight | undefined): Set<number> {
  if (!highlight) return new Set();
  return new Set([highlight.selected, ...highlight.causes, ...highlight.effects].map((mark) => mark.position));
}
