import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Inspectable } from '@syncscope/protocol/node';
import { ATTACH_SUBPROTOCOL, ATTACH_TOKEN_PREFIX } from '@syncscope/protocol/trace';
import { type RunningServer, startServer } from '@syncscope/sample-server';
import { WebSocket } from 'ws';
import { walker } from './steps.ts';
import type { Bench, Figure } from './types.ts';

const CLIENTS = 100;
const SECONDS = 5;
/** Of the sync, between two deltas to a client. */
const ROUND_MS = 100;
/** Looked at of each so many versions, where there are more than anybody needs. */
const SAMPLED = 1_000;
/** What the documents allow at their peak of 100 changes a second: bytes a second to a client, and ms beyond the round. */
const BUDGET = { bytes: 10_000, delay: 50 } as const;

/** From the clients' process: everyone is in, or what was applied when. */
export type ClientsMessage =
  | { readonly type: 'ready' }
  /** A row a client: version and time, version and time, …; times in ms of the machine's monotonic clock. */
  | { readonly type: 'applied'; readonly clients: readonly (readonly number[])[] };

/** To the clients' process. */
export type ClientsOrder =
  | {
      readonly type: 'connect';
      readonly url: string;
      readonly session: string;
      readonly token: string;
      readonly count: number;
      /** Whether they hear events, each a message of its own. */
      readonly events: boolean;
    }
  | { readonly type: 'finish' };

