import { isSyncError, SyncError } from '@syncscope/protocol/errors';
import { encodeSnapshot, type LogChore, type LogSnapshot, SharedEventLog } from '@syncscope/protocol/events';
import type { Random } from '@syncscope/protocol/ports';
import { type Appended, type BusSnapshot, busDown, type EventBus, type Stop } from './bus.ts';

export interface SharedLogOptions {
  readonly bus: EventBus;
  readonly session: string;
  /** What the session begins with, where nobody has begun it. */
  readonly first: () => LogSnapshot;
  /** Spreads the tries of those that lose a race. */
  readonly random: Random;
  /** Entries that are read again at the start although a snapshot covers them, so that clients go on from older versions by deltas. */
  readonly margin?: number;
  /** Called after something was agreed, something went wrong, or the broker went or came. */
  readonly onChange?: () => void;
}

/** A session's log on a bus. */
export interface SharedLog {
  readonly log: SharedEventLog;
  /** Why nothing can become durable now, where it cannot; it may pass. */
  readonly trouble: SyncError | undefined;
  /** Resolves when everything that was handed over is agreed, or the log has failed. */
  settled(): Promise<void>;
  /** Stops. What is not agreed stays so. */
  close(): Promise<void>;
}

const MARGIN = 5_000;
const READ = 1_000;
/** Looked at so often even where no hint comes. */
const POLL_MS = 1_000;
const BACKOFF_MS = { first: 20, most: 1_000 };
/** After so many lost races in a row a gateway lets the others go first for a moment. */
const EAGER = 3;

/**
 * Opens one gateway's side of a session's log: begins it where nobody has, and reads all that is agreed.
 * @throws SyncError `BUS_DOWN`, `LOG_DAMAGED`
 */
export async function openSharedLog(options: SharedLogOptions): Promise<SharedLog> {
  const { bus, session, first, margin = MARGIN } = options;
  const begun = await bus.snapshot(session);
  if (!begun) {
    const snapshot = first();
    await bus.begin(session, { position: snapshot.position, bytes: encodeSnapshot(snapshot) });
  }
  const last = await bus.last(session);
  const snapshot = (await bus.snapshot(session, Math.max(0, last - margin))) ?? (await oldest(bus, session, last));
  const driver = new Driver(options);
  driver.log.begin(snapshot.bytes);
  await driver.start();
  return driver;
}

/** The snapshot after which all entries are there, where none is as old as was wished. */
async function oldest(bus: EventBus, session: string, last: number): Promise<BusSnapshot> {
  let found = await bus.snapshot(session, last);
  for (let one = found; one; one = await bus.snapshot(session, one.position - 1)) found = one;
  if (found) return found;
  throw busDown(`session ${session} has no snapshot on the bus`);
}

class Driver implements SharedLog {
  readonly log: SharedEventLog;
  readonly #options: SharedLogOptions;
  readonly #polling: NodeJS.Timeout;
  #stop: Stop | undefined;
  #trouble: SyncError | undefined;
  #isWorking = false;
  #mustRead = false;
  #isClosed = false;
  #lost = 0;
  #tries = 0;
  #waiting: (() => void)[] = [];
  #resting: { readonly timer: NodeJS.Timeout; wake(): void } | undefined;

