import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { beginWriting, writtenBytes } from '../bytes/index.ts';
import { type Change, recordKey, replicaId, type StateHash, type Value } from '../state/index.ts';
import type { TraceRecord } from '../trace/index.ts';
import { isPlainCommit, writeCommitRecord } from './commit-writer.ts';
import { decodeTraceRecord, encodeTraceRecord } from './record-codec.ts';

const server = replicaId('server');
const key = recordKey('player/someone');

const nameArbitrary = fc.string({ minLength: 1, maxLength: 12 }).filter((name) => name !== '__proto__');
const { value: valueArbitrary } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.string(),
    fc.double(),
    fc.maxSafeInteger(),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array({ maxLength: 100 }),
    fc.array(tie('value'), { maxLength: 18 }),
    fc.dictionary(nameArbitrary, tie('value'), { maxKeys: 18, noNullPrototype: true }),
  ),
}));
const recordArbitrary = fc.dictionary(nameArbitrary, valueArbitrary, { maxKeys: 20, noNullPrototype: true });
const changeArbitrary: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ op: fc.constant('put' as const), key: fc.constant(key), record: recordArbitrary }),
  fc.record({
    op: fc.constant('patch' as const),
    key: fc.constant(key),
    fields: recordArbitrary,
    removed: fc.array(nameArbitrary, { maxLength: 3 }),
  }),
  fc.record({ op: fc.constant('remove' as const), key: fc.constant(key) }),
);

const optionArbitrary = {
  mutation: fc.record({ writer: fc.constantFrom(server, replicaId('peer.1')), counter: fc.nat() }),
  root: fc.constantFrom('0123456789abcdef' as StateHash, 'ffffffffffffffff' as StateHash),
};
const commitArbitrary: fc.Arbitrary<TraceRecord> = fc.record({
  seq: fc.nat(),
  time: fc.maxSafeInteger().map(Math.abs),
  replica: fc.constant(server),
  cause: fc.array(fc.nat(), { maxLength: 20 }),
  body: fc
    .tuple(
      fc.record({
        version: fc.maxSafeInteger().map(Math.abs),
        event: fc.record({
          type: fc.string(),
          player: fc.string(),
          detail: fc.string({ unit: 'grapheme', maxLength: 100 }),
        }),
        changes: fc.array(changeArbitrary, { maxLength: 18 }),
      }),
      fc.record(optionArbitrary, { requiredKeys: [] }),
    )
    .map(([{ version, event, changes }, { mutation, root }]) => {
      const identified = mutation ? { mutation } : {};
      return { kind: 'commit' as const, version, event, ...identified, changes, ...(root ? { root } : {}) };
    }),
});

function written(record: TraceRecord): Uint8Array {
  if (!isPlainCommit(record)) throw new TypeError('not one of these');
  beginWriting();
  writeCommitRecord(record);
  return writtenBytes();
}

describe('a commit, written field by field,', () => {
  test('is the same bytes as any record', () => {
    fc.assert(
      fc.property(commitArbitrary, (record) => {
        expect(written(record)).toEqual(encodeTraceRecord(record));
      }),
    );
  });

  test('comes back as it was', () => {
    const changes: Change[] = [{ op: 'patch', key, fields: { at: 'hall', points: -0 }, removed: ['asleep'] }];
    const event = { type: 'moved', player: 'server', detail: 'to the hall' };
    const record: TraceRecord = {
      seq: 7,
      time: 2 ** 40,
      replica: server,
      cause: [3, 300],
      body: { kind: 'commit', version: 5, event, mutation: { writer: server, counter: 9 }, changes },
    };
    expect(decodeTraceRecord(written(record))).toEqual(record);
  });

  test('is only what has neither a frame nor a source, and what has no bytes is refused', () => {
    const body = { kind: 'commit' as const, version: 1, event: { type: 'a', player: 'b', detail: 'c' }, changes: [] };
    const record: TraceRecord = { seq: 1, time: 1, replica: server, cause: [], body };
    expect(isPlainCommit(record)).toBe(true);
    expect(isPlainCommit({ ...record, wire: new Uint8Array(1) })).toBe(false);
    expect(isPlainCommit({ ...record, source: { file: 'a', line: 1, column: 1 } })).toBe(false);
    expect(isPlainCommit({ ...record, body: { kind: 'log', level: 'info', text: 'x' } })).toBe(false);
    const broken = { op: 'put' as const, key, record: { deep: undefined } as unknown as Record<string, Value> };
    const bad: TraceRecord = { ...record, body: { ...body, changes: [broken] } };
    expect(() => written(bad)).toThrow(expect.objectContaining({ code: 'VALUE_INVALID' }));
    const nameless: TraceRecord = { ...record, body: { ...body, event: { ...body.event, detail: '\ud800' } } };
    expect(() => written(nameless)).toThrow(expect.objectContaining({ code: 'VALUE_INVALID' }));
  });
});
