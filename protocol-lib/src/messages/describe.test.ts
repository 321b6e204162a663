import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { unpackMsgpack } from '../bytes/index.ts';
import { isSyncError } from '../errors/index.ts';
import { recordKey, replicaId, type StateHash } from '../state/index.ts';
import { FrameEncoder } from './codec.ts';
import { describeFrame, type FrameField } from './describe.ts';
import { NameTables } from './names.ts';
import { arbitraryBody } from './testing.ts';

const server = replicaId('server');

/** A frame and the tables that a capture would have when it comes to it. */
function framed(body: Parameters<FrameEncoder['encode']>[0]): { frame: Uint8Array; tables: NameTables } {
  const tables = new NameTables();
  const frames = new FrameEncoder(server).encode(body);
  for (const { names } of frames.slice(0, -1)) if (names) tables.add(server, names.first, names.names);
  return { frame: frames.at(-1)!.frame, tables };
}

function outline(field: FrameField): unknown {
  return field.children.length === 0
    ? `${field.name}: ${field.text}`
    : [`${field.name}: ${field.text}`, field.children.map(outline)];
}

function check(field: FrameField): void {
  let from = field.offset;
  for (const child of field.children) {
    expect(child.offset).toBeGreaterThanOrEqual(from);
    from = child.offset + child.length;
    check(child);
  }
  expect(from).toBeLessThanOrEqual(field.offset + field.length);
}

describe('a frame taken apart', () => {
  test('parts lie within their whole, in order, and each holds whole values', () => {
    fc.assert(
      fc.property(arbitraryBody, (body) => {
        const { frame, tables } = framed(body);
        const whole = describeFrame(frame, tables);
        expect([whole.name, whole.offset, whole.length]).toEqual([body.type, 0, frame.length]);
        check(whole);
        const tuple = unpackMsgpack(frame) as unknown[];
        expect(whole.children).toHaveLength(tuple.length);
        whole.children.forEach(({ offset, length }, index) => {
          expect(unpackMsgpack(frame.subarray(offset, offset + length))).toEqual(tuple[index]);
        });
        // The head byte is all that no part covers (three bytes in a longer array).
        expect(whole.children.reduce((sum, child) => sum + child.length, 0)).toBe(frame.length - 1);
      }),
    );
  });

  test('a delta says which field of which record became what, and in which bytes', () => {
    const { frame, tables } = framed({
      type: 'DELTA_SYNC',
      from: 117,
      to: 118,
      since: 40,
      progress: 41,
      changes: [
        { op: 'patch', key: recordKey('player/alice'), fields: { room: 'library' }, removed: ['torch'] },
        { op: 'remove', key: recordKey('note/1') },
      ],
      vector: [{ replica: replicaId('alice'), counter: 300 }],
      rejected: [{ replica: replicaId('alice'), counter: 299, reason: 'door_locked' }],
      root: '0123456789abcdef' as StateHash,
    });
    const whole = describeFrame(frame, tables);
    expect(outline(whole)).toEqual([
      expect.stringContaining('DELTA_SYNC: sender "server"'),
      [
        'type: DELTA_SYNC',
        'sender: "server"',
        'sequence: 2',
        'from: 117',
        'to: 118 (from and 1)',
        'since: 40 (from and -77)',
        'progress: 41 (since and 1)',
        [
          'changes: 2 runs',
          [
            [
              'patch and remove 1 record: player/alice',
              [
                'op: patch and remove 1 record',
                ['fields: room', ['field: #0 room']],
                'types: text',
                ['removed: torch', ['field: #1 torch']],
                ['player/alice: room="library"', ['key: #2 player/alice', 'room: "library"']],
              ],
            ],
            ['remove 1 record: #3 note/1', ['op: remove 1 record', 'key: #3 note/1']],
          ],
        ],
        ['vector: 1 entry', [['alice: 300', ['replica: #4 alice', 'counter: 300']]]],
        [
          'rejected: 1 rejection',
          [['alice 299: "door_locked"', ['replica: #4 alice', 'counter: 299', 'reason: "door_locked"']]],
        ],
        'root: 0123456789abcdef',
      ],
    ]);
    const room = whole.children[7]?.children[0]?.children[4]?.children[1];
    expect(room && [...frame.subarray(room.offset, room.offset + room.length)]).toEqual([7, ...Buffer.from('library')]);
  });

  test('what is not known is shown as it is', () => {
    const { frame } = framed({ type: 'BYE', reason: 'done' });
    frame[1] = 99;
    expect(describeFrame(frame, new NameTables()).name).toBe('unknown message');
    const lost = framed({
      type: 'FULL_SYNC',
      version: 1,
      progress: 0,
      records: [{ key: recordKey('a/b'), record: { room: null } }],
      vector: [],
      rejected: [],
      root: '0123456789abcdef' as StateHash,
    });
    expect(JSON.stringify(outline(describeFrame(lost.frame, new NameTables())))).toContain('name 0 (unknown)');
  });

  test('what is not msgpack is a typed error with its offset', () => {
    let thrown: unknown;
    try {
      describeFrame(Uint8Array.of(0x92, 0x01, 0xc1), new NameTables());
    } catch (error) {
      thrown = error;
    }
    expect(isSyncError(thrown, 'MSGPACK_INVALID') && thrown.place.offset).toBe(2);
  });
});
