import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { cli, cliJson } from '../cli/cli.ts';
import { root } from '../support/processes.ts';
import { type RunningServer, startSampleServer } from '../support/sample-server.ts';

/** Recordings of servers that ran already when somebody attached, run again through the library. */

const folder = mkdtempSync(join(tmpdir(), 'syncscope-attached-'));
const env = { SYNCSCOPE_SESSIONS_DIR: join(folder, 'sessions') };
let server: RunningServer | undefined;

afterEach(() => server?.program.stop());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Plays a scenario with bots in a process of its own, and records the middle of it. */
async function recorded(name: string, args: readonly string[], seconds = 3): Promise<string> {
  server = await startSampleServer(['--seed', '5', ...args], env);
  const file = join(folder, `${name}.mcap`);
  const { url, token } = server;
  const { code, stderr } = await cli(
    ['record', '--url', url, '--token', token, '--seconds', `${seconds}`, '-o', file],
    env,
  );
  expect(stderr).not.toContain('early');
  expect(code).toBe(0);
  return file;
}

/** A module with the rules of a scenario, those of clients beside those of the authority. */
function definitionModule(name: string, from: string, definition: string, asPlayed: string, change = ''): string {
  const file = join(folder, `${name}.ts`);
  const source = pathToFileURL(join(root, 'sample-server/src/scenarios', from)).href;
  const lines = [
    `import { ${definition} as rules, ${asPlayed} as played } from ${JSON.stringify(source)};`,
    change === '' ? 'export const definition = { ...rules, asPlayed: played };' : change,
  ];
  writeFileSync(file.replace('.ts', '.mjs'), lines.join('\n'));
  return file.replace('.ts', '.mjs');
}

/** What `replay` says of a file; with a module, at the level of the app's code. */
function replayed(file: string, module?: string) {
  return cliJson(['replay', file, ...(module === undefined ? [] : ['--definition', module, '--trust'])], env);
}

describe('a recording of a session that ran already', () => {
  it('of the adventure is run again to every record, with its rules and without', async () => {
    const file = await recorded('adventure', ['--scenario', 'adventure', '--bots', '4']);
    const plain = await replayed(file);
    expect(plain.document).toMatchObject({ status: 'equal', level: 'protocol' });
    expect(plain.document.replicas).toEqual(['bot-1', 'bot-2', 'bot-3', 'bot-4', 'server']);
    expect(plain.document.hashes).toBeGreaterThan(30);
    expect(plain.code).toBe(0);
    const module = definitionModule('adventure', 'adventure.ts', 'adventure', 'adventureAsPlayed');
    expect((await replayed(file, module)).document).toMatchObject({ status: 'equal', level: 'app' });
    expect((await cli(['replay', file], env)).stdout).toMatch(/equal at \d+ hashes/);
  });

  it('of the board, with devices that come and go, is too', async () => {
    const file = await recorded('board', ['--scenario', 'board', '--bots', '4']);
    const { document } = await replayed(file);
    expect(document).toMatchObject({ status: 'equal', level: 'protocol' });
    expect(document.hashes).toBeGreaterThan(5);
  });

  it('in which the network is bad, copies drift and a player crashes, is too', async () => {
    const faults = ['loss:5%', 'duplication:5%', 'reordering:10%~30ms', 'corrupt:bot-2@3s', 'crash:bot-3@3s+500ms'];
    const args = ['--bots', '4', ...faults.flatMap((fault) => ['--fault', fault])];
    const file = await recorded('trouble', args, 4);
    const module = definitionModule('trouble', 'adventure.ts', 'adventure', 'adventureAsPlayed');
    expect((await replayed(file, module)).document).toMatchObject({ status: 'equal', level: 'app' });
  });

  it('that is kept in a log, or shows each client only its room, is too', async () => {
    const logged = await recorded('logged', ['--bots', '3', '--log', join(folder, 'session.sqlite')], 2);
    expect((await replayed(logged)).document).toMatchObject({ status: 'equal' });
    await server?.program.stop();
    const views = await recorded('views', ['--bots', '4', '--view', 'room'], 2);
    expect((await replayed(views)).document).toMatchObject({ error: { code: 'REPLAY_NEEDS_DEFINITION' } });
    const module = definitionModule('views', 'adventure.ts', 'adventureByRoom', 'adventureAsPlayed');
    expect((await replayed(views, module)).document).toMatchObject({ status: 'equal', level: 'app' });
  });

  it('names the first record that a reducer which is not deterministic came to', async () => {
    const args = ['--bots', '4', '--fault', 'reducer:bot-2@1s:200', '--fault', 'reducer:bot-1@1s:200'];
    const file = await recorded('unsteady', args, 4);
    const module = definitionModule('steady', 'adventure.ts', 'adventure', 'adventureAsPlayed');
    const { code, document } = await replayed(file, module);
    expect(code).toBe(1);
    const difference = document.difference as { replica: string; kind: string; path: string; sentence: string };
    expect(['bot-1', 'bot-2']).toContain(difference.replica);
    expect(['prediction', 'rebase']).toContain(difference.kind);
    expect(difference.path).toMatch(/changes/);
    expect(difference.sentence).toMatch(/^record \d+, (prediction|rebase) of bot-[12]: /);
  });

  it('names the first record at which rules that draw at random go another way', async () => {
    const file = await recorded('drawn', ['--bots', '4'], 3);
    const change = `
let runs = 0;
const reduce = (state, event) => rules.reduce(state, event).map((one) =>
  one.op === 'patch' && 'energy' in one.fields ? { ...one, fields: { ...one.fields, energy: 1000 + runs++ } } : one);
export const definition = { ...rules, reduce, asPlayed: { ...played, reduce } };`;
    const module = definitionModule('random', 'adventure.ts', 'adventure', 'adventureAsPlayed', change);
    const { code, document } = await replayed(file, module);
    expect(code).toBe(1);
    expect(document).toMatchObject({ status: 'differs', difference: { differs: 'state', kind: 'prediction' } });
  });
});
