import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isSyncError } from '../errors/index.ts';
import { DiskEventLog, decodeEntry, encodeEntry, type LogEntry, readLogFile, SimulatedDisk } from './index.ts';
import { begin, boxStep, history } from './log.test-helper.ts';

const steps = fc.array(boxStep, { minLength: 1, maxLength: 12 });

/** The bytes of a log to which entries were appended one by one, each durable before the next, and the length after each. */
function written(entries: readonly LogEntry[]): { bytes: Uint8Array; ends: number[] } {
  const disk = new SimulatedDisk();
  const ends: number[] = [];
  DiskEventLog.open(disk.contents, disk, (log) => {
    if (!(log instanceof DiskEventLog)) throw log;
    begin(log);
    ends.push(disk.durable.length);
    for (const [index, entry] of entries.entries()) {
      log.append(index, [entry]);
      ends.push(disk.durable.length);
    }
  });
  return { bytes: disk.durable, ends };
}

test('an entry and its canonical bytes are the same thing', () => {
  fc.assert(
    fc.property(steps, (list) => {
      for (const entry of history(list).entries) {
        const bytes = encodeEntry(entry);
        expect(decodeEntry(bytes)).toEqual(entry);
        expect(encodeEntry(decodeEntry(bytes))).toEqual(bytes);
      }
    }),
  );
});

describe('a torn tail', () => {
  test('is cut at every byte where a log may end: what was whole is there, and no more', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const { entries } = history(list);
        const { bytes, ends } = written(entries);
        for (let length = ends[0]!; length <= bytes.length; length++) {
          const { index, cut } = readLogFile(bytes.subarray(0, length));
          const whole = ends.filter((end) => end <= length).length - 1;
          expect(index.last).toBe(whole);
          expect(cut).toBe(length - ends[whole]!);
          expect(index.read(0)).toEqual(entries.slice(0, whole));
        }
      }),
      { numRuns: 8 },
    );
  });

  test('is cut where zeros or anything else stand behind it', () => {
    fc.assert(
      fc.property(steps, fc.nat(), fc.uint8Array({ maxLength: 200 }), (list, at, junk) => {
        const { entries } = history(list);
        const { bytes, ends } = written(entries);
        const length = ends[0]! + (at % (bytes.length - ends[0]!));
        const torn = new Uint8Array(length + junk.length);
        torn.set(bytes.subarray(0, length));
        torn.set(junk, length);
        const { index } = readLogFile(torn);
        expect(index.read(0)).toEqual(entries.slice(0, index.last));
        // Only the right bytes make a frame whole.
        const isContinued = torn.every((byte, offset) => offset >= bytes.length || byte === bytes[offset]);
        if (!isContinued) expect(index.last).toBeLessThan(entries.length);
      }),
    );
  });
});

describe('a flipped bit', () => {
  test('is never believed, wherever it is; and in what was known to be durable it is damage', () => {
    fc.assert(
      fc.property(steps, fc.nat(), (list, at) => {
        const { entries } = history(list);
        const { bytes, ends } = written(entries);
        const bit = at % (bytes.length * 8);
        const flipped = bytes.slice();
        flipped[bit >> 3] = flipped[bit >> 3]! ^ (1 << (bit & 7));
        const frame = ends.findIndex((end) => end > bit >> 3);
        try {
          const { index } = readLogFile(flipped);
          expect(index.last).toBe(frame - 1);
          if (index.base >= 0) expect(index.read(0)).toEqual(entries.slice(0, frame - 1));
          // The frame after it was written once it was durable, so this must have been the last.
          expect(frame).toBe(entries.length);
        } catch (error) {
          expect(isSyncError(error)).toBe(true);
          if (bit >= 64 && isSyncError(error)) expect(error.code).toBe('LOG_DAMAGED');
        }
      }),
    );
  });
});

describe('what is no log', () => {
  test('is refused by its first bytes', () => {
    for (const text of ['x', 'SYNCLO', 'something else']) {
      expect(() => readLogFile(new TextEncoder().encode(text))).toThrow(
        expect.objectContaining({ code: 'LOG_UNREADABLE' }),
      );
    }
    const newer = new TextEncoder().encode('SYNCLOG\u0002');
    expect(() => readLogFile(newer)).toThrow(expect.objectContaining({ code: 'LOG_FORMAT_NEWER' }));
    const older = new TextEncoder().encode('SYNCLOG\u0000');
    expect(() => readLogFile(older)).toThrow(expect.objectContaining({ code: 'LOG_UNREADABLE' }));
  });

  test('no bytes at all are a log that has not begun', () => {
    expect(readLogFile(new Uint8Array(0)).index.base).toBe(-1);
  });

  test('a lying length costs nothing', () => {
    const { bytes, ends } = written([]);
    const lying = new Uint8Array(bytes.length + 21);
    lying.set(bytes);
    lying.fill(0xff, ends[0]);
    expect(readLogFile(lying)).toMatchObject({ cut: 21 });
  });
});
