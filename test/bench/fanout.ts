import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startServer } from '@syncscope/sample-server';
import { WebSocketServer } from 'ws';
import { walker } from './steps.ts';
import type { Bench, Figure } from './types.ts';

/**
 * CPU time of the server's process for each message that a client gets: a whole session with its handshakes, health and ACKs, one
 * change in every sync, beside bare `ws` sockets to which the very same messages are sent, round by round. Clients are in another process.
 */
const CLIENTS = [100, 1_000];
const SYNCS = 40;
const WARM = 40;
const SYNC_MS = 100;
/**
 * Before anything is measured, each side runs so many rounds twenty times as fast: at ten rounds a second, what is called once a round would be
 * compiled for minutes, and its compilation measured. A server that has run for a while has that behind it. Both sides run in so often, each time on
 * a server of its own as in a turn: the engine has compiled for the objects of one server, and throws much of that away when it meets a second.
 */
const RUN_IN = { clients: 100, rounds: 1_000, every: 5 } as const;
const RUN_INS = 8;
/** Ours and the peer take turns so often, and the middle one of the ratios counts: the machine is not the same from one second to the next. */
const TURNS_TAKEN = 7;

/** What the documents allow: bytes a second to a client of a typical session, and bytes of a delta. */
const BUDGET = { typical: 1_000, delta: 500 } as const;

/** To the clients' process; without a session they are bare sockets. */
export type FanoutOrder =
  | {
      readonly type: 'connect';
      readonly url: string;
      readonly count: number;
      readonly session?: string;
      readonly token?: string;
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
  /** CPU time of this process in microseconds. */
  readonly time: number;
}

export const benches: readonly Bench[] = CLIENTS.map((clients) => ({
  name: `fanout.${clients}`,
  run: () => measureFanout(clients),
}));

/** How many clients, and how many rounds of which length, of which the first are not measured. */
interface Course {
  readonly clients: number;
  readonly warm: number;
  readonly rounds: number;
  /** Milliseconds between two rounds. */
  readonly every: number;
}

async function runIn(): Promise<void> {
  const course = { ...RUN_IN, warm: 0 };
  for (let times = 0; times < RUN_INS; times++) {
    const { sample } = await measureSession(course);
    await measureBare(course, framesOf(sample));
  }
}

function framesOf(sample: Counted['sample']): Uint8Array[] {
  return sample.map((frame) => Uint8Array.from(frame));
}

async function measureFanout(clients: number): Promise<Figure[]> {
  await runIn();
  const course = { clients, warm: WARM, rounds: SYNCS, every: SYNC_MS };
  const pairs: { readonly own: Reading; readonly cost: number; readonly peer: number }[] = [];
  for (let taken = 0; taken < TURNS_TAKEN; taken++) {
    const own = await measureSession(course);
    const bare = await measureBare(course, framesOf(own.sample));
    pairs.push({ own, cost: own.time / own.frames, peer: bare.time / bare.frames });
  }
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

async function measureSession(course: Course): Promise<Reading> {
  const server = await startServer({ bots: 0, seed: 1, syncInterval: course.every });
  const { url, session, token } = server;
  try {
    return await withClients({ type: 'connect', url, session, token, count: course.clients }, course, walker(server));
  } finally {
    await server.close();
  }
}

async function measureBare(course: Course, frames: readonly Uint8Array[]): Promise<Reading> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
  await once(server, 'listening');
  try {
    const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return await withClients({ type: 'connect', url, count: course.clients }, course, (round) => {
      const at = (share: number): number => Math.round((frames.length * share) / course.rounds);
      const turn = round % course.rounds;
      for (const frame of frames.slice(at(turn), at(turn + 1))) {
        for (const socket of server.clients) socket.send(frame);
      }
    });
  } finally {
    for (const socket of server.clients) socket.terminate();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** Connects, makes `step` once a sync, and reads CPU time and what arrived meanwhile. */
async function withClients(order: FanoutOrder, course: Course, step: (round: number) => unknown): Promise<Reading> {
  const { clients, warm, rounds, every } = course;
  const child = fork(join(import.meta.dirname, 'fanout-clients', 'main.ts'));
  try {
    await answer(child, order, 'ready');
    // Whatever connecting left behind passes by.
    for (let round = 0; round < warm; round++) await turn(step, round, every);
    child.send({ type: 'reset' } satisfies FanoutOrder);
    const before = process.cpuUsage();
    for (let round = warm; round < warm + rounds; round++) await turn(step, round, every);
    await pause(every * 3);
    const { user, system } = process.cpuUsage(before);
    const counted = (await answer(child, { type: 'count' }, 'counted')) as Counted;
    if (every === SYNC_MS && counted.frames < clients * rounds * 0.9)
      throw new Error(`only ${counted.frames} frames of ${clients * rounds} came`);
    return { ...counted, time: user + system };
  } finally {
    child.kill();
  }
}

async function turn(step: (round: number) => unknown, round: number, every: number): Promise<void> {
  step(round);
  await pause(every);
}

function answer(child: ChildProcess, order: FanoutOrder, type: FanoutMessage['type']): Promise<FanoutMessage> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null) => reject(new Error(`the clients ended early (${code})`));
    const onMessage = (message: FanoutMessage) => {
      if (message.type !== type) return;
      child.off('message', onMessage).off('exit', onExit);
      resolve(message);
    };
    child.on('message', onMessage).once('exit', onExit);
    child.send(order);
  });
}
