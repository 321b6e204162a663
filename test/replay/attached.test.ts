import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { memorySource, type OpenCapture, openCapture } from '@syncscope/protocol/capture';
import { fileSource } from '@syncscope/protocol/node';
import { type ReplayResult, reexecute, whatIf } from '@syncscope/protocol/replay';
import type { SessionDefinition } from '@syncscope/protocol/sync';
import { SCENARIOS } from '@syncscope/sample-server';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { cli, cliJson } from '../cli/cli.ts';
import { root } from '../support/processes.ts';
import { type RunningServer, startSampleServer } from '../support/sample-server.ts';

/** Recordings of servers that ran already when somebody attached, run again through the library. */

const folder = mkdtempSync(join(tmpdir(), 'syncscope-attached-'));
const env = { SYNCSCOPE_SESSIONS_DIR: join(folder, 'sessions') };
let server: RunningServer | undefined;

afterEach(async () => {
  await server?.program.stop();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Plays a scenario with bots in a process of its own, and records the middle of it. */
async function recorded(name: string, args: readonly string[], seconds = 3): Promise<string> {
  server = await startSampleServer(['--seed', '5', ...args], env);
  const file = join(folder, `${name}.mcap`);
  const { url, token } = server;
  const to = ['--seconds', `${seconds}`, '-o', file];
  const { code, stderr } = await cli(['record', '--url', url, '--token', token, ...to], env);
  expect(stderr).not.toContain('early');
  expect(code).toBe(0);
  return file;
}

async function withCapture<T>(file: string, use: (capture: OpenCapture) => Promise<T>): Promise<T> {
  const source = await fileSource(file);
  try {
    return await use(await openCapture(source));
  } finally {
    await source.close();
  }
}

/** With a definition, commands and reducers are run again as well. */
function replayed(file: string, definition?: SessionDefinition): Promise<ReplayResult> {
  return withCapture(file, (capture) => reexecute(capture, { definition }));
}

/** The rules of a scenario, those of its clients with them. */
function rulesOf(name: string, isByInterest = false): SessionDefinition {
  const scenario = SCENARIOS[name];
  const definition = isByInterest ? scenario?.byInterest : scenario?.definition;
  if (!scenario || !definition) throw new Error(`there are no such rules of ${name}`);
  return { ...definition, asPlayed: scenario.asPlayed };
}

describe('a recording of a session that ran already', () => {
  it('of the adventure is run again to every record, with its rules and without, and can be branched', async () => {
    const file = await recorded('adventure', ['--scenario', 'adventure', '--bots', '4']);
    const plain = await replayed(file);
    expect(plain).toMatchObject({ status: 'equal', level: 'protocol' });
    expect(plain.replicas).toEqual(['bot-1', 'bot-2', 'bot-3', 'bot-4', 'server']);
    expect(plain.hashes).toBeGreaterThan(20);
    expect(await replayed(file, rulesOf('adventure'))).toMatchObject({ status: 'equal', level: 'app' });
    const definition = rulesOf('adventure');
    const { comparison, capture: branch } = await withCapture(file, async (capture) => {
      const { rows } = await capture.rows('kind:receive type:DELTA_SYNC', 0, 1);
      const seq = (await capture.record(rows[0]?.position ?? 0)).record.seq;
      return whatIf(capture, [{ kind: 'drop', seq }], { definition });
    });
    expect(comparison.isEqual).toBe(false);
    expect(await reexecute(await openCapture(memorySource(branch)), { definition })).toMatchObject({ status: 'equal' });
  });

  it('of the board, with devices that come and go, is too', async () => {
    const file = await recorded('board', ['--scenario', 'board', '--bots', '4']);
    const result = await replayed(file, rulesOf('board'));
    expect(result).toMatchObject({ status: 'equal', level: 'app' });
    expect(result.replicas).toEqual(['bot-1', 'device-2', 'device-3', 'device-4', 'server']);
    expect(result.hashes).toBeGreaterThan(2);
    const same = await withCapture(file, (capture) => whatIf(capture, [], { definition: rulesOf('board') }));
    expect(same.comparison.first).toBeUndefined();
    const plain = await replayed(file);
    expect(plain).toMatchObject({ status: 'partial', level: 'protocol', replicas: ['bot-1', 'server'] });
    expect(new Set(plain.leftOut.map(({ why }) => why))).toContain('needs-definition');
    const { code, document } = await cliJson(['replay', file], env);
    expect(code).toBe(0);
    expect(document).toMatchObject({ status: 'equal', level: 'app', replicas: result.replicas });
  });

  it('in which the network is bad, copies drift and a player crashes, is too', async () => {
    const faults = ['loss:5%', 'duplication:5%', 'reordering:10%~30ms', 'corrupt:bot-2@3s', 'crash:bot-3@3s+500ms'];
    const args = ['--bots', '4', ...faults.flatMap((fault) => ['--fault', fault])];
    const file = await recorded('trouble', args, 4);
    expect(await replayed(file, rulesOf('adventure'))).toMatchObject({ status: 'equal', level: 'app' });
  });

  it('that is kept in a log is too', async () => {
    const file = await recorded('logged', ['--bots', '3', '--log', join(folder, 'session.sqlite')], 2);
    expect(await replayed(file)).toMatchObject({ status: 'equal' });
  });

  it('that shows each client only its room is too, and needs its rules', async () => {
    const file = await recorded('views', ['--bots', '4', '--view', 'room'], 2);
    await expect(replayed(file)).rejects.toMatchObject({ code: 'REPLAY_NEEDS_DEFINITION' });
    expect(await replayed(file, rulesOf('adventure', true))).toMatchObject({ status: 'equal', level: 'app' });
    // The command has the rules of the sample server's sessions itself.
    expect((await cli(['replay', file], env)).code).toBe(0);
  });

  it('names the first record that a reducer which is not deterministic came to', async () => {
    const args = ['--bots', '4', '--fault', 'reducer:bot-2@1s:200', '--fault', 'reducer:bot-1@1s:200'];
    const file = await recorded('unsteady', args, 4);
    const { status, difference } = await replayed(file, rulesOf('adventure'));
    expect(status).toBe('differs');
    expect(['bot-1', 'bot-2']).toContain(difference?.replica);
    expect(['prediction', 'rebase']).toContain(difference?.kind);
    expect(difference?.path).toMatch(/changes/);
    expect(difference?.sentence).toMatch(/^record \d+, (prediction|rebase) of bot-[12]: /);
  });

  it('names, on the command line, the record at which rules that count their runs go another way', async () => {
    const file = await recorded('counted', ['--bots', '4'], 3);
    expect((await cli(['replay', file], env)).stdout).toMatch(/equal at \d+ hashes/);
    const module = join(folder, 'counting.mjs');
    const rules = pathToFileURL(join(root, 'sample-server/src/scenarios/adventure.ts')).href;
    writeFileSync(
      module,
      `import { adventure, adventureAsPlayed } from ${JSON.stringify(rules)};
let runs = 0;
const reduce = (state, event) => adventure.reduce(state, event).map((one) =>
  one.op === 'patch' && 'energy' in one.fields ? { ...one, fields: { ...one.fields, energy: 1000 + runs++ } } : one);
export const definition = { ...adventure, reduce, asPlayed: { ...adventureAsPlayed, reduce } };`,
    );
    const { code, document } = await cliJson(['replay', file, '--definition', module, '--trust'], env);
    expect(code).toBe(1);
    expect(document).toMatchObject({ status: 'differs', difference: { differs: 'state', kind: 'prediction' } });
  });
});
