import type { ReplicaId } from '../state/index.ts';
import { TRACE_KINDS, type TraceKind } from '../trace/index.ts';
import { AuthorityRoots } from './authority-roots.ts';
import { ByteNames } from './byte-names.ts';
import { ChangedKeys } from './changed-keys.ts';
import { Checkpoints } from './checkpoints.ts';
import { Columns, PAGE_RECORDS } from './columns.ts';
import { KIND } from './envelope.ts';
import { IntegerList } from './integer-list.ts';
import { Links } from './links.ts';
import { BLOCK_RECORDS, OverviewBlocks } from './overview-blocks.ts';
import { MARKER_KINDS, type MarkerKind } from './query.ts';
import type { Drift, ReplicaIndex } from './replica-index.ts';
import { freshStanding, type Standing, stepStanding } from './standing.ts';

export { type Drift, ReplicaIndex } from './replica-index.ts';

export interface MarkerEntry {
  readonly position: number;
  readonly kind: MarkerKind;
}

/**
 * Everything about a capture that can be known without decoding bodies. It is filled record by record
 * (`index-builder.ts`) or from what a file keeps of it (`index-file.ts`), and answers the same either way.
 */
export class CaptureIndex {
  readonly columns = new Columns();
  readonly replicaNames = new ByteNames();
  readonly typeNames = new ByteNames();
  /** By number; holes where a name was only ever spoken of. */
  readonly replicas: (ReplicaIndex | undefined)[] = [];
  readonly roots = new AuthorityRoots();
  readonly links = new Links();
  readonly blocks = new OverviewBlocks();
  readonly kindCounts = new Float64Array(32);
  /** Parallel: where markers are, ascending, and the number of each one's kind in `MARKER_KINDS`. */
  readonly markerAt = new IntegerList();
  readonly markerKind = new IntegerList();
  /** Positions of `names` and of `gap` records. */
  readonly names = new IntegerList();
  readonly gaps = new IntegerList();
  /** Parallel: the positions at which `seq` is not one more than before, and the `seq` there. */
  readonly breakAt = new IntegerList();
  readonly breakSeq = new IntegerList(true);
  /** Parallel: causes beyond a record's first, by the record's position. */
  readonly extraAt = new IntegerList();
  readonly extraCause = new IntegerList();
  /** First position of each chunk. */
  readonly chunks = new IntegerList();
  /** Parallel: hash of each changed key, and the position of the record that changes it. */
  readonly changedKeys = new IntegerList();
  readonly changedAt = new IntegerList();
  readonly changes = new ChangedKeys(this.changedKeys);
  /** Mutations that the authority has decided on, taken or refused, in order of position. */
  readonly decided = {
    positions: new IntegerList(),
    versions: new IntegerList(true),
    writers: new IntegerList(),
    counters: new IntegerList(true),
  };
  readonly checkpoints = new Checkpoints();
  /** Records that gap records and missing sequence numbers say were lost. */
  lost = 0;
  firstVersion = -1;
  lastVersion = 0;
  authority = -1;
  maxLatency = 0;
  #standingsAtStart: readonly (Readonly<Standing> | undefined)[] = [];
  /** What {@link standingsAt} answered last. Where records have come since, what a replica's hash means may be known better. */
  #standingsBefore: { at: number; end: number; standings: readonly (Readonly<Standing> | undefined)[] } | undefined;

  constructor(authority: ReplicaId | null) {
    if (authority !== null) this.authority = this.replicaNames.internText(authority);
  }

  get start(): number {
    return this.columns.start;
  }

  get end(): number {
    return this.columns.end;
  }

  beginChunk(): void {
    this.chunks.push(this.end);
  }

  /** Every replica that wrote a record, in order of appearance. */
  knownReplicas(): ReplicaIndex[] {
    return this.replicas.filter((one) => one !== undefined).sort((a, b) => a.first - b.first);
  }

  replicaOf(id: string): ReplicaIndex | undefined {
    return this.replicas[this.replicaNames.findText(id)];
  }

  nameOf(replica: number): ReplicaId {
    return this.replicaNames.texts[replica] as ReplicaId;
  }

  kindAt(position: number): TraceKind {
    return TRACE_KINDS[this.columns.kind(position)]!;
  }

  mark(position: number, kind: MarkerKind): void {
    this.markerAt.push(position);
    this.markerKind.push(MARKER_KINDS.indexOf(kind));
  }

  marker(at: number): MarkerEntry {
    return { position: this.markerAt.at(at), kind: MARKER_KINDS[this.markerKind.at(at)]! };
  }

  seqAt(position: number): number {
    const at = this.breakAt.countBelow(position + 1) - 1;
    return at < 0 ? position + 1 : this.breakSeq.at(at) + (position - this.breakAt.at(at));
  }

  /** Position of the record with this `seq`; -1 where it is not in the capture. */
  positionOfSeq(seq: number): number {
    const at = this.breakSeq.countBelow(seq + 1) - 1;
    if (at < 0) return -1;
    const position = this.breakAt.at(at) + (seq - this.breakSeq.at(at));
    const end = at + 1 < this.breakAt.length ? this.breakAt.at(at + 1) : this.end;
    return position < end && position >= this.start ? position : -1;
  }

