import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeTraceRecord, LiveCapture } from '@syncscope/protocol/capture';
import { attach } from '@syncscope/protocol/node';
import type { TraceRecord } from '@syncscope/protocol/trace';
import { afterEach, expect, test } from 'vitest';
import { startSampleServer } from '../support/sample-server.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** The program with a scenario, and what an observer is told until `enough` passes. */
async function recorded(args: readonly string[], enough: (record: TraceRecord) => boolean) {
  const sessions = await mkdtemp(join(tmpdir(), 'syncscope-peers-'));
  cleanups.push(() => rm(sessions, { recursive: true, force: true }));
  const server = await startSampleServer(args, { SYNCSCOPE_SESSIONS_DIR: sessions });
  cleanups.push(() => server.program.stop());
  const connection = await attach({ url: server.url, token: server.token });
  cleanups.push(async () => connection.close());
  const capture = new LiveCapture(connection.header);
  await new Promise<void>((resolve) => {
    connection.onRecords((records) => {
      for (const bytes of records) {
        capture.append(bytes);
        if (enough(decodeTraceRecord(bytes))) resolve();
      }
    });
  });
  return { capture, header: connection.header, status: await capture.status((await capture.info()).records - 1) };
}

test('the program plays craps, and a partition by flag is begun and healed', async () => {
  const fault = ['--fault', 'partition:peer-4,peer-5@1s+4s'];
  const { capture, header, status } = await recorded(
    ['--scenario', 'craps', '--seed', '11', ...fault],
    ({ body, replica }) => body.kind === 'partition' && body.state === 'healed' && replica === 'peer-5',
  );
  expect(header).toMatchObject({ scenario: 'craps', authority: null });
  expect(status.replicas.map(({ replica }) => replica)).toEqual(['peer-1', 'peer-2', 'peer-3', 'peer-4', 'peer-5']);
  expect(status.replicas.filter(({ differs }) => differs)).toEqual([]);
  const { markers } = await capture.markers({ from: 0, to: Number.MAX_SAFE_INTEGER }, 1_000);
  expect(markers.map(({ kind }) => kind)).toContain('partition');
});

test('the program holds a call, compressed as asked for', async () => {
  const { header, status } = await recorded(
    ['--scenario', 'call', '--compress', '40', '--seed', '11'],
    ({ body }) => body.kind === 'operation' && body.detail === 'mute',
  );
  expect(header).toMatchObject({ scenario: 'call', authority: null });
  expect(status.replicas).toHaveLength(4);
  expect(status.replicas.filter(({ differs }) => differs)).toEqual([]);
});
