import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { startServer } from '@syncscope/sample-server';
import { WebSocketServer } from 'ws';
import { walker } from '../steps.ts';

/** One side of `fanout`, a process of its own: a whole session, or bare `ws` sockets that are sent what they are told. */
const [kind] = process.argv.slice(2);

/** To the server's process. `drive` makes so many rounds, `every` so many milliseconds; the messages of a bare one are shared out among `rounds`. */
export type ServerOrder =
  | { readonly type: 'frames'; readonly frames: readonly (readonly number[])[]; readonly rounds: number }
  | { readonly type: 'drive'; readonly rounds: number; readonly every: number };

/** From it. `time` is the CPU time of its process from the first round to three after the last, in microseconds. */
export type ServerMessage =
  | { readonly type: 'listening'; readonly url: string; readonly session?: string; readonly token?: string }
  | { readonly type: 'taken' }
  | { readonly type: 'driven'; readonly time: number };

type Step = (round: number) => unknown;

let frames: readonly Uint8Array[] = [];
let course = 1;
const step = await (kind === 'session' ? serveSession() : serveBare());
let round = 0;
process.on('message', (order: ServerOrder) => {
  if (order.type === 'frames') {
    frames = order.frames.map((frame) => Uint8Array.from(frame));
    course = order.rounds;
    say({ type: 'taken' });
  } else {
    void drive(order.rounds, order.every);
  }
});
process.once('disconnect', () => process.exit());

async function drive(rounds: number, every: number): Promise<void> {
  const before = process.cpuUsage();
  for (let made = 0; made < rounds; made++) {
    step(round++);
    await pause(every);
  }
  await pause(every * 3);
  const { user, system } = process.cpuUsage(before);
  say({ type: 'driven', time: user + system });
}

async function serveSession(): Promise<Step> {
  const server = await startServer({ bots: 0, seed: 1 });
  const { url, session, token } = server;
  say({ type: 'listening', url, session, token });
  return walker(server);
}

async function serveBare(): Promise<Step> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
  await once(server, 'listening');
  say({ type: 'listening', url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}` });
  return (made) => {
    const turn = made % course;
    const at = (share: number): number => Math.round((frames.length * share) / course);
    for (const frame of frames.slice(at(turn), at(turn + 1))) {
      for (const socket of server.clients) socket.send(frame);
    }
  };
}

function say(message: ServerMessage): void {
  process.send?.(message);
}
