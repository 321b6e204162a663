import fc from 'fast-check';
import { type Change, recordKey, replicaId, type StateHash, type Value } from '../state/index.ts';
import type { TraceBodyOf } from '../trace/index.ts';

/** Commits of every kind, of which many have much in common with others. */

const nameArbitrary = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('room', 'energy', 'health') },
  { weight: 1, arbitrary: fc.string({ minLength: 1, maxLength: 12 }).filter((name) => name !== '__proto__') },
);
const textArbitrary = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('kitchen', 'hall', '') },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 100 }) },
);
const { value: valueArbitrary } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    textArbitrary,
    fc.double(),
    fc.constantFrom(0, -0, 1, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, -1),
    fc.maxSafeInteger(),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array({ maxLength: 100 }),
    fc.array(tie('value'), { maxLength: 18 }),
    fc.dictionary(nameArbitrary, tie('value'), { maxKeys: 18, noNullPrototype: true }),
  ),
}));
const recordArbitrary = fc.dictionary(nameArbitrary, valueArbitrary, { maxKeys: 20, noNullPrototype: true });
const keyArbitrary = fc.constantFrom('player/someone', 'player/b', 'room/kitchen').map(recordKey);
export const changeArbitrary: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ op: fc.constant('put' as const), key: keyArbitrary, record: recordArbitrary }),
  fc.record({
    op: fc.constant('patch' as const),
    key: keyArbitrary,
    fields: recordArbitrary,
    removed: fc.array(nameArbitrary, { maxLength: 3 }),
  }),
  fc.record({ op: fc.constant('remove' as const), key: keyArbitrary }),
);

const optionArbitrary = {
  mutation: fc.record({
    writer: fc.constantFrom(replicaId('server'), replicaId('peer.1')),
    counter: fc.oneof(fc.nat(), fc.maxSafeNat()),
  }),
  root: fc.constantFrom('0123456789abcdef' as StateHash, 'ffffffffffffffff' as StateHash),
};

export const commitArbitrary: fc.Arbitrary<TraceBodyOf<'commit'>> = fc
  .tuple(
    fc.record({
      version: fc.oneof(fc.nat(), fc.maxSafeNat()),
      event: fc.record({ type: textArbitrary, player: textArbitrary, detail: textArbitrary }),
      changes: fc.array(changeArbitrary, { maxLength: 12 }),
    }),
    fc.record(optionArbitrary, { requiredKeys: [] }),
  )
  .map(([{ version, event, changes }, { mutation, root }]) => {
    const identified = mutation ? { mutation } : {};
    return { kind: 'commit', version, event, ...identified, changes, ...(root ? { root } : {}) };
  });
