import { Explainer } from '../diagnose/explain.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import { describeFrame } from '../messages/index.ts';
import type { RecordKey, ReplicaId, StateHash } from '../state/index.ts';
import { TRACE_KINDS, type TraceHeader, type TraceKind, type TraceRecord } from '../trace/index.ts';
import type { CaptureIndex, MarkerEntry, ReplicaIndex } from './capture-index.ts';
import { ABSENT, hashOf, KIND, REASONS } from './envelope.ts';
import type { ValueSteps } from './filter.ts';
import { FrameNames } from './frame-names.ts';
import type {
  CaptureInfo,
  CaptureQuery,
  CaptureStatus,
  Explanation,
  FrameField,
  HistoryEntry,
  LanesWindow,
  Marker,
  MarkerKind,
  MarkersPage,
  MerkleDiff,
  Overview,
  RecordDetail,
  Related,
  ReplicaStatus,
  RowsPage,
  RowsSoFar,
  StateAt,
  StateDiff,
  StatePage,
  TimeRange,
  VectorMatrix,
} from './query.ts';
import { Rows } from './rows.ts';
import { agreementOf, type Standing } from './standing.ts';
import { StateFolds } from './state-folds.ts';
import { diffStates, historyOf, merkleDiffOf, statePage, stepsOf, unknownAt } from './state-queries.ts';
import { type ChunkStore, checkPosition, RecordReader } from './store.ts';
import { summarize } from './summary.ts';
import { vectorsAt } from './vectors.ts';
import { verdictOf } from './verdict.ts';
import { behindFor, lanesOf, oldestPending, orderedReplicas, overviewOf } from './windows.ts';

/** What a capture is beyond its records. */
export interface CaptureFacts {
  readonly header: TraceHeader;
  /** What is known by now to be missing or damaged. */
  cut?(): { readonly offset: number; readonly message: string } | undefined;
  readonly isGrowing: boolean;
  size(): number;
}

/** A record with its place, as {@link OpenCapture.trace} gives it. */
export interface PlacedRecord {
  readonly position: number;
  readonly record: TraceRecord;
}

/** A capture that one's own process has open. */
export interface OpenCapture extends CaptureQuery {
  /** Every record in order, from one position up to before another. @throws SyncError at the first that cannot be read */
  trace(from?: number, to?: number): AsyncIterable<PlacedRecord>;
  close(): Promise<void>;
}

const EFFECTS_LOOK_AHEAD = 200_000;
const MAX_EFFECTS = 200;

/** Answers every query over an index and the chunks it points into; for files and live captures alike. */
export class CaptureEngine implements OpenCapture {
  readonly index: CaptureIndex;
  readonly records: RecordReader;
  readonly folds: StateFolds;
  readonly names: FrameNames;
  readonly #facts: CaptureFacts;
  readonly #store: ChunkStore;
  readonly #rows: Rows;
  readonly #explainer: Explainer;

  constructor(index: CaptureIndex, store: ChunkStore, facts: CaptureFacts, pause: () => Promise<void>) {
    this.index = index;
    this.#facts = facts;
    this.#store = store;
    this.records = new RecordReader(index, store);
    this.folds = new StateFolds(index, this.records);
    this.names = new FrameNames(index, this.records);
    this.#explainer = new Explainer(this, facts.header);
    this.#rows = new Rows(index, store, this.records, pause, (key, from, end) => this.#valueSteps(key, from, end));
  }

  #valueSteps(key: RecordKey, from: number, end: number): Promise<ValueSteps[]> {
    return Promise.all(
      this.index.knownReplicas().map(async (one) => ({
        replica: this.index.replicaNames.findText(one.id),
        ...(await stepsOf(this.index, this.folds, one, key, from, end)),
      })),
    );
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  async *trace(from = this.index.start, to = Number.POSITIVE_INFINITY): AsyncGenerator<PlacedRecord> {
    for (let position = Math.max(from, this.index.start); position < Math.min(to, this.index.end); position++) {
      yield { position, record: await this.records.read(position) };
    }
  }

