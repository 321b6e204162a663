import { crc32 as reference } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crc32 } from './crc32.ts';

test('is what zlib gives, whole and in parts, wherever the bytes lie', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(8), fc.nat(200), (bytes, offset, cut) => {
      const memory = new Uint8Array(offset + bytes.length);
      memory.set(bytes, offset);
      const there = memory.subarray(offset);
      expect(crc32(there)).toBe(reference(bytes));
      expect(crc32(there.subarray(cut), crc32(there.subarray(0, cut)))).toBe(reference(bytes));
    }),
  );
});
