import { describe, expect, test } from 'vitest';
import { packMsgpack } from '../bytes/index.ts';
import { type Change, recordKey, replicaId, type StateHash } from '../state/index.ts';
import { FrameDecoder, FrameEncoder } from './codec.ts';
import { compact, head } from './compact.test-helper.ts';
import { AGAIN_LIMIT, COLUMN, WIRE_OP } from './compact.ts';
import { decodeDirectly } from './direct-decode.ts';
import type { BodyOf } from './message.ts';

/** T16: what is said once may stand for much work, so that what it stands for is counted. */

const server = replicaId('server');
const none = new Uint8Array(0);
const rows = <T>(count: number, row: T): T[] => Array<T>(count).fill(row);

function frameOf(changes: Uint8Array): Uint8Array {
  return packMsgpack([8, 'server', 2, 1, 0, -1, 0, changes, none, [], new Uint8Array(8)]);
}

function decoderOf(names: readonly string[]): FrameDecoder {
  const decoder = new FrameDecoder();
  decoder.resume(names);
  return decoder;
}

describe('a small frame that stands for much', () => {
  test.each([
    ['many rows from each of which many fields go', 2_000, 1_000],
    ['many rows from each of which few fields go', 100_000, 20],
  ])('%s', (_what, count, fields) => {
    const names = ['k/a', ...Array.from({ length: fields }, (_, index) => `f${index}`)];
    const removed = names.slice(1).map((_, index) => index + 2);
    const bytes = compact(head(count, WIRE_OP.patchAndRemove), 0, fields, ...removed, ...rows(count, 1));
    expect(bytes.length).toBeLessThan(110_000);
    const decoder = decoderOf(names);
    expect(decodeDirectly(frameOf(bytes), decoder.names)).toBeUndefined();
    const refused = { code: 'LIMIT_NODES', place: { path: 'DELTA_SYNC/changes', offset: 0 } };
    expect(() => decoder.decode(frameOf(bytes))).toThrow(expect.objectContaining(refused));
  });

  test('one text in many records', () => {
    const count = 20_000;
    const names = Array.from({ length: count }, (_, index) => `k/${index}`);
    const text = 'x'.repeat(1_000);
    const bytes = compact(
      head(count, WIRE_OP.put),
      1,
      0,
      'f',
      COLUMN.again,
      1,
      0,
      text,
      ...rows(count - 1, [3, 1]).flat(),
    );
    expect(bytes.length).toBeLessThan(50_000);
    const decoder = decoderOf(names);
    expect(decodeDirectly(frameOf(bytes), decoder.names)).toBeUndefined();
    expect(() => decoder.decode(frameOf(bytes))).toThrow(`more than ${AGAIN_LIMIT} characters come again`);
  });
});

describe('what may be said', () => {
  const body = (changes: Change[]): BodyOf<'DELTA_SYNC'> => {
    const root = '0123456789abcdef' as StateHash;
    return { type: 'DELTA_SYNC', from: 1, to: 2, since: 0, progress: 1, changes, vector: [], rejected: [], root };
  };
  const trip = (changes: Change[]) => {
    const frames = new FrameEncoder(server).encode(body(changes)).map(({ frame }) => frame);
    const decoder = new FrameDecoder();
    return { read: frames.map((frame) => decoder.decode(frame)).at(-1), bytes: frames.at(-1)!.length };
  };

  test('long texts that come again are written out where they would be too many', () => {
    const long = 'x'.repeat(1024 * 1024);
    const changes = Array.from({ length: 20 }, (_, index): Change => {
      return { op: 'put', key: recordKey(`k/${index}`), record: { text: index % 2 === 0 ? long : 'short' } };
    });
    const few = trip(changes);
    expect(few.read).toMatchObject({ changes });
    expect(few.bytes).toBeLessThan(1.1 * long.length);
    const twice = changes.map((change, index): Change => {
      const record = { text: index % 2 === 0 ? `${long}${long}` : 'short' };
      return { ...change, record } as Change;
    });
    const many = trip(twice);
    expect(many.read).toMatchObject({ changes: twice });
    expect(many.bytes).toBeGreaterThan(4 * long.length);
  });

  test('fields that go from many records', () => {
    const removed = Array.from({ length: 20 }, (_, index) => `f${index}`);
    const changes = Array.from({ length: 2_000 }, (_, index): Change => {
      return { op: 'patch', key: recordKey(`k/${index}`), fields: {}, removed };
    });
    expect(trip(changes).read).toMatchObject({ changes });
  });
});