  async info(): Promise<CaptureInfo> {
    const index = this.index;
    const hasRecords = index.end > index.start;
    const cut = this.#facts.cut?.();
    const kinds: Partial<Record<TraceKind, number>> = {};
    for (const [number, kind] of TRACE_KINDS.entries()) {
      if (index.kindCounts[number]! > 0) kinds[kind] = index.kindCounts[number]!;
    }
    return {
      header: this.#facts.header,
      records: index.end,
      range: {
        from: hasRecords ? index.timeAt(index.start) : 0,
        to: hasRecords ? index.timeAt(index.end - 1) : 0,
      },
      replicas: await Promise.all(
        orderedReplicas(index).map(async (one) => {
          const { role, title } = await this.#introduction(one);
          return { id: one.id, role, first: one.first, last: one.last, ...(title ? { title } : {}) };
        }),
      ),
      kinds,
      versions: { first: Math.max(0, index.firstVersion), last: index.lastVersion },
      lost: index.lost + index.start,
      ...(cut ? { cut } : {}),
      isGrowing: this.#facts.isGrowing,
      size: this.#facts.size(),
    };
  }

  async overview(range: TimeRange, buckets: number): Promise<Overview> {
    return overviewOf(this.index, range, buckets);
  }

  async lanes(range: TimeRange, buckets: number, limit: number): Promise<LanesWindow> {
    return lanesOf(this.index, range, buckets, limit);
  }

  rows(filter: string, offset: number, limit: number, signal?: AbortSignal): Promise<RowsPage> {
    return this.#rows.page(filter, offset, limit, signal);
  }

  rowsSoFar(filter: string, offset: number, limit: number, signal?: AbortSignal): Promise<RowsSoFar> {
    return this.#rows.soFar(filter, offset, limit, signal);
  }

  rowIndex(filter: string, position: number, signal?: AbortSignal): Promise<number> {
    return this.#rows.indexOf(filter, position, signal);
  }

  async record(position: number): Promise<RecordDetail> {
    const record = await this.records.read(position);
    const row = await this.#rows.row(position);
    if (!record.wire) return { position, record, row };
    const names = await this.names.at(position);
    try {
      const frame: FrameField = describeFrame(record.wire, names);
      return { position, record, row, frame };
    } catch (error) {
      if (!isSyncError(error)) throw error;
      const { offset } = error.place;
      return {
        position,
        record,
        row,
        frameError: { code: error.code, message: error.message, ...(offset === undefined ? {} : { offset }) },
      };
    }
  }

  async positionAt(time: number): Promise<number> {
    const position = this.index.positionAt(time);
    return position < this.index.start ? -1 : position;
  }

  async related(position: number): Promise<Related> {
    const index = this.index;
    checkPosition(index, position);
    const { columns } = index;
    const causes = new Set<number>();
    const effects = new Set<number>();
    const isReceipt = (at: number): boolean => columns.kind(at) === KIND.receive;
    const first = columns.cause(position);
    const sent = isReceipt(position) ? columns.partner(position) : -1;
    for (const one of [first, sent, ...index.extraCauses(position)]) if (one >= index.start) causes.add(one);
    const end = Math.min(index.end, position + EFFECTS_LOOK_AHEAD);
    for (let other = position + 1; other < end && effects.size < MAX_EFFECTS; other++) {
      if (columns.cause(other) === position) effects.add(other);
      else if (columns.partner(other) === position && isReceipt(other)) effects.add(other);
    }
    const { extraAt, extraCause } = index;
    for (let at = extraAt.countBelow(position + 1); at < extraAt.length && extraAt.at(at) < end; at++) {
      if (extraCause.at(at) === position) effects.add(extraAt.at(at));
    }
    return { causes: ascending(causes), effects: ascending(effects) };
  }

