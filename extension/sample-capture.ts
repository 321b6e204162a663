import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { attach, fileSink, listSessions, recordSession, zstdCompression } from '@syncscope/protocol/node';

/**
 * `node extension/sample-capture.ts`: records the capture that comes with the extension, `media/sample.mcap`, from a real
 * run in which one value of bot-2 is corrupted and repaired. Run it again when the capture format moves on.
 */
const SECONDS = 9;
const FAULT = 'corrupt:bot-2@4s';

const here = dirname(fileURLToPath(import.meta.url));
const sessions = mkdtempSync(join(tmpdir(), 'syncscope-sample-'));
const options = ['--scenario', 'adventure', '--bots', '4', '--port', '0', '--seed', '7', '--fault', FAULT];
const server = spawn(process.execPath, [join(here, '..', 'sample-server', 'src', 'cli.ts'), ...options], {
  env: { ...process.env, SYNCSCOPE_SESSIONS_DIR: sessions },
  stdio: ['ignore', 'ignore', 'inherit'],
});
try {
  const { url, token } = await offered();
  const sink = await fileSink(join(here, 'media', 'sample.mcap'));
  const recording = recordSession(await attach({ url, token }), sink, { compression: zstdCompression });
  await sleep(SECONDS * 1_000);
  const { records, size } = await recording.stop();
  console.log(`extension/media/sample.mcap  ${records} records, ${(size / 1024).toFixed(0)} KiB`);
} finally {
  server.kill('SIGTERM');
  rmSync(sessions, { recursive: true, force: true });
}

async function offered(): Promise<{ url: string; token: string }> {
  while (server.exitCode === null) {
    const [session] = await listSessions(sessions);
    if (session) return session;
    await sleep(100);
  }
  throw new Error(`the sample server ended with ${server.exitCode}`);
}
