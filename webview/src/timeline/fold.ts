import type { Agreement, Marker, MarkerKind, Point, TimeRange } from '@syncscope/protocol/capture';
import type { ReplicaId } from '@syncscope/protocol/state';
import type { TraceKind } from '@syncscope/protocol/trace';
import { heaviestKind, KIND_STYLES, MARKER_STYLES, PROBLEM_MASK, TICK_KINDS } from './kinds.ts';
import type { TimeScale } from './scale.ts';

/** Buckets as pixel columns, one entry a CSS pixel of the view. */
export interface Columns {
  /** Records that fall on this pixel; fractions where a bucket spans several. */
  readonly value: Float32Array;
  /** Kinds on this pixel. A bucket over several pixels shows its kinds on the middle one only. */
  readonly mask: Uint32Array;
}

/**
 * Folds the buckets of `range` onto the pixels of `scale`, whatever zoom either has: neighbours on one
 * pixel add up and their kinds are united, so that nothing is lost however far out the view is.
 */
export function foldBuckets(
  range: TimeRange,
  counts: ArrayLike<number>,
  kinds: ArrayLike<number>,
  scale: TimeScale,
): Columns {
  const width = Math.max(0, Math.ceil(scale.width));
  const value = new Float32Array(width);
  const mask = new Uint32Array(width);
  const step = (range.to - range.from) / Math.max(counts.length, 1);
  const pixels = step * scale.factor;
  for (let bucket = 0; bucket < counts.length; bucket++) {
    const count = counts[bucket] ?? 0;
    const bits = kinds[bucket] ?? 0;
    if (count === 0 && bits === 0) continue;
    const left = scale.x(range.from + bucket * step);
    const right = left + pixels;
    const first = Math.max(0, Math.floor(left));
    const last = Math.min(width - 1, Math.max(Math.floor(left), Math.ceil(right) - 1));
    if (last < first) continue;
    const middle = Math.min(Math.max(Math.floor(left + pixels / 2), first), last);
    mask[middle] = (mask[middle]! | bits) >>> 0;
    if (Math.floor(left) === Math.ceil(right) - 1) {
      value[first] = value[first]! + count;
      continue;
    }
    for (let x = first; x <= last; x++) {
      const overlap = Math.min(right, x + 1) - Math.max(left, x);
      value[x] = value[x]! + (count * overlap) / pixels;
    }
  }
  return { value, mask };
}

/** Sums over several columns arrays, for one scale common to all lanes. */
export function peakOf(columns: readonly Columns[]): number {
  let peak = 0;
  for (const { value } of columns) for (let x = 0; x < value.length; x++) if (value[x]! > peak) peak = value[x]!;
  return peak;
}

/** A stretch of one agreement, in pixels. */
export interface RibbonRun {
  readonly x: number;
  readonly width: number;
  readonly agreement: Agreement;
}

/** The ribbon as stretches; a pixel on which several buckets fall shows the worst of them. Unknown stretches are left out. */
export function ribbonRuns(range: TimeRange, ribbon: ArrayLike<number>, scale: TimeScale): RibbonRun[] {
  const width = Math.max(0, Math.ceil(scale.width));
  const worst = new Uint8Array(width);
  const step = (range.to - range.from) / Math.max(ribbon.length, 1);
  const pixels = step * scale.factor;
  for (let bucket = 0; bucket < ribbon.length; bucket++) {
    const agreement = ribbon[bucket] ?? 0;
    if (agreement === 0) continue;
    const left = scale.x(range.from + bucket * step);
    const first = Math.max(0, Math.floor(left));
    const last = Math.min(width - 1, Math.max(Math.floor(left), Math.ceil(left + pixels) - 1));
    for (let x = first; x <= last; x++) if (agreement > worst[x]!) worst[x] = agreement;
  }
  const runs: RibbonRun[] = [];
  let start = 0;
  for (let x = 1; x <= width; x++) {
    if (x < width && worst[x] === worst[start]) continue;
    if (width > 0 && worst[start] !== 0) {
      runs.push({ x: start, width: x - start, agreement: worst[start] as Agreement });
    }
    start = x;
  }
  return runs;
}