  /** Causes beyond the first of the record at a position. */
  extraCauses(position: number): number[] {
    return this.extraCause.slice(this.extraAt.countBelow(position), this.extraAt.countBelow(position + 1));
  }

  /** Number of the chunk that holds a position. */
  chunkOf(position: number): number {
    return this.chunks.countBelow(position + 1) - 1;
  }

  /** The last position at or before `time`, -1 or the one before the first kept where there is none. */
  positionAt(time: number): number {
    return this.firstAfter(time) - 1;
  }

  /** The first position whose time is above `time`. */
  firstAfter(time: number): number {
    const [from, to] = this.#near(time);
    return this.#search(from, to, (there) => there <= time);
  }

  /** The first position whose time is at or above `time`. */
  firstFrom(time: number): number {
    const [from, to] = this.#near(time);
    return this.#search(from, to, (there) => there < time);
  }

  /** Time of the first record of the block that a position lies in; of the last whole block where that is open. */
  blockTime(position: number): number {
    const last = this.blocks.length - 1;
    return last < 0 ? 0 : this.blocks.time.at(Math.min(last, OverviewBlocks.of(position)));
  }

  timeAt(position: number): number {
    return this.columns.time(position);
  }

  /** How each replica stood after the record at `position`, by number; absent where it was not seen yet. */
  standingsAt(position: number): readonly (Readonly<Standing> | undefined)[] {
    const { columns, end } = this;
    const last = Math.min(position, end - 1);
    if (last < 0) return [];
    const pageStart = last - (last % PAGE_RECORDS);
    const isPageKept = pageStart >= this.start && last >= this.start;
    const first = isPageKept ? pageStart : this.start;
    // Every replica is asked about at one position, and the next one is often a little later.
    const before = this.#standingsBefore;
    const isBefore = before?.end === end && before.at >= first && before.at <= last;
    if (isBefore && before.at === last) return before.standings;
    const kept = isBefore ? before.standings : isPageKept ? columns.page(last).standings : this.#standingsAtStart;
    const standings = Array.from(kept, (one) => one && { ...one });
    for (let at = isBefore ? before.at + 1 : first; at <= last; at++) {
      const replica = columns.replica(at);
      let standing = standings[replica];
      if (!standing) {
        standing = freshStanding();
        standings[replica] = standing;
      }
      stepStanding(standing, columns, at, this.authority, this.roots);
    }
    this.#standingsBefore = { at: last, end, standings };
    return standings;
  }

  /** The drift that `position` of a replica lies in. */
  driftAt(replica: ReplicaIndex, position: number): Drift | undefined {
    return replica.driftAt(position);
  }

  /** Whether a send was lost: a later frame of the same link arrived, and it never did. */
  isLost(position: number): boolean {
    const { columns } = this;
    if (columns.kind(position) !== KIND.send || columns.partner(position) !== -1) return false;
    const link = this.links.of(KIND.send, columns.high(position));
    return link !== undefined && link.highestReceived > columns.number(position);
  }

  /** Forgets everything about the records before `position`, which begins a chunk. */
  dropBelow(position: number): void {
    this.#standingsAtStart = this.standingsAt(position - 1);
    this.#standingsBefore = undefined;
    this.columns.dropBelow(position);
    for (const list of [this.names, this.gaps]) list.dropBelow(position);
    dropPairs(position, this.changedAt, this.changedKeys);
    dropPairs(position, this.extraAt, this.extraCause);
    dropPairs(position, this.markerAt, this.markerKind);
    this.#dropDecided(position);
    for (const replica of this.replicas) replica?.dropBelow(position);
  }

  /** Decisions stay until every replica has reached their version: its vector takes them in only then. */
  #dropDecided(position: number): void {
    const { positions, versions } = this.decided;
    const reached = this.#standingsAtStart.filter((one) => one?.isConnected).map((one) => one!.version);
    const count = Math.min(positions.countBelow(position), versions.countBelow(Math.min(...reached) + 1));
    for (const list of Object.values(this.decided)) list.dropFirst(count);
  }

  /** Where a time is looked for: the block of records that it lies in, whose times alone are then read. */
  #near(time: number): [number, number] {
    const { blocks } = this;
    const size = blocks.length === 0 ? 0 : BLOCK_RECORDS;
    const block = blocks.time.countBelow(time);
    // Several blocks may begin at the same time, so all of those are within.
    const after = blocks.time.countBelow(time + 1);
    return [
      Math.max(this.start, (block - 1) * size),
      after < blocks.length ? Math.max(this.start, after * size) : this.end,
    ];
  }

  #search(from: number, to: number, isBefore: (time: number) => boolean): number {
    let low = Math.max(from, this.start);
    let high = Math.max(to, low);
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isBefore(this.columns.time(middle))) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function dropPairs(position: number, at: IntegerList, ...others: readonly IntegerList[]): void {
  const count = at.countBelow(position);
  for (const list of [at, ...others]) list.dropFirst(count);
}
