import type { SyncError } from '../errors/index.ts';
import { DiskEventLog, SimulatedDisk } from '../events/index.ts';
import type { Input } from '../replay/index.ts';
import { replicaId } from '../state/index.ts';
import { type SessionDefinition, SyncManager, type SyncManagerOptions } from '../sync/index.ts';
import type { Tap } from '../trace/index.ts';
import { AUTHORITY } from './bazaar.ts';
import { type Choices, Stream } from './choices.ts';
import type { EventQueue } from './event-queue.ts';
import { NodeClock } from './node-clock.ts';
import { ServerNode } from './nodes.ts';
import type { Oracle } from './oracle.ts';
import type { Shape } from './shape.ts';

const SERVER = replicaId(AUTHORITY);
export const SESSION = 'simulated';

export interface AuthorityProcessOptions {
  readonly seed: number;
  readonly shape: Shape;
  readonly definition: SessionDefinition;
  readonly queue: EventQueue;
  readonly tap: Tap;
  readonly oracle: Oracle;
  /** What happens at the authority of its own accord. */
  readonly operations: Choices;
  /** Hands an input to a state machine, and keeps it where the session is to be run again. */
  readonly hand: <T>(input: Input, work: () => T) => T;
  readonly isJournaled: boolean;
}

type ManagerOptions = SyncManagerOptions & { readonly incarnation: number };

/** The authority as a process that is lost and begins again, with its disk or without one. */
export class AuthorityProcess {
  readonly node: ServerNode;
  readonly #options: AuthorityProcessOptions;
  /** Of processes that were lost. */
  #commits = 0;
  /** Processes so far: each that begins without a log is another life of the session. */
  #lives = 0;
  /** The present process's log. */
  #log: DiskEventLog | undefined;
  /** The disk for which something is on its way to become durable. */
  #drivenDisk: SimulatedDisk | undefined;

  constructor(options: AuthorityProcessOptions) {
    this.#options = options;
    const clock = new NodeClock(options.queue, options.shape.serverClock);
    this.node = new ServerNode(clock, this.#begin(clock, undefined), options.operations);
    this.driveDisk();
  }

  /** Mutations that took effect, at this process and those that were lost. */
  get commits(): number {
    return this.#commits + this.node.manager.stats.commits;
  }

  /** The process is gone, and the next begins with what the disk kept. */
  restart(stream: Stream): void {
    const { node } = this;
    this.#commits += node.manager.stats.commits;
    if (!node.disk) this.#options.oracle.restart();
    Object.assign(node, this.#begin(node.clock, node.disk?.crash(stream)));
    this.driveDisk();
  }

  /** What waits for the disk becomes durable, one after the other, each after its time. */
  driveDisk(): void {
    const { disk } = this.node;
    if (!disk || disk.held === 0 || this.#drivenDisk === disk) return;
    this.#drivenDisk = disk;
    const { queue, shape } = this.#options;
    queue.after(shape.flushTime ?? 0, () => {
      if (this.node.disk !== disk) return;
      this.#drivenDisk = undefined;
      disk.complete();
      this.#noteDurable();
      this.driveDisk();
    });
  }

  #noteDurable(): void {
    const log = this.#log;
    const { isJournaled, hand } = this.#options;
    if (!log || !isJournaled) return;
    const failure = log.failure ? { failure: log.failure.message } : {};
    const now = this.node.clock.now();
    hand({ op: 'durable', replica: SERVER, now, durable: log.durable, ...failure }, () => undefined);
  }

  /** A process that begins with what a disk has, or with the first state. */
  #begin(
    clock: NodeClock,
    before: SimulatedDisk | undefined,
  ): { readonly manager: SyncManager; readonly disk: SimulatedDisk | undefined } {
    const { seed, shape, definition, tap, oracle } = this.#options;
    const options = {
      definition,
      replica: SERVER,
      session: SESSION,
      random: Stream.of(seed, 'authority'),
      now: clock.now(),
      incarnation: ++this.#lives,
      tap,
      ...shape.settings,
    };
    if (shape.flushTime === undefined) {
      this.#log = undefined;
      return { manager: this.#newManager(options, undefined), disk: undefined };
    }
    const disk = before ?? new SimulatedDisk();
    const log = openLog(disk);
    if (log.last > 0) oracle.recover(log.read(log.base));
    disk.isHeld = true;
    this.#log = log;
    return { manager: this.#newManager(options, log), disk };
  }

  #newManager(options: ManagerOptions, log: DiskEventLog | undefined): SyncManager {
    const { definition, replica, session, now, incarnation } = options;
    const input: Input = {
      ...{ op: 'authority', replica, session, now, incarnation },
      settings: Object.fromEntries(Object.entries(this.#options.shape.settings)),
      groups: (definition.groups ?? []).map(({ collection, fields }) => ({ collection, fields: [...fields] })),
      hasViews: definition.view !== undefined,
      log: log ? { durability: log.durability, last: log.last } : null,
    };
    return this.#options.hand(input, () => new SyncManager({ ...options, ...(log ? { log } : {}) }));
  }
}

/** The log on a disk, as a process finds it that starts now. */
function openLog(disk: SimulatedDisk): DiskEventLog {
  let opened: DiskEventLog | SyncError | undefined;
  disk.isHeld = false;
  DiskEventLog.open(disk.contents, disk, (log) => {
    opened = log;
  });
  if (opened instanceof DiskEventLog) return opened;
  throw opened ?? new Error('the disk has not answered');
}
