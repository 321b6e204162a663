import { SyncError } from '../errors/index.ts';
import { changesBetween, StateRoot } from '../merkle/index.ts';
import type { BodyOf } from '../messages/index.ts';
import type { Random } from '../ports/index.ts';
import type { ReplicaId, Value, Version } from '../state/index.ts';
import type { Tap } from '../trace/index.ts';
import { type Decision, decide, isSendableRecord, RECORD_MAX_DEPTH } from './decide.ts';
import { MutationLedger } from './ledger.ts';
import type { DomainEvent, SessionDefinition } from './session.ts';
import { MAX_PENDING, type SyncSettings } from './settings.ts';
import { SnapshotRing, type StateSnapshot } from './snapshots.ts';

/** Where a receiver stands: the version it has, and how far it has been told of settled mutations. */
export interface SyncPoint {
  readonly version: Version;
  readonly progress: number;
}

/** What became of a mutation at the authority. */
export type Settlement =
  | {
      readonly accepted: true;
      readonly version: Version;
      readonly events: readonly DomainEvent[];
      /** `seq` of the `commit` record, 0 where there is none. */
      readonly seq: number;
    }
  | { readonly accepted: false; readonly reason: string; readonly seq: number };

/** Commits remembered by `seq`, as causes of the deltas that carry them. A trace record names at most 1,000 causes. */
const MAX_CAUSES = 1_000;

/** The authoritative state of a session: one version for each mutation that changed it, and the versions kept for deltas. */
export class AuthorityState {
  readonly #definition: SessionDefinition;
  readonly #replica: ReplicaId;
  readonly #tap: Tap;
  readonly #ring: SnapshotRing;
  readonly ledger = new MutationLedger(MAX_PENDING);
  #root: StateRoot;
  #version: Version;
  #commits: { readonly version: Version; readonly seq: number }[] = [];

  constructor(definition: SessionDefinition, replica: ReplicaId, random: Random, tap: Tap, settings: SyncSettings) {
    this.#definition = definition;
    this.#replica = replica;
    this.#tap = tap;
    this.#ring = new SnapshotRing(settings.ring, settings.periodicSnapshots);
    this.#root = StateRoot.from(definition.initialRecords(random));
    for (const [key, record] of this.#root.entries()) {
      if (isSendableRecord(record)) continue;
      throw new SyncError('LIMIT_DEPTH', `${key} is nested deeper than ${RECORD_MAX_DEPTH}: a frame cannot carry it`, {
        origin: 'state',
        place: { key },
      });
    }
    // Version 0 is the empty state, so that no client can hold the first one by accident.
    this.#version = 1;
  }

  get root(): StateRoot {
    return this.#root;
  }

  get version(): Version {
    return this.#version;
  }

  get point(): SyncPoint {
    return { version: this.#version, progress: this.ledger.progress };
  }

  /** Settles the next mutation of a writer. The caller has checked that `counter` is its next. */
  commit(command: string, args: Value, writer: ReplicaId, counter: number, cause: readonly number[]): Settlement {
    const decision = decide(this.#definition, this.#root, command, args, writer);
    if (!decision.accepted) {
      this.ledger.settle(writer, counter, decision.reason);
      const rejection = { mutation: { writer, counter }, reason: decision.reason, version: this.#version };
      const seq = this.#tap.isOpen ? this.#tap.emit(this.#replica, { kind: 'rejection', ...rejection }, cause) : 0;
      return { accepted: false, reason: decision.reason, seq };
    }
    this.ledger.settle(writer, counter);
    if (decision.root !== this.#root) {
      this.#root = decision.root;
      this.#version++;
    }
    return {
      accepted: true,
      version: this.#version,
      events: decision.events,
      seq: this.#tap.isOpen ? this.#traceCommit(decision, writer, counter, cause) : 0,
    };
  }

  /** Keeps the present version, so that a receiver of it can later be given a delta. */
  keep(): void {
    this.#ring.keep({ version: this.#version, root: this.#root });
  }

  /** As {@link keep}, for longer. */
  keepPeriodic(): void {
    this.#ring.keepPeriodic({ version: this.#version, root: this.#root });
  }

  /** The kept state of a version, or undefined where it was never sent or is too long ago. */
  snapshot(version: Version): StateSnapshot | undefined {
    return this.#ring.get(version);
  }

  /** The delta from a point to now, or undefined where its version is not kept. */
  deltaFrom(point: SyncPoint): BodyOf<'DELTA_SYNC'> | undefined {
    const base = this.#ring.get(point.version);
    if (base === undefined) return undefined;
    return {
      type: 'DELTA_SYNC',
      from: point.version,
      to: this.#version,
      since: point.progress,
      progress: this.ledger.progress,
      changes: changesBetween(base.root, this.#root),
      vector: this.ledger.entriesSince(point.progress),
      rejected: this.ledger.rejectionsSince(point.progress),
      root: this.#root.hash,
    };
  }

  /** The whole state now, with what a receiver must know of its own mutations. */
  fullSync(receiver: ReplicaId): BodyOf<'FULL_SYNC'> {
    return {
      type: 'FULL_SYNC',
      version: this.#version,
      progress: this.ledger.progress,
      records: Array.from(this.#root.entries(), ([key, record]) => ({ key, record })),
      vector: this.ledger.entriesSince(0),
      rejected: this.ledger.rejectionsOf(receiver),
      root: this.#root.hash,
    };
  }

  /** `seq` of the commits that made the versions after `version`. */
  commitsSince(version: Version): number[] {
    return this.#commits.filter((commit) => commit.version > version).map((commit) => commit.seq);
  }

  #traceCommit(
    decision: Extract<Decision, { accepted: true }>,
    writer: ReplicaId,
    counter: number,
    cause: readonly number[],
  ): number {
    const { events, changes } = decision;
    const [first] = events;
    const event = {
      type: first?.type ?? 'nothing',
      player: first?.player ?? writer,
      detail: events.map((one) => one.detail).join('; '),
    };
    const body = {
      kind: 'commit' as const,
      version: this.#version,
      event: shortEvent(event),
      mutation: { writer, counter },
      changes: [...changes],
      root: this.#root.hash,
    };
    const seq = this.#tap.emit(this.#replica, body, cause);
    this.#commits.push({ version: this.#version, seq });
    if (this.#commits.length > MAX_CAUSES) this.#commits.shift();
    return seq;
  }
}

/** An event as messages and trace records carry it. */
export function shortEvent(event: { readonly type: string; readonly player: string; readonly detail: string }): {
  readonly type: string;
  readonly player: string;
  readonly detail: string;
} {
  return { type: event.type.slice(0, 80), player: event.player.slice(0, 80), detail: event.detail.slice(0, 500) };
}
