import fc from 'fast-check';

/** What the tests of this folder share. */

const fieldName = fc
  .oneof(fc.constantFrom('name', 'constructor', 'toString', '10', '9'), fc.string({ unit: 'binary', maxLength: 8 }))
  .filter((name) => name !== '__proto__');

/** Anything that msgpack of the profile can say. */
export const arbitraryPlain: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, false, 0, -0, Number.NaN, 2 ** 53, -(2 ** 53), 2 ** 31, -(2 ** 31) - 1),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double(),
    fc.string({ unit: 'binary' }),
    fc.string({ minLength: 20, maxLength: 80 }),
    fc.uint8Array({ maxLength: 10 }),
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(fieldName, tie('value'), { maxKeys: 20, noNullPrototype: true }),
  ),
})).value;

/** Deep equality by `Object.is`, written down once more so that it can judge. */
export function isSame(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false;
  if (one instanceof Uint8Array !== other instanceof Uint8Array || Array.isArray(one) !== Array.isArray(other))
    return false;
  const names = Object.keys(one);
  return (
    names.length === Object.keys(other).length &&
    names.every(
      (name) =>
        Object.hasOwn(other, name) &&
        isSame((one as Record<string, unknown>)[name], (other as Record<string, unknown>)[name]),
    )
  );
}
