import { unpackMsgpack } from '../bytes/index.ts';
import type { ReplicaId } from '../state/index.ts';
import { type LinkId, perLink } from '../sync/index.ts';
import type { Decisions } from './driven.ts';
import type { Arrival, Travelled } from './journey.ts';
import { type Effects, frameOf, Machines } from './machines.ts';
import type { Step } from './steps.ts';

/** One frame of one connection, by its place in it: a frame's number in its sender's sequence is kept whatever it says. */
export type FrameKey = string;
export type Direction = 'up' | 'down';

/** How a frame of the recording fared. */
export interface Journey extends Travelled {
  readonly key: FrameKey;
  readonly direction: Direction;
  readonly link: LinkId;
  readonly arrivals: Arrival[];
}

/** What the network did in a recording. */
export interface Baseline {
  readonly journeys: ReadonlyMap<FrameKey, Journey>;
  /** By the `seq` of each `send` and `receive` record. */
  readonly bySeq: ReadonlyMap<number, Journey>;
}

export function keyOf(link: LinkId, direction: Direction, frame: Uint8Array): FrameKey {
  return `${link}/${direction}/${sequenceOf(frame)}`;
}

function sequenceOf(frame: Uint8Array): number {
  const tuple = unpackMsgpack(frame);
  const sequence = Array.isArray(tuple) ? (tuple as readonly unknown[])[2] : undefined;
  return typeof sequence === 'number' ? sequence : 0;
}

/** Runs the recording once, to know which frame each arrival was and how long it had been on its way. */
export function baselineOf(steps: readonly Step[], decisions: Decisions): Baseline {
  const journeys = new Map<FrameKey, Journey>();
  const bySeq = new Map<number, Journey>();
  const sends = new Map<ReplicaId, number[]>();
  const links = new Map<ReplicaId, LinkId>();
  const machines = new Machines(closedButCounting, decisions);
  const depart = (link: LinkId, direction: Direction, frame: Uint8Array, from: ReplicaId, time: number): void => {
    const sent = sends.get(from)?.shift() ?? 0;
    const key = keyOf(link, direction, frame);
    const journey = { key, direction, link, sent, sentAt: time, arrivals: [] };
    journeys.set(key, journey);
    if (sent > 0) bySeq.set(sent, journey);
  };
  for (const [index, { input, records, time, snapshot }] of steps.entries()) {
    if (input === undefined) continue;
    if (input.op === 'authority') sends.delete(input.replica);
    if (input.op === 'open') links.set(input.replica, input.link);
    if (input.op === 'authorityStands') {
      for (const { id, client } of input.standing.links) if (client) links.set(client.replica, id);
    }
    for (const { record } of records) {
      if (record.body.kind !== 'send') continue;
      const waiting = sends.get(record.replica);
      if (waiting) waiting.push(record.seq);
      else sends.set(record.replica, [record.seq]);
    }
    if (input.op === 'arrival' || input.op === 'delivery') {
      const frame = frameOf(records);
      const journey = frame && journeys.get(keyOf(input.link, input.op === 'arrival' ? 'up' : 'down', frame));
      const seq = records.find(({ record }) => record.wire === frame)?.record.seq ?? 0;
      journey?.arrivals.push({ step: index, time, now: input.now, seq });
      if (journey && seq > 0) bySeq.set(seq, journey);
    }
    const { frames, outgoing }: Effects = machines.apply(input, records, undefined, snapshot);
    const greeted = input.op === 'arrival' ? machines.authority?.replicaOf(input.link) : undefined;
    // One who opened before the recording began is not known by its link before its HELLO comes in.
    if (greeted !== undefined && input.op === 'arrival' && !links.has(greeted)) links.set(greeted, input.link);
    for (const frame of frames) depart(links.get(input.replica) ?? -1, 'up', frame, input.replica, time);
    for (const one of perLink(outgoing)) if ('frame' in one) depart(one.link, 'down', one.frame, input.replica, time);
  }
  return { journeys, bySeq };
}

/** Somebody listens, but to nothing: what the machines say of themselves is known already. */
const closedButCounting = { isOpen: true, emit: () => 0 };