/** The machine's monotonic clock in ms, the same in every process of it. */
export function machineTime(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

interface Load {
  readonly name: string;
  readonly rate: number;
  readonly events: boolean;
  /** Whether somebody attaches to the server and never reads. */
  readonly stalled?: boolean;
}

const USUAL: Load = { name: 'server.delay', rate: 100, events: true };
const LOADS: readonly Load[] = [
  USUAL,
  // Each change as a message of its own to each client would be a million a second.
  { name: 'fanout.rate.10000', rate: 10_000, events: false },
];

export const benches: readonly Bench[] = [
  ...LOADS.map((load) => ({ name: load.name, run: () => measureDelay(load) })),
  { name: 'attach.stalled', run: measureStalled },
];

/** What an observer that never reads costs the clients: their p99 with it, beside that without any; the middle of three turns. */
async function measureStalled(): Promise<Figure[]> {
  const p99 = async (load: Load): Promise<number> => {
    return (await measureDelay(load)).find(({ name }) => name.endsWith('.p99'))!.value;
  };
  const turns: { readonly without: number; readonly value: number }[] = [];
  for (let taken = 0; taken < 3; taken++) {
    turns.push({ without: await p99(USUAL), value: await p99({ ...USUAL, stalled: true }) });
  }
  turns.sort((left, right) => left.value / left.without - right.value / right.without);
  const { without, value } = turns[1]!;
  const isMet = value / without < 1.05;
  return [
    {
      name: 'attach.stalled',
      value,
      unit: 'ms',
      peer: 'no observer',
      ratio: value / without,
      note: `p99 of ${CLIENTS} clients at ${USUAL.rate} changes/s with an observer that never reads; budget < 5 % more: ${isMet ? 'pass' : 'fail'}`,
    },
  ];
}

/** Attaches, and reads nothing from then on. */
async function attachAndStall({ url, token }: Inspectable): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/inspect`, [
    ATTACH_SUBPROTOCOL,
    ATTACH_TOKEN_PREFIX + token,
  ]);
  await once(socket, 'open');
  socket.pause();
  // It is closed from the other side in the end, which is what this is about.
  socket.on('error', () => undefined);
  return socket;
}

/**
 * From the commit of a change to its application by a client: 100 clients over real WebSockets from another process,
 * for each change and client. The wait for the next sync, 100 ms at most, is part of it.
 */
async function measureDelay(load: Load): Promise<Figure[]> {
  const server = await startServer({ bots: 0, seed: 1 });
  const clients = fork(join(import.meta.dirname, 'server-clients', 'main.ts'));
  let stalled: WebSocket | undefined;
  const said = (type: ClientsMessage['type']): Promise<ClientsMessage> =>
    new Promise((resolve, reject) => {
      clients.on('message', (message: ClientsMessage) => message.type === type && resolve(message));
      clients.once('exit', (code) => reject(new Error(`the clients ended early (${code})`)));
    });
  try {
    const { url, session, token } = server;
    const ready = said('ready');
    clients.send({ type: 'connect', url, session, token, count: CLIENTS, events: load.events } satisfies ClientsOrder);
    await ready;
    if (load.stalled) stalled = await attachAndStall(server.inspect);
    const before = trafficOf(server.manager);
    const start = machineTime();
    const committed = await makeChanges(server, load.rate);
    const seconds = (machineTime() - start) / 1_000;
    await pause(500);
    const after = trafficOf(server.manager);
    const applied = said('applied');
    clients.send({ type: 'finish' } satisfies ClientsOrder);
    const message = await applied;
    if (message.type !== 'applied') throw new Error(`the clients said ${message.type}`);
    const events = load.events ? committed.size * CLIENTS : 0;
    return figures(load, committed, message.clients, {
      rate: committed.size / seconds,
      messages: (after.deltas - before.deltas + events) / seconds,
      bytes: (after.bytes - before.bytes) / CLIENTS / seconds,
    });
  } finally {
    stalled?.terminate();
    clients.kill();
    await server.close();
  }
}

function trafficOf({ stats }: RunningServer['manager']): { readonly deltas: number; readonly bytes: number } {
  return { deltas: stats.deltas, bytes: stats.bytes };
}

/** Walks a player of the server's own to and fro at a steady rate. Answers when each version was committed. */
async function makeChanges(server: RunningServer, rate: number): Promise<Map<number, number>> {
  const committed = new Map<number, number>();
  const start = machineTime();
  const walk = walker(server);
  for (let made = 0; made < rate * SECONDS; made++) {
    const due = start + (made * 1_000) / rate;
    if (due > machineTime()) await pause(due - machineTime());
    // Where it cannot keep up, sockets and timers still have their turn.
    else if (made % 100 === 0) await pause(0);
    committed.set(walk(), machineTime());
  }
  return committed;
}

interface Traffic {
  /** Changes a second that were made. */
  readonly rate: number;
  /** Deltas and events a second, to all clients. */
  readonly messages: number;
  /** A second to a client. */
  readonly bytes: number;
}

function figures(
  load: Load,
  committed: ReadonlyMap<number, number>,
  clients: readonly (readonly number[])[],
  traffic: Traffic,
): Figure[] {
  const step = Math.max(1, Math.floor(committed.size / SAMPLED));
  const looked = [...committed].filter((_, index) => index % step === 0);
  const delays = clients.flatMap((applied) => delaysOf(looked, applied)).sort((left, right) => left - right);
  const expected = looked.length * CLIENTS;
  if (delays.length !== expected) throw new Error(`${expected - delays.length} changes of ${expected} did not arrive`);
  const heard = load.events ? 'deltas and events' : 'deltas, no events';
  const note = `${CLIENTS} clients, ${traffic.rate.toFixed(0)} changes/s, ${heard}; sync every ${ROUND_MS} ms included`;
  const percentile = (share: number): number => delays[Math.min(delays.length - 1, Math.floor(delays.length * share))]!;
  const beyond = Math.max(0, percentile(0.99) - ROUND_MS);
  const verdict = (isMet: boolean): string => (isMet ? 'pass' : 'fail');
  const own = (name: string, value: number, unit: string, text: string): Figure => {
    return { name: `${load.name}.${name}`, value, unit, peer: null, ratio: null, note: text };
  };
  const isPeak = load.rate === 100;
  const budgets = {
    delay: `; budget < ${BUDGET.delay} ms beyond the round: ${verdict(beyond < BUDGET.delay)}`,
    bytes: `; budget < ${BUDGET.bytes.toLocaleString('en-US')} B/s at the peak: ${verdict(traffic.bytes < BUDGET.bytes)}`,
  };
  return [
    own('p50', percentile(0.5), 'ms', note),
    own('p99', percentile(0.99), 'ms', note + budgets.delay),
    own('messages', traffic.messages, '/s', note),
    own('bytes', traffic.bytes, 'B/s', `to a client, ${note}${isPeak ? budgets.bytes : ''}`),
  ];
}

/** Each change arrives with the first version applied that is not below its own. */
function delaysOf(committed: Iterable<readonly [number, number]>, applied: readonly number[]): number[] {
  const delays: number[] = [];
  let at = 0;
  for (const [version, time] of committed) {
    while (at < applied.length && applied[at]! < version) at += 2;
    if (at < applied.length) delays.push(applied[at + 1]! - time);
  }
  return delays;
}
