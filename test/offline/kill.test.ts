import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seededRandom } from '@syncscope/protocol/ports';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { NotesWorld } from '../../protocol-lib/src/offline/notes.test-helper.ts';
import type { FromDevice, ToDevice } from './messages.ts';

/** How often the device is killed; more in a soak. */
const KILLS = Math.max(20, Math.floor(Number(process.env.SYNCSCOPE_RUNS ?? 0) / 20));

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'offline-kill-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it(`keeps every mutation once through ${KILLS} kills of its process`, { timeout: 60_000 + KILLS * 6_000 }, async () => {
  const world = new NotesWorld();
  const path = join(folder, 'queue.db');
  const random = seededRandom(20_260);
  const started = new Set<string>();
  const known = new Set<string>();
  const take = (message: FromDevice, child: ChildProcess): void => {
    if (message.kind === 'making') started.add(message.what);
    else if (message.kind === 'made') known.add(message.what);
    else if (message.kind === 'request') void answer(world, message, child);
  };
  for (let life = 1; life <= KILLS; life++) {
    const exit = await runAndKill(path, life, 1 + Math.floor(random.next() * 40), take);
    expect(exit).toBe('SIGKILL');
  }
  const counts = await drain(path, KILLS + 1, take);
  expect(counts).toMatchObject({ pending: 0, sent: 0, rejected: 0, conflicted: 0 });
  const done = world.done.map(String);
  expect(new Set(done).size).toBe(done.length);
  expect([...known].filter((what) => !done.includes(what))).toEqual([]);
  expect(done.filter((what) => !started.has(what))).toEqual([]);
  expect(done).toEqual([...done].sort(byLifeAndStep));
  expect(known.size).toBeGreaterThan(KILLS);
});

async function answer(
  world: NotesWorld,
  { id, request }: Extract<FromDevice, { kind: 'request' }>,
  child: ChildProcess,
): Promise<void> {
  const reply: ToDevice = { id, answer: await world.connection(request) };
  // It may have been killed meanwhile: then the answer is lost, as it would be.
  if (child.connected) child.send(reply, () => undefined);
}

function start(path: string, life: number, mode: string): ChildProcess {
  const program = join(import.meta.dirname, 'device.ts');
  return fork(program, [path, String(life), mode], { serialization: 'advanced' });
}

/** Lets the device live for so many messages, and kills it, wherever it is then. */
function runAndKill(
  path: string,
  life: number,
  messages: number,
  take: (message: FromDevice, child: ChildProcess) => void,
): Promise<NodeJS.Signals | number | null> {
  const child = start(path, life, 'work');
  let left = messages;
  return new Promise((resolve, reject) => {
    child.on('message', (message: FromDevice) => {
      take(message, child);
      if (--left === 0) child.kill('SIGKILL');
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(signal ?? code));
  });
}

function drain(
  path: string,
  life: number,
  take: (message: FromDevice, child: ChildProcess) => void,
): Promise<Readonly<Record<string, number>>> {
  const child = start(path, life, 'drain');
  return new Promise((resolve, reject) => {
    let counts: Readonly<Record<string, number>> | undefined;
    child.on('message', (message: FromDevice) => {
      if (message.kind === 'drained') counts = message.counts;
      take(message, child);
    });
    child.on('error', reject);
    child.on('exit', (code) =>
      counts ? resolve(counts) : reject(new Error(`ended with ${code} before all was sent`)),
    );
  });
}

function byLifeAndStep(left: string, right: string): number {
  const [a = 0, b = 0] = left.split('.').map(Number);
  const [c = 0, d = 0] = right.split('.').map(Number);
  return a - c || b - d;
}
