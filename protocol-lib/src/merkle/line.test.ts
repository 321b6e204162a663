import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Change, type RecordKey, recordKey, type SyncRecord } from '../state/index.ts';
import { changesBetween, diffRoots, StateMerkleTree, type StateRoot } from './index.ts';
import { arbitraryRecord, type Entries, manyRecords, naiveDiff, rootOf } from './testing.ts';

const key = (id: number) => recordKey(`item/${id}`);

/** Few keys, and few values, so that writes meet and take each other back. */
const small: fc.Arbitrary<SyncRecord> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ a: fc.nat(2), b: fc.nat(1) }, { requiredKeys: [] }) },
  { weight: 1, arbitrary: arbitraryRecord },
);
const id = fc.nat(14);
const write = fc.oneof(
  fc.record({ op: fc.constant('put' as const), id, record: small }),
  fc.record({ op: fc.constant('patch' as const), id, record: small, removed: fc.subarray(['a', 'b']) }),
  fc.record({ op: fc.constant('remove' as const), id }),
);
const step = fc.oneof(
  { weight: 12, arbitrary: write },
  { weight: 5, arbitrary: fc.constant({ op: 'keep' as const }) },
  // Of any version kept, so that tries are written in any order, and lines part anywhere.
  { weight: 2, arbitrary: fc.record({ op: fc.constant('hash' as const), of: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('from' as const), of: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('aside' as const), of: fc.nat(), id, record: small }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('failing' as const), of: fc.nat(), id, record: small }) },
);

interface Kept {
  readonly root: StateRoot;
  readonly entries: Entries;
}

/** The same changes, found by laying tries over each other that were built from nothing. */
function changesFromScratch(from: Kept, to: Kept): Change[] {
  return changesBetween(rootOf(from.entries), rootOf(to.entries));
}

describe('a line of versions', () => {
  it('has in every version what was written by then, whichever is asked when, and whatever parts from it', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), fc.nat(), (steps, salt) => {
        const model = new Map<RecordKey, SyncRecord>(manyRecords(salt % 2 === 0 ? 0 : 30));
        let tree = new StateMerkleTree(rootOf(model));
        const kept: Kept[] = [{ root: tree.root(), entries: [...model] }];
        const pick = (of: number) => kept[of % kept.length]!;
        for (const one of steps) {
          if (one.op === 'keep') kept.push({ root: tree.root(), entries: [...model] });
          else if (one.op === 'hash') expect(pick(one.of).root.hash).toBe(rootOf(pick(one.of).entries).hash);
          else if (one.op === 'from') {
            const { root, entries } = pick(one.of);
            tree = new StateMerkleTree(root);
            model.clear();
            for (const [name, record] of entries) model.set(name, record);
          } else if (one.op === 'aside') {
            const { root, entries } = pick(one.of);
            const after = new Map([...entries, [key(one.id), one.record] as const]);
            kept.push({ root: root.apply([{ op: 'put', key: key(one.id), record: one.record }]), entries: [...after] });
          } else if (one.op === 'failing') {
            const put = { op: 'put', key: key(one.id), record: one.record } as const;
            const missing = { op: 'remove', key: recordKey('item/missing') } as const;
            expect(() => pick(one.of).root.apply([put, missing])).toThrow(/item\/missing/);
            expect(() => tree.apply([put, missing])).toThrow(/item\/missing/);
          } else writeBoth(tree, model, one);
          expect(tree.size).toBe(model.size);
          // Whoever kept a version reads it while the next is being written.
          const { root, entries } = kept.at(-1)!;
          if ('id' in one) expect(root.get(key(one.id))).toEqual(new Map(entries).get(key(one.id)));
          if (one.op === 'put' || one.op === 'patch') expect(tree.get(key(one.id))).toEqual(model.get(key(one.id)));
        }
        kept.push({ root: tree.root(), entries: [...model] });
        for (const { root, entries } of kept) {
          expect(root.size).toBe(entries.length);
          for (const [name, record] of entries) expect(root.get(name)).toEqual(record);
          expect(root.has(recordKey('item/missing'))).toBe(false);
        }
        for (const [place, from] of kept.entries()) {
          for (const to of [kept[place + 1] ?? kept[0]!, kept.at(-1)!, pick(salt)]) {
            expect(changesBetween(from.root, to.root)).toEqual(changesFromScratch(from, to));
          }
        }
        for (const { root, entries } of kept) {
          expect(root.hash).toBe(rootOf(entries).hash);
          expect(new Map(root.entries())).toEqual(new Map(entries));
        }
        // Now that every trie is there, once more.
        for (const to of kept) {
          expect(changesBetween(kept[0]!.root, to.root)).toEqual(changesFromScratch(kept[0]!, to));
          expect(diffRoots(kept[0]!.root, to.root)).toEqual(naiveDiff(kept[0]!.entries, to.entries));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('is the same past all bounds on what waits', () => {
    const tree = new StateMerkleTree(rootOf(manyRecords(50)));
    const first = tree.root();
    const model = new Map(manyRecords(50));
    for (let round = 0; round < 3_000; round++) {
      const [one, record] = manyRecords(50)[round % 50]!;
      model.set(one, { ...record, count: round });
      tree.put(one, model.get(one)!);
      const passing = key(round);
      tree.put(passing, { round });
      if (round % 3 === 0) tree.root();
      tree.remove(passing);
      tree.root();
    }
    expect(tree.hash).toBe(rootOf(model).hash);
    expect(first.hash).toBe(rootOf(manyRecords(50)).hash);
    expect(changesBetween(first, tree.root())).toEqual(changesBetween(rootOf(manyRecords(50)), rootOf(model)));
  });

  it('emits nothing for what was written and taken back', () => {
    const tree = new StateMerkleTree(rootOf(manyRecords(20)));
    const root = tree.root();
    const [one, record] = manyRecords(20)[4]!;
    tree.patch(one, { count: 99 });
    tree.patch(one, { count: record.count! });
    tree.put(key(1), { a: 1 });
    tree.remove(key(1));
    tree.remove(manyRecords(20)[5]![0]);
    tree.put(...manyRecords(20)[5]!);
    expect(tree.root()).toBe(root);
    tree.patch(one, { count: 99 });
    const between = tree.root();
    tree.patch(one, { count: record.count! });
    expect(changesBetween(root, tree.root())).toEqual([]);
    expect(changesBetween(root, between)).toHaveLength(1);
  });
});

function writeBoth(
  tree: StateMerkleTree,
  model: Map<RecordKey, SyncRecord>,
  one: { op: string; id: number; record?: SyncRecord; removed?: readonly string[] },
): void {
  const name = key(one.id);
  const before = model.get(name);
  if (one.op === 'remove') {
    expect(tree.remove(name)).toBe(model.delete(name));
  } else if (one.op === 'put') {
    tree.put(name, one.record!);
    model.set(name, one.record!);
  } else if (before === undefined) {
    expect(() => tree.patch(name, one.record!)).toThrow(/no such record/);
  } else {
    const left = Object.entries(before).filter(([field]) => !one.removed!.includes(field));
    tree.patch(name, one.record!, one.removed);
    model.set(name, { ...Object.fromEntries(left), ...one.record });
  }
}
