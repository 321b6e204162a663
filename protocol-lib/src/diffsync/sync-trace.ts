import type { StateRoot } from '../merkle/index.ts';
import { type RecordKey, replicaId, type SyncRecord } from '../state/index.ts';
import { closedTap, type Tap } from '../trace/index.ts';
import type { Side } from './adapter.ts';
import { diffChanges } from './diff.ts';
import { PARENT } from './model.ts';
import type { SyncReport, SyncStatus } from './report.ts';
import type { DecidedConflict, ModelConflict } from './strategy.ts';

/** What a record of the trace may say at most, and how many models of one run are told of one by one. */
const TEXT_MAX = 500;
const NAMES_MAX = 80;
const TOLD_MAX = 200;

/** A side as far as a conflict names it. */
type Named = { readonly store: Pick<Side['store'], 'name'> };

/** Writes syncs into a trace, each store as a replica of its name, so that the inspector shows them as any session. */
export class SyncTrace {
  readonly #tap: Tap;
  /** The revision that the trace knows each store to have. */
  readonly #known = new Map<string, { root: StateRoot; revision: number }>();

  constructor(tap: Tap = closedTap) {
    this.#tap = tap;
  }

  /** Before a run: says what a store is, where the trace does not know. */
  begin({ store }: Pick<Side, 'store'>): void {
    if (!this.#tap.isOpen) {
      this.#known.clear();
      return;
    }
    const replica = replicaId(store.name);
    const root = store.root();
    const known = this.#known.get(store.name);
    if (known?.root.hash === root.hash) return;
    if (known === undefined) this.#tap.emit(replica, { kind: 'replica', role: 'peer', title: store.name });
    this.#tap.emit(replica, {
      kind: 'snapshot',
      reason: known === undefined ? 'attach' : 'checkpoint',
      version: store.revision,
      records: Array.from(root.entries(), ([key, record]) => ({ key, record })),
      root: root.hash,
      vector: [],
    });
    this.#known.set(store.name, { root, revision: store.revision });
  }

  /** After a run: what it changed on a side, and what it could not do. */
  end({ store }: Pick<Side, 'store'>, report: SyncReport): void {
    const known = this.#known.get(store.name);
    if (!this.#tap.isOpen || known === undefined) return;
    const replica = replicaId(store.name);
    const root = store.root();
    const done = new Set(report.statuses.filter(({ status }) => status === 'success').map(({ key }) => key));
    const changes = diffChanges({ entries: report.diff.entries.filter(({ key }) => done.has(key)) });
    const cause: number[] = [];
    if (changes.length > 0 && known.root.apply(changes).hash === root.hash) {
      const { revision: from } = known;
      cause.push(this.#tap.emit(replica, { kind: 'apply', from, to: store.revision, changes, root: root.hash }));
      this.#known.set(store.name, { root, revision: store.revision });
    } else {
      // Somebody else wrote to the store in the middle of the run.
      this.begin({ store });
    }
    const told = report.statuses.filter(({ status, code }) => isTrouble(status) && code !== 'FLAG');
    for (const status of told.slice(0, TOLD_MAX)) {
      this.#tap.emit(replica, { kind: 'log', level: 'warn', text: statusText(status) }, cause);
    }
    const { success, failure, error, skipped } = report.counts;
    const text = `sync ${report.outcome}: ${success} done, ${failure} failed, ${error} errors, ${skipped} skipped`;
    this.#tap.emit(replica, { kind: 'log', level: 'info', text }, cause);
  }

  decided(source: Named, destination: Named, { conflict, strategy, decision, result }: DecidedConflict): void {
    const winner = decision === 'source' ? source : decision === 'destination' ? destination : undefined;
    const own = winner && ((winner === source ? conflict.source : conflict.destination) ?? null);
    this.#conflict(source, destination, conflict, strategy, winner, result ?? own ?? null);
  }

  waiting(source: Named, destination: Named, conflict: ModelConflict): void {
    this.#conflict(source, destination, conflict, 'ask', undefined, null, 'waiting');
  }

  mended({ store }: Named, key: RecordKey): void {
    if (!this.#tap.isOpen) return;
    const text = `${key} was put back: the changes of both sides together left no hierarchy`;
    this.#tap.emit(replicaId(store.name), { kind: 'log', level: 'warn', text });
  }

  #conflict(
    source: Named,
    destination: Named,
    conflict: ModelConflict,
    strategy: string,
    winner: Named | undefined,
    result: SyncRecord | null,
    waiting?: 'waiting',
  ): void {
    if (!this.#tap.isOpen) return;
    const names = conflict.fields.map((name) => (name === PARENT ? 'parent' : name));
    this.#tap.emit(replicaId(destination.store.name), {
      kind: 'conflict',
      key: conflict.key,
      policy: strategy.slice(0, NAMES_MAX),
      state: waiting ?? (strategy === 'human' ? 'decided' : 'resolved'),
      base: conflict.base ?? null,
      sides: [
        { writer: replicaId(source.store.name), record: conflict.source ?? null },
        { writer: replicaId(destination.store.name), record: conflict.destination ?? null },
      ],
      result,
      winner: winner === undefined ? null : replicaId(winner.store.name),
      reason: (conflict.kind === 'delete'
        ? 'deleted on one side, changed on the other'
        : `changed on both sides: ${names.join(', ')}`
      ).slice(0, TEXT_MAX),
      ...(names.length === 1 ? { field: names[0]! } : {}),
    });
  }
}

function isTrouble(status: SyncStatus['status']): boolean {
  return status === 'failure' || status === 'error' || status === 'skipped';
}

function statusText({ key, action, status, code, reason }: SyncStatus): string {
  return `${status}: ${action} ${key}, ${code ?? 'no code'}: ${reason}`;
}
