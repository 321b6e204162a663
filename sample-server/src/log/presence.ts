import { randomBytes } from 'node:crypto';
import { isSyncError } from '@syncscope/protocol/errors';
import { array, object } from '@syncscope/protocol/schema';
import { type ReplicaId, replicaIdSchema } from '@syncscope/protocol/state';
import type { EventBus } from '../bus/index.ts';

const EVERY_MS = 1_000;
/** How many times that a gateway is remembered which is not heard, and a goodbye told. */
const TURNS = 5;
const NAMES_MAX = 10_000;

/** What a gateway says of itself: its clients, and who has said goodbye to it lately. */
const standing = object({ clients: array(replicaIdSchema, NAMES_MAX), left: array(replicaIdSchema, NAMES_MAX) });

interface Other {
  readonly clients: readonly ReplicaId[];
  readonly left: readonly ReplicaId[];
}

/** Who serves a session, and whom: each gateway says so again and again, and is forgotten when it does not. */
export class BusPresence {
  /** This gateway's name among the others. */
  readonly gateway = randomBytes(6).toString('hex');
  readonly #bus: EventBus;
  readonly #session: string;
  #own: () => readonly string[] = () => [];
  #others = new Map<string, Other>();
  /** Who has said goodbye, and in how many turns that is still told. */
  readonly #left = new Map<string, number>();
  #isKnown = false;
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> = Promise.resolve();

  constructor(bus: EventBus, session: string) {
    this.#bus = bus;
    this.#session = session;
  }

  /** Begins to tell of the clients that are here, and to hear of the others'. */
  start(own: () => readonly string[]): void {
    this.#own = own;
    const turn = (): void => {
      this.#working = this.turn();
    };
    turn();
    this.#timer = setInterval(turn, EVERY_MS);
  }

  /** Clients of other gateways. */
  get elsewhere(): readonly ReplicaId[] {
    return [...this.#others.values()].flatMap(({ clients }) => clients);
  }

  /** Who has said goodbye to another gateway, and is with none that is heard of. */
  get leftElsewhere(): readonly ReplicaId[] {
    const connected = new Set<string>([...this.#own(), ...this.elsewhere]);
    return [...this.#others.values()].flatMap(({ left }) => left.filter((name) => !connected.has(name)));
  }

  /** A client of this gateway has said that it leaves. */
  goodbye(name: string): void {
    if (this.#left.size < NAMES_MAX) this.#left.set(name, TURNS);
  }

  /** Whether it is this gateway's turn where one should act for all. For a moment it may be so for two, or for none. */
  get isFirst(): boolean {
    return this.#isKnown && ![...this.#others.keys()].some((other) => other < this.gateway);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#working;
    await this.#quietly(() => this.#bus.withdraw(this.#session, this.gateway));
  }

  /** Tells and hears once; it does so by itself each second. */
  async turn(): Promise<void> {
    await this.#quietly(async () => {
      const clients = this.#own().slice(0, NAMES_MAX);
      const text = JSON.stringify({ clients, left: this.#takeLeft(clients) });
      await this.#bus.announce(this.#session, this.gateway, text, TURNS * EVERY_MS);
      const members = await this.#bus.members(this.#session);
      const others = [...members].filter(([name]) => name !== this.gateway);
      this.#others = new Map(others.map(([name, told]) => [name, heardIn(told)]));
      this.#isKnown = true;
    });
  }

  /** Who has left and not come back, told once more. */
  #takeLeft(clients: readonly string[]): string[] {
    for (const name of clients) this.#left.delete(name);
    const left = [...this.#left.keys()];
    for (const [name, turns] of this.#left) {
      if (turns > 1) this.#left.set(name, turns - 1);
      else this.#left.delete(name);
    }
    return left;
  }

  /** A broker that is down is told of by health; who was there stays so meanwhile. */
  async #quietly(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!isSyncError(error, 'BUS_DOWN')) throw error;
    }
  }
}

/** What cannot be read was said by no gateway. */
function heardIn(text: string): Other {
  try {
    return standing.parse(JSON.parse(text), 'presence');
  } catch {
    return { clients: [], left: [] };
  }
}
