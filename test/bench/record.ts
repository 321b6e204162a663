import { fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FanoutMessage, FanoutOrder } from './fanout.ts';
import type { RecorderMessage } from './record-parts/recorder.ts';
import type { DriveOrder, SideMessage } from './record-parts/server.ts';
import { said } from './said.ts';
import type { Bench, Figure } from './types.ts';

/**
 * What being recorded costs a server: CPU time of its process for each change, beside a server of the same build with the same clients and the same
 * changes that nobody records. Each server is a process of its own that stays, so are the clients of each and the recorder, which records all the time.
 */
const CLIENTS = 100;
const RATE = 1_000;
const SECONDS = 4;
/** Before anything is measured, each side runs for so long: a server that has run for a while is compiled. */
const RUN_IN_SECONDS = 90;
/** Both are read so often, at the same time, and the middle one of the ratios counts: the machine is not the same from one second to the next. */
const READINGS = 9;

export const benches: readonly Bench[] = [{ name: 'record.cost', run: measureCost }];

async function measureCost(): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'syncscope-record-'));
  const recorded = await openSide();
  const alone = await openSide();
  const recorder = await startRecorder(recorded.inspect, join(folder, 'recorded.mcap'));
  try {
    const both = (seconds: number) => Promise.all([recorded.drive(seconds), alone.drive(seconds)]);
    await both(RUN_IN_SECONDS);
    const pairs: (readonly [recorded: number, alone: number])[] = [];
    for (let reading = 0; reading < READINGS; reading++) pairs.push(await both(SECONDS));
    const records = await recorder.stop();
    const byRatio = pairs.map(([own, peer]) => ({ own, peer, ratio: own / peer }));
    byRatio.sort((left, right) => left.ratio - right.ratio);
    const { own, peer, ratio } = byRatio[Math.floor(READINGS / 2)]!;
    const ratios = byRatio.map((one) => one.ratio.toFixed(3)).join(', ');
    return [
      {
        name: 'record.cost',
        value: own,
        unit: 'us CPU/change',
        peer: 'the same without a recorder',
        ratio,
        note: `${RATE} changes/s, ${CLIENTS} clients, ${records} records; peer ${peer.toFixed(1)} us; ratios ${ratios}`,
      },
    ];
  } finally {
    for (const part of [recorded, alone, recorder]) part.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** A server and its clients. */
interface Side {
  /** Where it can be recorded. */
  readonly inspect: { readonly url: string; readonly token: string };
  /** Makes changes at the rate for so long; CPU time of the server's process for each, in microseconds. */
  drive(seconds: number): Promise<number>;
  close(): void;
}

async function openSide(): Promise<Side> {
  const server = fork(join(import.meta.dirname, 'record-parts', 'server.ts'));
  const { url, session, token, inspect } = await said<SideMessage, 'listening'>(server, 'listening');
  const clients = fork(join(import.meta.dirname, 'fanout-clients', 'main.ts'));
  clients.send({ type: 'connect', url, session, token, count: CLIENTS } satisfies FanoutOrder);
  await said<FanoutMessage, 'ready'>(clients, 'ready');
  return {
    inspect,
    async drive(seconds) {
      server.send({ type: 'drive', rate: RATE, seconds } satisfies DriveOrder);
      // What one client got is kept by the clients until then.
      clients.send({ type: 'reset' } satisfies FanoutOrder);
      return (await said<SideMessage, 'driven'>(server, 'driven')).time;
    },
    close() {
      clients.kill();
      server.kill();
    },
  };
}

interface Recorder {
  /** Ends the recording; answers how many records it was told. */
  stop(): Promise<number>;
  close(): void;
}

async function startRecorder({ url, token }: Side['inspect'], path: string): Promise<Recorder> {
  const child = fork(join(import.meta.dirname, 'record-parts', 'recorder.ts'), [url, token, path]);
  await said<RecorderMessage, 'recording'>(child, 'recording');
  return {
    async stop() {
      child.send('stop');
      const { records, dropped, wasHeard } = await said<RecorderMessage, 'stopped'>(child, 'stopped');
      // What the recorder itself is too slow to write, on a busy machine, changes nothing for the server.
      if (!wasHeard) throw new Error('the server sent the recorder away');
      return records + dropped;
    },
    close() {
      child.kill();
    },
  };
}
