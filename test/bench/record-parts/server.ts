import { setTimeout as pause } from 'node:timers/promises';
import { startServer } from '@syncscope/sample-server';
import { walker } from '../steps.ts';

/** One side of `record.cost`, a process of its own: a whole session, which makes changes of its own accord when it is told to. */

/** To the server's process: makes changes for so long, at that many a second. */
export interface DriveOrder {
  readonly type: 'drive';
  readonly rate: number;
  readonly seconds: number;
}

/** From it. `time` is the CPU time of its process for each change, in microseconds. */
export type SideMessage =
  | {
      readonly type: 'listening';
      readonly url: string;
      readonly session: string;
      readonly token: string;
      readonly inspect: { readonly url: string; readonly token: string };
    }
  | { readonly type: 'driven'; readonly time: number };

const STEP_MS = 10;

const server = await startServer({ bots: 0, seed: 1 });
const step = walker(server);
process.on('message', ({ rate, seconds }: DriveOrder) => void drive(rate, rate * seconds));
process.once('disconnect', () => process.exit());
const { url, session, token, inspect } = server;
say({ type: 'listening', url, session, token, inspect: { url: inspect.url, token: inspect.token } });

async function drive(rate: number, count: number): Promise<void> {
  const before = process.cpuUsage();
  const begun = performance.now();
  for (let made = 0; made < count; ) {
    const due = Math.min(count, Math.floor(((performance.now() - begun) * rate) / 1_000));
    for (; made < due; made++) step();
    await pause(STEP_MS);
  }
  const { user, system } = process.cpuUsage(before);
  say({ type: 'driven', time: (user + system) / count });
}

function say(message: SideMessage): void {
  process.send?.(message);
}
