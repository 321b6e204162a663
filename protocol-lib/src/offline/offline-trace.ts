import type { SyncError } from '../errors/index.ts';
import { changesBetween } from '../merkle/index.ts';
import type { ReconcileAnswer, ReconcileRequest } from '../messages/index.ts';
import { fitText } from '../schema/index.ts';
import type { ReplicaId, Version } from '../state/index.ts';
import type { Tap, TraceBody } from '../trace/index.ts';
import { type DeviceState, unsettled } from './device-state.ts';
import type { Predicted } from './predict.ts';
import type { OfflineEntry } from './rows.ts';

/** A rebase record lists at most so many. */
const MAX_LISTED = 1_000;

/** What a device that works offline reports. */
export class OfflineTrace {
  readonly #tap: Tap;
  readonly #device: ReplicaId;

  constructor(tap: Tap, device: ReplicaId) {
    this.#tap = tap;
    this.#device = device;
  }

  opened(state: DeviceState, predicted: Predicted, isStateLost: boolean): void {
    if (!this.#tap.isOpen) return;
    this.#emit({ kind: 'replica', role: 'client' });
    if (isStateLost) this.#log('warn', 'the stored state was damaged and is fetched anew; mutations are whole');
    this.#snapshot('attach', state);
    this.#rebase(state, predicted);
  }

  predicted({ mutation }: OfflineEntry, version: Version, { changes }: Predicted): void {
    if (!this.#tap.isOpen) return;
    const id = { writer: this.#device, counter: mutation.counter };
    const made = [...(changes.get(mutation.counter) ?? [])];
    this.#emit({ kind: 'prediction', mutation: id, command: mutation.command, version, changes: made });
  }

  sent({ mutations, acknowledged }: ReconcileRequest): void {
    if (!this.#tap.isOpen) return;
    const [first, last] = [mutations[0]?.counter, mutations.at(-1)?.counter];
    const what = first === undefined ? 'nothing new' : `mutations ${first} to ${last}`;
    this.#log('info', `reconcile: ${what}, from version ${acknowledged.version}`);
  }

  settled(before: DeviceState, after: DeviceState, answer: ReconcileAnswer, predicted: Predicted): void {
    if (!this.#tap.isOpen || before === after) return;
    const { committed } = after;
    if (answer.snapshot) this.#snapshot('full-sync', after);
    else if (committed.root !== before.committed.root) {
      const changes = changesBetween(before.committed.root, committed.root);
      const { version: to, root } = committed;
      this.#emit({ kind: 'apply', from: before.committed.version, to, changes, root: root.hash });
    }
    for (const { counter, version } of answer.applied) {
      this.#emit({ kind: 'confirmation', mutation: { writer: this.#device, counter }, version });
    }
    for (const { counter, version, reason } of answer.rejected) {
      this.#emit({ kind: 'rollback', mutation: { writer: this.#device, counter }, version, reason });
    }
    this.#rebase(after, predicted);
  }

  failed({ code, message }: Pick<SyncError, 'code' | 'message'>, failures: number): void {
    if (this.#tap.isOpen) this.#log('warn', `reconcile failed ${failures} times in a row: ${code}: ${message}`);
  }

  #snapshot(reason: 'attach' | 'full-sync', { committed }: DeviceState): void {
    const { version, root, vector } = committed;
    const records = Array.from(root.entries(), ([key, record]) => ({ key, record }));
    this.#emit({ kind: 'snapshot', reason, version, records, root: root.hash, vector: vector.entries() });
  }

  #rebase(state: DeviceState, { changes }: Predicted): void {
    const waiting = unsettled(state).slice(0, MAX_LISTED);
    if (waiting.length === 0) return;
    const pending = waiting.map(({ mutation: { counter } }) => {
      return { mutation: { writer: this.#device, counter }, changes: [...(changes.get(counter) ?? [])] };
    });
    this.#emit({ kind: 'rebase', version: state.committed.version, pending });
  }

  #log(level: 'info' | 'warn', text: string): void {
    this.#emit({ kind: 'log', level, text: fitText(text, 10_000) });
  }

  #emit(body: TraceBody): void {
    this.#tap.emit(this.#device, body);
  }
}
