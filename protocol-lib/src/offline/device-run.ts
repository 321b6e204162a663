import { packMsgpack, unpackMsgpack } from '../bytes/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import { EMPTY_HASH } from '../merkle/index.ts';
import { type ReconcileAnswer, type ReconcileRequest, reconcileRequestSchema } from '../messages/index.ts';
import type { ReplicaId, Value } from '../state/index.ts';
import { type Committed, type SessionDefinition, withWholeGroups } from '../sync/index.ts';
import type { Tap } from '../trace/index.ts';
import { addMutation, type IntentMaker, nextBatch, type QueueLimits } from './add.ts';
import {
  type DeviceChange,
  type DeviceState,
  emptyDevice,
  readDevice,
  unsettled,
  writesBetween,
} from './device-state.ts';
import type { DeviceStanding } from './journal.ts';
import { OfflineTrace } from './offline-trace.ts';
import { type Predicted, predict } from './predict.ts';
import type { References } from './references.ts';
import { markSent, settle } from './settle.ts';

/** Of one request. */
export interface BatchLimits {
  readonly mutations: number;
  readonly bytes: number;
}

/** The next mutations of a device as sent; undefined where none waits. */
export function sending(state: DeviceState, { mutations, bytes }: BatchLimits, now: number): DeviceChange | undefined {
  const batch = nextBatch(state, mutations, bytes);
  return batch.length > 0 ? markSent(state, batch, now) : undefined;
}

/** What a device asks of the authority, from the state after {@link sending}. */
export function requestOf(
  state: DeviceState,
  { mutations, bytes }: BatchLimits,
  needsSnapshot: boolean,
): ReconcileRequest {
  const { meta, committed } = state;
  const { version, progress, root } = committed;
  return {
    session: meta.session,
    device: meta.device,
    settled: meta.settled,
    acknowledged: needsSnapshot
      ? { version: 0, progress: 0, root: EMPTY_HASH }
      : { version, progress, root: root.hash },
    mutations: nextBatch(state, mutations, bytes).map(({ mutation }) => mutation),
  };
}

/** A device without a settled mutation; undefined where it has none such. */
export function dismissed(state: DeviceState, counter: number): DeviceChange | undefined {
  if (counter > state.meta.settled || !state.entries.has(counter)) return undefined;
  const entries = new Map(state.entries);
  entries.delete(counter);
  const after = { ...state, entries };
  return { after, writes: writesBetween(state, after) };
}

/** What of a device a standing is made of, beside its state. */
export interface DeviceFacts {
  readonly needsSnapshot: boolean;
  readonly failures: number;
  readonly limits: QueueLimits;
  readonly batch: BatchLimits;
  readonly references: References;
  readonly request: ReconcileRequest | undefined;
}

export function standingOf(state: DeviceState, facts: DeviceFacts): DeviceStanding {
  const { meta, committed, lease: _, ...kept } = state;
  const { request, references, ...rest } = facts;
  const bare = emptyDevice(meta.session, meta.device);
  const writes = writesBetween(bare, { ...bare, ...kept, meta: { ...meta } });
  return {
    session: meta.session,
    version: committed.version,
    progress: committed.progress,
    ...rest,
    references: { commands: listed(references.commands), records: listed(references.records) },
    rows: writes.flatMap(({ key, value }) => (value ? [{ key, value }] : [])),
    request: request ? packMsgpack(request as unknown as Value) : null,
  };
}

type Paths = References['commands'];

function listed(paths: Paths): { name: string; paths: string[] }[] {
  return Object.entries(paths).map(([name, list]) => ({ name, paths: [...list] }));
}

function unlisted(list: readonly { readonly name: string; readonly paths: readonly string[] }[]): Paths {
  return Object.fromEntries(list.map(({ name, paths }) => [name, paths]));
}

/**
 * A device without a storage, a clock and a network: what an `OfflineClient` does with what it is handed, as it did it. For running a recorded one again.
 */
