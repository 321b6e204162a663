import { readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type OpenCapture, openCapture } from '@syncscope/protocol/capture';
import { verifyCapture } from '@syncscope/protocol/diagnose';
import { attach, type FlightRecorderSettings, fileSource, zstdDecompression } from '@syncscope/protocol/node';
import { reexecute } from '@syncscope/protocol/replay';
import { replicaId } from '@syncscope/protocol/state';
import { afterEach, expect, test } from 'vitest';
import { type Cleanups, running, temporaryFolder } from './testing.ts';

const cleanups: Cleanups = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

type Saved = Parameters<NonNullable<FlightRecorderSettings['onSaved']>>[0];

/** What the recorder tells, one after the other. */
function told(): { readonly onSaved: (saved: Saved) => void; next(): Promise<Saved> } {
  const waiting: ((saved: Saved) => void)[] = [];
  const there: Saved[] = [];
  return {
    onSaved(saved) {
      const first = waiting.shift();
      if (first) first(saved);
      else there.push(saved);
    },
    next: () => new Promise((resolve) => (there.length > 0 ? resolve(there.shift()!) : waiting.push(resolve))),
  };
}

async function opened(path: string): Promise<OpenCapture> {
  const source = await fileSource(path);
  cleanups.push(() => source.close());
  return openCapture(source, { decompressZstd: zstdDecompression });
}

async function corrupt(server: Awaited<ReturnType<typeof running>>): Promise<void> {
  const connection = await attach({ url: server.inspect.url, token: server.inspect.injectToken });
  await connection.inject({ fault: 'corrupt', target: replicaId('bot-2'), key: 'item/crown', field: 'owner' });
  connection.close();
}

test('a mismatch is saved by itself, and what was saved explains it', async () => {
  const folder = join(await temporaryFolder(cleanups), 'flights');
  const { onSaved, next } = told();
  const server = await running(cleanups, { bots: 2, flightRecorder: { folder, settle: 400, onSaved } });
  await corrupt(server);
  const saved = await next();
  if (!('path' in saved)) throw saved.error;
  expect(await readdir(folder)).toHaveLength(1);
  expect((await stat(saved.path)).mode & 0o777).toBe(0o600);
  const capture = await opened(saved.path);
  const info = await capture.info();
  expect(info.cut).toBeUndefined();
  expect(info.replicas.map(({ id }) => id).sort()).toEqual(['bot-1', 'bot-2', 'server']);
  const desync = await capture.nextMarker(-1, 1, 'desync');
  expect(desync?.replica).toBe('bot-2');
  expect(await capture.explain(desync!.position)).toMatchObject({
    replica: 'bot-2',
    against: 'server',
    class: 'corrupted-at-rest',
    differences: [{ key: 'item/crown' }],
  });
  // Both sides' state, at the record that noticed it.
  for (const replica of ['bot-2', 'server'] as const) {
    const { unknown, total } = await capture.state(replicaId(replica), desync!.position, '', 1_000);
    expect([replica, unknown, total > 0]).toEqual([replica, undefined, true]);
  }
});

test('on request, at any time, with the state of all; the oldest files go beyond the limit, and only those', async () => {
  const folder = await temporaryFolder(cleanups);
  await writeFile(join(folder, 'notes.mcap'), 'somebody else wrote this');
  const server = await running(cleanups, { bots: 1, flightRecorder: { folder, maxFiles: 3 } });
  const paths = [];
  for (let count = 0; count < 5; count++) paths.push(await server.inspect.flightRecorder!.saveNow());
  const left = (await readdir(folder)).sort();
  expect(left.map((name) => name.slice(0, 13))).toEqual([
    'flight-000003',
    'flight-000004',
    'flight-000005',
    'notes.mcap',
  ]);
  const capture = await opened(paths[4]!);
  expect(await verifyCapture(capture)).not.toMatchObject({ status: 'diverged' });
  const { records } = await capture.info();
  expect((await capture.state(replicaId('server'), records - 1, '', 10)).unknown).toBeUndefined();
});

test('what is kept is run again from its first record, when the beginning is long gone', async () => {
  const folder = await temporaryFolder(cleanups);
  const server = await running(cleanups, { bots: 2, flightRecorder: { folder, seconds: 1 } });
  const recorder = server.inspect.flightRecorder!;
  const connection = await attach({ url: server.inspect.url, token: server.inspect.token });
  await new Promise<void>((resolve) => {
    let most = 0;
    connection.onRecords(() => {
      const { kept } = recorder.records;
      if (kept < most) resolve();
      most = Math.max(most, kept);
    });
  });
  const capture = await opened(await recorder.saveNow());
  connection.close();
  expect((await capture.info()).lost).toBeGreaterThan(0);
  const result = await reexecute(capture);
  expect(result).toMatchObject({ status: 'equal', replicas: ['bot-1', 'bot-2', 'server'] });
  expect(result.leftOut.filter(({ why }) => why !== 'behind')).toEqual([]);
});

test('where it cannot be saved, the session goes on, and it is told why', async () => {
  const folder = join(await temporaryFolder(cleanups), 'file');
  await writeFile(folder, 'not a folder');
  const { onSaved, next } = told();
  const server = await running(cleanups, { bots: 2, flightRecorder: { folder, settle: 10, onSaved } });
  await expect(server.inspect.flightRecorder!.saveNow()).rejects.toMatchObject({ code: 'FLIGHT_NOT_SAVED' });
  await corrupt(server);
  expect(await next()).toMatchObject({ error: { code: 'FLIGHT_NOT_SAVED' } });
  await rm(folder);
  expect(await server.inspect.flightRecorder!.saveNow()).toContain('flight-000001');
});
