import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EventLog } from '@syncscope/protocol/events';
import { SqliteEventLog } from '@syncscope/protocol/node';
import { seededRandom } from '@syncscope/protocol/ports';
import { firstSnapshot } from '@syncscope/protocol/sync';
import { afterEach, describe, expect, test } from 'vitest';
import { SCENARIOS } from '../scenarios/index.ts';
import { type Cleanups, running, temporaryFolder } from '../testing.ts';
import { logCommand } from './log-command.ts';
import { openPersistence, type PersistenceOptions } from './persistence.ts';

const cleanups: Cleanups = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const { definition } = SCENARIOS.adventure!;

async function run(...args: string[]): Promise<{ code: number; out: string; error: string }> {
  const said = { out: '', error: '' };
  const code = await logCommand(args, {
    out(text) {
      said.out += text;
    },
    error(text) {
      said.error += text;
    },
  });
  return { code, ...said };
}

function settings(more: Partial<PersistenceOptions>): PersistenceOptions {
  return { scenario: 'adventure', definition, seed: 1, random: seededRandom, ...more };
}

describe('a server with a log', () => {
  test('goes on where the one before ended: the same session, version, root and world', async () => {
    const log = join(await temporaryFolder(cleanups), 'new folder', 'a.log');
    const first = await running(cleanups, { log, bots: 0, seed: 5, session: 'kept' });
    first.manager.mutate('restore', null, 0);
    await first.close();
    const { version, root } = first.manager;
    const second = await running(cleanups, { log, bots: 0, seed: 6 });
    expect([second.session, second.seed, second.durability]).toEqual(['kept', 5, 'log']);
    expect([second.manager.version, second.manager.root.hash]).toEqual([version, root.hash]);
    await second.close();
    const { code, out } = await run('verify', log, '--json');
    expect([code, JSON.parse(out)]).toMatchObject([0, { ok: true, session: 'kept', version, root: root.hash }]);
  });

  test('is refused a log of another session, a bus beside it, and durability without either', async () => {
    const log = join(await temporaryFolder(cleanups), 'a.log');
    const kept = await openPersistence(settings({ log, session: 'one' }));
    await kept.close();
    const refused = (more: Partial<PersistenceOptions>): Promise<unknown> => openPersistence(settings(more));
    await expect(refused({ log, session: 'two' })).rejects.toMatchObject({ code: 'LOG_SCENARIO' });
    await expect(refused({ log, scenario: 'craps' })).rejects.toMatchObject({ code: 'LOG_SCENARIO' });
    await expect(refused({ log, bus: 'nats://h:1' })).rejects.toMatchObject({ code: 'LOG_AND_BUS' });
    await expect(refused({ durable: true })).rejects.toMatchObject({ code: 'LOG_NOT_DURABLE' });
    await expect(refused({ bus: 'nats://h:1' })).rejects.toMatchObject({ code: 'SESSION_MISSING' });
  });
});

describe('the log command', () => {
  async function sample(): Promise<string> {
    const path = join(await temporaryFolder(cleanups), 'a.log');
    const log = new SqliteEventLog(path, { settings: { scenario: 'adventure', session: 's' } });
    log.putSnapshot(firstSnapshot(definition, seededRandom(1)));
    refusals(log, 5);
    log.flush();
    log.close();
    return path;
  }

  function refusals(log: EventLog, count: number): void {
    const { version, root } = log.snapshot()!;
    for (let position = 1; position <= count; position++) {
      const mutation = { writer: 'w' as never, counter: position };
      log.append(position - 1, [
        { outcome: 'refused', position, version, root, time: position, mutation, seen: 0, reason: 'no' },
      ]);
    }
  }

  test('verifies, replays and copies', async () => {
    const path = await sample();
    const verified = await run('verify', path, '--json');
    expect([verified.code, JSON.parse(verified.out)]).toMatchObject([
      0,
      { schema: 'syncscope/log-verify@1', refused: 5 },
    ]);
    const replayed = await run('replay', path, '--to', '1', '--json');
    expect(JSON.parse(replayed.out)).toMatchObject({ version: 1, root: JSON.parse(verified.out).root });
    expect((await run('replay', path, '--to', '9')).error).toContain('LOG_VERSION_MISSING');
    const copy = `${path}.copy`;
    expect((await run('backup', path, copy)).code).toBe(0);
    expect(JSON.parse((await run('verify', copy, '--json')).out)).toMatchObject({ last: 5 });
    expect([(await run('backup', path, copy)).code, (await run('backup', path, copy)).error]).toEqual([
      1,
      expect.stringContaining('BACKUP_EXISTS'),
    ]);
  });

  test('says what is wrong, and how it is used', async () => {
    const path = await sample();
    const broken = `${path}.broken`;
    writeFileSync(broken, 'no log at all, but a text that is longer than a header');
    const { code, out, error } = await run('verify', broken, '--json');
    expect([code, JSON.parse(out)]).toMatchObject([1, { ok: false, code: 'LOG_UNREADABLE' }]);
    expect(error).toContain('LOG_UNREADABLE');
    for (const args of [
      [],
      ['verify'],
      ['burn', path],
      ['backup', path],
      ['verify', path, 'x'],
      ['verify', path, '--to', '1'],
    ]) {
      expect([args, (await run(...args)).code]).toEqual([args, 2]);
    }
    expect(await run('--help')).toMatchObject({ code: 0, out: expect.stringContaining('verify FILE') });
  });

  test('finds a log whose rules came to another state', async () => {
    const path = join(await temporaryFolder(cleanups), 'a.log');
    const log = new SqliteEventLog(path, { settings: { scenario: 'adventure', session: 's' } });
    const first = firstSnapshot(definition, seededRandom(1));
    log.putSnapshot(first);
    const mutation = { writer: 'w' as never, counter: 1 };
    const root = 'f'.repeat(first.root.length) as typeof first.root;
    const event = { type: 'PLAYER_JOINED', player: 'w', detail: 'w' };
    log.append(0, [
      { outcome: 'committed', position: 1, version: 2, root, time: 0, mutation, seen: 0, events: [event] },
    ]);
    log.flush();
    log.close();
    expect((await run('verify', path)).error).toMatch(/LOG_ROOT_MISMATCH|REDUCER_FAILED/);
    expect((await run('verify', path)).code).toBe(1);
  });
});
