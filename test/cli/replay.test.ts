import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memorySource, openCapture } from '@syncscope/protocol/capture';
import { recordSimulation } from '@syncscope/protocol/simulator';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startSampleServer } from '../support/sample-server.ts';
import { cli, cliJson } from './cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'syncscope-replay-'));
const env = { SYNCSCOPE_SESSIONS_DIR: join(folder, 'sessions') };
const path = (name: string): string => join(folder, name);
const session = path('session.mcap');
const attached = path('attached.mcap');
let delta = 0;
let server: RunningServer;

beforeAll(async () => {
  const { capture, records } = await recordSimulation({ seed: 11, without: ['crash', 'disk', 'corrupt', 'clock'] });
  writeFileSync(session, capture);
  delta = records.find(({ body }) => body.kind === 'receive' && body.type === 'DELTA_SYNC')?.seq ?? 0;
  server = await startSampleServer(['--bots', '3', '--seed', '7'], env);
  const { url, token } = server;
  await cli(['record', '--url', url, '--token', token, '--seconds', '2', '-o', attached], env);
}, 60_000);

afterAll(async () => {
  await server.program.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe('replay', () => {
  it('runs a session again to the same records', async () => {
    const { code, document } = await cliJson(['replay', session]);
    expect(code).toBe(0);
    expect(document).toMatchObject({ schema: 'syncscope/replay@1', status: 'equal', level: 'app' });
    expect(document.hashes).toBeGreaterThan(100);
  });

  it('runs a session that was attached to later again from there', async () => {
    const { code, document } = await cliJson(['replay', attached]);
    expect(document).toMatchObject({ status: 'equal', level: 'protocol' });
    expect(code).toBe(0);
  });

  it('runs no code that is not trusted (T9)', async () => {
    const module = path('never.mjs');
    writeFileSync(
      module,
      `import { writeFileSync } from 'node:fs'; writeFileSync(${JSON.stringify(path('ran'))}, '');`,
    );
    const { code, document } = await cliJson(['replay', session, '--definition', module]);
    expect(code).toBe(2);
    expect(document).toMatchObject({ error: { code: 'TRUST_REQUIRED' } });
    expect(() => readFileSync(path('ran'))).toThrow();
  });

  it('ends code that does not end (T10)', async () => {
    const module = path('loop.mjs');
    writeFileSync(module, 'export const definition = { name: "loop", commands: {}, reduce: () => [] }; for (;;) {}');
    const { code, document } = await cliJson(['replay', session, '--definition', module, '--trust', '--timeout', '1']);
    expect(code).toBe(2);
    expect(document).toMatchObject({ error: { code: 'REPLAY_TIMEOUT' } });
  });

  it('names the record at which another definition goes another way', async () => {
    const module = path('other.mjs');
    writeFileSync(module, 'export const definition = { name: "other", commands: {}, reduce: () => [] };');
    const { code, document } = await cliJson(['replay', session, '--definition', module, '--trust']);
    expect(code).toBe(1);
    expect(document).toMatchObject({ status: 'differs', difference: { seq: expect.any(Number) } });
  });

  it('refuses a module without a definition', async () => {
    const module = path('empty.mjs');
    writeFileSync(module, 'export const nothing = 1;');
    const { document } = await cliJson(['replay', session, '--definition', module, '--trust']);
    expect(document).toMatchObject({ error: { code: 'DEFINITION_INVALID' } });
  });
});

describe('whatif', () => {
  it('writes a branch that opens, says what was edited, and runs again', async () => {
    const branch = path('branch.mcap');
    const { code, document } = await cliJson(['whatif', session, '--at', `${delta}`, '--drop', '-o', branch]);
    expect(code).toBe(0);
    expect(document).toMatchObject({
      schema: 'syncscope/whatif@1',
      isEqual: false,
      edit: { kind: 'drop', seq: delta },
    });
    const opened = await openCapture(memorySource(readFileSync(branch)));
    const { record } = await opened.record(0);
    expect(record.body).toMatchObject({ kind: 'log', text: expect.stringContaining(`drop ${delta}`) });
    expect((await cli(['replay', branch])).code).toBe(0);
  });

  it('asks for one edit of a message', async () => {
    for (const args of [[], ['--drop', '--duplicate'], ['--edit', 'to']]) {
      const { code, document } = await cliJson(['whatif', session, '--at', `${delta}`, ...args]);
      expect(code).toBe(2);
      expect(document).toMatchObject({ error: { code: 'EDIT_INVALID' } });
    }
    const { document } = await cliJson(['whatif', session, '--at', '1', '--drop']);
    expect(document).toMatchObject({ error: { code: 'EDIT_UNKNOWN' } });
  });
});

describe('compare, blame and converge', () => {
  it('find a capture equal to itself and another one not', async () => {
    expect(await cliJson(['compare', session, session])).toMatchObject({ code: 0, document: { isEqual: true } });
    expect(await cliJson(['compare', session, attached])).toMatchObject({ code: 1, document: { isEqual: false } });
  });

  it('name who wrote a value of a live session, oldest first', async () => {
    const { entries } = (await cliJson(['state', attached, '--replica', 'server'])).document as unknown as {
      entries: { key: string; changedAt: number }[];
    };
    // Rooms are there from the start; players may have come after the first state that was recorded.
    const rooms = entries.filter(({ key }) => key.startsWith('room/'));
    const changed = rooms.toSorted((a, b) => b.changedAt - a.changedAt)[0];
    const { code, document } = await cliJson(['blame', attached, changed?.key ?? '', '--replica', 'server']);
    expect(code).toBe(0);
    const list = document.entries as { position: number; rule: string; writer?: string }[];
    expect(list[0]?.rule).toBe('first state');
    expect(list.at(-1)).toMatchObject({ rule: 'commit order', writer: expect.any(String) });
  });

  it('run the operations of a live session in other orders', async () => {
    const { code, document } = await cliJson(['converge', attached, '--orders', '10']);
    expect([0, 1]).toContain(code);
    expect(document).toMatchObject({ schema: 'syncscope/converge@1', status: code === 0 ? 'converges' : 'differs' });
    expect(document.operations).toBeGreaterThan(0);
  });
});
