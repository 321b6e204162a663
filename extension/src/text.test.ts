import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isPeers, parseFaults, startSession } from '@syncscope/sample-server';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { captureName } from './capture-files/name.ts';
import { isPathInside } from './path-inside.ts';
import { serverArguments, withoutTokens } from './server/arguments.ts';
import { startFaults } from './server/start-faults.ts';
import { formatBytes, label, notification, plain, steadyVerdict } from './text.ts';

test('characters that lie about a label are written out', () => {
  expect(plain('bot\u202e-1')).toBe('bot\\u202e-1');
  expect(plain('a\nb\u0000\u200bc')).toBe('a\\u000ab\\u0000\\u200bc');
  expect(plain('Größe 東京 🎲')).toBe('Größe 東京 🎲');
});

test('what was written out is not written out again', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => plain(plain(text)) === plain(text)));
});

test('what a notification says runs no command (T22)', () => {
  // What VS Code makes a link of in a notification.
  const link = /\[[^\]]+\]\((?:https?:\/\/|command:|file:)/i;
  const evil = 'refused: [Show Log](command:workbench.action.terminal.sendSequence "Show Log")';
  expect(evil).toMatch(link);
  expect(notification(evil)).not.toMatch(link);
  expect(notification(`${evil.replace('](', ']\n(')}\u202e`)).toMatch(/\] \(command:.*\\u202e$/);
  const parts = fc.constantFrom('[', ']', '(', ')', 'x', 'command:', 'https://', '\n', '\u200b', ' ');
  fc.assert(
    fc.property(fc.array(parts), (some) => {
      expect(notification(some.join(''))).not.toMatch(link);
      expect(notification(some.join(''))).not.toMatch(/[\r\n]/);
    }),
  );
  expect(notification('no frame of bot-1 (FRAME_TOO_LARGE),\n  see [docs]')).toBe(
    'no frame of bot-1 (FRAME_TOO_LARGE), see [docs]',
  );
});

test('a label shows no picture that a name asks for', () => {
  expect(label('bot$(error)-1\u202e')).toBe('bot$ (error)-1\\u202e');
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => !label(text).includes('$(')));
});

test('a verdict stays as it is while all is well and versions go on', () => {
  const quiet = (text: string) => steadyVerdict({ level: 'quiet', text });
  expect(quiet('5 replicas agree at v121')).toBe('5 replicas agree');
  expect(quiet('5 peers agree at v29–v31, 1 unknown')).toBe('5 peers agree, 1 unknown');
  const text = 'bot-2 refused a delta at v7 and asks again';
  expect(steadyVerdict({ level: 'warning', text })).toBe(text);
});

test('sizes have a unit', () => {
  expect([834, 12_345, 4_000_000].map(formatBytes)).toEqual(['834 B', '12.3 kB', '4.0 MB']);
});

test('a capture is named after its session and time, whatever the title holds', () => {
  const date = new Date(Date.UTC(2026, 10, 20, 22, 31, 5));
  expect(captureName('Adventure (4 bots)', date)).toBe('adventure-4-bots-2026-11-20-22-31-05.mcap');
  expect(captureName('../../x\0', date)).toBe('x-2026-11-20-22-31-05.mcap');
  expect(captureName('東京', date)).toBe('session-2026-11-20-22-31-05.mcap');
  fc.assert(fc.property(fc.string(), (title) => /^[a-z0-9-]{1,80}\.mcap$/.test(captureName(title, date))));
});

test('only relative paths that stay inside are inside', () => {
  for (const path of ['', 'captures', 'a/b', 'a\\b', '..a/b', './a']) expect(isPathInside(path), path).toBe(true);
  const outside = ['..', '../x', 'a/../../x', 'a\\..\\x', '/x', '\\x', 'C:\\x', 'c:x', 'a\0b', 'x'.repeat(300)];
  for (const path of outside) expect(isPathInside(path), path).toBe(false);
});

test('the server is started on a free port with its faults', () => {
  expect(serverArguments({ bots: 5, seed: 7, faults: [], scenario: 'craps' }).join(' ')).toBe(
    '--scenario craps --port 0 --seed 7',
  );
  expect(serverArguments({ bots: 5, seed: 7, faults: ['corrupt:bot-2@3s', 'loss:2%'] }).join(' ')).toBe(
    '--scenario adventure --port 0 --bots 5 --seed 7 --fault corrupt:bot-2@3s --fault loss:2%',
  );
});

test.each([
  ['adventure', 'bot'],
  ['board', 'bot'],
  ['craps', 'peer'],
  ['call', 'peer'],
] as const)('the faults that are offered for %s are those of somebody who plays there', async (scenario, players) => {
  const offered = startFaults(players);
  expect(offered.flatMap(({ spec }) => parseFaults(spec)).length).toBeGreaterThanOrEqual(offered.length);
  const sessionsFolder = await mkdtemp(join(tmpdir(), 'syncscope-faults-'));
  const session = await startSession({ scenario, seed: 1, sessionsFolder });
  try {
    const playing = isPeers(session) ? session.world.targets : session.bots.map(({ replica }) => replica);
    expect(playing).toEqual(expect.arrayContaining(offered.flatMap(({ target }) => (target === '' ? [] : [target]))));
  } finally {
    await session.close('the test is over');
    await rm(sessionsFolder, { recursive: true });
  }
});

test('no token gets into the log', () => {
  const token = 'ab'.repeat(32);
  expect(withoutTokens(`open http://127.0.0.1:4000/#token=${token}`)).toBe('open http://127.0.0.1:4000/#token=…');
});
