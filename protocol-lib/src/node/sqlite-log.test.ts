import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EventLog, eventLogContract, replay } from '../events/index.ts';
import { begin, boxes, boxStep, history } from '../events/log.test-helper.ts';
import { SqliteEventLog, type SqliteLogOptions } from './sqlite-log.ts';
import { findWalBreak } from './sqlite-wal.ts';

let folder: string;
let files = 0;
const logs: SqliteEventLog[] = [];
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'syncscope-log-'));
});
afterAll(() => {
  for (const log of logs) log.close();
  rmSync(folder, { recursive: true, force: true });
});

function newPath(): string {
  return join(folder, `${files++}.log`);
}

function open(path = newPath(), options: SqliteLogOptions = {}): SqliteEventLog {
  const log = new SqliteEventLog(path, options);
  logs.push(log);
  return log;
}

const someSteps = fc.sample(boxStep, { numRuns: 40, seed: 5 });
const story = history(someSteps).entries;

function told(entries = story, options: SqliteLogOptions = {}): SqliteEventLog {
  const log = open(newPath(), options);
  begin(log);
  log.append(0, entries);
  return log;
}

describe.each(['log', 'process'] as const)('a log in SQLite, durable as %s', (durability) => {
  const tests = eventLogContract({
    create: () => open(newPath(), { durability }),
    settle: (log) => (log as SqliteEventLog).flush(),
    reopen: (log: EventLog) => open((log as SqliteEventLog).path),
  });
  for (const { name, run } of tests) test(name, run);

  test('says what it survives', () => {
    expect(open(newPath(), { durability }).durability).toBe(durability);
  });
});

describe('what one turn hands over', () => {
  test('is one transaction, told of after it', async () => {
    let called = 0;
    const log = told(story, {
      onDurable: () => {
        called++;
      },
    });
    expect([log.last, log.durable, called]).toEqual([40, -1, 0]);
    await new Promise((resolve) => setImmediate(resolve));
    expect([log.last, log.durable, called]).toEqual([40, 40, 1]);
  });

  test('is there for another process once it is durable, and not before', () => {
    const log = told();
    log.flush();
    const reader = open(log.path, { readOnly: true });
    expect(reader.read(0)).toEqual(story);
    expect(() => reader.append(40, [])).toThrow(expect.objectContaining({ code: 'LOG_READ_ONLY' }));
    expect(reader.settings).toEqual({});
  });

  test('is refused to the second of two that append', () => {
    const first = told(story.slice(0, 5));
    first.flush();
    const second = open(first.path);
    second.append(5, [story[5]!]);
    second.flush();
    expect(() => first.append(5, [story[5]!])).toThrow(expect.objectContaining({ code: 'LOG_CONFLICT' }));
    expect(first.failure?.code).toBe('LOG_CONFLICT');
    expect(open(first.path).read(0)).toEqual(story.slice(0, 6));
  });

  test('keeps its settings from the beginning on', () => {
    const log = open(newPath(), { settings: { session: 'one', scenario: 'adventure' } });
    log.close();
    expect(open(log.path, { settings: { session: 'two', seed: '7' } }).settings).toEqual({
      session: 'one',
      scenario: 'adventure',
      seed: '7',
    });
  });
});

describe('a backup', () => {
  test('is whole while the log goes on', async () => {
    const log = told(story.slice(0, 30));
    const copy = newPath();
    const writing = log.backup(copy);
    log.append(30, story.slice(30));
    await writing;
    const opened = open(copy);
    expect(opened.last).toBeGreaterThanOrEqual(30);
    expect(opened.read(0)).toEqual(story.slice(0, opened.last));
    expect(replay(opened, boxes).root.hash).toBe(story[opened.last - 1]!.root);
  });

  test('says where it cannot be written', async () => {
    const log = told();
    await expect(log.backup(join(folder, 'none', 'here.log'))).rejects.toMatchObject({ code: 'LOG_BACKUP_FAILED' });
    log.flush();
    expect(log.durable).toBe(40);
  });
});

describe('a full disk', () => {
  test('ends the log with a reason, and what was durable stays', () => {
    const log = open(newPath(), { maxBytes: 64 * 1024 });
    begin(log);
    log.flush();
    const entries = history(fc.sample(boxStep, { numRuns: 1_000, seed: 6 })).entries;
    const fill = (): void => {
      for (let at = 0; at < entries.length; at += 10) {
        log.append(at, entries.slice(at, at + 10));
        log.flush();
      }
    };
    expect(fill).toThrow(expect.objectContaining({ code: 'LOG_DISK_FULL' }));
    expect(log.failure?.code).toBe('LOG_DISK_FULL');
    expect(log.durable).toBeGreaterThan(0);
    expect(() => log.append(log.last, [])).toThrow(expect.objectContaining({ code: 'LOG_DISK_FULL' }));
    expect(() => log.putSnapshot(log.snapshot(0)!)).toThrow(expect.objectContaining({ code: 'LOG_DISK_FULL' }));
    const { durable, path } = log;
    log.close();
    const again = open(path);
    expect(again.read(0)).toEqual(entries.slice(0, durable));
    again.append(durable, [entries[durable]!]);
    again.flush();
    expect(again.durable).toBe(durable + 1);
  });
});

