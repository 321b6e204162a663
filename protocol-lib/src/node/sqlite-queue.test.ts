import { copyFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isSyncError } from '../errors/index.ts';
import { offlineStorageContract } from '../offline/index.ts';
import { codeOf, NotesWorld } from '../offline/notes.test-helper.ts';
import { SqliteStorage } from './sqlite-queue.ts';

let folder = '';
let files = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sqlite-queue-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function newPath(): string {
  return join(folder, `${++files}.db`);
}

function codeOpening(path: string): string {
  try {
    new SqliteStorage(path);
  } catch (error) {
    return isSyncError(error) ? error.code : String(error);
  }
  return 'opened';
}

describe('SqliteStorage', () => {
  const contract = offlineStorageContract({
    create: async () => new SqliteStorage(newPath()),
    reopen: async (storage) => new SqliteStorage((storage as SqliteStorage).path),
  });
  for (const { name, run } of contract) it(name, run);

  it('leaves alone what is not its own', () => {
    const text = newPath();
    writeFileSync(text, 'not a database, but long enough to be looked at as one'.repeat(40));
    expect(codeOpening(text)).toBe('STORAGE_FOREIGN');
    const other = newPath();
    const database = new DatabaseSync(other);
    database.exec('CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)');
    database.close();
    const before = readFileSync(other);
    expect(codeOpening(other)).toBe('STORAGE_FOREIGN');
    expect(readFileSync(other).equals(before)).toBe(true);
  });

  it('says that a newer build has written it', async () => {
    const path = newPath();
    await new SqliteStorage(path).close();
    const database = new DatabaseSync(path);
    database.exec('PRAGMA user_version = 2');
    database.close();
    expect(codeOpening(path)).toBe('STORAGE_NEWER');
  });

  it('names a file that was cut or overwritten, and reads the rest as it was or not at all', async () => {
    const path = newPath();
    const world = new NotesWorld();
    const device = await world.device('phone', { storage: new SqliteStorage(path) });
    await device.sync({ pull: true });
    for (let index = 0; index < 40; index++) {
      await device.mutate({ command: 'log', args: { what: `${index} ${'x'.repeat(500)}` } });
    }
    await device.close();
    const whole = readFileSync(path);
    const outcomes = new Set<string>();
    for (let part = 1; part < 24; part++) {
      const damaged = newPath();
      copyFileSync(path, damaged);
      if (part % 2 === 0) truncateSync(damaged, Math.floor((whole.length * part) / 24));
      else {
        const bytes = Buffer.from(whole);
        bytes.fill(0xa5, Math.floor((bytes.length * part) / 24), Math.floor((bytes.length * part) / 24) + 600);
        writeFileSync(damaged, bytes);
      }
      outcomes.add(await openedWith(world, damaged));
    }
    // What was not hit shows the forty, and nothing ever shows less.
    expect([...outcomes].filter((one) => !/^STORAGE_(DAMAGED|FOREIGN)$/.test(one) && one !== '40')).toEqual([]);
    expect(outcomes.has('STORAGE_DAMAGED')).toBe(true);
  });

  it('says that there is no more room, and keeps what it has', async () => {
    const path = newPath();
    const world = new NotesWorld();
    const device = await world.device('phone', { storage: new SqliteStorage(path, { maxBytes: 100_000 }) });
    await device.sync({ pull: true });
    let made = 0;
    let code = '';
    while (code === '') {
      const what = `${made} ${'x'.repeat(2_000)}`;
      const outcome = await codeOf(device.mutate({ command: 'log', args: { what } }));
      if (outcome === 'nothing was thrown') made++;
      else code = outcome;
    }
    expect(code).toBe('STORAGE_FULL');
    expect(made).toBeGreaterThan(5);
    expect(device.status.counts.pending).toBe(made);
    await device.close();
    expect(await openedWith(world, path)).toBe(String(made));
  });
});

/** How many mutations wait in a file, or why it is refused. */
async function openedWith(world: NotesWorld, path: string): Promise<string> {
  try {
    const device = await world.device('phone', { storage: new SqliteStorage(path) });
    const waiting = device.status.counts.pending + device.status.counts.sent;
    await device.close();
    return String(waiting);
  } catch (error) {
    return isSyncError(error) ? error.code : String(error);
  }
}
