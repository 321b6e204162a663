import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { replay } from '@syncscope/protocol/events';
import { SqliteEventLog } from '@syncscope/protocol/node';
import { seededRandom } from '@syncscope/protocol/ports';
import { SCENARIOS } from '@syncscope/sample-server';
import { expect, test } from 'vitest';
import { startNode } from '../support/processes.ts';
import { Player, ServerProcess, until } from './players.ts';

/** `npm run soak -- --kills N` raises it. */
const KILLS = Number(process.env.SYNCSCOPE_KILLS ?? 10);
const SEED = Number(process.env.SYNCSCOPE_KILL_SEED ?? 1);

test(`a server that is killed ${KILLS} times at random moments loses nothing that it acknowledged`, {
  timeout: 60_000 + KILLS * 6_000,
}, async () => {
  const random = seededRandom(SEED);
  const folder = mkdtempSync(join(tmpdir(), 'syncscope-kill-'));
  const file = join(folder, 'session.log');
  const server = await ServerProcess.start(['--log', file]);
  const players = ['ann', 'ben', 'cem'].map((name) => new Player(name, server.url, random));
  try {
    for (const player of players) player.play();
    for (let kill = 0; kill < KILLS; kill++) {
      const before = players.map(({ told }) => told.size);
      await until(() => players.every(({ told }, index) => told.size > before[index]! + 5));
      // Somewhere in a write, a sync, an answer or between them.
      await new Promise((resolve) => setTimeout(resolve, random.next() * 60));
      await server.kill();
      checkLog(file, players);
      await server.start();
    }
    for (const player of players) player.rest();
    await until(() => players.every(({ state }) => state.pending.length === 0));
    const settled = players.map(({ told }) => told.size);
    const { version, root } = checkLog(file, players);
    await until(() => players.every(({ state }) => state.version === version));
    expect(players.map(({ state }) => state.committed.hash)).toEqual(players.map(() => root));
    expect(settled.every((count) => count > KILLS * 5)).toBe(true);
    // The first state, and then deltas only.
    expect(players.map(({ fullSyncs }) => fullSyncs)).toEqual(players.map(() => 1));
    const verified = await startNode('sample-server/src/cli.ts', ['log', 'verify', file, '--json']).exited;
    expect(JSON.parse(verified.stdout)).toMatchObject({ ok: true, version, root });
    expect(verified.code).toBe(0);
  } finally {
    await Promise.all(players.map((player) => player.close()));
    await server.kill();
    rmSync(folder, { recursive: true, force: true });
  }
});

/** Reads what is on disk, as another process. */
function checkLog(file: string, players: readonly Player[]): { readonly version: number; readonly root: string } {
  const log = new SqliteEventLog(file, { readOnly: true });
  try {
    const entries = log.read(0);
    for (const player of players) player.audit(entries);
    const state = replay(log, SCENARIOS.adventure!.definition.reduce);
    return { version: state.version, root: state.root.hash };
  } finally {
    log.close();
  }
}