describe('what is no log', () => {
  const opening = (path: string) => () => open(path);

  test('is refused with what it is', () => {
    const text = newPath();
    writeFileSync(text, 'this is a text, and a long one: '.repeat(100));
    expect(opening(text)).toThrow(expect.objectContaining({ code: 'LOG_UNREADABLE' }));
    expect(opening(folder)).toThrow(expect.objectContaining({ code: 'LOG_FAILED' }));
    expect(() => open(newPath(), { readOnly: true })).toThrow(expect.objectContaining({ code: 'LOG_UNREADABLE' }));
    const other = newPath();
    const database = new DatabaseSync(other);
    database.exec('CREATE TABLE thing (name TEXT)');
    database.close();
    expect(opening(other)).toThrow(expect.objectContaining({ code: 'LOG_UNREADABLE' }));
  });

  test('of a later format, or that was changed, is refused', () => {
    const changed = (sql: string): string => {
      const log = told();
      log.close();
      const database = new DatabaseSync(log.path);
      database.exec(sql);
      database.close();
      return log.path;
    };
    expect(opening(changed('PRAGMA user_version = 2'))).toThrow(
      expect.objectContaining({ code: 'LOG_FORMAT_UNSUPPORTED' }),
    );
    const damages = [
      'DELETE FROM entry WHERE position = 7',
      'DELETE FROM entry WHERE position < 3',
      'DELETE FROM snapshot',
      "UPDATE entry SET bytes = x'00' WHERE position = 4",
      'UPDATE entry SET bytes = (SELECT bytes FROM entry WHERE position = 8), crc = (SELECT crc FROM entry WHERE position = 8) WHERE position = 9',
      'UPDATE snapshot SET crc = crc + 1',
    ];
    for (const sql of damages) {
      expect(opening(changed(sql)), sql).toThrow(expect.objectContaining({ code: 'LOG_DAMAGED' }));
    }
  });

  test('is found wherever a byte of a closed log was changed, or harms nothing', () => {
    const log = told();
    log.close();
    const whole = readFileSync(log.path);
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (offset, flip) => {
        const path = newPath();
        const bytes = Uint8Array.from(whole);
        bytes[offset]! ^= flip;
        writeFileSync(path, bytes);
        let opened: SqliteEventLog;
        try {
          opened = open(path);
        } catch (error) {
          expect(error).toMatchObject({ code: expect.stringMatching(/^LOG_/) });
          return;
        }
        expect(opened.read(0)).toEqual(story);
        opened.close();
      }),
      { numRuns: 60 },
    );
  });
});

describe('the write-ahead log of a process that was killed', () => {
  /** The files as a kill leaves them: one transaction an entry. */
  function killed(): { path: string; ends: number[] } {
    const log = open(newPath());
    begin(log);
    log.flush();
    const ends: number[] = [];
    for (const [index, entry] of story.entries()) {
      log.append(index, [entry]);
      log.flush();
      ends.push(readFileSync(`${log.path}-wal`).length);
    }
    const path = newPath();
    for (const part of ['', '-wal']) copyFileSync(log.path + part, path + part);
    return { path, ends };
  }

  test('is carried on from', () => {
    const { path } = killed();
    expect(findWalBreak(`${path}-wal`)).toBeUndefined();
    expect(open(path).read(0)).toEqual(story);
  });

  test('is cut where it is torn', () => {
    const { path, ends } = killed();
    const wal = readFileSync(`${path}-wal`);
    fc.assert(
      fc.property(fc.nat(wal.length - ends[0]!), (cut) => {
        const torn = newPath();
        copyFileSync(path, torn);
        const left = wal.length - cut;
        writeFileSync(`${torn}-wal`, wal.subarray(0, left));
        const opened = open(torn);
        expect(opened.last).toBe(ends.filter((end) => end <= left).length);
        expect(opened.read(0)).toEqual(story.slice(0, opened.last));
        opened.close();
      }),
      { numRuns: 40 },
    );
  });

  test('is refused where what had been synced is damaged', () => {
    const { path, ends } = killed();
    const wal = readFileSync(`${path}-wal`);
    fc.assert(
      fc.property(
        fc.integer({ min: ends[0]!, max: ends.at(-3)! - 1 }),
        fc.integer({ min: 1, max: 255 }),
        (at, flip) => {
          const damaged = newPath();
          copyFileSync(path, damaged);
          const bytes = Uint8Array.from(wal);
          bytes[at]! ^= flip;
          writeFileSync(`${damaged}-wal`, bytes);
          expect(() => open(damaged)).toThrow(expect.objectContaining({ code: 'LOG_DAMAGED' }));
        },
      ),
      { numRuns: 60 },
    );
  });
});
