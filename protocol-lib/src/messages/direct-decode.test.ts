import fc from 'fast-check';
import { expect, test } from 'vitest';
import { packMsgpack, unpackMsgpack } from '../bytes/index.ts';
import { isSame } from '../bytes/testing.ts';
import { isSyncError } from '../errors/index.ts';
import { type Change, recordKey, replicaId, type StateHash } from '../state/index.ts';
import { decodeMessage, decodePlainly, FrameEncoder } from './codec.ts';
import { decodeDirectly } from './direct-decode.ts';
import type { MessageBody } from './message.ts';
import { type NameSource, NameTable } from './names.ts';
import { arbitraryBody } from './testing.ts';

const READ_DIRECTLY: readonly string[] = ['DELTA_SYNC', 'FULL_SYNC', 'ACK', 'HEARTBEAT'];

/** A frame that is read directly, behind the names it needs. */
const arbitraryFrame = arbitraryBody
  .filter(({ type }) => READ_DIRECTLY.includes(type))
  .map((body) => {
    const encoder = new FrameEncoder(replicaId('server'));
    const { frame } = encoder.encode(body).at(-1)!;
    return { frame, names: encoder.names };
  });

/** What the plain way makes of a frame: a message, or nothing where it refuses. */
function plainly(frame: Uint8Array, names: NameSource): unknown {
  try {
    return decodePlainly(frame, names);
  } catch (error) {
    if (isSyncError(error)) return undefined;
    throw error;
  }
}

/** Whatever is accepted directly is accepted plainly and reads the same. Tells whether it was accepted. */
function expectAgreement(frame: Uint8Array, names: NameSource): boolean {
  const direct = decodeDirectly(frame, names);
  if (direct !== undefined) expect(isSame(direct, plainly(frame, names))).toBe(true);
  return direct !== undefined;
}

test('reads any state frame as the plain way does', () => {
  let accepted = 0;
  const seen = fc.sample(arbitraryFrame, { numRuns: 300, seed: 1 });
  for (const { frame, names } of seen) if (expectAgreement(frame, names)) accepted++;
  expect(accepted).toBeGreaterThan(seen.length / 5);
});

test('takes the usual frames itself', () => {
  const encoder = new FrameEncoder(replicaId('server'));
  const root = '0123456789abcdef' as StateHash;
  const vector = [{ replica: replicaId('alice'), counter: 70_000 }];
  const record = {
    name: 'Zoë',
    at: -0.5,
    since: 2 ** 40,
    tags: ['a', { deep: true }],
    nobody: null,
    long: 'x'.repeat(300),
  };
  const key = recordKey('player/alice');
  const changes: Change[] = [
    { op: 'put', key, record },
    { op: 'patch', key, fields: { x: -7 }, removed: [] },
    { op: 'patch', key, fields: { x: -70_000 }, removed: ['name'] },
    { op: 'remove', key },
  ];
  const standing = { progress: 9, vector, rejected: [], root };
  const bodies: MessageBody[] = [
    { type: 'DELTA_SYNC', from: 1, to: 2, since: 1, changes, ...standing },
    { type: 'FULL_SYNC', version: 2, records: [{ key, record }], ...standing },
  ];
  for (const body of bodies) {
    const { frame } = encoder.encode(body).at(-1)!;
    expect(expectAgreement(frame, encoder.names), body.type).toBe(true);
    // The names unknown, or known without their keys.
    expect(decodeDirectly(frame, new NameTable())).toBeUndefined();
    const { names } = encoder;
    expect(expectAgreement(frame, { nameAt: (index) => names.nameAt(index) })).toBe(true);
    expect(decodeDirectly(Uint8Array.of(...frame, 0xc0), names)).toBeUndefined();
  }
});

test('a delta that leads back, or beyond what a counter can be, is refused with its place', () => {
  const tuple = (...counters: number[]) => [8, 'server', 1, ...counters, none, none, [], new Uint8Array(8)];
  const none = new Uint8Array(0);
  const cases: readonly (readonly [place: string, frame: unknown[]])[] = [
    ['DELTA_SYNC/to', tuple(5, -2, 0, 0)],
    ['DELTA_SYNC/progress', tuple(5, 0, 4, -1)],
    ['DELTA_SYNC/to', tuple(5, 2 ** 53 - 1, 0, 0)],
    ['DELTA_SYNC/progress', tuple(5, 0, 4, 2 ** 53 - 1)],
  ];
  for (const [path, wrong] of cases) {
    const refused = expect.objectContaining({ code: 'SCHEMA_MISMATCH', place: { path } });
    expect(() => decodeMessage(packMsgpack(wrong), new NameTable())).toThrow(refused);
  }
  const back = decodeMessage(packMsgpack(tuple(5, 0, -4, 3)), new NameTable());
  expect(back).toMatchObject({ from: 5, to: 5, since: 1, progress: 4 });
});

test('gives up or agrees where bytes were changed', () => {
  const step = fc.record({ at: fc.nat(), byte: fc.nat(255) });
  fc.assert(
    fc.property(
      arbitraryFrame,
      fc.array(step, { minLength: 1, maxLength: 3 }),
      fc.nat(),
      ({ frame, names }, steps, cut) => {
        const changed = frame.slice();
        for (const { at, byte } of steps) changed[at % changed.length] = byte;
        expectAgreement(changed, names);
        expectAgreement(changed.subarray(0, cut % changed.length), names);
      },
    ),
    { numRuns: 1_000 },
  );
});

test('gives up or agrees where values were exchanged for others', () => {
  const other = fc.oneof(
    fc.constantFrom<unknown>(
      null,
      true,
      -1,
      2 ** 53 - 1,
      70_000,
      0.5,
      Number.NaN,
      '',
      '__proto__',
      'a',
      'x/y',
      [],
      [[]],
      {},
    ),
    fc.uint8Array({ maxLength: 12 }),
    fc.constantFrom<unknown>(new Uint8Array(8), [0], [['a', 1, 'x']], { a: 1 }),
  );
  fc.assert(
    fc.property(arbitraryFrame, fc.array(fc.nat(20), { maxLength: 4 }), other, ({ frame, names }, path, value) => {
      const tuple = unpackMsgpack(frame) as unknown[];
      let list = tuple;
      let at = path[0] ?? 0;
      for (const next of path.slice(1)) {
        const inner = list[at % list.length];
        if (!Array.isArray(inner) || inner.length === 0) break;
        list = inner;
        at = next;
      }
      list[at % list.length] = value;
      expectAgreement(packMsgpack(tuple), names);
    }),
    { numRuns: 1_000 },
  );
});
