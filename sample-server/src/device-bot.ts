import { SyncError } from '@syncscope/protocol/errors';
import {
  MemoryStorage,
  OfflineClient,
  type OfflineJournal,
  type ReconcileConnection,
  type References,
} from '@syncscope/protocol/offline';
import type { Random } from '@syncscope/protocol/ports';
import type { ReplicaId } from '@syncscope/protocol/state';
import type { SessionDefinition } from '@syncscope/protocol/sync';
import type { Tap } from '@syncscope/protocol/trace';
import type { Intent, Mind } from './scenarios/scenario.ts';

/** Milliseconds. */
const PULL_EVERY = 700;
const ONLINE = { least: 9_000, most: 20_000 };
const TUNNEL = { least: 3_000, most: 8_000 };

export interface DeviceBotOptions {
  readonly device: ReplicaId;
  readonly definition: SessionDefinition;
  readonly references: References;
  readonly session: string;
  readonly connection: ReconcileConnection;
  readonly mind: Mind;
  readonly random: Random;
  readonly tap: Tap;
  readonly journal: OfflineJournal;
}

/** A person with a device that works without a network: it goes through tunnels, works on there, and reconciles when it comes out. */
export class DeviceBot {
  readonly #client: OfflineClient;
  readonly #mind: Mind;
  readonly #random: Random;
  readonly #tap: Tap;
  /** What was asked for and is not settled, by the mutation's counter. */
  readonly #asked = new Map<number, Intent>();
  readonly #network: Network;
  #acting: NodeJS.Timeout | undefined;
  #pulling: NodeJS.Timeout | undefined;
  #travelling: NodeJS.Timeout | undefined;
  #isResting = false;
  /** Of everything that the client does, one after the other. */
  #working: Promise<void> = Promise.resolve();

  private constructor(client: OfflineClient, options: DeviceBotOptions, network: Network) {
    this.#client = client;
    this.#mind = options.mind;
    this.#random = options.random;
    this.#tap = options.tap;
    this.#network = network;
    this.#actIn(this.#mind.pause());
    this.#pullIn(0);
    this.#travelIn(this.#between(ONLINE));
  }

  static async start(options: DeviceBotOptions): Promise<DeviceBot> {
    const network: Network = { isThere: true };
    const { device, definition, references, session, random, tap, journal } = options;
    const client = await OfflineClient.open({
      definition,
      references,
      storage: new MemoryStorage(),
      session,
      device,
      owner: device,
      clock: { now: () => Date.now() },
      random,
      tap,
      journal,
      connection: async (request) => {
        if (!network.isThere) throw noNetwork();
        const answer = await options.connection(request);
        // An answer on its way into a tunnel is lost: the device asks again, and is told the same.
        if (!network.isThere) throw noNetwork();
        return answer;
      },
    });
    return new DeviceBot(client, options, network);
  }

  get replica(): ReplicaId {
    return this.#client.device;
  }

  get client(): OfflineClient {
    return this.#client;
  }

  get isOnline(): boolean {
    return this.#network.isThere;
  }

  describe(): void {
    this.#client.describe();
  }

  /** Stops, and waits for what is under way. */
  async rest(): Promise<void> {
    this.#isResting = true;
    for (const timer of [this.#acting, this.#pulling, this.#travelling]) clearTimeout(timer);
    await this.#working;
    await this.#client.close();
  }

  #actIn(delay: number): void {
    this.#acting = setTimeout(() => {
      this.#then(async () => {
        await this.#act();
        if (!this.#isResting) this.#actIn(this.#mind.pause());
      });
    }, delay);
  }

  async #act(): Promise<void> {
    if (this.#client.version === 0) return;
    const intent = this.#mind.think(this.#client.local, performance.now());
    if (!intent) return;
    const { command, creates } = intent;
    const result = await this.#client.mutate((keys) => {
      if (creates === undefined) return { command, args: intent.args };
      return { command, args: { ...(intent.args as object), key: keys.create(creates) } };
    });
    if ('rejected' in result) this.#mind.refused(intent, result.rejected, performance.now());
    else this.#asked.set(result.entry.mutation.counter, intent);
  }

  #pullIn(delay: number): void {
    this.#pulling = setTimeout(() => {
      this.#then(async () => {
        await this.#client.sync({ pull: true });
        await this.#hear();
        if (!this.#isResting) this.#pullIn(PULL_EVERY);
      });
    }, delay);
  }

  /** How it ended: what was refused is looked at, and taken off the list. */
  async #hear(): Promise<void> {
    for (const { mutation, state, reason = '' } of this.#client.entries) {
      const intent = this.#asked.get(mutation.counter);
      if (!intent || state === 'pending' || state === 'sent') continue;
      this.#asked.delete(mutation.counter);
      if (state === 'reconciled') continue;
      this.#mind.refused(intent, reason, performance.now());
      await this.#client.dismiss(mutation.counter);
    }
  }

  #travelIn(delay: number): void {
    this.#travelling = setTimeout(() => {
      const isThere = !this.#network.isThere;
      this.#network.isThere = isThere;
      this.#tell(isThere ? `back online: ${this.#waiting()}` : 'no network from here on');
      if (isThere) this.#client.wake();
      this.#travelIn(this.#between(isThere ? ONLINE : TUNNEL));
    }, delay);
  }

  #waiting(): string {
    const { pending, sent } = this.#client.status.counts;
    return `${pending + sent} mutations wait`;
  }

  #tell(text: string): void {
    if (this.#tap.isOpen) this.#tap.emit(this.replica, { kind: 'log', level: 'info', text });
  }

  #then(work: () => Promise<void>): void {
    this.#working = this.#working.then(() => (this.#isResting ? undefined : work()));
  }

  #between({ least, most }: { readonly least: number; readonly most: number }): number {
    return least + this.#random.next() * (most - least);
  }
}

interface Network {
  isThere: boolean;
}

function noNetwork(): SyncError {
  return new SyncError('NO_NETWORK', 'the device is in a tunnel', { origin: 'protocol', retry: 'backoff' });
}
