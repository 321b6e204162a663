import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../bytes/index.ts';
import { isSyncError } from '../errors/index.ts';
import { replicaId } from '../state/index.ts';
import { DiskEventLog, decodeEntry, encodeEntry, type LogEntry, readLogFile, SimulatedDisk } from './index.ts';
import { begin, boxStep, history } from './log.test-helper.ts';

const FORMAT_1 =
  '53594e434c4f470107792749ea00c9d2a200000002000000000000000086a8706f736974696f6e00a77265636f7264739482a36b' +
  '6579a5626f782f61a67265636f726481a373756d0082a36b6579a5626f782f62a67265636f726481a373756d0082a36b6579a562' +
  '6f782f63a67265636f726481a373756d0082a36b6579a5626f782f64a67265636f726481a373756d00a4726f6f74b03333363263' +
  '3530623533653565366562a474696d6500a776657273696f6e01a77772697465727390db1b9f9d2bfd4367e0000000013ff00000' +
  '000000008aa76368616e6765739184a66669656c647382a26279a5616c696365a373756d07a36b6579a5626f782f61a26f70a570' +
  '61746368a772656d6f76656490a7636f6d6d616e64a3626f78a66576656e74739184a46461746107a664657461696ca161a6706c' +
  '61796572a5616c696365a474797065a54144444544a86d75746174696f6e82a7636f756e74657201a6777269746572a5616c6963' +
  '65a76f7574636f6d65a9636f6d6d6974746564a8706f736974696f6e01a4726f6f74b066353531383933626639323530353533a4' +
  '7365656e01a474696d6505a776657273696f6e0287f2ee2d082457ac7500000001400000000000000088a86d75746174696f6e82' +
  'a7636f756e74657202a6777269746572a5616c696365a76f7574636f6d65a772656675736564a8706f736974696f6e02a6726561' +
  '736f6ea76e6f74206e6f77a4726f6f74b066353531383933626639323530353533a47365656e02a474696d650aa776657273696f' +
  '6e02';

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

test('format 1 is read, and written, byte for byte for ever', () => {
  const step = { writer: replicaId('alice'), pause: 5, withChanges: true };
  const events = [{ type: 'ADDED', player: 'alice', detail: 'a', data: 7 }];
  const { entries } = history([
    { ...step, events, isRefused: false },
    { ...step, events, isRefused: true },
  ]);
  const { bytes } = written(entries);
  expect(toHex(bytes)).toBe(FORMAT_1);
  expect(readLogFile(fromHex(FORMAT_1)).index.read(0)).toEqual(entries);
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
