import type { CaptureIndex, ReplicaIndex } from './capture-index.ts';
import { KIND } from './envelope.ts';
import { GROUP_OF_KIND } from './kind-groups.ts';
import { BLOCK_RECORDS, OverviewBlocks } from './overview-blocks.ts';
import {
  AGREEMENT,
  type Arrow,
  KIND_GROUPS,
  type KindGroup,
  type Lane,
  type LanesWindow,
  type Overview,
  type Point,
  type TimeRange,
} from './query.ts';
import type { Standing } from './standing.ts';

/** Answers by time range and resolution, from the index's columns alone. */

const MAX_BUCKETS = 65_536;
/** How far before a window sends are looked for whose arrows reach into it. */
const LOOK_BACK = 50_000;

/** Up to so many records every one is looked at; above it an answer is exact to a block. */
const EXACT_RECORDS = 262_144;

export function overviewOf(index: CaptureIndex, range: TimeRange, buckets: number): Overview {
  const scale = new Buckets(range, buckets);
  const counts = KIND_GROUPS.map(() => new Uint32Array(scale.count));
  const kinds = new Uint32Array(scale.count);
  const one = (position: number): void => {
    const bucket = scale.of(index.columns.time(position));
    const kind = index.columns.kind(position);
    counts[GROUP_OF_KIND[kind]!]![bucket]!++;
    kinds[bucket]! |= 1 << kind;
  };
  const { blocks } = index;
  eachPart(index, range, scale, one, (block) => {
    const bucket = scale.of(blocks.time.at(block));
    for (const [group, list] of blocks.counts.entries()) counts[group]![bucket]! += list.at(block);
    kinds[bucket]! |= blocks.kinds.at(block);
  });
  const byGroup = KIND_GROUPS.map((group, number) => [group, counts[number]!] as const);
  return { range, counts: Object.fromEntries(byGroup) as Record<KindGroup, Uint32Array>, kinds };
}

/**
 * Goes through a time range: record by record, or where there are many, block by block with the records
 * at both ends singly. Either calls come in order.
 */
function eachPart(
  index: CaptureIndex,
  range: TimeRange,
  scale: Buckets,
  takeRecord: (position: number) => void,
  takeBlock: (block: number) => void,
): void {
  const first = index.firstFrom(range.from);
  const last = index.firstFrom(range.to);
  const whole = wholeBlocks(index, first, last, scale.count);
  if (!whole) {
    for (let position = first; position < last; position++) takeRecord(position);
    return;
  }
  for (let position = first; position < whole.from * BLOCK_RECORDS; position++) takeRecord(position);
  for (let block = whole.from; block < whole.to; block++) takeBlock(block);
  for (let position = whole.to * BLOCK_RECORDS; position < last; position++) takeRecord(position);
}

/** The blocks that lie whole within two positions, where the answer is coarse enough for them. */
function wholeBlocks(
  index: CaptureIndex,
  first: number,
  last: number,
  buckets: number,
): { from: number; to: number } | undefined {
  const records = last - first;
  if (records <= EXACT_RECORDS || records < buckets * BLOCK_RECORDS) return undefined;
  const from = Math.ceil(first / BLOCK_RECORDS);
  const to = Math.min(index.blocks.length, OverviewBlocks.of(last));
  return from < to ? { from, to } : undefined;
}

export function lanesOf(index: CaptureIndex, range: TimeRange, buckets: number, limit: number): LanesWindow {
  const scale = new Buckets(range, buckets);
  const first = index.firstFrom(range.from);
  const last = index.firstFrom(range.to);
  const whole = wholeBlocks(index, first, last, scale.count);
  const ribbons = whole && ribbonsOfBlocks(index, first, range, scale, whole);
  const byNumber: (Lane | undefined)[] = [];
  const lanes = orderedReplicas(index).map((replica): Lane => {
    const number = index.replicaNames.findText(replica.id);
    const ribbon = ribbons?.[number] ?? ribbonOf(index, replica, range, scale);
    const lane = {
      replica: replica.id,
      density: new Uint32Array(scale.count),
      kinds: new Uint32Array(scale.count),
      ribbon,
    };
    byNumber[number] = lane;
    return lane;
  });
  fillLanes(index, range, scale, byNumber);
  if (last - first > limit) return { range, lanes };
  return { range, lanes, arrows: arrowsOf(index, range, first, last, limit), points: pointsOf(index, first, last) };
}

