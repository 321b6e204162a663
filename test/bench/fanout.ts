import { fork } from 'node:child_process';
import { join } from 'node:path';
import type { ServerMessage, ServerOrder } from './fanout-servers/main.ts';
import { said } from './said.ts';
import type { Bench, Figure } from './types.ts';

/**
 * CPU time of the server's process for each message that a client gets: a whole session with its handshakes, health and ACKs, one
 * change in every sync, beside bare `ws` sockets to which the very same messages are sent, round by round. Each server is a process of its own
 * that stays, and so are the clients of each.
 */
const CLIENTS = [100, 1_000];
const SYNCS = 40;
const WARM = 300;
const SYNC_MS = 100;
/**
 * Before anything is measured, each side runs so many rounds many times as fast, and then {@link WARM} as fast as they are measured: at ten rounds a
 * second, what is called once a round would be compiled for a quarter of an hour, and its compilation measured. A server that has run for a while has that behind it.
 */
const RUN_IN = { clients: 100, rounds: 12_000, every: 4 } as const;
/** Both are read so often, at the same time, and the middle one of the ratios counts: the machine is not the same from one second to the next. */
const READINGS = 9;

/** What the documents allow: bytes a second to a client of a typical session, and bytes of a delta. */
const BUDGET = { typical: 1_000, delta: 500 } as const;

/** To the clients' process; without a session they are bare sockets. */
export type FanoutOrder =
  | {
      readonly type: 'connect';
      readonly url: string;
      /** Number of the first client; 1 by default. */
      readonly first?: number;
      readonly count: number;
      readonly session?: string | undefined;
      readonly token?: string | undefined;
    }
  | { readonly type: 'reset' }
  | { readonly type: 'count' };

/** From it. `sample` is what one client got, each message as its bytes. */
export type FanoutMessage =
  | { readonly type: 'ready' }
  | {
      readonly type: 'counted';
      readonly frames: number;
      readonly bytes: number;
      readonly sample: readonly (readonly number[])[];
    };

type Counted = Extract<FanoutMessage, { type: 'counted' }>;

interface Reading extends Counted {
  /** CPU time of the server's process in microseconds. */
  readonly time: number;
}

export const benches: readonly Bench[] = CLIENTS.map((clients) => ({
  name: `fanout.${clients}`,
  run: () => measureFanout(clients),
}));

async function measureFanout(clients: number): Promise<Figure[]> {
  const own = await openSide('session');
  const bare = await openSide('bare');
  try {
    const both = [own, bare];
    for (const side of both) await side.connect(1, Math.min(clients, RUN_IN.clients));
    const { sample } = await own.read(SYNCS, SYNC_MS);
    await bare.send(sample, SYNCS);
    await Promise.all(both.map((side) => side.read(RUN_IN.rounds, RUN_IN.every)));
    if (clients > RUN_IN.clients) {
      for (const side of both) await side.connect(RUN_IN.clients + 1, clients - RUN_IN.clients);
    }
    // Whatever connecting left behind passes by.
    await Promise.all(both.map((side) => side.read(WARM, SYNC_MS)));
    const pairs: Pair[] = [];
    for (let reading = 0; reading < READINGS; reading++) pairs.push(await readBoth(own, bare, clients));
    return figures(clients, pairs);
  } finally {
    own.close();
    bare.close();
  }
}

interface Pair {
  readonly own: Reading;
  /** Microseconds a message. */
  readonly cost: number;
  readonly peer: number;
}

async function readBoth(own: Side, bare: Side, clients: number): Promise<Pair> {
  const readings = await Promise.all([own, bare].map((side) => side.read(SYNCS, SYNC_MS)));
  for (const { frames } of readings) {
    if (frames < clients * SYNCS * 0.9) throw new Error(`only ${frames} frames of ${clients * SYNCS} came`);
  }
  const [ours, peers] = readings as [Reading, Reading];
  return { own: ours, cost: ours.time / ours.frames, peer: peers.time / peers.frames };
}

function figures(clients: number, pairs: Pair[]): Figure[] {
  pairs.sort((left, right) => left.cost / left.peer - right.cost / right.peer);
  const { own, cost, peer } = pairs[Math.floor(pairs.length / 2)]!;
  const { sample } = own;
  const all = pairs.map((one) => (one.cost / one.peer).toFixed(2)).join(', ');
  const longest = Math.max(...sample.map((frame) => frame.length));
  const setting = `${clients} clients, ${(sample.length / SYNCS).toFixed(1)} messages of ${(own.bytes / own.frames).toFixed(0)} B every ${SYNC_MS} ms, with ACKs and health`;
  const seconds = (SYNCS * SYNC_MS) / 1_000;
  return [
    {
      name: `fanout.${clients}`,
      value: cost,
      unit: 'us CPU',
      peer: 'ws',
      ratio: cost / peer,
      note: `${setting}; peer ${peer.toFixed(1)} us without; ratios ${all}`,
    },
    {
      name: `fanout.${clients}.bytes`,
      value: own.bytes / clients / seconds,
      unit: 'B/s',
      peer: null,
      ratio: null,
      note: `to a client, 10 changes a second; ${verdict(own.bytes / clients / seconds, BUDGET.typical, 'B/s')}`,
    },
    {
      name: `fanout.${clients}.delta`,
      value: longest,
      unit: 'B',
      peer: null,
      ratio: null,
      note: `the longest message; ${verdict(longest, BUDGET.delta, 'B')}`,
    },
  ];
}

function verdict(value: number, budget: number, unit: string): string {
  return `budget < ${budget.toLocaleString('en-US')} ${unit}: ${value < budget ? 'pass' : 'fail'}`;
}

/** A server and its clients. */
interface Side {
  connect(first: number, count: number): Promise<void>;
  /** What a bare one is to send, shared out among so many rounds. */
  send(frames: Counted['sample'], rounds: number): Promise<void>;
  /** Makes rounds; CPU time of the server, and what arrived meanwhile. */
  read(rounds: number, every: number): Promise<Reading>;
  close(): void;
}

async function openSide(kind: 'session' | 'bare'): Promise<Side> {
  const server = fork(join(import.meta.dirname, 'fanout-servers', 'main.ts'), [kind]);
  const { url, session, token } = await said<ServerMessage, 'listening'>(server, 'listening');
  const clients = fork(join(import.meta.dirname, 'fanout-clients', 'main.ts'));
  return {
    async connect(first, count) {
      clients.send({ type: 'connect', url, session, token, first, count } satisfies FanoutOrder);
      await said<FanoutMessage, 'ready'>(clients, 'ready');
    },
    async send(frames, rounds) {
      server.send({ type: 'frames', frames, rounds } satisfies ServerOrder);
      await said<ServerMessage, 'taken'>(server, 'taken');
    },
    async read(rounds, every) {
      clients.send({ type: 'reset' } satisfies FanoutOrder);
      server.send({ type: 'drive', rounds, every } satisfies ServerOrder);
      const { time } = await said<ServerMessage, 'driven'>(server, 'driven');
      clients.send({ type: 'count' } satisfies FanoutOrder);
      return { ...(await said<FanoutMessage, 'counted'>(clients, 'counted')), time };
    },
    close() {
      clients.kill();
      server.kill();
    },
  };
}
