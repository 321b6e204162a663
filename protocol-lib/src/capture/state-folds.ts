import { isSyncError } from '../errors/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import type { Change, RecordKey } from '../state/index.ts';
import { type MutationId, type TraceRecord, toldRoot } from '../trace/index.ts';
import type { CaptureIndex, ReplicaIndex } from './capture-index.ts';
import { advance, type Committed, nothingKnown, type OwnValues, tolerant } from './committed.ts';
import { KIND } from './envelope.ts';
import { FLAG } from './flags.ts';
import { PageCache } from './index-blobs.ts';
import type { RecordReader } from './store.ts';

/** Codes of records that are damaged, where others are not. */
const UNREADABLE = new Set(['CHUNK_DAMAGED', 'RECORD_MALFORMED', 'RECORD_UNEXPECTED', 'SCHEMA_MISMATCH']);
/** Kept states of a replica; the ones kept first go first. */
const KEPT_MAX = 1_024;
/** Bytes that the kept states of all replicas may take together, about. */
const KEPT_BYTES = 32 * 1024 * 1024;
/** Of one record of a state that shares nothing with others, and of a state that was led to from a kept one. */
const RECORD_BYTES = 300;
const STEP_BYTES = 16 * 1024;
const KEEP_EVERY = 64;
/** An equal state of the authority is looked for where nothing that is kept is so near, … */
const EQUAL_AFTER = 3;
/** … at so many records at most. */
const EQUAL_ATTEMPTS = 8;
/** So many records without a root are looked through for the next one that tells it, … */
const UNTOLD_MAX = 4_096;
/** … and of so many that do it is remembered whether it fits. */
const VOUCHERS_KEPT = 4_096;

/** A mutation that waits, with what it changes optimistically. */
export interface PendingChanges {
  readonly mutation: MutationId;
  readonly changes: readonly Change[];
}

/** Committed and optimistic state of one replica. */
export interface ReplicaState {
  readonly committed: Committed;
  readonly optimistic: StateRoot;
  readonly pending: readonly PendingChanges[];
}

interface Kept {
  /** By the position of the record after which they are. */
  readonly states: Map<number, Committed>;
  /** Where the oldest records were dropped: what was before the first one kept. */
  base: Committed;
  basePending: readonly PendingChanges[];
}

/** Where a fold begins: a state, the next record's index, and whether others share the state's structure. */
interface Begin {
  readonly state: Committed;
  readonly next: number;
  readonly isShared: boolean;
}

/**
 * The state of any replica at any position: from the nearest kept state, snapshot or equal state of the
 * authority at or before it, and the records from there. Kept states share their structure, so that a
 * step back costs what a step forward does.
 */
export class StateFolds {
  readonly #index: CaptureIndex;
  readonly #records: RecordReader;
  readonly #kept = new Map<ReplicaIndex, Kept>();
  readonly #sizes = new PageCache(KEPT_BYTES);
  /** What the root told at a position says of the states without one before it. */
  readonly #vouchers = new Map<number, string | undefined>();
  #keys: { readonly root: StateRoot; readonly keys: readonly RecordKey[] } | undefined;

  constructor(index: CaptureIndex, records: RecordReader) {
    this.#index = index;
    this.#records = records;
  }

  async stateAt(replica: ReplicaIndex, position: number): Promise<ReplicaState> {
    const committed = await this.committed(replica, position);
    const pending = await this.pending(replica, position);
    const optimistic = pending.reduce((root, one) => tolerant(root, one.changes), committed.root);
    return { committed, optimistic, pending };
  }

