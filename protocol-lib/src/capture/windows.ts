import { TRACE_KINDS, type TraceKind } from '../trace/index.ts';
import type { CaptureIndex, ReplicaIndex } from './capture-index.ts';
import { KIND } from './envelope.ts';
import {
  AGREEMENT,
  type Agreement,
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

const GROUPS: Readonly<Record<TraceKind, KindGroup>> = {
  replica: 'other',
  gone: 'other',
  send: 'message',
  receive: 'message',
  refused: 'problem',
  names: 'other',
  commit: 'change',
  delta: 'change',
  apply: 'change',
  mismatch: 'problem',
  snapshot: 'change',
  hash: 'hash',
  vector: 'hash',
  prediction: 'prediction',
  confirmation: 'prediction',
  rollback: 'prediction',
  rejection: 'prediction',
  rebase: 'prediction',
  divergence: 'problem',
  repair: 'problem',
  fault: 'problem',
  gap: 'problem',
  log: 'other',
  health: 'problem',
  pressure: 'problem',
  view: 'other',
  proposal: 'change',
  vote: 'other',
  conflict: 'problem',
  partition: 'problem',
  presence: 'other',
  operation: 'change',
};
const GROUP_OF_KIND = Uint8Array.from(TRACE_KINDS, (kind) => KIND_GROUPS.indexOf(GROUPS[kind]));
const MAX_BUCKETS = 65_536;
/** How far before a window sends are looked for whose arrows reach into it. */
const LOOK_BACK = 50_000;

/** How bad an agreement is where several fall into one bucket. */
const WORSE: Readonly<Record<Agreement, number>> = {
  [AGREEMENT.unknown]: 0,
  [AGREEMENT.agrees]: 1,
  [AGREEMENT.predicted]: 2,
  [AGREEMENT.differs]: 3,
};

export function overviewOf(index: CaptureIndex, range: TimeRange, buckets: number): Overview {
  const scale = new Buckets(range, buckets);
  const counts = KIND_GROUPS.map(() => new Uint32Array(scale.count));
  const kinds = new Uint32Array(scale.count);
  const columns = index.columns;
  const base = columns.start;
  const last = index.firstFrom(range.to);
  for (let position = index.firstFrom(range.from); position < last; position++) {
    const at = position - base;
    const bucket = scale.of(columns.time[at]!);
    const kind = columns.kind[at]!;
    counts[GROUP_OF_KIND[kind]!]![bucket]!++;
    kinds[bucket]! |= 1 << kind;
  }
  return {
    range,
    counts: Object.fromEntries(KIND_GROUPS.map((group, number) => [group, counts[number]!])) as Record<
      KindGroup,
      Uint32Array
    >,
    kinds,
  };
}

export function lanesOf(index: CaptureIndex, range: TimeRange, buckets: number, limit: number): LanesWindow {
  const scale = new Buckets(range, buckets);
  const first = index.firstFrom(range.from);
  const last = index.firstFrom(range.to);
  const density = new Map<number, Lane>();
  const lanes: Lane[] = [];
  for (const replica of orderedReplicas(index)) {
    const lane: Lane = {
      replica: replica.id,
      density: new Uint32Array(scale.count),
      kinds: new Uint32Array(scale.count),
      ribbon: ribbonOf(index, replica, range, scale),
    };
    lanes.push(lane);
    density.set(index.replicaNames.findText(replica.id), lane);
  }
  const columns = index.columns;
  for (let position = first; position < last; position++) {
    const at = position - columns.start;
    const lane = density.get(columns.replica[at]!)!;
    const bucket = scale.of(columns.time[at]!);
    lane.density[bucket]!++;
    lane.kinds[bucket]! |= 1 << columns.kind[at]!;
  }
  if (last - first > limit) return { range, lanes };
  return { range, lanes, arrows: arrowsOf(index, range, first, last, limit), points: pointsOf(index, first, last) };
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
    const agreement = turnsTo.at(turn) as Agreement;
    const lastBucket = scale.of(Math.min(until, range.to));
    for (let bucket = scale.of(Math.max(from, range.from)); bucket <= lastBucket; bucket++) {
      // The bucket in which it ends belongs to what follows as well; the worse of the two is shown.
      if (WORSE[agreement] > WORSE[ribbon[bucket] as Agreement]) ribbon[bucket] = agreement;
    }
  }
  return ribbon;
}

function pointsOf(index: CaptureIndex, first: number, last: number): Point[] {
  const points: Point[] = [];
  for (let position = first; position < last; position++) {
    points.push({
      replica: index.nameOf(index.columns.replica[position - index.start]!),
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
    const at = position - columns.start;
    if (columns.kind[at] !== KIND.send) continue;
    const received = columns.partner[at]!;
    if (position < first && (received < 0 || index.timeAt(received) < range.from)) continue;
    arrows.push(arrowAt(index, position));
    if (arrows.length >= limit) break;
  }
  return arrows;
}

function arrowAt(index: CaptureIndex, position: number): Arrow {
  const columns = index.columns;
  const at = position - columns.start;
  const received = columns.partner[at]!;
  const arrow = {
    from: index.nameOf(columns.replica[at]!),
    to: index.nameOf(columns.high[at]! >>> 16),
    type: index.typeNames.texts[columns.low[at]!] ?? '',
    sentAt: columns.time[at]!,
    sentPosition: position,
  };
  if (received >= 0) return { ...arrow, receivedAt: index.timeAt(received), receivedPosition: received };
  return index.isLost(position) ? { ...arrow, lost: true } : arrow;
}

/** Nanoseconds since the oldest of its mutations was made; 0 where none waits. */
export function oldestPending(standing: Standing, now: number): number {
  return standing.pending.reduce((oldest, one) => Math.max(oldest, now - one.time), 0);
}
