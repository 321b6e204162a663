import type { LogEntry } from '@syncscope/protocol/events';
import { monotonicClock } from '@syncscope/protocol/node';
import type { Random } from '@syncscope/protocol/ports';
import { replicaId } from '@syncscope/protocol/state';
import { ClientState } from '@syncscope/protocol/sync';
import { SCENARIOS, SyncClient } from '@syncscope/sample-server';
import { expect } from 'vitest';
import { freePort } from '../brokers/brokers.ts';
import { type Program, startNode } from '../support/processes.ts';

/** Clients that do what they can as fast as they are answered, and remember every word that they were told. */

export const TOKEN = 'a token for tests only';
export const SESSION = 'under-test';
/** Waiting mutations of one client. */
const AT_ONCE = 20;

/** A server process on a port that the next one in its place takes again. */
export class ServerProcess {
  readonly port: number;
  readonly #args: readonly string[];
  program: Program | undefined;

  private constructor(port: number, args: readonly string[]) {
    this.port = port;
    this.#args = args;
  }

  static async start(args: readonly string[]): Promise<ServerProcess> {
    const server = new ServerProcess(await freePort(), args);
    await server.start();
    return server;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/sync`;
  }

  async start(): Promise<void> {
    const own = ['--port', String(this.port), '--bots', '0', '--seed', '1', '--token', TOKEN, '--session', SESSION];
    this.program = startNode('sample-server/src/cli.ts', [...own, ...this.#args]);
    await this.program.printed(/clients {5}ws:/);
  }

  async kill(): Promise<void> {
    await this.program?.stop('SIGKILL');
  }

  async ready(): Promise<{ readonly status: number; readonly text: string }> {
    const answer = await fetch(`http://127.0.0.1:${this.port}/readyz`);
    return { status: answer.status, text: await answer.text() };
  }
}

export class Player {
  readonly state: ClientState;
  client: SyncClient;
  readonly #random: Random;
  /** How each mutation ended, by its counter. */
  readonly told = new Map<number, string[]>();
  /** Roots of the versions that it was given. */
  readonly roots = new Map<number, string>();
  durability = '';
  fullSyncs = 0;
  #playing: NodeJS.Timeout | undefined;

  constructor(name: string, url: string, random: Random) {
    this.#random = random;
    this.state = new ClientState({
      definition: SCENARIOS.adventure!.asPlayed,
      replica: replicaId(name),
      session: SESSION,
      token: TOKEN,
    });
    let version = 0;
    this.state.on((event) => {
      if (event.type === 'confirmed' || event.type === 'rejected') {
        const { counter } = event.mutation;
        this.told.set(counter, [...(this.told.get(counter) ?? []), event.type]);
      } else if (event.type === 'committed') {
        expect(event.version).toBeGreaterThanOrEqual(version);
        version = event.version;
        expect(this.roots.get(version) ?? event.root).toBe(event.root);
        this.roots.set(version, event.root);
      } else if (event.type === 'welcomed' && !event.resumed) this.fullSyncs++;
    });
    this.client = this.#connected(url);
  }

  #connected(url: string): SyncClient {
    return new SyncClient({ url, state: this.state, clock: monotonicClock });
  }

  /** Goes to another server, as one that has lost its own. */
  async moveTo(url: string): Promise<void> {
    await this.client.ended();
    this.client = this.#connected(url);
  }

  play(): void {
    this.#playing = setInterval(() => {
      const { state } = this;
      if (state.version === 0 || state.pending.length >= AT_ONCE) return;
      const isHere = state.optimistic.get(`player/${state.replica}` as never) !== undefined;
      this.client.predict(isHere ? this.#choice(['leave', 'rest', 'rest', 'step']) : 'join', { plate: 'west' });
    }, 2);
  }

  #choice(commands: readonly string[]): string {
    return commands[Math.floor(this.#random.next() * commands.length)]!;
  }

  rest(): void {
    clearInterval(this.#playing);
  }

  async close(): Promise<void> {
    this.rest();
    await this.client.close('the test has ended');
  }

  /** Compares what it was told with what the log has of it. */
  audit(entries: readonly LogEntry[]): void {
    const own = entries.filter(({ mutation }) => mutation.writer === this.state.replica);
    expect(own.map(({ mutation }) => mutation.counter)).toEqual(own.map((_, index) => index + 1));
    for (const [counter, ends] of this.told) {
      const outcome = own[counter - 1]?.outcome;
      expect([this.state.replica, counter, ends]).toEqual([
        this.state.replica,
        counter,
        [outcome === 'committed' ? 'confirmed' : outcome === 'refused' ? 'rejected' : 'nothing'],
      ]);
    }
    const roots = new Map(entries.map(({ version, root }) => [version, root]));
    for (const [version, root] of this.roots)
      if (version > 1) expect([version, roots.get(version)]).toEqual([version, root]);
  }
}

/** Waits for what must come; the test's own time limit ends it. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 10));
}