function fillLanes(index: CaptureIndex, range: TimeRange, scale: Buckets, lanes: readonly (Lane | undefined)[]): void {
  const { columns, blocks } = index;
  const add = (number: number, bucket: number, count: number, kinds: number): void => {
    const lane = lanes[number];
    if (!lane) return;
    lane.density[bucket]! += count;
    lane.kinds[bucket]! |= kinds;
  };
  const one = (position: number): void =>
    add(columns.replica(position), scale.of(columns.time(position)), 1, 1 << columns.kind(position));
  let at = -1;
  eachPart(index, range, scale, one, (block) => {
    if (at < 0) at = blocks.laneBlock.countBelow(block);
    const bucket = scale.of(blocks.time.at(block));
    for (; at < blocks.laneBlock.length && blocks.laneBlock.at(at) === block; at++) {
      add(blocks.laneReplica.at(at), bucket, blocks.laneCount.at(at), blocks.laneKinds.at(at));
    }
  });
}

/** Ribbons by number of the replica, from the worst agreement of each block. */
function ribbonsOfBlocks(
  index: CaptureIndex,
  first: number,
  range: TimeRange,
  scale: Buckets,
  whole: { readonly from: number; readonly to: number },
): Uint8Array[] {
  const { blocks } = index;
  const end = scale.of(Math.min(range.to, index.timeAt(index.end - 1)));
  const ribbons: Uint8Array[] = [];
  const states: { agreement: number; bucket: number }[] = [];
  for (const replica of index.knownReplicas()) {
    const number = index.replicaNames.findText(replica.id);
    const turn = replica.turns.countBelow(first + 1) - 1;
    ribbons[number] = new Uint8Array(scale.count);
    states[number] = { agreement: turn < 0 ? AGREEMENT.unknown : replica.turnsTo.at(turn), bucket: 0 };
  }
  const { laneBlock, laneReplica, laneAgreement } = blocks;
  const until = laneBlock.countBelow(whole.to);
  for (let at = laneBlock.countBelow(whole.from); at < until; at++) {
    const number = laneReplica.at(at);
    const ribbon = ribbons[number];
    const state = states[number];
    if (!ribbon || !state) continue;
    const agreement = laneAgreement.at(at);
    const bucket = scale.of(blocks.time.at(laneBlock.at(at)));
    worsen(ribbon, state.bucket, bucket, state.agreement);
    worsen(ribbon, bucket, bucket, agreement >> 2);
    state.agreement = agreement & 3;
    state.bucket = bucket;
  }
  for (const [number, state] of states.entries()) {
    if (state) worsen(ribbons[number]!, state.bucket, end, state.agreement);
  }
  return ribbons;
}

function worsen(ribbon: Uint8Array, from: number, to: number, agreement: number): void {
  for (let bucket = from; bucket <= to; bucket++) if (agreement > ribbon[bucket]!) ribbon[bucket] = agreement;
}

/** The authority first, then by appearance. */
export function orderedReplicas(index: CaptureIndex): ReplicaIndex[] {
  const authority = index.replicas[index.authority];
  const others = index.knownReplicas().filter((one) => one !== authority);
  return authority ? [authority, ...others] : others;
}

/** Equal parts of a time range. */
class Buckets {
  readonly count: number;
  readonly #from: number;
  readonly #scale: number;

