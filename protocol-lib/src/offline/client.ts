import { isSyncError, SyncError } from '../errors/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import {
  RECONCILE_MAX_MUTATIONS,
  type ReconcileAnswer,
  type ReconcileRequest,
  reconcileAnswerSchema,
} from '../messages/index.ts';
import { milliseconds, type Random, type SyncMetrics } from '../ports/index.ts';
import type { ReplicaId, Version } from '../state/index.ts';
import { type Committed, type SessionDefinition, withWholeGroups } from '../sync/index.ts';
import { closedTap, type Tap } from '../trace/index.ts';
import { addMutation, type Intent, type IntentMaker, type NewKeys, QUEUE_LIMITS, type QueueLimits } from './add.ts';
import { BACKOFF_DEFAULTS, Backoff, type BackoffLimits } from './backoff.ts';
import { dismissed, requestOf, sending, standingOf } from './device-run.ts';
import { type DeviceState, idMap, presentName, unsettled } from './device-state.ts';
import type { DeviceInput, OfflineJournal } from './journal.ts';
import { OfflineTrace } from './offline-trace.ts';
import { type Predicted, predict } from './predict.ts';
import { MutationQueue, type QueueStatus, type WallClock } from './queue.ts';
import { type OfflineReceipt, offlineReceipt } from './receipt.ts';
import { NO_REFERENCES, type References } from './references.ts';
import type { OfflineEntry } from './rows.ts';
import { type SendRight, StorageLease } from './send-right.ts';
import { settle } from './settle.ts';
import type { OfflineStorage } from './storage.ts';
import { parseTemporary } from './temp-ids.ts';

/** The way to the authority: the answer to a request, as it came. Rejects where there is none, with a SyncError where the authority said why. */
export type ReconcileConnection = (request: ReconcileRequest) => Promise<unknown>;

export interface OfflineClientOptions {
  readonly definition: SessionDefinition;
  readonly references?: References;
  readonly storage: OfflineStorage;
  readonly session: string;
  /** Names this device for ever: its mutations are counted under it. */
  readonly device: ReplicaId;
  readonly connection: ReconcileConnection;
  readonly clock: WallClock;
  readonly random: Random;
  /** Names this process or tab among those that share the storage. */
  readonly owner: string;
  /** A {@link StorageLease} where absent. */
  readonly sendRight?: SendRight;
  readonly backoff?: BackoffLimits;
  readonly limits?: Partial<QueueLimits>;
  /** Of one request; at most {@link RECONCILE_MAX_MUTATIONS}. */
  readonly batch?: { readonly mutations: number; readonly bytes: number };
  readonly tap?: Tap;
  /** Where it is written what is done to the device, so that a recording of it can be run again. Of those of one name, one may be there at a time. */
  readonly journal?: OfflineJournal;
  /** Told what waits, and how tries to reconcile ended; times are of `clock`, in nanoseconds. */
  readonly metrics?: SyncMetrics;
}

/**
 * What became of a try to reconcile. `idle`: there was nothing to send. `elsewhere`: another process or tab sends. `later`: it is not yet time.
 * `failed`: {@link OfflineClient.problem} says why. `blocked`: and trying again will not help.
 */
export type SyncOutcome = 'done' | 'idle' | 'elsewhere' | 'later' | 'failed' | 'blocked';

export type MutateResult = { readonly entry: OfflineEntry } | { readonly rejected: string };

const BATCH = { mutations: 100, bytes: 256 * 1024 };

/**
 * A device that works with or without a connection: its last committed state and what it has done since, both in its storage, and the two
 * together as the user sees them. A mutation is stored before it is shown, and sent until it is known how it ended.
 */
export class OfflineClient {
  readonly device: ReplicaId;
  readonly session: string;
  readonly #definition: SessionDefinition;
  readonly #references: References;
  readonly #queue: MutationQueue;
  readonly #connection: ReconcileConnection;
  readonly #clock: WallClock;
  readonly #sendRight: SendRight;
  readonly #backoff: Backoff;
  readonly #metrics: SyncMetrics | undefined;
  readonly #limits: QueueLimits;
  readonly #batch: { readonly mutations: number; readonly bytes: number };
  readonly #trace: OfflineTrace;
  #predicted: { readonly of: DeviceState; readonly result: Predicted };
  #needsSnapshot: boolean;
  #problem: SyncError | undefined;
  #isBlocked = false;
  #sync: Promise<SyncOutcome> | undefined;
  readonly #journal: OfflineJournal | undefined;
  /** What no answer has come to yet. */
  #request: ReconcileRequest | undefined;