  constructor(options: SharedLogOptions) {
    this.#options = options;
    // The first entry of a turn is on its way only after the turn, together with the others.
    this.log = new SharedEventLog(options.bus.durability, () => queueMicrotask(() => this.#wake()));
    this.#polling = setInterval(() => this.#hear(), POLL_MS);
  }

  get trouble(): SyncError | undefined {
    return this.log.failure ?? this.#trouble;
  }

  async start(): Promise<void> {
    const { bus, session } = this.#options;
    try {
      this.#stop = await bus.watch(session, () => this.#hear());
      await this.#catchUp();
      if (this.log.failure) throw this.log.failure;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async settled(): Promise<void> {
    while (!this.log.isIdle && !this.log.failure && !this.#isClosed) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#polling);
    this.#resting?.wake();
    this.#tell();
    await this.#stop?.().catch(() => undefined);
  }

  #hear(): void {
    this.#mustRead = true;
    this.#wake();
  }

  #wake(): void {
    if (this.#isWorking || this.#isClosed) return;
    this.#isWorking = true;
    void this.#work().finally(() => {
      this.#isWorking = false;
      this.#tell();
      if (this.#hasWork()) this.#wake();
    });
  }

  #hasWork(): boolean {
    return !this.#isClosed && !this.log.failure && (this.#mustRead || !this.log.isIdle);
  }

  async #work(): Promise<void> {
    while (this.#hasWork()) {
      try {
        await this.#step();
        this.#tries = 0;
        this.#setTrouble(undefined);
      } catch (error) {
        if (this.#isClosed) return;
        if (!isSyncError(error, 'BUS_DOWN')) {
          this.log.fail(error instanceof SyncError ? error : failed(error));
          return;
        }
        this.#setTrouble(error);
        // What an append came to is not known: the log is read first.
        this.#mustRead = true;
        await this.#rest(Math.min(BACKOFF_MS.first * 2 ** this.#tries++, BACKOFF_MS.most));
      }
    }
  }

  async #step(): Promise<void> {
    if (this.#mustRead) await this.#catchUp();
    const { bus, session } = this.#options;
    const batch = this.log.batch(bus.limits.entries, bus.limits.bytes);
    if (batch) {
      this.#taken(batch.expected, batch.entries, await bus.append(session, batch.expected, batch.entries));
      await this.#afterRace();
    } else {
      const chore = this.log.takeChore();
      if (chore) await this.#carryOut(chore);
    }
  }

  #taken(expected: number, entries: readonly Uint8Array[], { isAppended, last }: Appended): void {
    if (!isAppended) {
      if (last < expected) this.#hasLost(last);
      this.#lost++;
      this.#mustRead = true;
      return;
    }
    this.#lost = 0;
    for (const [index, bytes] of entries.entries()) this.log.agree(expected + 1 + index, bytes);
    this.#tell();
  }

  /** Others come first again and again: some time in which they can go on. */
  async #afterRace(): Promise<void> {
    if (this.#lost === 0) return;
    await this.#catchUp();
    if (this.#lost > EAGER) await this.#rest(this.#options.random.next() * Math.min(2 ** this.#lost, 50));
  }

  async #carryOut(chore: LogChore): Promise<void> {
    const { bus, session } = this.#options;
    const { position } = chore;
    try {
      if (chore.kind === 'compact') await bus.compact(session, position);
      else if (chore.kind === 'snapshot') await bus.putSnapshot(session, { position, bytes: chore.bytes });
      else if (!(await bus.begin(session, { position, bytes: chore.bytes }))) {
        throw new SyncError('LOG_CONFLICT', 'somebody else has begun this session', { origin: 'state' });
      }
    } catch (error) {
      if (isSyncError(error, 'BUS_DOWN')) this.log.returnChore(chore);
      // Somebody else has compacted further.
      if (!isSyncError(error, 'BUS_SNAPSHOT_MISSING')) throw error;
    }
  }

  /** Reads all that is agreed. */
  async #catchUp(): Promise<void> {
    const { bus, session } = this.#options;
    this.#mustRead = false;
    // One that the log begins with is not on the bus yet.
    if (this.log.durable < 0) return;
    for (;;) {
      const entries = await bus.read(session, this.log.durable, READ);
      for (const { position, bytes } of entries) this.log.agree(position, bytes);
      if (entries.length > 0) this.#tell();
      if (entries.length < READ || this.log.failure) break;
    }
    // A broker that was away may have come back with less than it had.
    if (this.#tries === 0) return;
    const last = await bus.last(session);
    if (last < this.log.durable) this.#hasLost(last);
  }

  #hasLost(last: number): void {
    const text = `the bus ends at ${last} and had ${this.log.durable}: it has lost what it acknowledged. End the session, or restore the broker`;
    this.log.fail(new SyncError('LOG_LOST', text, { origin: 'state' }));
  }

  async #rest(ms: number): Promise<void> {
    this.#tell();
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#resting = { timer, wake };
    });
    this.#resting = undefined;
  }

  #setTrouble(trouble: SyncError | undefined): void {
    const isNew = this.#trouble?.code !== trouble?.code;
    this.#trouble = trouble;
    if (isNew) this.#tell();
  }

  #tell(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
    this.#options.onChange?.();
  }
}

function failed(error: unknown): SyncError {
  const said = error instanceof Error ? error.message : String(error);
  return new SyncError('LOG_FAILED', `the shared log cannot go on (${said})`, { origin: 'state', cause: error });
}
