import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteNames, hashBytes, hashText } from './byte-names.ts';

const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }));

test('the hash of a text is that of its bytes', () => {
  fc.assert(
    fc.property(text, (one) => {
      const bytes = new TextEncoder().encode(one);
      expect(hashText(one)).toBe(hashBytes(bytes, 0, bytes.length));
    }),
  );
});

test('a name has the number under which it was first met, however it is asked for', () => {
  fc.assert(
    fc.property(fc.array(text, { maxLength: 20 }), text, (names, other) => {
      const table = new ByteNames();
      const distinct = [...new Set(names)];
      expect(table.findText(other)).toBe(-1);
      for (const name of names) expect(table.internText(name)).toBe(distinct.indexOf(name));
      for (const name of [...names, other, ...names]) {
        const bytes = new TextEncoder().encode(name);
        expect(table.findText(name)).toBe(distinct.indexOf(name));
        expect(table.find(bytes, 0, bytes.length)).toBe(distinct.indexOf(name));
      }
    }),
  );
});