  private constructor(options: OfflineClientOptions, queue: MutationQueue, isStateLost: boolean) {
    this.device = options.device;
    this.session = options.session;
    this.#definition = withWholeGroups(options.definition);
    this.#references = options.references ?? NO_REFERENCES;
    this.#queue = queue;
    this.#connection = options.connection;
    this.#clock = options.clock;
    this.#sendRight = options.sendRight ?? new StorageLease(queue, options.owner, options.clock);
    this.#metrics = options.metrics;
    this.#backoff = new Backoff(options.random, options.backoff ?? BACKOFF_DEFAULTS);
    this.#limits = { ...QUEUE_LIMITS, ...options.limits };
    const { mutations, bytes } = options.batch ?? BATCH;
    this.#batch = { mutations: Math.min(mutations, RECONCILE_MAX_MUTATIONS), bytes };
    this.#trace = new OfflineTrace(options.tap ?? closedTap, options.device);
    this.#needsSnapshot = isStateLost;
    this.#predicted = { of: queue.state, result: this.#predict(queue.state) };
    this.#journal = options.journal;
    this.#tellBeginning(true, isStateLost);
    queue.onReloaded = () => {
      // Nobody who listens has heard what another has written.
      if (this.#journal?.isOpen && this.#journal.hasBegun) this.#tellBeginning(true, false);
    };
  }

  /** Starts from what is stored, with or without a connection. @throws SyncError as {@link MutationQueue.open} */
  static async open(options: OfflineClientOptions): Promise<OfflineClient> {
    const { queue, isStateLost } = await MutationQueue.open(options.storage, options.session, options.device);
    return new OfflineClient(options, queue, isStateLost);
  }

  /** What the user sees: the committed state with everything that waits on top. */
  get local(): StateRoot {
    return this.#current().root;
  }

  /** The authority's state as it was last known here. */
  get committed(): StateRoot {
    return this.#queue.state.committed.root;
  }

  get version(): Version {
    return this.#queue.state.committed.version;
  }

  /** Those that wait, and the last that are settled. Oldest first. */
  get entries(): readonly OfflineEntry[] {
    return [...this.#queue.state.entries.values()];
  }

  entry(counter: number): OfflineEntry | undefined {
    return this.#queue.state.entries.get(counter);
  }

  /** What is known of every mutation that is kept. Oldest first. */
  get receipts(): OfflineReceipt[] {
    return this.entries.map((entry) => offlineReceipt(this.device, entry));
  }

  get status(): QueueStatus {
    return this.#queue.status(this.#clock.now());
  }

  get durability(): OfflineStorage['durability'] {
    return this.#queue.durability;
  }

  /** Why the last try failed; undefined where it did not. */
  get problem(): SyncError | undefined {
    return this.#problem;
  }

  /** Milliseconds until {@link sync} would try; undefined where nothing waits, or where trying will not help. */
  get due(): number | undefined {
    if (this.#isBlocked || unsettled(this.#queue.state).length === 0) return undefined;
    return this.#backoff.remaining(this.#clock.now());
  }

  /** For a `ClientState` that goes on from here over a live connection. @throws RangeError where mutations wait: reconcile first */
  get kept(): { readonly committed: Committed; readonly counter: number } {
    const { committed, meta } = this.#queue.state;
    if (meta.settled < meta.counter)
      throw new RangeError(`${meta.counter - meta.settled} mutations wait: reconcile first`);
    return { committed, counter: meta.counter };
  }

  /** Tells the tap what is here: whoever listens from now on has not heard it. */
  describe(): void {
    this.#tellBeginning(false, false);
  }

  #tellBeginning(isNew: boolean, isStateLost: boolean): void {
    const journal = this.#journal;
    const tell = (): void => this.#trace.opened(this.#queue.state, this.#current(), isStateLost);
    if (!journal?.isOpen) {
      tell();
      return;
    }
    if (journal.hasBegun && !isNew) journal.run({ op: 'describe' }, tell);
    else journal.aside(tell);
    const standing = standingOf(this.#queue.state, {
      needsSnapshot: this.#needsSnapshot,
      failures: this.#backoff.failures,
      limits: this.#limits,
      batch: this.#batch,
      references: this.#references,
      request: this.#request,
    });
    journal.begin(standing, isNew);
  }

  /** Something is done to the device, and told of as {@link tell} does it. */
  #do(input: DeviceInput, tell: () => void): void {
    const journal = this.#journal;
    if (!journal?.isOpen) tell();
    else if (journal.hasBegun) journal.run(input, tell);
    else journal.aside(tell);
  }

