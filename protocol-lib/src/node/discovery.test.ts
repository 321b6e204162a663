import { execFileSync, spawn } from 'node:child_process';
import { chmod, mkdir, readdir, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { Discovery } from '../trace/index.ts';
import { announceSession, listSessions, sessionsFolder, surveySessions } from './discovery.ts';
import { startSession, temporaryFolder } from './testing.ts';

const cleanups: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

function discovery(fields: Partial<Discovery>): Discovery {
  return {
    version: 1,
    id: 'one',
    title: 'one',
    scenario: 'none',
    url: 'http://127.0.0.1:1',
    token: 'a'.repeat(64),
    injectToken: 'b'.repeat(64),
    pid: process.pid,
    startedAt: 1,
    ...fields,
  };
}

async function plant(folder: string, name: string, content: unknown, mode = 0o600): Promise<void> {
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  await writeFile(join(folder, name), text, { mode });
  await chmod(join(folder, name), mode);
}

/** The pid of a process that has ended. */
async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['-e', '']);
  await new Promise((resolve) => child.on('exit', resolve));
  return child.pid ?? 0;
}

describe('a running session', () => {
  test('is found with its tokens, and gone after its end', async () => {
    const session = await startSession(cleanups);
    expect(await listSessions(session.folder)).toEqual([
      expect.objectContaining({ id: session.id, url: session.url, token: session.token, pid: process.pid }),
    ]);
    await session.close();
    expect(await listSessions(session.folder)).toEqual([]);
    expect(await readdir(session.folder)).toEqual([]);
  });

  test('keeps its file to the user alone', async () => {
    const folder = join(await temporaryFolder(cleanups), 'deep', 'down');
    const session = await startSession(cleanups, { sessionsFolder: folder });
    const [name = ''] = await readdir(folder);
    expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    await session.close();
  });

  test('removes its file when a signal ends the process', async () => {
    const folder = await temporaryFolder(cleanups);
    const script = `
      import { announceSession } from ${JSON.stringify(new URL('./discovery.ts', import.meta.url).href)};
      await announceSession(${JSON.stringify(discovery({}))}, ${JSON.stringify(folder)});
      console.log('ready');
      setInterval(() => {}, 1_000);`;
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await new Promise((resolve) => child.stdout.once('data', resolve));
      expect(await readdir(folder)).toEqual(['one.json']);
      const ended = new Promise((resolve) => child.on('exit', (_code, by) => resolve(by)));
      child.kill(signal);
      expect(await ended).toBe(signal);
      expect(await readdir(folder)).toEqual([]);
    }
  });
});

test('a session of a live process whose connection breaks before it answers is not taken for gone', async () => {
  const folder = await temporaryFolder(cleanups);
  const breaking = createServer((request) => request.socket.destroy());
  await new Promise<void>((resolve) => breaking.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => new Promise((resolve) => breaking.close(resolve)));
  const { port } = breaking.address() as AddressInfo;
  await plant(folder, 'one.json', discovery({ url: `http://127.0.0.1:${port}` }));
  expect((await listSessions(folder)).map(({ id }) => id)).toEqual(['one']);
  expect(await readdir(folder)).toEqual(['one.json']);
});

describe('a stale file', () => {
  test('of a process that is gone is removed', async () => {
    const folder = await temporaryFolder(cleanups);
    await plant(folder, 'one.json', discovery({ pid: await deadPid() }));
    expect(await surveySessions(folder)).toEqual({ sessions: [], problems: [] });
    expect(await readdir(folder)).toEqual([]);
  });

  test('whose port nobody answers, or another session, or something else, is removed', async () => {
    const session = await startSession(cleanups);
    const other = createServer((_request, response) => response.end('hello'));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => new Promise((resolve) => other.close(resolve)));
    await plant(session.folder, 'one.json', discovery({}));
    await plant(session.folder, 'two.json', discovery({ id: 'two', url: session.url }));
    const { port } = other.address() as AddressInfo;
    await plant(session.folder, 'three.json', discovery({ id: 'three', url: `http://127.0.0.1:${port}` }));
    expect((await listSessions(session.folder)).map(({ id }) => id)).toEqual([session.id]);
    expect(await readdir(session.folder)).toEqual([`${session.id}.json`]);
  });
});

