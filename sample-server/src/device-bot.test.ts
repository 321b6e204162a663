import { join } from 'node:path';
import { recordKey } from '@syncscope/protocol/state';
import { afterEach, expect, test } from 'vitest';
import { type Cleanups, running, temporaryFolder } from './testing.ts';

const cleanups: Cleanups = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

test('devices take part, and after a restart on the log they do so under new names', async () => {
  const log = join(await temporaryFolder(cleanups), 'board.db');
  for (const name of ['device-2', 'device-2.2']) {
    const server = await running(cleanups, { scenario: 'board', bots: 2, log });
    expect(server.devices.map(({ replica }) => replica)).toEqual([name]);
    await expect.poll(() => server.manager.root.get(recordKey(`member/${name}`)), { timeout: 20_000 }).toBeDefined();
    await server.close();
  }
});