  subscribe(listener: () => void): () => void {
    return this.#queue.subscribe(listener);
  }

  /**
   * How the authority calls a record now that was made here under a temporary key.
   * @throws SyncError `TEMP_ID_UNKNOWN`, `TEMP_ID_UNMAPPED`
   */
  resolve(key: string): string {
    const { state } = this.#queue;
    const id = parseTemporary(key);
    return presentName(state, idMap(state), key, id?.device === this.device ? id.number : undefined);
  }

  /**
   * Makes a mutation: stored when this resolves, and then shown in {@link local}. Refused where the local state does not allow it.
   * @throws SyncError as {@link addMutation} and `OfflineStorage.write`; nothing is made then. After `STORAGE_FAILED` look at {@link entries}:
   *   a storage that died in the middle may have it.
   */
  async mutate(make: IntentMaker): Promise<MutateResult> {
    // What another tab has brought in may allow what the state known here does not.
    await this.#queue.refresh();
    const made: { result: MutateResult } = { result: { rejected: '' } };
    const wall = this.#clock.now();
    const { told, asMade } = watched(make);
    await this.#queue.change(
      (state) => {
        const { root } = this.#current(state);
        const added = addMutation(state, asMade, {
          definition: this.#definition,
          references: this.#references,
          limits: this.#limits,
          root,
          now: wall,
        });
        made.result = 'rejected' in added ? added : { entry: added.entry };
        return 'rejected' in added ? undefined : added.change;
      },
      (after) => {
        const { result } = made;
        this.#do({ op: 'deviceMutate', wall, ...told() }, () => {
          if ('entry' in result) this.#trace.predicted(result.entry, after.committed.version, this.#current(after));
        });
      },
    );
    return made.result;
  }

  /** Takes a settled mutation off the list. Those that wait stay. */
  async dismiss(counter: number): Promise<void> {
    const tell = (): void => this.#do({ op: 'deviceDismiss', counter }, () => undefined);
    await this.#queue.change((state) => dismissed(state, counter), tell);
  }

  /** There is reason to try at once: the network is back, or somebody has put right what was wrong. */
  wake(): void {
    this.#backoff.wake();
    this.#isBlocked = false;
  }

  /** Gives up the copy of the committed state: the next answer brings it whole. Mutations stay. For `CHECKPOINT_FROM_FUTURE`. */
  startOver(): void {
    this.#do({ op: 'deviceStartOver' }, () => {
      this.#needsSnapshot = true;
    });
    this.wake();
  }

  /** Takes over what another process or tab has written. */
  async refresh(): Promise<boolean> {
    return this.#queue.refresh();
  }

  /**
   * Sends what waits, and takes in how it ended and what happened since; with `pull` also where nothing waits. One try at a time.
   * @throws SyncError as `OfflineStorage.write`
   */
  sync(options: { readonly pull?: boolean } = {}): Promise<SyncOutcome> {
    this.#sync ??= this.#trySync(options.pull ?? false).finally(() => {
      this.#sync = undefined;
    });
    return this.#sync;
  }

  /** Waits for what is under way and closes the storage. */
  async close(): Promise<void> {
    await this.#sync?.catch(() => undefined);
    await this.#sendRight.release().catch(() => undefined);
    await this.#queue.close();
  }

  async #trySync(isPull: boolean): Promise<SyncOutcome> {
    if (this.#isBlocked) return 'blocked';
    if (this.#backoff.remaining(this.#clock.now()) > 0) return 'later';
    await this.#queue.refresh();
    if (!isPull && !this.#needsSnapshot && unsettled(this.#queue.state).length === 0) return 'idle';
    if (!(await this.#sendRight.acquire())) return 'elsewhere';
    do {
      const failure = await this.#exchange();
      if (failure) return this.#failed(failure);
    } while (unsettled(this.#queue.state).length > 0 && (await this.#sendRight.acquire()));
    this.#do({ op: 'deviceDone' }, () => this.#backoff.reset());
    this.#problem = undefined;
    this.#measure(true);
    return 'done';
  }

  /** One request and its answer. What failed, where it did. */
  async #exchange(): Promise<SyncError | undefined> {
    const request = await this.#nextRequest();
    let answer: ReconcileAnswer;
    try {
      answer = reconcileAnswerSchema.parse(await this.#connection(request), 'answer');
    } catch (error) {
      return isSyncError(error) ? error : unreachable(error);
    }
    const hadAskedForAll = this.#needsSnapshot;
    try {
      await this.#takeIn(request, answer);
      return undefined;
    } catch (error) {
      if (isSyncError(error, 'RECONCILE_INVALID')) return error;
      if (!isSyncError(error, 'RECONCILE_MISFIT')) throw error;
      if (hadAskedForAll) return error;
    }
    return this.#exchange();
  }

  async #takeIn(request: ReconcileRequest, answer: ReconcileAnswer): Promise<void> {
    const wall = this.#clock.now();
    const input: DeviceInput = { op: 'deviceAnswer', wall, answer };
    try {
      await this.#queue.change(
        (state) => settle(state, request, answer, this.#settleContext(wall)),
        (after, before) => {
          this.#do(input, () => {
            this.#request = undefined;
            this.#needsSnapshot = false;
            this.#trace.settled(before, after, answer, this.#current(after));
          });
        },
      );
    } catch (error) {
      const isMisfit = isSyncError(error, 'RECONCILE_MISFIT');
      if (isMisfit || isSyncError(error, 'RECONCILE_INVALID')) {
        this.#do(input, () => {
          if (isMisfit) this.#needsSnapshot = true;
        });
      }
      throw error;
    }
  }

  async #nextRequest(): Promise<ReconcileRequest> {
    const wall = this.#clock.now();
    const made: { request?: ReconcileRequest } = {};
    const state = await this.#queue.change(
      (before) => sending(before, this.#batch, wall),
      (after) => {
        this.#do({ op: 'deviceSend', wall }, () => {
          made.request = requestOf(after, this.#batch, this.#needsSnapshot);
          this.#request = made.request;
          this.#trace.sent(made.request);
        });
      },
    );
    return made.request ?? requestOf(state, this.#batch, this.#needsSnapshot);
  }

  #settleContext(now: number) {
    return {
      references: this.#references,
      limits: this.#limits,
      now,
      predict: (after: DeviceState) => this.#predict(after),
    };
  }

  #failed(error: SyncError): SyncOutcome {
    this.#problem = error;
    this.#isBlocked = error.retry === 'never';
    this.#do({ op: 'deviceFailed', code: error.code, reason: error.message }, () => {
      this.#backoff.failed(this.#clock.now());
      this.#trace.failed(error, this.#backoff.failures);
    });
    this.#measure(false);
    return this.#isBlocked ? 'blocked' : 'failed';
  }

  #measure(hasSucceeded: boolean): void {
    if (!this.#metrics) return;
    const now = milliseconds(this.#clock.now());
    this.#metrics.reconciliation({ client: this.device, way: 'offline', hasSucceeded, now });
    this.#metrics.backlog(this.device, unsettled(this.#queue.state).length);
  }

  #current(state: DeviceState = this.#queue.state): Predicted {
    if (this.#predicted.of !== state) this.#predicted = { of: state, result: this.#predict(state) };
    return this.#predicted.result;
  }

  #predict(state: DeviceState): Predicted {
    return predict(this.#definition, state.committed.root, unsettled(state), this.device);
  }
}

/** An intent that says how it was made in the end. */
function watched(make: IntentMaker) {
  const creates: string[] = [];
  let intent: Intent = { command: '', args: null };
  const asMade: IntentMaker = (keys) => {
    creates.length = 0;
    const noting: NewKeys = {
      create(collection) {
        creates.push(collection);
        return keys.create(collection);
      },
    };
    intent = typeof make === 'function' ? make(noting) : make;
    return intent;
  };
  return { asMade, told: () => ({ command: intent.command, args: intent.args, creates: [...creates] }) };
}

/** A connection that fails without saying why. */
function unreachable(error: unknown): SyncError {
  const text = error instanceof Error ? error.message : String(error);
  return new SyncError('AUTHORITY_UNREACHABLE', `no answer: ${text}`, {
    origin: 'protocol',
    retry: 'backoff',
    cause: error,
  });
}