describe('a file that is not believed', () => {
  test('because others may read it (T4)', async () => {
    const session = await startSession(cleanups);
    await chmod(join(session.folder, `${session.id}.json`), 0o644);
    const { sessions, problems } = await surveySessions(session.folder);
    expect(sessions).toEqual([]);
    expect(problems).toEqual([
      expect.objectContaining({ code: 'DISCOVERY_UNSAFE', message: expect.stringContaining('mode 644') }),
    ]);
    expect(problems[0]?.message).not.toContain(session.token);
  });

  test('because it is a pipe, whose opening would wait for ever', async () => {
    const session = await startSession(cleanups);
    execFileSync('mkfifo', ['-m', '600', join(session.folder, 'pipe.json')]);
    const { sessions, problems } = await surveySessions(session.folder);
    expect(sessions.map(({ id }) => id)).toEqual([session.id]);
    expect(problems.map(({ code }) => code)).toEqual(['DISCOVERY_UNSAFE']);
  });

  test('because it is a link to elsewhere', async () => {
    const session = await startSession(cleanups);
    const folder = await temporaryFolder(cleanups);
    await symlink(join(session.folder, `${session.id}.json`), join(folder, 'link.json'));
    expect((await surveySessions(folder)).problems).toEqual([expect.objectContaining({ code: 'DISCOVERY_UNSAFE' })]);
  });

  test.each([
    ['nothing', ''],
    ['no JSON', 'JFIF'],
    ['an array', []],
    ['an older version', { ...discovery({}), version: 0 }],
    ['a URL of another machine', discovery({ url: 'http://198.51.100.7:80' })],
    ['a URL with more in it', discovery({ url: 'http://127.0.0.1:80@evil.example' })],
    ['an id that is a path', discovery({ id: '../one' })],
    ['too much', ' '.repeat(20_000)],
  ])('because it says %s', async (_, content) => {
    const folder = await temporaryFolder(cleanups);
    await plant(folder, 'one.json', content);
    const { sessions, problems } = await surveySessions(folder);
    expect(sessions).toEqual([]);
    expect(problems).toEqual([
      expect.objectContaining({ code: 'DISCOVERY_INVALID', place: { file: join(folder, 'one.json') } }),
    ]);
    expect(await readdir(folder)).toEqual(['one.json']);
  });
});

describe('announcing', () => {
  test('does not write through an id that is a path', async () => {
    const folder = await temporaryFolder(cleanups);
    await expect(announceSession(discovery({ id: '../evil' }), folder)).rejects.toMatchObject({
      code: 'DISCOVERY_ID_INVALID',
    });
    expect(await readdir(folder)).toEqual([]);
  });

  test('says so where the folder cannot be', async () => {
    const folder = await temporaryFolder(cleanups);
    await writeFile(join(folder, 'file'), '');
    await expect(announceSession(discovery({}), join(folder, 'file'))).rejects.toMatchObject({
      code: 'DISCOVERY_UNWRITABLE',
      message: expect.stringContaining('SYNCSCOPE_SESSIONS_DIR'),
    });
  });

  test('takes a folder that others could write to for itself alone', async () => {
    const folder = join(await temporaryFolder(cleanups), 'open');
    await mkdir(folder);
    await chmod(folder, 0o777);
    const { withdraw } = await announceSession(discovery({}), folder);
    withdraw();
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
  });
});

test('the folder is the one in the environment, where one is', () => {
  const before = process.env.SYNCSCOPE_SESSIONS_DIR;
  process.env.SYNCSCOPE_SESSIONS_DIR = '/somewhere';
  expect(sessionsFolder()).toBe('/somewhere');
  if (before === undefined) delete process.env.SYNCSCOPE_SESSIONS_DIR;
  else process.env.SYNCSCOPE_SESSIONS_DIR = before;
});

test('a folder that is not there holds no sessions', async () => {
  expect(await surveySessions('/nowhere/at/all')).toEqual({ sessions: [], problems: [] });
});
