import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Rows, ShownRows } from './shown-rows.ts';

interface Branch {
  readonly id: string;
  readonly look: string;
  readonly below: readonly Branch[];
}

const rows = (top: readonly Branch[]): Rows<Branch> => ({
  id: ({ id }) => id,
  look: ({ look }) => look,
  children: (node) => (node ? node.below : top),
});
const branch = (id: string, look = '', below: readonly Branch[] = []): Branch => ({ id, look, below });

/** Draws what VS Code would: a row, and all that is below it. */
function draw(shown: ShownRows, top: readonly Branch[]): void {
  shown.childrenWereShown(
    undefined,
    top.map(({ id }) => id),
  );
  for (const one of top) drawRow(shown, one);
}

function drawRow(shown: ShownRows, { id, look, below }: Branch): void {
  shown.rowWasShown(id, look);
  shown.childrenWereShown(
    id,
    below.map((one) => one.id),
  );
  for (const one of below) drawRow(shown, one);
}

function changed(before: readonly Branch[], after: readonly Branch[]): string[] | 'all' {
  const shown = new ShownRows();
  draw(shown, before);
  const found = shown.changed(rows(after));
  return found === 'all' ? found : found.map(({ id }) => id);
}

describe('what is drawn anew of a tree', () => {
  it('is nothing where nothing changed', () => {
    const tree = [branch('s', 'agree', [branch('a', 'v1'), branch('b', 'v1')])];
    expect(changed(tree, structuredClone(tree))).toEqual([]);
  });

  it('are the rows that look different, and not those beside them', () => {
    const before = [branch('s', 'agree', [branch('a', 'v1'), branch('b', 'v1'), branch('c', 'v1')])];
    const after = [branch('s', 'agree', [branch('a', 'v1'), branch('b', 'v2'), branch('c', 'v2')])];
    expect(changed(before, after)).toEqual(['b', 'c']);
  });

  it('is what a row is below of, where one came, went or moved', () => {
    const some = (ids: string) => [
      branch('s', '', [
        branch(
          'p',
          '',
          [...ids].map((id) => branch(id)),
        ),
      ]),
      branch('t'),
    ];
    for (const after of ['abc', 'a', 'ba', '']) expect(changed(some('ab'), some(after)), after).toEqual(['p']);
  });

  it('is all where another row is at the top, and before anything was shown', () => {
    expect(changed([branch('s')], [branch('s'), branch('t')])).toBe('all');
    expect(new ShownRows().changed(rows([]))).toBe('all');
  });

  it('is not what nobody has unfolded', () => {
    const shown = new ShownRows();
    shown.childrenWereShown(undefined, ['s']);
    shown.rowWasShown('s', '');
    expect(shown.changed(rows([branch('s', '', [branch('a')])]))).toEqual([]);
  });

  it('makes any tree into any other, each row drawn at most once', () => {
    const looks = fc.constantFrom('x', 'y');
    const list = (of: fc.Arbitrary<Branch>) => fc.uniqueArray(of, { selector: ({ id }) => id });
    /** Ids are apart, as in every tree. */
    const row = (id: string) =>
      fc.record({
        id: fc.constant(id),
        look: looks,
        below: list(fc.constantFrom('a', 'b', 'c').chain((child) => fc.record(leaf(`${id}/${child}`)))),
      });
    const leaf = (id: string) => ({ id: fc.constant(id), look: looks, below: fc.constant([]) });
    const tree = list(fc.constantFrom('s', 't').chain(row));
    fc.assert(
      fc.property(tree, tree, (before, after) => {
        const shown = new ShownRows();
        draw(shown, before);
        const found = shown.changed(rows(after));
        if (found === 'all') draw(shown, after);
        else {
          const drawn = found.flatMap(function ids(one: Branch): string[] {
            return [one.id, ...one.below.flatMap(ids)];
          });
          expect(new Set(drawn).size).toBe(drawn.length);
          for (const one of found) drawRow(shown, one);
        }
        expect(shown.changed(rows(after))).toEqual([]);
      }),
    );
  });
});
