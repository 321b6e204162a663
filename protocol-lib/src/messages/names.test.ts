import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isSyncError } from '../errors/index.ts';
import { replicaId } from '../state/index.ts';
import { FrameEncoder } from './codec.ts';
import { MAX_NAMES, NameTable, NameTables } from './names.ts';

const server = replicaId('server');

function namesOf(tables: NameTables): string[] {
  const source = tables.of('server');
  const names: string[] = [];
  for (let index = 0; source.nameAt(index) !== undefined; index++) names.push(source.nameAt(index)!);
  return names;
}

describe('the table of a sender', () => {
  test('gives each name one number, in the order of first use', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 3 })), (names) => {
        const table = new NameTable();
        const numbers = names.map((name) => table.reference(name));
        expect(table.slice(0)).toEqual([...new Set(names)]);
        names.forEach((name, index) => {
          expect(table.nameAt(numbers[index] as number)).toBe(name);
        });
      }),
    );
  });

  test('is bounded: what does not fit is written out', () => {
    const table = new NameTable();
    for (let index = 0; index < MAX_NAMES; index++) expect(table.reference(`n${index}`)).toBe(index);
    expect(table.reference('one more')).toBe('one more');
    expect(table.reference('n7')).toBe(7);
  });
});

describe('the tables of a capture', () => {
  test("are the sender's, whoever told them, in whatever pieces and however often", () => {
    const pieces = fc.array(fc.tuple(fc.nat(20), fc.nat(20)), { maxLength: 20 });
    fc.assert(
      fc.property(pieces, (told) => {
        const names = Array.from({ length: 20 }, (_, index) => `name ${index}`);
        const tables = new NameTables();
        let known = 0;
        for (const [first, count] of told) {
          const piece = names.slice(first, first + count);
          if (first > known) {
            expect(() => tables.add(server, first, piece)).toThrow('are known');
          } else {
            tables.add(server, first, piece);
            known = Math.max(known, first + piece.length);
          }
          expect(namesOf(tables)).toEqual(names.slice(0, known));
        }
      }),
    );
  });

  test('follow a sender that started anew', () => {
    const tables = new NameTables();
    tables.add(server, 0, ['a', 'b', 'c']);
    const before = tables.clone();
    tables.add(server, 0, ['a', 'x']);
    expect(namesOf(tables)).toEqual(['a', 'x']);
    tables.add(server, 2, ['y']);
    expect(namesOf(tables)).toEqual(['a', 'x', 'y']);
    expect(namesOf(before)).toEqual(['a', 'b', 'c']);
    expect(tables.of('nobody').nameAt(0)).toBeUndefined();
  });

  test('are the same again from what they hold', () => {
    const tables = new NameTables();
    tables.add(server, 0, ['a', 'b']);
    tables.add(replicaId('alice'), 0, ['c']);
    const again = new NameTables();
    for (const [sender, names] of tables.entries()) again.add(sender, 0, names);
    expect([...again.entries()]).toEqual([...tables.entries()]);
  });

  test('say which names are missing', () => {
    const tables = new NameTables();
    let thrown: unknown;
    try {
      tables.add(server, 3, ['d']);
    } catch (error) {
      thrown = error;
    }
    expect(isSyncError(thrown, 'NAMES_OUT_OF_ORDER')).toBe(true);
    expect(String(thrown)).toContain('only 0 are known');
  });
});

test('a table of many names goes out in several frames', () => {
  const encoder = new FrameEncoder(server);
  for (let index = 0; index < 20_000; index++) encoder.names.reference(`name ${index}`);
  const frames = encoder.encodeNames();
  expect(frames.map(({ names }) => [names?.first, names?.names.length])).toEqual([
    [0, 8_192],
    [8_192, 8_192],
    [16_384, 3_616],
  ]);
});