  constructor(range: TimeRange, count: number) {
    this.count = Math.max(1, Math.min(MAX_BUCKETS, Math.floor(count) || 1));
    this.#from = range.from;
    this.#scale = this.count / Math.max(1, range.to - range.from);
  }

  of(time: number): number {
    const bucket = Math.floor((time - this.#from) * this.#scale);
    return bucket < 0 ? 0 : bucket >= this.count ? this.count - 1 : bucket;
  }
}

function ribbonOf(index: CaptureIndex, replica: ReplicaIndex, range: TimeRange, scale: Buckets): Uint8Array {
  const ribbon = new Uint8Array(scale.count);
  const { turns, turnsTo } = replica;
  const end = index.end > index.start ? index.timeAt(index.end - 1) : range.from;
  const firstTurn = Math.max(0, turns.countBelow(index.firstAfter(range.from)) - 1);
  for (let turn = firstTurn; turn < turns.length; turn++) {
    const from = index.timeAt(Math.max(turns.at(turn), index.start));
    if (from >= range.to) break;
    const until = turn + 1 < turns.length ? index.timeAt(Math.max(turns.at(turn + 1), index.start)) : end;
    if (until < range.from) continue;
    const agreement = turnsTo.at(turn);
    const lastBucket = scale.of(Math.min(until, range.to));
    // The bucket in which it ends belongs to what follows as well; the worse of the two is shown.
    worsen(ribbon, scale.of(Math.max(from, range.from)), lastBucket, agreement);
  }
  return ribbon;
}

function pointsOf(index: CaptureIndex, first: number, last: number): Point[] {
  const points: Point[] = [];
  const { columns } = index;
  for (let position = first; position < last; position++) {
    // Inputs are nothing that happened: each goes along with what did.
    if (columns.kind(position) === KIND.log && columns.number(position) === 1) continue;
    points.push({
      replica: index.nameOf(index.columns.replica(position)),
      time: index.timeAt(position),
      position,
      kind: index.kindAt(position),
    });
  }
  return points;
}

function arrowsOf(index: CaptureIndex, range: TimeRange, first: number, last: number, limit: number): Arrow[] {
  const columns = index.columns;
  const arrows: Arrow[] = [];
  const reachesBack = index.firstFrom(range.from - index.maxLatency);
  for (let position = Math.max(reachesBack, first - LOOK_BACK, index.start); position < last; position++) {
    if (columns.kind(position) !== KIND.send) continue;
    const received = columns.partner(position);
    if (position < first && (received < 0 || index.timeAt(received) < range.from)) continue;
    arrows.push(arrowAt(index, position));
    if (arrows.length >= limit) break;
  }
  return arrows;
}

function arrowAt(index: CaptureIndex, position: number): Arrow {
  const columns = index.columns;
  const received = columns.partner(position);
  const arrow = {
    from: index.nameOf(columns.replica(position)),
    to: index.nameOf(columns.high(position) >>> 16),
    type: index.typeNames.texts[columns.low(position)] ?? '',
    sentAt: columns.time(position),
    sentPosition: position,
  };
  if (received >= 0) return { ...arrow, receivedAt: index.timeAt(received), receivedPosition: received };
  return index.isLost(position) ? { ...arrow, lost: true } : arrow;
}

/** Nanoseconds since the oldest of its mutations was made; 0 where none waits. */
/** Nanoseconds since the authority has had a version newer than a replica's, of which `newest` is known now; 0 where it has none. */
export function behindFor(index: CaptureIndex, standing: Standing, newest: number | undefined, now: number): number {
  const { roots, start } = index;
  if (index.authority < 0 || newest === undefined || newest <= standing.version) return 0;
  const next = roots.versions.countBelow(standing.version + 1);
  if (next >= roots.length) return 0;
  return Math.max(0, now - index.timeAt(Math.max(start, roots.positions.at(next))));
}

export function oldestPending(standing: Standing, now: number): number {
  return standing.pending.reduce((oldest, one) => Math.max(oldest, now - one.time), 0);
}
