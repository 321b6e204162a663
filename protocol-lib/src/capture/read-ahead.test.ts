import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ByteSource } from '../ports/index.ts';
import { memorySource } from './memory-bytes.ts';
import { readAhead } from './read-ahead.ts';

const bytes = Uint8Array.from({ length: 6 * 1024 * 1024 }, (_, at) => (at * 31) ^ (at >>> 8));

/** The bytes, and which parts of them were asked for. */
function watched(hasNow: boolean): { source: ByteSource; asked: number[] } {
  const inner = memorySource(bytes);
  const asked: number[] = [];
  const read: ByteSource['read'] = (offset, length) => {
    asked.push(length);
    return inner.read(offset, length);
  };
  if (!hasNow) return { source: { size: inner.size, read }, asked };
  const readNow = (offset: number, length: number): Uint8Array => {
    asked.push(length);
    if (offset + length > bytes.length) throw new RangeError('beyond the end');
    return bytes.subarray(offset, offset + length);
  };
  return { source: { size: inner.size, read, readNow }, asked };
}

test('gives the bytes of the source, whatever is read in whatever order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.array(
        fc.record({
          jump: fc.option(fc.nat(bytes.length)),
          gap: fc.nat(700_000),
          length: fc.nat(80_000),
          now: fc.boolean(),
        }),
        { minLength: 1, maxLength: 30 },
      ),
      async (hasNow, reads) => {
        const source = readAhead(watched(hasNow).source);
        await source.size();
        let at = 0;
        for (const { jump, gap, length, now } of reads) {
          at = Math.min(jump ?? at + gap, bytes.length);
          const wanted = Math.min(length, bytes.length - at);
          const read = now && source.readNow ? source.readNow(at, wanted) : await source.read(at, wanted);
          expect(read.length).toBe(wanted);
          expect(read.every((byte, index) => byte === bytes[at + index])).toBe(true);
          at += wanted;
        }
      },
    ),
  );
});

test('reads few times where one goes through, and no more than asked for where one jumps', async () => {
  const through = watched(true);
  const source = readAhead(through.source);
  await source.size();
  for (let at = 0; at + 40_000 <= bytes.length; at += 50_000) source.readNow?.(at, 40_000);
  expect(through.asked.length).toBeLessThan(8);
  const jumping = watched(false);
  const other = readAhead(jumping.source);
  await other.size();
  for (const at of [0, 5_000_000, 2_000_000, 4_000_000, 1_000_000]) await other.read(at, 1_000);
  expect(jumping.asked).toEqual([1_000, 1_000, 1_000, 1_000, 1_000]);
});

test('rejects where the source does', async () => {
  const source = readAhead(watched(false).source);
  await source.size();
  await expect(source.read(bytes.length - 1, 2)).rejects.toMatchObject({ code: 'SOURCE_TOO_SHORT' });
  expect(await source.read(bytes.length - 1, 1)).toEqual(bytes.subarray(bytes.length - 1));
});
