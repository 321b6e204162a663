import type { ReplicaInfo } from '@syncscope/protocol/capture';
import type { ReplicaId } from '@syncscope/protocol/state';

/** How the user arranged the lanes. Replicas that it does not name keep their natural place after those it does. */
export interface LaneArrangement {
  readonly order: readonly ReplicaId[];
  readonly pinned: readonly ReplicaId[];
  readonly collapsed: readonly ReplicaId[];
}

export const NATURAL_ARRANGEMENT: LaneArrangement = { order: [], pinned: [], collapsed: [] };

/** A lane's place in CSS pixels, from the top of the first lane. */
export interface LaneBox {
  readonly replica: ReplicaId;
  readonly top: number;
  readonly height: number;
  /** Where its life line runs, and messages leave and arrive. */
  readonly centre: number;
  readonly ribbonTop: number;
  readonly ribbonHeight: number;
  readonly isCollapsed: boolean;
  readonly isPinned: boolean;
}

const LANE_MIN = 28;
const LANE_MAX = 40;
const LANE_COLLAPSED = 16;
const RIBBON = 5;

const ROLE_RANK = { server: 0, peer: 1, client: 2 } as const;
const byName = new Intl.Collator('en', { numeric: true }).compare;

/** Lanes from the top: the pinned ones, then the user's order, then servers first and names in natural order. */
export function orderLanes(replicas: readonly ReplicaInfo[], arrangement: LaneArrangement): ReplicaId[] {
  const pinned = new Set(arrangement.pinned);
  const place = new Map(arrangement.order.map((replica, index) => [replica, index]));
  const rank = (replica: ReplicaInfo): number => place.get(replica.id) ?? Number.POSITIVE_INFINITY;
  return [...replicas]
    .sort((a, b) => {
      const byPin = Number(pinned.has(b.id)) - Number(pinned.has(a.id));
      if (byPin !== 0) return byPin;
      const [rankA, rankB] = [rank(a), rank(b)];
      if (rankA !== rankB) return rankA - rankB;
      return ROLE_RANK[a.role] - ROLE_RANK[b.role] || byName(a.id, b.id);
    })
    .map((replica) => replica.id);
}

/** `ordered` with one lane moved to `index`; the same array where that is where it is. */
export function moveLane(ordered: readonly ReplicaId[], replica: ReplicaId, index: number): readonly ReplicaId[] {
  const from = ordered.indexOf(replica);
  const to = Math.min(Math.max(index, 0), ordered.length - 1);
  if (from < 0 || from === to) return ordered;
  const rest = ordered.filter((other) => other !== replica);
  return [...rest.slice(0, to), replica, ...rest.slice(to)];
}

/** `list` with `replica` taken out where it was in, and put in where it was not. */
export function toggled(list: readonly ReplicaId[], replica: ReplicaId): ReplicaId[] {
  return list.includes(replica) ? list.filter((other) => other !== replica) : [...list, replica];
}

/** Boxes for lanes in this order, as high as `available` pixels allow between 28 and 40. */
export function layoutLanes(ordered: readonly ReplicaId[], arrangement: LaneArrangement, available: number): LaneBox[] {
  const collapsed = new Set(arrangement.collapsed);
  const pinned = new Set(arrangement.pinned);
  const closed = ordered.filter((replica) => collapsed.has(replica)).length;
  const open = ordered.length - closed;
  const share = Math.floor((available - closed * LANE_COLLAPSED) / Math.max(open, 1));
  const height = Math.min(Math.max(share, LANE_MIN), LANE_MAX);
  let top = 0;
  return ordered.map((replica) => {
    const isCollapsed = collapsed.has(replica);
    const own = isCollapsed ? LANE_COLLAPSED : height;
    const ribbonHeight = isCollapsed ? 3 : RIBBON;
    const ribbonTop = top + own - ribbonHeight - (isCollapsed ? 2 : 4);
    const box: LaneBox = {
      replica,
      top,
      height: own,
      centre: Math.round((top + 1 + ribbonTop) / 2) + 0.5,
      ribbonTop,
      ribbonHeight,
      isCollapsed,
      isPinned: pinned.has(replica),
    };
    top += own;
    return box;
  });
}

/** Height of all lanes together. */
export function lanesHeight(boxes: readonly LaneBox[]): number {
  const last = boxes.at(-1);
  return last ? last.top + last.height : 0;
}

/** The lane at a height; undefined below the last. */
export function laneAt(boxes: readonly LaneBox[], y: number): LaneBox | undefined {
  return boxes.find((box) => y >= box.top && y < box.top + box.height);
}

/** Where a lane dragged to height `y` would be dropped. */
export function dropIndex(boxes: readonly LaneBox[], y: number): number {
  const index = boxes.findIndex((box) => y < box.top + box.height / 2);
  return index < 0 ? boxes.length - 1 : index;
}
