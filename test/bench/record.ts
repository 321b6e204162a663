import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type RunningServer, startServer } from '@syncscope/sample-server';
import type { FanoutOrder } from './fanout.ts';
import type { RecorderMessage } from './record-parts/recorder.ts';
import { walker } from './steps.ts';
import type { Bench, Figure } from './types.ts';

/**
 * What being recorded costs a server: CPU time of its process while it takes changes at a steady rate, with a recorder attached and
 * without, in turns, after both were done once. Clients and recorder are processes of their own.
 */
const CLIENTS = 100;
const RATE = 1_000;
const STEP_MS = 10;
const SECONDS = 2;
const TURNS_TAKEN = 9;

export const benches: readonly Bench[] = [{ name: 'record.cost', run: measureCost }];

async function measureCost(): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'syncscope-record-'));
  const server = await startServer({ bots: 0, seed: 1 });
  const clients = fork(join(import.meta.dirname, 'fanout-clients', 'main.ts'));
  try {
    const { url, session, token } = server;
    clients.send({ type: 'connect', url, session, token, count: CLIENTS } satisfies FanoutOrder);
    await once(clients, 'message');
    const step = walker(server);
    // What was never done is slow at first, being recorded as well.
    await load(step);
    const first = await startRecorder(server, join(folder, 'first.mcap'));
    await load(step);
    await first.stop();
    const pairs: { readonly alone: number; readonly recorded: number }[] = [];
    let records = 0;
    for (let turn = 0; turn < TURNS_TAKEN; turn++) {
      const alone = await load(step);
      const recorder = await startRecorder(server, join(folder, `${turn}.mcap`));
      const recorded = await load(step);
      records += await recorder.stop();
      pairs.push({ alone, recorded });
    }
    pairs.sort((left, right) => left.recorded / left.alone - right.recorded / right.alone);
    const { alone, recorded } = pairs[Math.floor(TURNS_TAKEN / 2)]!;
    const perSecond = Math.round(records / (TURNS_TAKEN * SECONDS));
    return [
      {
        name: 'record.cost',
        value: recorded,
        unit: 'us CPU/change',
        peer: 'the same without a recorder',
        ratio: recorded / alone,
        note: `${RATE} changes/s, ${CLIENTS} clients, ${perSecond} records/s; ratios ${pairs.map((one) => (one.recorded / one.alone).toFixed(2)).join(', ')}`,
      },
    ];
  } finally {
    clients.kill();
    await server.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Makes changes at the rate; CPU time of this process for each in microseconds. */
async function load(step: (round: number) => unknown): Promise<number> {
  const before = process.cpuUsage();
  const begun = performance.now();
  let made = 0;
  while (made < RATE * SECONDS) {
    const due = Math.min(RATE * SECONDS, Math.floor(((performance.now() - begun) * RATE) / 1_000));
    for (; made < due; made++) step(made);
    await pause(STEP_MS);
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / made;
}

async function startRecorder(server: RunningServer, path: string): Promise<{ stop(): Promise<number> }> {
  const { url, token } = server.inspect;
  const script = join(import.meta.dirname, 'record-parts', 'recorder.ts');
  const child = fork(script, [url, token, path]);
  await once(child, 'message');
  return {
    async stop() {
      child.send('stop');
      const [message] = (await once(child, 'message')) as [RecorderMessage];
      if (message.type !== 'stopped' || message.records === 0) throw new Error('nothing was recorded');
      if (message.dropped > 0) throw new Error(`${message.dropped} records were dropped`);
      return message.records;
    },
  };
}