export class DeviceRun {
  readonly #definition: SessionDefinition;
  readonly #references: References;
  readonly #trace: OfflineTrace;
  readonly #limits: QueueLimits;
  readonly #batch: BatchLimits;
  #state: DeviceState;
  #needsSnapshot: boolean;
  #failures: number;
  #request: ReconcileRequest | undefined;

  /** @throws SyncError `REPLAY_INPUT_UNFIT` for a standing that is none of this device */
  constructor(
    definition: SessionDefinition,
    device: ReplicaId,
    tap: Tap,
    committed: Omit<Committed, 'progress'>,
    standing: DeviceStanding,
  ) {
    const { session, progress, needsSnapshot, failures, limits, batch, references, rows, request } = standing;
    this.#definition = withWholeGroups(definition);
    this.#references = { commands: unlisted(references.commands), records: unlisted(references.records) };
    this.#trace = new OfflineTrace(tap, device);
    this.#limits = limits;
    this.#batch = batch;
    this.#needsSnapshot = needsSnapshot;
    this.#failures = failures;
    const { state, asked } = fromRecording(device, () => {
      const contents = { revision: 1, rows: new Map(rows.map(({ key, value }) => [key, value])) };
      return {
        state: readDevice(contents, session, device).state,
        asked: request ? reconcileRequestSchema.parse(unpackMsgpack(request), 'request') : undefined,
      };
    });
    this.#request = asked;
    this.#state = { ...state, committed: { ...committed, progress } };
  }

  describe(): void {
    this.#trace.opened(this.#state, this.#predict(this.#state), false);
  }

  mutate(wall: number, command: string, args: Value, creates: readonly string[]): void {
    const make: IntentMaker = (keys) => {
      for (const collection of creates) keys.create(collection);
      return { command, args };
    };
    const { root } = this.#predict(this.#state);
    const context = { definition: this.#definition, references: this.#references, limits: this.#limits };
    const added = addMutation(this.#state, make, { ...context, root, now: wall });
    if ('rejected' in added) return;
    this.#state = added.change.after;
    this.#trace.predicted(added.entry, this.#state.committed.version, this.#predict(this.#state));
  }

  send(wall: number): void {
    this.#state = sending(this.#state, this.#batch, wall)?.after ?? this.#state;
    this.#request = requestOf(this.#state, this.#batch, this.#needsSnapshot);
    this.#trace.sent(this.#request);
  }

  /** An answer that does not fit to what is here has it ask for all. */
  take(wall: number, answer: ReconcileAnswer): void {
    const before = this.#state;
    const request = this.#request;
    if (!request) throw unfit(before.meta.device, 'an answer came to it, and it had not asked');
    const context = {
      references: this.#references,
      limits: this.#limits,
      now: wall,
      predict: (after: DeviceState) => this.#predict(after),
    };
    try {
      this.#state = settle(before, request, answer, context)?.after ?? before;
    } catch (error) {
      if (isSyncError(error, 'RECONCILE_MISFIT')) this.#needsSnapshot = true;
      else if (!isSyncError(error, 'RECONCILE_INVALID')) throw error;
      return;
    }
    this.#needsSnapshot = false;
    this.#trace.settled(before, this.#state, answer, this.#predict(this.#state));
  }

  failed(code: string, reason: string): void {
    this.#failures++;
    this.#trace.failed({ code, message: reason }, this.#failures);
  }

  done(): void {
    this.#failures = 0;
  }

  dismiss(counter: number): void {
    this.#state = dismissed(this.#state, counter)?.after ?? this.#state;
  }

  startOver(): void {
    this.#needsSnapshot = true;
  }

  #predict(state: DeviceState): Predicted {
    return predict(this.#definition, state.committed.root, unsettled(state), state.meta.device);
  }
}

function fromRecording<T>(device: ReplicaId, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!isSyncError(error)) throw error;
    throw unfit(device, `where it stands cannot be read: ${error.message}`, error);
  }
}

function unfit(device: ReplicaId, text: string, cause?: unknown): SyncError {
  return new SyncError('REPLAY_INPUT_UNFIT', `${device}: ${text}`, { origin: 'capture', cause });
}