  async committed(replica: ReplicaIndex, position: number): Promise<Committed> {
    const states = replica.states;
    const last = states.countBelow(position + 1) - 1;
    if (last < 0) return this.#keptOf(replica).base;
    const begin = await this.#begin(replica, last);
    let state = begin.state;
    let isShared = begin.isShared;
    for (let at = begin.next; at <= last; at++) {
      const gap = missingBetween(this.#index, at === 0 ? -1 : states.at(at - 1), states.at(at));
      // Whatever was missed may have changed it, unless the next record tells the very same root.
      if (gap >= 0 && state.unknown === undefined) state = { ...state, unknown: missingBefore(gap) };
      state = await this.#advance(replica, state, states.at(at));
      if (at % KEEP_EVERY !== 0 && at !== last) continue;
      this.#keep(replica, states.at(at), state, isShared);
      isShared = true;
    }
    if (state.unknown !== undefined || this.#isTold(states.at(last))) return state;
    const wrong = await this.#doubt(replica, last, state);
    return wrong === undefined ? state : { ...state, unknown: wrong };
  }

  #isTold(position: number): boolean {
    const { columns } = this.#index;
    return columns.kind(position) !== KIND.commit || (columns.flags(position) & FLAG.hash) !== 0;
  }

  /**
   * Why a state of which no root is told may be wrong: the next root that is told is not that of the records up to there. Undefined where it is, and where
   * none is told of what follows without a gap.
   */
  async #doubt(replica: ReplicaIndex, last: number, from: Committed): Promise<string | undefined> {
    const { states } = replica;
    const until = Math.min(states.length, last + UNTOLD_MAX);
    let next = last + 1;
    while (next < until && !this.#isTold(states.at(next))) next++;
    if (next >= until || missingBetween(this.#index, states.at(last), states.at(next)) >= 0) return undefined;
    const position = states.at(next);
    if (this.#vouchers.has(position)) return this.#vouchers.get(position);
    let state = from;
    for (let at = last + 1; at < next; at++) {
      const record = await this.#readable(states.at(at));
      if (!record) return undefined;
      state = advance(state, record, undefined);
    }
    const voucher = await this.#readable(position);
    const wrong = voucher && (state.unknown ?? refutedBy(voucher, state));
    if (this.#vouchers.size >= VOUCHERS_KEPT) this.#vouchers.clear();
    this.#vouchers.set(position, wrong);
    return wrong;
  }

  /** Undefined where the record is damaged. */
  async #readable(position: number): Promise<TraceRecord | undefined> {
    try {
      return await this.#records.read(position);
    } catch (error) {
      if (!isSyncError(error) || !UNREADABLE.has(error.code)) throw error;
      return undefined;
    }
  }

  /** Mutations that wait at a position, oldest first, with their changes as last applied. */
  async pending(replica: ReplicaIndex, position: number): Promise<PendingChanges[]> {
    const index = this.#index;
    const standing = index.standingsAt(position)[index.replicaNames.findText(replica.id)];
    if (!standing || standing.pending.length === 0) return [];
    const rebasedAt = replica.rebases.lastAtOrBelow(position);
    const rebased = rebasedAt < 0 ? [] : (await this.#records.readKind(rebasedAt, 'rebase')).body.pending;
    const pending: PendingChanges[] = [];
    for (const one of standing.pending) {
      const writer = index.nameOf(one.writer);
      const isSame = (other: PendingChanges): boolean =>
        other.mutation.writer === writer && other.mutation.counter === one.counter;
      const found =
        (one.position < rebasedAt ? rebased.find(isSame) : undefined) ??
        (one.position < index.start
          ? this.#keptOf(replica).basePending.find(isSame)
          : (await this.#records.readKind(one.position, 'prediction')).body);
      if (found) pending.push({ mutation: found.mutation, changes: found.changes });
    }
    return pending;
  }

  /** Works out and keeps what is needed of the records before `position`, which are about to be dropped. */
  async prepareDrop(position: number): Promise<() => void> {
    const bases = new Map<ReplicaIndex, { base: Committed; basePending: PendingChanges[] }>();
    for (const replica of this.#index.knownReplicas()) {
      bases.set(replica, {
        base: await this.committed(replica, position - 1),
        basePending: await this.pending(replica, position - 1),
      });
    }
    return () => {
      for (const [replica, base] of bases) {
        const kept = this.#keptOf(replica);
        Object.assign(kept, base);
        for (const at of kept.states.keys()) if (at < position) kept.states.delete(at);
      }
    };
  }

  /** The keys of a state in order. Those of the state asked for last are kept: replicas that agree have one state. */
  keysOf(root: StateRoot): readonly RecordKey[] {
    if (this.#keys?.root !== root) this.#keys = { root, keys: Array.from(root.entries(), ([key]) => key).sort() };
    return this.#keys.keys;
  }

  /** The replica's state before the first record kept. */
  baseOf(replica: ReplicaIndex): Committed {
    return this.#keptOf(replica).base;
  }

  async #advance(replica: ReplicaIndex, state: Committed, position: number): Promise<Committed> {
    try {
      const record = await this.#records.read(position);
      const found = await this.#ownValues(replica, position);
      return advance(state, record, found);
    } catch (error) {
      // What lies in a damaged chunk is missing; the next record whose root fits makes the state known again.
      if (!isSyncError(error) || !UNREADABLE.has(error.code)) throw error;
      return { ...state, unknown: `the record at position ${position} cannot be read: ${error.message}` };
    }
  }

  /** What the replica told later of the values that it held from this record on, where that was found to be so. */
  async #ownValues(replica: ReplicaIndex, position: number): Promise<OwnValues | undefined> {
    const drift = replica.drifts.find((one) => one.start === position);
    if (!drift) return undefined;
    if (drift.snapshot > position) return (await this.#records.readKind(drift.snapshot, 'snapshot')).body;
    if (drift.divergence > position) return (await this.#records.readKind(drift.divergence, 'divergence')).body;
    return undefined;
  }

  /** A known state from which the records up to the `last`-th lead on, and the index of the first of them. */
  async #begin(replica: ReplicaIndex, last: number): Promise<Begin> {
    const { states: kept, base } = this.#keptOf(replica);
    const states = replica.states;
    const index = this.#index;
    let at = last;
    let attempts = 0;
    for (; at >= 0; at--) {
      const position = states.at(at);
      const there = kept.get(position);
      if (there) return { state: there, next: at + 1, isShared: true };
      if (index.columns.kind(position) === KIND.snapshot) break;
      const checkpoint = await this.#checkpoint(replica, position);
      if (checkpoint) return { state: checkpoint, next: at + 1, isShared: false };
      if (last - at < EQUAL_AFTER || attempts >= EQUAL_ATTEMPTS) continue;
      const same = this.#equalAt(replica, position);
      if (same < 0) continue;
      attempts++;
      const equal = await this.#authorityAt(same, index.columns.number(position));
      if (equal) return { state: equal, next: at + 1, isShared: true };
    }
    return { state: at < 0 ? base : nothingKnown, next: Math.max(at, 0), isShared: false };
  }

  /** The state that is kept beside the records, where the record there tells the same root hash of it. */
  async #checkpoint(replica: ReplicaIndex, position: number): Promise<Committed | undefined> {
    const index = this.#index;
    const checkpoint = index.checkpoints.at(index.replicaNames.findText(replica.id), position);
    if (!checkpoint) return undefined;
    try {
      const { body } = await this.#records.read(position);
      const told = toldRoot(body);
      return told?.version === checkpoint.version && told.root === checkpoint.root.hash ? checkpoint : undefined;
    } catch (error) {
      if (!isSyncError(error) || !UNREADABLE.has(error.code)) throw error;
      return undefined;
    }
  }

  /** Where the authority told the version and root hash that this replica has after a record; -1 where it told no such thing. */
  #equalAt(replica: ReplicaIndex, position: number): number {
    const { columns, roots, replicas, authority, start } = this.#index;
    const kind = columns.kind(position);
    if ((kind !== KIND.apply && kind !== KIND.repair) || replica === replicas[authority]) return -1;
    const version = columns.number(position);
    if (roots.agrees(version, columns.high(position), columns.low(position)) !== true) return -1;
    if (this.#index.driftAt(replica, position)) return -1;
    const there = roots.positionOf(version);
    return there < start ? -1 : there;
  }

  /** The authority's state after a record of its own, where it is known and at that version. */
  async #authorityAt(position: number, version: number): Promise<Committed | undefined> {
    const authority = this.#index.replicas[this.#index.authority];
    if (!authority) return undefined;
    const state = await this.committed(authority, position);
    return state.unknown === undefined && state.version === version
      ? { version: state.version, root: state.root }
      : undefined;
  }

  #keep(replica: ReplicaIndex, position: number, state: Committed, isShared: boolean): void {
    // What is unknown now may be told by a later record of a growing capture.
    if (state.unknown !== undefined) return;
    const { states } = this.#keptOf(replica);
    states.set(position, state);
    this.#sizes.add(isShared ? STEP_BYTES : STEP_BYTES + state.root.size * RECORD_BYTES, () => states.delete(position));
    if (states.size > KEPT_MAX) states.delete(states.keys().next().value!);
  }

  #keptOf(replica: ReplicaIndex): Kept {
    let kept = this.#kept.get(replica);
    if (!kept) {
      kept = { states: new Map(), base: nothingKnown, basePending: [] };
      this.#kept.set(replica, kept);
    }
    return kept;
  }
}

/** The last position above `after` and up to `position` before which records are missing; -1 where none are. */
export function missingBetween(index: CaptureIndex, after: number, position: number): number {
  const { gaps, breakAt, start } = index;
  const gap = gaps.length === 0 ? -1 : gaps.lastAtOrBelow(position);
  // The first place at which numbers begin is none at which any are missing.
  const jump = breakAt.length <= 1 ? -1 : breakAt.lastAtOrBelow(position);
  const last = Math.max(gap, jump > start ? jump : -1);
  return last > after ? last : -1;
}

export function missingBefore(position: number): string {
  return `records are missing before position ${position}; shown is the last state known before them`;
}

/** Why the next record that tells a root says that the state before it is wrong; undefined where it does not. */
function refutedBy(record: TraceRecord, state: Committed): string | undefined {
  const { body } = record;
  // One that begins anew says nothing of what was before.
  if (body.kind === 'snapshot' && body.reason !== 'periodic') return undefined;
  const { root, version } = body.kind === 'commit' ? advance(state, record, undefined) : state;
  const told = toldRoot(body);
  if (told === undefined || told.version !== version || told.root === root.hash) return undefined;
  return `its records give the root hash ${root.hash} at v${version}, but it told ${told.root}, and no root of the versions right before`;
}
