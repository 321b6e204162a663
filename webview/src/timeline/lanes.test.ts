import type { Arrow, ReplicaInfo } from '@syncscope/protocol/capture';
import { replicaId } from '@syncscope/protocol/state';
import { describe, expect, it } from 'vitest';
import { distanceToArrow, layoutArrows, typicalFlight } from './arrows.ts';
import {
  dropIndex,
  laneAt,
  lanesHeight,
  layoutLanes,
  moveLane,
  NATURAL_ARRANGEMENT,
  orderLanes,
  toggled,
} from './lane-layout.ts';
import { timeScale } from './scale.ts';

const [server, bot1, bot2, bot10] = ['server', 'bot-1', 'bot-2', 'bot-10'].map(replicaId) as [
  ReturnType<typeof replicaId>,
  ReturnType<typeof replicaId>,
  ReturnType<typeof replicaId>,
  ReturnType<typeof replicaId>,
];
const info = (id: typeof server, role: ReplicaInfo['role']): ReplicaInfo => ({ id, role, first: 0, last: 1e9 });
const replicas = [info(bot10, 'client'), info(bot2, 'client'), info(server, 'server'), info(bot1, 'client')];

describe('orderLanes', () => {
  it('puts the server first and names in natural order', () => {
    expect(orderLanes(replicas, NATURAL_ARRANGEMENT)).toEqual([server, bot1, bot2, bot10]);
  });

  it('honours the order of the user, and pins above it', () => {
    const arrangement = { order: [bot2, server], pinned: [bot10], collapsed: [] };
    expect(orderLanes(replicas, arrangement)).toEqual([bot10, bot2, server, bot1]);
  });
});

describe('moveLane and toggled', () => {
  it('moves within the list only', () => {
    const order = [server, bot1, bot2];
    expect(moveLane(order, bot2, 0)).toEqual([bot2, server, bot1]);
    expect(moveLane(order, server, 99)).toEqual([bot1, bot2, server]);
    expect(moveLane(order, bot1, 1)).toBe(order);
    expect(moveLane(order, bot10, 0)).toBe(order);
  });

  it('toggles', () => {
    expect(toggled([server], bot1)).toEqual([server, bot1]);
    expect(toggled([server, bot1], server)).toEqual([bot1]);
  });
});

describe('layoutLanes', () => {
  it('keeps lanes between 28 and 40 pixels and collapsed ones small', () => {
    const ordered = [server, bot1, bot2];
    expect(layoutLanes(ordered, NATURAL_ARRANGEMENT, 1000).map((box) => box.height)).toEqual([40, 40, 40]);
    expect(layoutLanes(ordered, NATURAL_ARRANGEMENT, 30).map((box) => box.height)).toEqual([28, 28, 28]);
    const boxes = layoutLanes(ordered, { ...NATURAL_ARRANGEMENT, collapsed: [bot1] }, 86);
    expect(boxes.map((box) => [box.top, box.height])).toEqual([
      [0, 35],
      [35, 16],
      [51, 35],
    ]);
    expect(lanesHeight(boxes)).toBe(86);
  });

  it('finds a lane by height and where a dragged one falls', () => {
    const boxes = layoutLanes([server, bot1, bot2], NATURAL_ARRANGEMENT, 120);
    expect(laneAt(boxes, 41)?.replica).toBe(bot1);
    expect(laneAt(boxes, 500)).toBeUndefined();
    expect(dropIndex(boxes, -5)).toBe(0);
    expect(dropIndex(boxes, 55)).toBe(1);
    expect(dropIndex(boxes, 999)).toBe(2);
  });
});

describe('layoutArrows', () => {
  const boxes = layoutLanes([server, bot1], NATURAL_ARRANGEMENT, 80);
  const lanes = new Map(boxes.map((box) => [box.replica, box]));
  const scale = timeScale({ from: 0, to: 1000 }, 1000);
  const arrow = (sentAt: number, receivedAt?: number, lost?: boolean): Arrow => ({
    from: server,
    to: bot1,
    type: 'DELTA_SYNC',
    sentAt,
    sentPosition: sentAt,
    ...(receivedAt === undefined ? {} : { receivedAt, receivedPosition: receivedAt }),
    ...(lost ? { lost } : {}),
  });
  const at = (replica: typeof server): number => lanes.get(replica)!.centre;

  it('goes from life line to life line', () => {
    expect(layoutArrows([arrow(100, 140)], lanes, scale)).toMatchObject([
      { fate: 'received', x1: 100, y1: at(server), x2: 140, y2: at(bot1) },
    ]);
  });

  it('stops a lost one on the way, slanted like those that arrived', () => {
    const shapes = layoutArrows([arrow(100, 140), arrow(300, undefined, true), arrow(400)], lanes, scale);
    expect(shapes.map((shape) => shape.fate)).toEqual(['received', 'lost', 'open']);
    expect(shapes[1]).toMatchObject({ x1: 300, x2: 324, y2: at(server) + (at(bot1) - at(server)) * 0.6 });
  });

  it('leaves out what is not in view or goes to a lane that is not shown', () => {
    expect(layoutArrows([arrow(-200, -100), arrow(1200, 1300)], lanes, scale)).toEqual([]);
    expect(layoutArrows([arrow(-200, 1300)], lanes, scale)).toHaveLength(1);
    expect(layoutArrows([{ ...arrow(10, 20), to: bot10 }], lanes, scale)).toEqual([]);
  });

  it('measures distance to the line and its ends', () => {
    const [shape] = layoutArrows([{ ...arrow(100, 100), to: bot1 }], lanes, scale);
    expect(distanceToArrow(shape!, 103, (at(server) + at(bot1)) / 2)).toBe(3);
    expect(distanceToArrow(shape!, 100, at(bot1) + 4)).toBe(4);
    expect(typicalFlight([])).toBe(0);
  });
});
