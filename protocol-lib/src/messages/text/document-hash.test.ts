import { describe, expect, test } from 'vitest';
import { StateRoot } from '../../merkle/index.ts';
import { recordKey, type SyncRecord } from '../../state/index.ts';
import { documentHash, documentWorld, documentWorldHash } from './document-hash.ts';
import { formatBody } from './format.ts';
import { parseBody } from './parse.ts';

const entry = (key: string, record: SyncRecord) => ({ key: recordKey(key), record });
const inRooms = (...rooms: readonly string[]) => rooms.map((room, index) => entry(`player/p${index}`, { room }));
const rootOf = (entries: ReturnType<typeof inRooms>) =>
  StateRoot.from(entries.map(({ key, record }) => [key, record])).hash;

describe("the document's hash×31", () => {
  test('is what its C code computes', () => {
    // By hand: 'a' is 97, so 97; then 97*31 + 98; an owner -1 wraps around; then the version.
    expect(documentWorldHash({ playerRooms: [], itemOwners: [], version: 7 })).toBe(7);
    expect(documentWorldHash({ playerRooms: ['a'], itemOwners: [], version: 0 })).toBe(97 * 31);
    expect(documentWorldHash({ playerRooms: ['ab'], itemOwners: [2], version: 5 })).toBe(
      ((97 * 31 + 98) * 31 + 2) * 31 + 5,
    );
    expect(documentWorldHash({ playerRooms: [], itemOwners: [-1], version: 0 })).toBe(2 ** 32 - 31);
    // Of the version its lower 32 bits count.
    expect(documentWorldHash({ playerRooms: [], itemOwners: [], version: 2 ** 32 + 9 })).toBe(9);
    const long = { playerRooms: ['ancient_library', 'hall'], itemOwners: [0, -1, 1], version: 101 };
    expect(documentWorldHash(long)).toBe(byBigInteger(long.playerRooms, long.itemOwners, long.version));
  });

  test('sees players and items in the order of their keys, whatever the order of the records', () => {
    const records = [
      entry('item/lamp', { owner: 'bob' }),
      entry('player/bob', { room: 'hall', health: 3 }),
      entry('room/hall', { visited: true }),
      entry('item/axe', { owner: null }),
      entry('player/alice', { room: 'attic' }),
      entry('item/rope', { owner: 'somebody else' }),
    ];
    const world = { playerRooms: ['attic', 'hall'], itemOwners: [-1, 1, -1], version: 3 };
    expect(documentWorld(records, 3)).toEqual(world);
    expect(documentHash([...records].reverse(), 3)).toBe(documentWorldHash(world));
  });

  test('weakness: `ab`, `c` hashes as `a`, `bc`, and `Aa` as `BB`, where our state hash tells them apart', () => {
    const pairs = [
      [inRooms('ab', 'c'), inRooms('a', 'bc')],
      [inRooms('Aa'), inRooms('BB')],
      [
        [entry('player/p0', { room: 'hall', health: 100 }), entry('door/north', { locked: true })],
        [entry('player/p0', { room: 'hall', health: 1 }), entry('door/north', { locked: false })],
      ],
    ] as const;
    for (const [left, right] of pairs) {
      expect(documentHash(left, 1)).toBe(documentHash(right, 1));
      expect(rootOf([...left])).not.toBe(rootOf([...right]));
    }
  });

  test('is carried by a snapshot on request, and checked where it is there', () => {
    const records = inRooms('hall', 'attic');
    const root = rootOf(records);
    const body = { type: 'FULL_SYNC' as const, version: 9, progress: 9, records, vector: [], rejected: [], root };
    const text = formatBody(body, { documentHash: true });
    expect(text).toContain(`HASH31:${documentHash(records, 9)}\n`);
    expect(parseBody(text)).toEqual(body);
    expect(formatBody(body)).not.toContain('HASH31');
    expect(() => parseBody(text.replace('"room":"hall"', '"room":"cellar"'))).toThrow(
      expect.objectContaining({ code: 'DOCUMENT_HASH_MISMATCH', place: { line: 2, column: 8 } }),
    );
  });
});

/** The same in exact integers. */
function byBigInteger(rooms: readonly string[], owners: readonly number[], version: number): number {
  const parts = [...new TextEncoder().encode(rooms.join('')), ...owners, version];
  return Number(parts.reduce((hash, part) => BigInt.asUintN(32, hash * 31n + BigInt(part)), 0n));
}
