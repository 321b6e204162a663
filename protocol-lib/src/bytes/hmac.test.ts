import { createHash, createHmac } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { toHex } from './hex.ts';
import { hmacSha256, sha256 } from './hmac.ts';

test('are those of Node, for bytes and keys of any length', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.constantFrom(0, 1, 54, 55, 56, 63, 64, 65, 119, 120, 128, 1_000).map((length) => new Uint8Array(length).fill(7)),
  );
  fc.assert(
    fc.property(bytes, bytes, (key, text) => {
      expect(toHex(sha256(text))).toBe(createHash('sha256').update(text).digest('hex'));
      expect(toHex(hmacSha256(key, text))).toBe(createHmac('sha256', key).update(text).digest('hex'));
    }),
  );
});
