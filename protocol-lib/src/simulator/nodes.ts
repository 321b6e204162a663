import type { SimulatedDisk } from '../events/index.ts';
import type { ClientState, LinkId, SyncManager } from '../sync/index.ts';
import type { Choices } from './choices.ts';
import type { ClientModel } from './client-model.ts';
import type { Conditions, Line } from './network.ts';
import type { NodeClock } from './node-clock.ts';
import type { ClientShape } from './shape.ts';

/** Something that runs, stands still, and goes on with all that has come meanwhile. */
export class Node {
  readonly clock: NodeClock;
  #inbox: (() => void)[] = [];
  #isPaused = false;

  constructor(clock: NodeClock) {
    this.clock = clock;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Does it now, or when the node runs again. */
  handle(work: () => void): void {
    if (this.#isPaused) this.#inbox.push(work);
    else work();
  }

  pause(): void {
    this.#isPaused = true;
  }

  /** What came while it stood still is lost. */
  forget(): void {
    this.#inbox = [];
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    const inbox = this.#inbox;
    this.#inbox = [];
    for (const work of inbox) this.handle(work);
  }
}

/** One connection between a client and the authority, with an end of its own on both sides. */
export interface Socket {
  readonly link: LinkId;
  readonly client: ClientNode;
  readonly up: Line;
  readonly down: Line;
  /** Whether the client was told that it is open. */
  isOpen: boolean;
  /** It broke on the way; one side or both may not know. */
  isBroken: boolean;
}

export class ClientNode extends Node {
  readonly shape: ClientShape;
  readonly conditions: Conditions;
  readonly operations: Choices;
  readonly upChoices: Choices;
  readonly downChoices: Choices;
  state: ClientState;
  model: ClientModel;
  socket: Socket | undefined;
  /** Attempts to connect since the last one that was welcomed. */
  attempts = 0;

  constructor(
    clock: NodeClock,
    shape: ClientShape,
    choices: { readonly operations: Choices; readonly up: Choices; readonly down: Choices },
    memory: { readonly state: ClientState; readonly model: ClientModel },
  ) {
    super(clock);
    this.shape = shape;
    this.operations = choices.operations;
    this.upChoices = choices.up;
    this.downChoices = choices.down;
    this.state = memory.state;
    this.model = memory.model;
    this.conditions = { shape: shape.link, isRough: false, blockedUntil: { up: 0, down: 0 }, isCutOff: false };
  }
}

export class ServerNode extends Node {
  manager: SyncManager;
  /** What its log is on; undefined where it has none. */
  disk: SimulatedDisk | undefined;
  readonly operations: Choices;
  readonly sockets = new Map<LinkId, Socket>();

  constructor(
    clock: NodeClock,
    { manager, disk }: { readonly manager: SyncManager; readonly disk: SimulatedDisk | undefined },
    operations: Choices,
  ) {
    super(clock);
    this.manager = manager;
    this.disk = disk;
    this.operations = operations;
  }
}