/** Points of one lane that lie too close to be told apart, shown as the weightiest of them. */
export interface PointCluster {
  readonly replica: ReplicaId;
  readonly x: number;
  readonly kind: TraceKind;
  /** Absent far out, where only the kind and the time are known. */
  readonly position: number | undefined;
  readonly time: number;
  readonly count: number;
}

/**
 * Folds points (ordered by time) that are less than `gap` pixels apart on the same lane. Those in `keep`
 * stay single, so that a selection can always be seen.
 */
export function foldPoints(
  points: readonly Point[],
  scale: TimeScale,
  gap: number,
  keep: ReadonlySet<number>,
): PointCluster[] {
  type Open = { -readonly [K in keyof PointCluster]: PointCluster[K] };
  const open = new Map<ReplicaId, Open>();
  const clusters: Open[] = [];
  for (const point of points) {
    const weight = KIND_STYLES[point.kind].weight;
    const isKept = keep.has(point.position);
    if (TICK_KINDS.has(point.kind) && !isKept) continue;
    const x = scale.x(point.time);
    if (x < -gap || x > scale.width + gap) continue;
    const last = open.get(point.replica);
    if (last && !isKept && x - last.x < gap) {
      last.count++;
      if (weight > KIND_STYLES[last.kind].weight) {
        last.kind = point.kind;
        last.position = point.position;
        last.time = point.time;
        last.x = x;
      }
      continue;
    }
    const cluster: Open = {
      replica: point.replica,
      x,
      kind: point.kind,
      position: point.position,
      time: point.time,
      count: 1,
    };
    clusters.push(cluster);
    if (!isKept) open.set(point.replica, cluster);
  }
  return clusters;
}

/** Markers that fall on the same few pixels, shown as the most severe with a count. */
export interface MarkerCluster {
  readonly x: number;
  readonly kind: MarkerKind;
  readonly marker: Marker;
  readonly members: readonly Marker[];
}

/** Folds markers less than `gap` pixels apart. Each marker in the view is a member of exactly one cluster. */
export function foldMarkers(markers: readonly Marker[], scale: TimeScale, gap: number): MarkerCluster[] {
  const visible = markers
    .map((marker) => ({ marker, x: scale.x(marker.time) }))
    .filter(({ x }) => x >= -gap && x <= scale.width + gap)
    .sort((a, b) => a.x - b.x);
  const groups: Array<typeof visible> = [];
  for (const entry of visible) {
    const group = groups.at(-1);
    if (group && entry.x - group[0]!.x < gap) group.push(entry);
    else groups.push([entry]);
  }
  return groups.map((group) => {
    const worst = group.reduce((best, entry) =>
      MARKER_STYLES[entry.marker.kind].weight > MARKER_STYLES[best.marker.kind].weight ? entry : best,
    );
    return {
      x: worst.x,
      kind: worst.marker.kind,
      marker: worst.marker,
      members: group.map((entry) => entry.marker),
    };
  });
}

/** Far out: where a lane's columns hold problems, a cluster each `gap` pixels, so that not one is lost in the density. */
export function problemClusters(replica: ReplicaId, columns: Columns, scale: TimeScale, gap: number): PointCluster[] {
  const clusters: PointCluster[] = [];
  let x = 0;
  while (x < columns.mask.length) {
    if ((columns.mask[x]! & PROBLEM_MASK) === 0) {
      x++;
      continue;
    }
    let best: { kind: TraceKind; x: number } | undefined;
    let count = 0;
    const end = Math.min(x + gap, columns.mask.length);
    for (let at = x; at < end; at++) {
      const bits = (columns.mask[at]! & PROBLEM_MASK) >>> 0;
      const kind = heaviestKind(bits);
      if (!kind) continue;
      count++;
      if (!best || KIND_STYLES[kind].weight > KIND_STYLES[best.kind].weight) best = { kind, x: at };
    }
    if (best) {
      clusters.push({
        replica,
        x: best.x + 0.5,
        kind: best.kind,
        position: undefined,
        time: scale.time(best.x),
        count,
      });
    }
    x = end;
  }
  return clusters;
}
