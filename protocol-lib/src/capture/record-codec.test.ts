import fc from 'fast-check';
import { expect, test } from 'vitest';
import { recordKey, replicaId } from '../state/index.ts';
import type { TraceRecord } from '../trace/index.ts';
import { decodeTraceRecord, encodeTraceRecord } from './record-codec.ts';
import { coinRecording } from './testing.test-helper.ts';

const commit: TraceRecord = {
  seq: 118,
  time: 12_480_000_000,
  replica: replicaId('server'),
  cause: [110, 117],
  body: {
    kind: 'commit',
    version: 118,
    event: { type: 'TAKEN', player: 'bot-2', detail: 'item/golden_key' },
    mutation: { writer: replicaId('bot-2'), counter: 4 },
    changes: [{ op: 'patch', key: recordKey('item/golden_key'), fields: { owner: 'bot-2' }, removed: ['room'] }],
    root: 'a91f00000000beef' as never,
  },
  wire: Uint8Array.of(1, 2, 3),
  source: { file: 'src/adventure.ts', line: 12, column: 3 },
};

test('a record comes back as it was', () => {
  expect(decodeTraceRecord(encodeTraceRecord(commit))).toEqual(commit);
});

test('every record of a real session comes back as it was', () => {
  const { records, encoded } = coinRecording('corrupt');
  expect(encoded.map(decodeTraceRecord)).toEqual(records);
});

test('bytes that are no record are refused with a typed error, whatever they are', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      expect(() => decodeTraceRecord(bytes)).toThrow(expect.objectContaining({ name: 'SyncError' }));
    }),
  );
});

test('a record that is cut, or has a byte changed, is refused or still a record', () => {
  const bytes = encodeTraceRecord(commit);
  for (let length = 0; length < bytes.length; length++) {
    expect(() => decodeTraceRecord(bytes.subarray(0, length))).toThrow(expect.objectContaining({ name: 'SyncError' }));
  }
  for (let at = 0; at < bytes.length; at++) {
    const changed = bytes.slice();
    changed[at]! ^= 0x80;
    try {
      decodeTraceRecord(changed);
    } catch (error) {
      expect(error).toMatchObject({ name: 'SyncError' });
    }
  }
});

test('a million arrays in each other are refused', () => {
  const bytes = encodeTraceRecord(commit);
  const nested = new Uint8Array(bytes.length + 1_000_000).fill(0x91);
  nested.set(bytes);
  expect(() => decodeTraceRecord(nested)).toThrow(expect.objectContaining({ name: 'SyncError' }));
});
