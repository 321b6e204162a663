import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import {
  type ClientsMessage,
  type ClientsOrder,
  machineTime,
  ROUND_MS,
  type ServerMessage,
  type ServerOrder,
  SYSTEMS,
  type System,
} from './load/messages.ts';
import type { Bench, Figure } from './types.ts';

/**
 * Whole servers, each in a process of its own, with clients in another: delay from a change to its knowledge at a client, CPU, memory,
 * and the highest rate of changes with a p99 below the budget. The peers do the least that an app must do on them; ours also keeps
 * versions, hashes, acknowledgements and health. All send what changed every 20 ms.
 */
const CLIENTS = [100, 1_000];
const USUAL_RATE = 100;
const RATES = [100, 1_000, 3_000, 10_000, 30_000];
const SECONDS = 3;
const WARM_MS = 1_500;
const BUDGET_MS = 50;

interface Reading {
  readonly p50: number;
  readonly p99: number;
  /** Share of a core. */
  readonly cpu: number;
  /** Changes a second that were really made. */
  readonly rate: number;
}

interface Result {
  readonly usual: Reading;
  /** The highest rate with a p99 within the budget, and the first beyond it, if any. */
  readonly highest: number;
  readonly startup: number;
  readonly memory: number;
}

export const benches: readonly Bench[] = CLIENTS.map((clients) => ({
  name: `server.${clients}`,
  run: () => measure(clients),
}));

async function measure(clients: number): Promise<Figure[]> {
  const results = new Map<System, Result>();
  for (const system of SYSTEMS) results.set(system, await measureSystem(system, clients));
  const own = results.get('syncscope')!;
  const figures: Figure[] = [];
  for (const peer of ['socket.io', 'colyseus'] as const) {
    const theirs = results.get(peer)!;
    const add = (what: string, unit: string, of: (result: Result) => number, note: string): void => {
      figures.push({
        name: `server.${clients}.${what}${peer === 'socket.io' ? '' : '.colyseus'}`,
        value: of(own),
        unit,
        peer: peer === 'colyseus' ? '@colyseus/core' : peer,
        ratio: of(own) / of(theirs),
        note: `${note}; peer ${of(theirs).toPrecision(3)} ${unit}`,
      });
    };
    const at = `${clients} clients, ${USUAL_RATE} changes/s, a round every ${ROUND_MS} ms`;
    add('p50', 'ms', ({ usual }) => usual.p50, at);
    add('p99', 'ms', ({ usual }) => usual.p99, at);
    add('cpu', 'cores', ({ usual }) => usual.cpu, at);
    add('rate', 'changes/s', ({ highest }) => highest, `the highest of ${RATES.join(', ')} with p99 < ${BUDGET_MS} ms`);
    add('startup', 'ms', ({ startup }) => startup, 'from the start of its process to the first client served');
    add('memory', 'B', ({ memory }) => memory, `a client, of ${clients}`);
  }
  figures.push({
    name: `server.${clients}.budget`,
    value: own.usual.p99,
    unit: 'ms',
    peer: null,
    ratio: null,
    note: `${USUAL_RATE} changes/s in < ${BUDGET_MS} ms: ${own.usual.p99 < BUDGET_MS ? 'pass' : 'fail'}`,
  });
  return figures;
}

async function measureSystem(system: System, count: number): Promise<Result> {
  const started = machineTime();
  const server = fork(join(import.meta.dirname, 'load', `serve-${system.replace('.', '-')}.ts`));
  const clients = fork(join(import.meta.dirname, 'load', 'clients.ts'));
  try {
    const { url } = await said<ServerMessage, 'listening'>(server, 'listening');
    const connect = async (more: number): Promise<void> => {
      order<ClientsOrder>(clients, { type: 'connect', system, url, count: more });
      await said<ClientsMessage, 'connected'>(clients, 'connected');
    };
    await connect(1);
    const startup = machineTime() - started;
    const before = await read(server, true);
    await connect(count);
    const memory = ((await read(server, true)).memory - before.memory) / count;
    const usual = await run(server, clients, USUAL_RATE);
    let highest = usual.p99 < BUDGET_MS ? USUAL_RATE : 0;
    for (const rate of RATES.slice(1)) {
      if (highest === 0) break;
      const reading = await run(server, clients, rate);
      if (reading.p99 >= BUDGET_MS || reading.rate < rate * 0.9) break;
      highest = rate;
    }
    return { usual, highest, startup, memory };
  } finally {
    await Promise.all([server, clients].map(ended));
  }
}

async function run(server: ChildProcess, clients: ChildProcess, rate: number): Promise<Reading> {
  order<ServerOrder>(server, { type: 'run', rate });
  await pause(WARM_MS);
  await read(server);
  order<ClientsOrder>(clients, { type: 'reset' });
  const start = machineTime();
  await pause(SECONDS * 1_000);
  const { cpu, changes } = await read(server);
  const seconds = (machineTime() - start) / 1_000;
  order<ClientsOrder>(clients, { type: 'read' });
  const { p50, p99, applied } = await said<ClientsMessage, 'read'>(clients, 'read');
  if (applied === 0) throw new Error('no change came to any client');
  return { p50, p99, cpu: cpu / 1e6 / seconds, rate: changes / seconds };
}

async function read(server: ChildProcess, afterCollection = false): Promise<Extract<ServerMessage, { type: 'read' }>> {
  order<ServerOrder>(server, { type: afterCollection ? 'collect' : 'read' });
  return said<ServerMessage, 'read'>(server, 'read');
}

function order<T extends object>(child: ChildProcess, message: T): void {
  child.send(message);
}

function said<M extends { readonly type: string }, T extends M['type']>(
  child: ChildProcess,
  type: T,
): Promise<Extract<M, { type: T }>> {
  return new Promise((resolve, reject) => {
    const failed = (code: number | null): void => reject(new Error(`a process of the benchmark ended (${code})`));
    const heard = (message: M): void => {
      if (message.type !== type) return;
      child.off('message', heard);
      child.off('exit', failed);
      resolve(message as Extract<M, { type: T }>);
    };
    child.on('message', heard);
    child.once('exit', failed);
  });
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null) resolve();
    child.once('exit', () => resolve());
    child.kill();
  });
}