  async status(position: number): Promise<CaptureStatus> {
    const index = this.index;
    const last = Math.min(position, index.end - 1);
    const standings = index.standingsAt(last);
    const now = last >= index.start ? index.timeAt(last) : 0;
    const newest = index.authority < 0 ? newestDecided(index, standings) : standings[index.authority]?.version;
    const replicas: ReplicaStatus[] = [];
    for (const replica of orderedReplicas(index)) {
      const standing = standings[index.replicaNames.findText(replica.id)];
      if (!standing?.isPresent) continue;
      replicas.push({
        replica: replica.id,
        connection: standing.isConnected ? 'connected' : 'gone',
        version: standing.version,
        root: standing.hasRoot ? (hashOf(standing.high, standing.low) as StateHash) : null,
        agreement: agreementOf(standing),
        lag: newest === undefined ? 0 : Math.max(0, newest - standing.version),
        behindFor: behindFor(index, standing, newest, now),
        pending: standing.pending.length,
        oldestPending: oldestPending(standing, now),
        ...(standing.differsPosition >= 0
          ? { differs: { since: standing.differsSince, position: standing.differsPosition } }
          : {}),
        ...(standing.refusedPosition >= 0 ? { refused: standing.refusedPosition } : {}),
        ...cutOf(standing),
      });
    }
    return {
      position,
      replicas,
      verdict: verdictOf(replicas, index.authority < 0 ? null : index.nameOf(index.authority)),
    };
  }

