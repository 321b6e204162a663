import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hmacPseudonyms } from '../capture/exchange/index.ts';
import { keyedPseudonyms } from './pseudonyms.ts';

test('are the same in Node and in a browser, and others under another key', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.uint8Array({ minLength: 32, maxLength: 32 }), (secret, key) => {
      const wellFormed = secret.toWellFormed();
      expect(hmacPseudonyms(key)(wellFormed)).toBe(keyedPseudonyms(key)(wellFormed));
    }),
  );
  expect(keyedPseudonyms()('HUSHhush12')).not.toBe(keyedPseudonyms()('HUSHhush12'));
});
