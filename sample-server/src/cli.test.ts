import { type ChildProcess, spawn } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { openCapture } from '@syncscope/protocol/capture';
import { verifyCapture } from '@syncscope/protocol/diagnose';
import { attach, fileSink, fileSource, listSessions, recordSession } from '@syncscope/protocol/node';
import { afterEach, describe, expect, test } from 'vitest';
import { type Cleanups, temporaryFolder } from './testing.ts';

const cleanups: Cleanups = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const program = join(import.meta.dirname, 'cli.ts');

interface Started {
  readonly child: ChildProcess;
  readonly folder: string;
  /** All that it has written so far. */
  readonly text: () => { out: string; err: string };
  readonly exit: Promise<number | NodeJS.Signals>;
  /** Resolves when the introduction has been printed. */
  readonly ready: Promise<void>;
}

async function start(...args: readonly string[]): Promise<Started> {
  const folder = await temporaryFolder(cleanups);
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...process.env, SYNCSCOPE_SESSIONS_DIR: folder },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  cleanups.unshift(async () => child.kill('SIGKILL'));
  let [out, err] = ['', ''];
  // Not `close`, which does not come where the channel was disconnected before.
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.on('exit', (code, signal) => resolve(code ?? signal ?? -1));
  });
  const exit = Promise.all([ended, finished(child.stdout!), finished(child.stderr!)]).then(([code]) => code);
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const ready = new Promise<void>((resolve) => {
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      if (out.includes('Ctrl-C')) resolve();
    });
  });
  return { child, folder, text: () => ({ out, err }), exit, ready };
}

describe('the program', () => {
  test('prints where it is, runs as long as it is told, and leaves nothing', async () => {
    const server = await start('--bots', '1', '--seed', '7', '--seconds', '0.5');
    await server.ready;
    const [session] = await listSessions(server.folder);
    const { out } = server.text();
    expect(out).toContain(`Session ${session?.id}, 1 bot, seed 7`);
    expect(out).toContain(`${session?.url}/#token=${session?.injectToken}`);
    expect(out).toContain(`${session?.url}/#token=${session?.token}`);
    expect(await server.exit).toBe(0);
    expect(server.text().err).toBe('');
    expect(await readdir(server.folder)).toEqual([]);
  });

  test.each([
    ['adventure', 'crash:bot-9@0ms', 'bot-9'],
    ['craps', 'corrupt:bot-2@0ms', 'bot-2'],
  ])('says of %s that %s strikes nobody, and goes on', async (scenario, fault, target) => {
    const server = await start('--scenario', scenario, '--fault', fault);
    await server.ready;
    await expect.poll(() => server.text().err).toMatch(new RegExp(`^FAULT_TARGET_UNKNOWN: ${target} `));
    server.child.kill('SIGTERM');
    expect(await server.exit).toBe(0);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('ends cleanly on %s', async (signal) => {
    const server = await start();
    await server.ready;
    const [session] = await listSessions(server.folder);
    const connection = await attach(session!);
    server.child.kill(signal);
    expect(await server.exit).toBe(0);
    expect(await connection.closed).toEqual({ kind: 'ended', reason: `the server was stopped (${signal})` });
    expect(await readdir(server.folder)).toEqual([]);
  });

  test('ends when whoever forked it has ended', async () => {
    const server = await start('--bots', '1');
    await server.ready;
    server.child.disconnect();
    expect(await server.exit).toBe(0);
  });

  test.each([
    [['--host', '0.0.0.0'], 'SERVER_EXPOSED'],
    [['--port', 'x'], 'a whole number from 0 to 65535'],
    [['--fault', 'rain:bot-1@2s'], 'Allowed: corrupt:REPLICA@TIME'],
    [['--scenario', 'chess'], 'there is adventure'],
  ])('%j ends with 2 and the reason (T3)', async (args, reason) => {
    const server = await start(...args);
    expect(await server.exit).toBe(2);
    expect(server.text()).toEqual({ out: '', err: expect.stringContaining(reason) });
    expect(await readdir(server.folder)).toEqual([]);
  });

  test('tells how it is used', async () => {
    const server = await start('--help');
    expect(await server.exit).toBe(0);
    expect(server.text().out).toContain('--fault SPEC');
  });
});

describe('a recording', () => {
  test('of a session to its end opens and agrees', async () => {
    const server = await start('--seed', '7', '--seconds', '3');
    await server.ready;
    const [session] = await listSessions(server.folder);
    const path = join(server.folder, 'session.mcap');
    const recording = recordSession(await attach(session!), await fileSink(path));
    const result = await recording.done;
    expect(result).toMatchObject({ dropped: 0, close: { kind: 'ended' } });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const source = await fileSource(path);
    const capture = await openCapture(source);
    const info = await capture.info();
    expect(info).toMatchObject({ records: result.records, size: result.size, lost: 0, isGrowing: false });
    expect(info.cut).toBeUndefined();
    expect(await verifyCapture(capture)).toMatchObject({ status: 'agrees', missing: [] });
    await source.close();
  });

  test('of a server that is killed opens up to then, and says that its end is missing', async () => {
    const server = await start('--seed', '7');
    await server.ready;
    const [session] = await listSessions(server.folder);
    const path = join(server.folder, 'killed.mcap');
    const recording = recordSession(await attach(session!), await fileSink(path));
    await expect.poll(() => recording.records, { timeout: 10_000 }).toBeGreaterThan(300);
    server.child.kill('SIGKILL');
    const result = await recording.done;
    expect(result.close.kind).toBe('lost');
    const source = await fileSource(path);
    const capture = await openCapture(source);
    const { records, kinds, cut } = await capture.info();
    expect({ records, kinds, cut }).toMatchObject({ records: result.records, kinds: { gap: 1 }, cut: undefined });
    expect((await verifyCapture(capture)).status).toBe('incomplete');
    await source.close();
    // Its discovery file was left behind, and is recognised as stale.
    expect(await listSessions(server.folder)).toEqual([]);
    expect((await readdir(server.folder)).filter((name) => name.endsWith('.json'))).toEqual([]);
  });

  test('whose recorder is killed opens up to its last second', async () => {
    const server = await start('--seed', '7');
    await server.ready;
    const path = join(server.folder, 'cut.mcap');
    const script = `
      import { attach, fileSink, listSessions, recordSession } from '@syncscope/protocol/node';
      const [session] = await listSessions();
      const recording = recordSession(await attach(session), await fileSink(${JSON.stringify(path)}));
      setInterval(() => console.log(recording.size), 50);`;
    const recorder = spawn(process.execPath, ['--input-type=module', '-e', script], {
      cwd: import.meta.dirname,
      env: { ...process.env, SYNCSCOPE_SESSIONS_DIR: server.folder },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    cleanups.unshift(async () => recorder.kill('SIGKILL'));
    await new Promise<void>((resolve) => {
      recorder.stdout.setEncoding('utf8').on('data', (text: string) => {
        if (Number(text.trim().split('\n').at(-1)) > 100_000) resolve();
      });
    });
    const ended = new Promise((resolve) => recorder.on('close', resolve));
    recorder.kill('SIGKILL');
    await ended;
    const source = await fileSource(path);
    const capture = await openCapture(source);
    const { records, cut } = await capture.info();
    expect(records).toBeGreaterThan(100);
    expect(cut?.message).toBeTruthy();
    expect((await verifyCapture(capture)).status).toBe('incomplete');
    await source.close();
    server.child.kill('SIGTERM');
    expect(await server.exit).toBe(0);
  });
});
