import type { ReplicaId } from '@syncscope/protocol/state';
import { type ArrowShape, distanceToArrow } from './arrows.ts';
import type { MarkerCluster, PointCluster } from './fold.ts';
import { KIND_STYLES } from './kinds.ts';
import { type LaneBox, laneAt } from './lane-layout.ts';

/** What was drawn, in CSS pixels; lane heights are those of {@link LaneBox}, below `top`. */
export interface Scene {
  /** Height of the ruler; lanes begin below it, moved up by `scroll`. */
  readonly top: number;
  readonly scroll: number;
  readonly lanes: readonly LaneBox[];
  readonly laneOf: ReadonlyMap<ReplicaId, LaneBox>;
  readonly markers: readonly MarkerCluster[];
  readonly clusters: readonly PointCluster[];
  readonly arrows: readonly ArrowShape[];
  /** Where the row of markers lies. */
  readonly markerCentre: number;
}

/** What lies under the pointer. */
export type Hit =
  | { readonly type: 'marker'; readonly cluster: MarkerCluster; readonly position: number }
  | { readonly type: 'point'; readonly cluster: PointCluster; readonly position: number | undefined }
  | { readonly type: 'arrow'; readonly shape: ArrowShape; readonly position: number }
  | { readonly type: 'ruler' }
  | { readonly type: 'lane'; readonly lane: LaneBox };

const MARKER_REACH = 8;
const POINT_REACH = 7;
const ARROW_REACH = 4;

/** Finds what a pointer at `x`, `y` means: the nearest marker, else glyph, else arrow, else the lane it is in. */
export function hitTest(scene: Scene, x: number, y: number): Hit | undefined {
  if (y < scene.top) {
    const marker =
      Math.abs(y - scene.markerCentre) <= MARKER_REACH
        ? nearest(scene.markers, MARKER_REACH, (cluster) => Math.abs(cluster.x - x))
        : undefined;
    return marker ? { type: 'marker', cluster: marker, position: marker.marker.position } : { type: 'ruler' };
  }
  const laneY = y - scene.top + scene.scroll;
  const point = nearest(scene.clusters, POINT_REACH, (cluster) => {
    const lane = scene.laneOf.get(cluster.replica);
    // Half a pixel in favour of what weighs more, so that a problem wins over its neighbour.
    const favour = KIND_STYLES[cluster.kind].weight / 300;
    return lane ? Math.max(0, Math.hypot(cluster.x - x, lane.centre - laneY) - favour) : Number.POSITIVE_INFINITY;
  });
  if (point) return { type: 'point', cluster: point, position: point.position };
  const shape = nearest(scene.arrows, ARROW_REACH, (arrow) => distanceToArrow(arrow, x, laneY));
  if (shape) return { type: 'arrow', shape, position: arrowPosition(shape, x, laneY) };
  const lane = laneAt(scene.lanes, laneY);
  return lane ? { type: 'lane', lane } : undefined;
}

/** The record that a click on an arrow means: its receipt near the head, its sending near the tail. */
function arrowPosition({ arrow, x1, y1, x2, y2 }: ArrowShape, x: number, y: number): number {
  const nearHead = Math.hypot(x - x2, y - y2) < Math.hypot(x - x1, y - y1);
  return nearHead ? (arrow.receivedPosition ?? arrow.sentPosition) : arrow.sentPosition;
}

function nearest<T>(items: readonly T[], reach: number, distance: (item: T) => number): T | undefined {
  let best: T | undefined;
  let least = reach;
  for (const item of items) {
    const away = distance(item);
    if (away <= least) {
      least = away;
      best = item;
    }
  }
  return best;
}
