import { randomBytes } from 'node:crypto';
import { isSyncError } from '@syncscope/protocol/errors';
import { array, object, string } from '@syncscope/protocol/schema';
import type { EventBus } from '../bus/index.ts';

const EVERY_MS = 1_000;
const TTL_MS = 5_000;

/** What a gateway says of itself: its clients. */
const standing = object({ clients: array(string(100), 10_000) });

/** Who serves a session, and whom: each gateway says so again and again, and is forgotten when it does not. */
export class BusPresence {
  /** This gateway's name among the others. */
  readonly gateway = randomBytes(6).toString('hex');
  readonly #bus: EventBus;
  readonly #session: string;
  #own: () => readonly string[] = () => [];
  #others = new Map<string, readonly string[]>();
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
      this.#working = this.#turn();
    };
    turn();
    this.#timer = setInterval(turn, EVERY_MS);
  }

  /** Clients of other gateways. */
  get elsewhere(): readonly string[] {
    return [...this.#others.values()].flat();
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

  async #turn(): Promise<void> {
    await this.#quietly(async () => {
      const text = JSON.stringify({ clients: this.#own().slice(0, 10_000) });
      await this.#bus.announce(this.#session, this.gateway, text, TTL_MS);
      const members = await this.#bus.members(this.#session);
      const others = [...members].filter(([name]) => name !== this.gateway);
      this.#others = new Map(others.map(([name, told]) => [name, clientsOf(told)]));
      this.#isKnown = true;
    });
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

function clientsOf(text: string): readonly string[] {
  try {
    return standing.parse(JSON.parse(text), 'presence').clients;
  } catch {
    return [];
  }
}