  async state(replica: ReplicaId, position: number, prefix: string, limit: number): Promise<StatePage> {
    return statePage(this.index, this.folds, this.#replica(replica), this.#clamp(position), prefix, limit);
  }

  async history(
    replica: ReplicaId,
    key: RecordKey,
    field: string | undefined,
    position: number,
    limit: number,
  ): Promise<HistoryEntry[]> {
    const one = this.#replica(replica);
    return historyOf(this.index, this.folds, this.records, one, key, field, this.#clamp(position), limit);
  }

  async diff(left: StateAt, right: StateAt, limit: number): Promise<StateDiff> {
    const pair = await this.#pair(left, right);
    return diffStates(pair.left, pair.right, limit, pair.unknown);
  }

  async vectors(position: number): Promise<VectorMatrix> {
    return vectorsAt(this.index, this.records, this.#clamp(position));
  }

  async merkleDiff(left: StateAt, right: StateAt, limit: number): Promise<MerkleDiff> {
    const pair = await this.#pair(left, right);
    const position = Math.max(left.position, right.position);
    const near = { replicas: pair.replicas, position };
    return merkleDiffOf(this.index, this.records, pair.left, pair.right, near, limit, pair.unknown);
  }

  async markers(range: TimeRange, limit: number): Promise<MarkersPage> {
    const index = this.index;
    const first = index.firstFrom(range.from);
    const last = index.firstFrom(range.to);
    const until = index.markerAt.countBelow(last);
    const inRange: MarkerEntry[] = [];
    for (let at = index.markerAt.countBelow(first); at < until; at++) inRange.push(index.marker(at));
    const chosen =
      inRange.length <= limit
        ? inRange
        : inRange
            .toSorted((a, b) => MARKER_WEIGHT[b.kind] - MARKER_WEIGHT[a.kind] || a.position - b.position)
            .slice(0, Math.max(0, limit))
            .sort((a, b) => a.position - b.position);
    return { markers: await Promise.all(chosen.map((one) => this.#marker(one))), total: inRange.length };
  }

  async nextMarker(position: number, direction: 1 | -1, kind?: MarkerKind): Promise<Marker | undefined> {
    const { markerAt } = this.index;
    let at = direction === 1 ? markerAt.countBelow(position + 1) : markerAt.countBelow(position) - 1;
    for (; at >= 0 && at < markerAt.length; at += direction) {
      const found = this.index.marker(at);
      if (kind === undefined || found.kind === kind) return this.#marker(found);
    }
    return undefined;
  }

  async explain(position: number): Promise<Explanation | undefined> {
    if (this.index.end === this.index.start || position < this.index.start) return undefined;
    return this.#explainer.at(this.#clamp(position));
  }

  /** Role and title as its first `replica` record tells them; read when first asked for. */
  async #introduction(replica: ReplicaIndex): Promise<{ role: ReplicaIndex['role']; title?: string | undefined }> {
    if (!replica.introduction && replica.introducedAt >= this.index.start) {
      const { body } = await this.records.readKind(replica.introducedAt, 'replica');
      replica.introduction = { role: body.role, title: body.title };
    }
    return replica.introduction ?? { role: replica.role };
  }

  async #pair(left: StateAt, right: StateAt) {
    const [a, b] = [this.#replica(left.replica), this.#replica(right.replica)];
    const states = {
      left: await this.folds.stateAt(a, this.#clamp(left.position)),
      right: await this.folds.stateAt(b, this.#clamp(right.position)),
    };
    const leftUnknown = unknownAt(this.index, a, this.#clamp(left.position), states.left.committed);
    const rightUnknown = unknownAt(this.index, b, this.#clamp(right.position), states.right.committed);
    const unknown =
      [leftUnknown && `${a.id}: ${leftUnknown}`, rightUnknown && `${b.id}: ${rightUnknown}`]
        .filter(Boolean)
        .join('; ') || undefined;
    return { ...states, unknown, replicas: [a, b].filter((one) => one !== this.index.replicas[this.index.authority]) };
  }

  #replica(id: ReplicaId): ReplicaIndex {
    const replica = this.index.replicaOf(id);
    if (replica) return replica;
    const known = orderedReplicas(this.index).map((one) => one.id);
    throw new SyncError(
      'REPLICA_UNKNOWN',
      `there is no replica ${id} in this capture, only ${known.join(', ') || 'none'}`,
      {
        origin: 'query',
      },
    );
  }

  /** -1 is before everything; beyond the end is the end. */
  #clamp(position: number): number {
    if (!Number.isSafeInteger(position)) checkPosition(this.index, position);
    return Math.max(this.index.start - 1, Math.min(position, this.index.end - 1));
  }

  async #marker({ position, kind }: MarkerEntry): Promise<Marker> {
    const index = this.index;
    const marker = {
      position,
      time: index.timeAt(position),
      kind,
      replica: index.nameOf(index.columns.replica(position)),
    };
    return { ...marker, text: await this.#markerText(position, kind, marker.replica) };
  }

  async #markerText(position: number, kind: MarkerKind, replica: ReplicaId): Promise<string> {
    const index = this.index;
    if (kind === 'desync') {
      const standing = index.standingsAt(position)[index.replicaNames.findText(replica)];
      return `${replica} differs since v${standing?.differsSince ?? index.columns.number(position)}`;
    }
    if (kind === 'refused-delta') {
      return `${replica} refused a delta at v${index.columns.number(position)} and asked again`;
    }
    if (kind === 'gap' && index.kindAt(position) !== 'gap') {
      return `records are missing before ${index.seqAt(position)}`;
    }
    const writer = index.columns.low(position);
    // There may be thousands in every part of a capture: their records are not all unpacked to tell of them.
    if (kind === 'rollback' && writer !== ABSENT)
      return `rolled back ${index.nameOf(writer)}#${index.columns.high(position)}`;
    return summarize(await this.records.read(position), index, position);
  }
}

const MARKER_WEIGHT: Readonly<Record<MarkerKind, number>> = {
  desync: 7,
  partition: 6,
  conflict: 5,
  refused: 4,
  gap: 3,
  'refused-delta': 2,
  repair: 2,
  rollback: 1,
  fault: 1,
};

function ascending(positions: Iterable<number>): number[] {
  return [...positions].sort((a, b) => a - b);
}

/** The newest version that anybody has, where a group decides, so that each version is one state. */
function newestDecided(
  index: CaptureIndex,
  standings: readonly (Readonly<Standing> | undefined)[],
): number | undefined {
  if (index.roots.length === 0) return undefined;
  return Math.max(0, ...standings.map((one) => (one?.isConnected ? one.version : 0)));
}

function cutOf({ cut, cutSince, cutPosition }: Readonly<Standing>): Pick<ReplicaStatus, 'cut'> {
  const state = REASONS[cut];
  if (state !== 'minority' && state !== 'split' && state !== 'merging') return {};
  return { cut: { state, since: cutSince, position: cutPosition } };
}
