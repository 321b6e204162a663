import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { startServer } from '@syncscope/sample-server';
import type { FanoutOrder } from '../bench/fanout.ts';
import { walker } from '../bench/steps.ts';

/**
 * A server with 100 clients in another process and 100 changes a second, whose heap is looked at after a full collection from time to time.
 * What is kept on purpose (periodic snapshots, receipts) is full after {@link FILLING_MS}; from then on the heap must be flat.
 */
const CLIENTS = 100;
const CHANGES_PER_SECOND = 100;
const FILLING_MS = 120_000;
const SAMPLE_MS = 10_000;
/** Share of the mean heap that may come on top over the whole time, as the line through all samples says it. */
const GROWTH_MAX = 0.05;
const MIB = 1024 * 1024;

/** Time since the heap was full in minutes, and bytes in use after a collection. */
export interface HeapSample {
  readonly minutes: number;
  readonly bytes: number;
}

export interface HeapTrend {
  readonly mean: number;
  /** Bytes a minute, by least squares. */
  readonly slope: number;
  /** Of the mean, over the time of the samples. */
  readonly growth: number;
}

/** Prints what it finds. Answers the exit code: 1 where the heap grows. */
export async function soakHeap(minutes: number): Promise<number> {
  const samples: HeapSample[] = [];
  const server = await startServer({ bots: 0, seed: 1 });
  const clients = fork(join(import.meta.dirname, '..', 'bench', 'fanout-clients', 'main.ts'));
  let made = 0;
  try {
    const { url, session, token, manager } = server;
    const ready = once(clients, 'message');
    clients.send({ type: 'connect', url, session, token, count: CLIENTS } satisfies FanoutOrder);
    await ready;
    const collect = collector();
    const start = performance.now();
    const elapsed = (): number => performance.now() - start;
    const walk = walker(server);
    let sampleAt = FILLING_MS;
    while (elapsed() < FILLING_MS + minutes * 60_000 + SAMPLE_MS / 2) {
      for (; made < (elapsed() * CHANGES_PER_SECOND) / 1_000; made++) {
        walk();
      }
      if (elapsed() >= sampleAt) {
        collect();
        const sample = { minutes: (elapsed() - FILLING_MS) / 60_000, bytes: process.memoryUsage().heapUsed };
        samples.push(sample);
        console.log(`${sample.minutes.toFixed(1)} min  ${(sample.bytes / MIB).toFixed(2)} MiB`);
        sampleAt += SAMPLE_MS;
      }
      await pause(1_000 / CHANGES_PER_SECOND);
    }
    if (manager.clients.length < CLIENTS) throw new Error(`${manager.clients.length} of ${CLIENTS} clients are left`);
  } finally {
    clients.kill();
    await server.close();
  }
  const { mean, slope, growth } = heapTrend(samples);
  const isFlat = growth <= GROWTH_MAX;
  const rate = `${(slope / 1024).toFixed(1)} KiB a minute, ${(growth * 100).toFixed(1)} % in ${minutes} min`;
  console.log(
    `${made} changes to ${CLIENTS} clients; heap ${(mean / MIB).toFixed(1)} MiB, ${rate}: ${isFlat ? 'flat' : 'it grows'}`,
  );
  return isFlat ? 0 : 1;
}

/** The line through the samples. @throws RangeError for fewer than two */
export function heapTrend(samples: readonly HeapSample[]): HeapTrend {
  if (samples.length < 2) throw new RangeError('a trend needs two samples');
  const mean = average(samples.map(({ bytes }) => bytes));
  const middle = average(samples.map(({ minutes }) => minutes));
  let along = 0;
  let across = 0;
  for (const { minutes, bytes } of samples) {
    along += (minutes - middle) ** 2;
    across += (minutes - middle) * (bytes - mean);
  }
  const slope = across / along;
  return { mean, slope, growth: (slope * (samples.at(-1)!.minutes - samples[0]!.minutes)) / mean };
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
