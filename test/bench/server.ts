import { fork } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { monotonicClock } from '@syncscope/protocol/node';
import { startServer } from '@syncscope/sample-server';
import type { Bench, Figure } from './types.ts';

const CLIENTS = 100;
const CHANGES_PER_SECOND = 100;
const SECONDS = 5;

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
    }
  | { readonly type: 'finish' };

/** The machine's monotonic clock in ms, the same in every process of it. */
export function machineTime(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export const benches: readonly Bench[] = [{ name: 'server.delay', run: measureDelay }];

/**
 * From the commit of a change to its application by a client: 100 clients over real WebSockets from another process,
 * 100 changes a second, for each change and client. The wait for the next sync, 100 ms at most, is part of it.
 */
async function measureDelay(): Promise<Figure[]> {
  const server = await startServer({ bots: 0, seed: 1 });
  const clients = fork(join(import.meta.dirname, 'server-clients', 'main.ts'));
  const said = (type: ClientsMessage['type']): Promise<ClientsMessage> =>
    new Promise((resolve, reject) => {
      clients.on('message', (message: ClientsMessage) => message.type === type && resolve(message));
      clients.once('exit', (code) => reject(new Error(`the clients ended early (${code})`)));
    });
  try {
    const { url, session, token } = server;
    const ready = said('ready');
    clients.send({ type: 'connect', url, session, token, count: CLIENTS } satisfies ClientsOrder);
    await ready;
    const committed = await makeChanges(server.manager);
    const applied = said('applied');
    clients.send({ type: 'finish' } satisfies ClientsOrder);
    const message = await applied;
    if (message.type !== 'applied') throw new Error(`the clients said ${message.type}`);
    return figures(committed, message.clients);
  } finally {
    clients.kill();
    await server.close();
  }
}

/** Walks a player of the server's own to and fro at a steady rate. Answers when each version was committed. */
async function makeChanges(manager: Awaited<ReturnType<typeof startServer>>['manager']): Promise<Map<number, number>> {
  const committed = new Map<number, number>();
  const start = machineTime();
  const turns = [
    ['join', {}],
    ['move', { to: 'kitchen' }],
    ['rest', {}],
    ['move', { to: 'great_hall' }],
    ['rest', {}],
  ] as const;
  let turn = 0;
  for (let made = 0; made < CHANGES_PER_SECOND * SECONDS; made++) {
    const due = start + (made * 1_000) / CHANGES_PER_SECOND;
    if (due > machineTime()) await pause(due - machineTime());
    // A refused one changes nothing; the next in turn is tried instead.
    for (let tries = 0; ; tries++) {
      if (tries === turns.length) throw new Error('the adventure refuses every change of the benchmark');
      const [command, args] = turns[turn++ % turns.length]!;
      const settled = manager.mutate(command, args, monotonicClock.now());
      if (!settled.accepted) continue;
      committed.set(settled.version, machineTime());
      break;
    }
  }
  await pause(500);
  return committed;
}

function figures(committed: ReadonlyMap<number, number>, clients: readonly (readonly number[])[]): Figure[] {
  const delays = clients.flatMap((applied) => delaysOf(committed, applied)).sort((left, right) => left - right);
  const expected = committed.size * CLIENTS;
  if (delays.length !== expected) throw new Error(`${expected - delays.length} changes of ${expected} did not arrive`);
  const note = `${CLIENTS} clients, ${CHANGES_PER_SECOND} changes/s, sync every 100 ms included`;
  const percentile = (share: number): number => delays[Math.min(delays.length - 1, Math.floor(delays.length * share))]!;
  return [
    { name: 'server.delay.p50', value: percentile(0.5), unit: 'ms', peer: null, ratio: null, note },
    { name: 'server.delay.p99', value: percentile(0.99), unit: 'ms', peer: null, ratio: null, note },
  ];
}

/** Each change arrives with the first version applied that is not below its own. */
function delaysOf(committed: ReadonlyMap<number, number>, applied: readonly number[]): number[] {
  const delays: number[] = [];
  let at = 0;
  for (const [version, time] of committed) {
    while (at < applied.length && applied[at]! < version) at += 2;
    if (at < applied.length) delays.push(applied[at + 1]! - time);
  }
  return delays;
}
