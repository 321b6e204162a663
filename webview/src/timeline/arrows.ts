import type { Arrow } from '@syncscope/protocol/capture';
import type { ReplicaId } from '@syncscope/protocol/state';
import type { LaneBox } from './lane-layout.ts';
import type { TimeScale } from './scale.ts';

/** How a message ended, as far as the capture knows. */
export type ArrowFate = 'received' | 'lost' | 'open';

/** A message in pixels, from the life line of its sender to that of its receiver. */
export interface ArrowShape {
  readonly arrow: Arrow;
  readonly fate: ArrowFate;
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
}

/** Where a message that never arrived stops, as a part of the way to its receiver. */
const LOST_REACH = 0.6;

/** Lays out the arrows of which any part is in the view and both lanes are shown. */
export function layoutArrows(
  arrows: readonly Arrow[],
  lanes: ReadonlyMap<ReplicaId, LaneBox>,
  scale: TimeScale,
): ArrowShape[] {
  const slant = typicalFlight(arrows) * scale.factor;
  const shapes: ArrowShape[] = [];
  for (const arrow of arrows) {
    const from = lanes.get(arrow.from);
    const to = lanes.get(arrow.to);
    if (!from || !to) continue;
    const x1 = scale.x(arrow.sentAt);
    if (arrow.receivedAt === undefined) {
      const x2 = x1 + slant * LOST_REACH;
      if (Math.max(x1, x2) < 0 || x1 > scale.width) continue;
      const y2 = from.centre + (to.centre - from.centre) * LOST_REACH;
      shapes.push({ arrow, fate: arrow.lost ? 'lost' : 'open', x1, y1: from.centre, x2, y2 });
      continue;
    }
    const x2 = scale.x(arrow.receivedAt);
    if (Math.max(x1, x2) < 0 || Math.min(x1, x2) > scale.width) continue;
    shapes.push({ arrow, fate: 'received', x1, y1: from.centre, x2, y2: to.centre });
  }
  return shapes;
}

/** The middle flight time of the messages that arrived, nanoseconds: how a lost one is slanted. 0 where none did. */
export function typicalFlight(arrows: readonly Arrow[]): number {
  const flights: number[] = [];
  for (const arrow of arrows) if (arrow.receivedAt !== undefined) flights.push(arrow.receivedAt - arrow.sentAt);
  flights.sort((a, b) => a - b);
  return flights[flights.length >> 1] ?? 0;
}

/** Distance in pixels from a point to an arrow's line. */
export function distanceToArrow(shape: ArrowShape, x: number, y: number): number {
  const dx = shape.x2 - shape.x1;
  const dy = shape.y2 - shape.y1;
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : Math.min(1, Math.max(0, ((x - shape.x1) * dx + (y - shape.y1) * dy) / length));
  return Math.hypot(x - (shape.x1 + along * dx), y - (shape.y1 + along * dy));
}
