import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isSyncError, SyncError } from '../errors/index.ts';
import { fileSink, fileSource } from '../node/index.ts';
import { seededRandom } from '../ports/index.ts';
import {
  compactLog,
  DiskEventLog,
  type EventLog,
  eventLogContract,
  MemoryEventLog,
  openDiskLog,
  rehydrate,
  SimulatedDisk,
  SinkDisk,
  snapshotOf,
  stateAtPosition,
} from './index.ts';
import { BOXES, begin, boxes, boxStep, FIRST, history } from './log.test-helper.ts';

/** Opens a log whose disk completes what it is asked. */
function open(disk: SimulatedDisk, contents = disk.contents): DiskEventLog {
  let opened: DiskEventLog | SyncError | undefined;
  DiskEventLog.open(contents, disk, (log) => {
    opened = log;
  });
  while (!opened && disk.complete()) {}
  if (opened instanceof SyncError) throw opened;
  if (!opened) throw new Error('the disk never completed');
  return opened;
}

describe('a log in memory', () => {
  const tests = eventLogContract({ create: () => new MemoryEventLog(), settle() {} });
  for (const { name, run } of tests) test(name, run);
});

describe.each([false, true])('a log on a simulated disk, flushes held: %s', (isHeld) => {
  const disks = new Map<EventLog, SimulatedDisk>();
  const on = (disk: SimulatedDisk): DiskEventLog => {
    disk.isHeld = isHeld;
    const log = open(disk);
    disks.set(log, disk);
    return log;
  };
  const tests = eventLogContract({
    create: () => on(new SimulatedDisk()),
    settle(log) {
      while (disks.get(log)?.complete()) {}
    },
    // A crash after everything was made durable takes nothing away.
    reopen: (log) => on(disks.get(log)!.crash(seededRandom(1))),
  });
  for (const { name, run } of tests) test(name, run);
});

describe('a log in a file', () => {
  let folder = '';
  let count = 0;
  const files = new Map<EventLog, { path: string; disk: SinkDisk }>();
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'syncscope-log-'));
  });
  afterAll(async () => {
    for (const { disk } of files.values()) await disk.close();
    await rm(folder, { recursive: true });
  });
  const on = async (path: string): Promise<DiskEventLog> => {
    const disk = new SinkDisk({ create: () => fileSink(`${path}.new`), install: () => rename(`${path}.new`, path) });
    const source = await fileSource(path);
    const log = await openDiskLog(source, disk);
    await source.close();
    files.set(log, { path, disk });
    return log;
  };
  const settle = async (log: EventLog): Promise<void> => {
    while (log.durable < log.last) await new Promise((resolve) => setImmediate(resolve));
  };
  const tests = eventLogContract({
    async create() {
      const path = join(folder, `${count++}.log`);
      await (await fileSink(path)).close();
      return on(path);
    },
    settle,
    async reopen(log) {
      const { path, disk } = files.get(log)!;
      await disk.close();
      return on(path);
    },
  });
  for (const { name, run } of tests) test(name, run);

  test('fails for good when its file can no longer be written, and says so', async () => {
    const sink = { write() {}, flush: () => Promise.reject(new Error('EIO')), close() {} };
    let flushes = 0;
    const disk = new SinkDisk({
      create: () => ({ ...sink, flush: () => (flushes++ === 0 ? undefined : sink.flush()) }),
      install() {},
    });
    const log = await openDiskLog({ size: async () => 0, read: async () => new Uint8Array(0) }, disk);
    begin(log);
    await expect.poll(() => log.failure?.message).toContain('EIO');
    expect(log.durable).toBe(-1);
    expect(() => log.append(0, history([]).entries)).toThrow(expect.objectContaining({ code: 'LOG_FAILED' }));
  });
});

const act = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('append' as const), count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('complete' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('snapshot' as const), at: fc.nat(100) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('compact' as const), at: fc.nat(100) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), seed: fc.nat(1_000_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('kill' as const) }) },
);

describe('crashes', () => {
  test('take away nothing that was durable, and leave a beginning of what was appended', () => {
    fc.assert(
      fc.property(fc.array(boxStep, { maxLength: 40 }), fc.array(act, { maxLength: 40 }), (steps, acts) => {
        const { entries, roots } = history(steps);
        let disk = new SimulatedDisk();
        let log = open(disk);
        disk.isHeld = true;
        begin(log);
        disk.complete();
        for (const one of [...acts, { do: 'crash' as const, seed: 7 }]) {
          const { durable, last } = log;
          switch (one.do) {
            case 'append':
              log.append(last, entries.slice(last, last + one.count));
              break;
            case 'complete':
              disk.complete();
              break;
            case 'snapshot':
            case 'compact': {
              const position = log.base + (one.at % (last - log.base + 1));
              if (one.do === 'compact') compactLog(log, boxes, position);
              else log.putSnapshot(snapshotOf(stateAtPosition(log, boxes, position)));
              break;
            }
            case 'crash':
            case 'kill':
              disk = one.do === 'crash' ? disk.crash(seededRandom(one.seed)) : new SimulatedDisk(disk.contents);
              log = open(disk);
              disk.isHeld = true;
              expect(log.last).toBeGreaterThanOrEqual(durable);
              expect(log.last).toBeLessThanOrEqual(last);
              expect(log.durable).toBe(log.last);
              expect(log.read(log.base)).toEqual(entries.slice(log.base, log.last));
              expect(rehydrate(log, boxes).root.hash).toBe((roots[log.last - 1] ?? FIRST).hash);
              break;
          }
          if (one.do !== 'crash' && one.do !== 'kill') expect(log.durable).toBeGreaterThanOrEqual(durable);
        }
      }),
    );
  });

  test('after a flush that failed nothing more is durable, and what was, stays', () => {
    const { entries } = history(
      BOXES.map((key) => ({
        writer: 'alice' as never,
        events: [{ type: 'DOUBLED', player: 'alice', detail: key.slice(4), data: 1 }],
        isRefused: false,
        pause: 1,
        withChanges: true,
      })),
    );
    const disk = new SimulatedDisk();
    const log = open(disk);
    begin(log);
    log.append(0, entries.slice(0, 2));
    disk.fail(new Error('ENOSPC'));
    log.append(2, entries.slice(2, 3));
    expect(log.durable).toBe(2);
    expect(log.failure).toMatchObject({ code: 'LOG_FAILED' });
    expect(log.failure?.message).toContain('ENOSPC');
    expect(() => log.append(3, entries.slice(3))).toThrow(log.failure);
    for (let seed = 0; seed < 50; seed++) {
      const again = open(disk.crash(seededRandom(seed)));
      expect(again.read(0).slice(0, 2)).toEqual(entries.slice(0, 2));
      expect(again.last === 2 || again.last === 3).toBe(true);
    }
  });

  test('a log whose tail cannot be cut is not handed out', () => {
    const disk = new SimulatedDisk();
    disk.fail(new Error('EROFS'));
    expect(() => open(disk)).toThrow(expect.objectContaining({ code: 'LOG_FAILED' }));
  });
});

test('errors of opening are SyncErrors', () => {
  try {
    open(new SimulatedDisk(), new TextEncoder().encode('something else'));
    expect.unreachable();
  } catch (error) {
    expect(isSyncError(error, 'LOG_UNREADABLE')).toBe(true);
  }
});
