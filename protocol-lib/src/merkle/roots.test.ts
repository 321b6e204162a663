import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isSyncError } from '../errors/index.ts';
import { type Change, type RecordKey, recordKey, type SyncRecord, type Value } from '../state/index.ts';
import { recordHash, StateMerkleTree, StateRoot } from './index.ts';
import { arbitraryRecord, arbitraryState, manyRecords, rootOf } from './testing.ts';

const key = (id: string | number) => recordKey(`item/${id}`);

describe('StateRoot', () => {
  it('has the same hash whatever order the records came in', () => {
    fc.assert(
      fc.property(
        arbitraryState({ maxLength: 60 }).chain((state) =>
          fc.tuple(fc.constant(state), fc.shuffledSubarray(state, { minLength: state.length })),
        ),
        ([state, shuffled]) => {
          expect(rootOf(shuffled).hash).toBe(rootOf(state).hash);
          expect([...rootOf(shuffled).entries()]).toEqual([...rootOf(state).entries()]);
        },
      ),
    );
  });

  it('has the same hash incrementally as from scratch, through puts, patches and removes', () => {
    const step = fc.oneof(
      fc.record({ op: fc.constant('put' as const), id: fc.nat(40), record: arbitraryRecord }),
      fc.record({ op: fc.constant('patch' as const), id: fc.nat(40), record: arbitraryRecord }),
      fc.record({ op: fc.constant('remove' as const), id: fc.nat(40) }),
      fc.record({ op: fc.constant('keep' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const tree = new StateMerkleTree();
        const model = new Map<RecordKey, SyncRecord>();
        const kept: { root: StateRoot; entries: [RecordKey, SyncRecord][] }[] = [];
        for (const one of steps) {
          if (one.op === 'keep') {
            kept.push({ root: tree.root(), entries: [...model] });
          } else if (one.op === 'put') {
            tree.put(key(one.id), one.record);
            model.set(key(one.id), one.record);
          } else if (one.op === 'remove') {
            expect(tree.remove(key(one.id))).toBe(model.delete(key(one.id)));
          } else if (model.has(key(one.id))) {
            tree.patch(key(one.id), one.record);
            model.set(key(one.id), { ...model.get(key(one.id)), ...one.record });
          }
          expect(tree.size).toBe(model.size);
        }
        expect(tree.hash).toBe(rootOf(model).hash);
        expect(new Map(tree.root().entries())).toEqual(model);
        for (const { root, entries } of kept) {
          expect(new Map(root.entries())).toEqual(new Map(entries));
          expect(root.hash).toBe(rootOf(entries).hash);
        }
      }),
    );
  });

  it('has the shape of the records it holds, not of those it once held', () => {
    const tree = new StateMerkleTree();
    for (const [one, record] of manyRecords(2_000)) tree.put(one, record);
    for (const [one] of manyRecords(2_000).slice(5)) tree.remove(one);
    const root = tree.root();
    expect(root.hash).toBe(rootOf(manyRecords(5)).hash);
    expect([...root.entries()]).toEqual([...rootOf(manyRecords(5)).entries()]);
    for (const [one] of manyRecords(5)) tree.remove(one);
    expect(tree.root().node).toBeNull();
    expect(tree.hash).toBe(StateRoot.empty.hash);
  });

  it('changes its hash with any field of any record, at any depth', () => {
    fc.assert(
      fc.property(
        arbitraryState({ minLength: 1, maxLength: 20 }),
        fc.nat(),
        // `__proto__` is refused, which is tested below; all other names are fields like any.
        fc.string({ minLength: 1 }).filter((name) => name !== '__proto__'),
        (state, pick, extra) => {
          const [one, record] = state[pick % state.length]!;
          const root = rootOf(state);
          const names = Object.keys(record);
          for (const name of names) {
            for (const other of otherValues(record[name]!)) {
              expect(root.apply([{ op: 'patch', key: one, fields: { [name]: other }, removed: [] }]).hash).not.toBe(
                root.hash,
              );
            }
            expect(root.apply([{ op: 'patch', key: one, fields: {}, removed: [name] }]).hash).not.toBe(root.hash);
          }
          const added = `${extra}${names.join('')}`.toWellFormed();
          expect(root.apply([{ op: 'patch', key: one, fields: { [added]: null }, removed: [] }]).hash).not.toBe(
            root.hash,
          );
        },
      ),
      { numRuns: 50 },
    );
  });

  it('tells the records of two keys swapped from the same records in place', () => {
    const a = { name: 'lamp', room: 'cellar' };
    const b = { name: 'sword', room: 'hall' };
    expect(
      rootOf([
        [key(1), a],
        [key(2), b],
      ]).hash,
    ).not.toBe(
      rootOf([
        [key(1), b],
        [key(2), a],
      ]).hash,
    );
    expect(rootOf([[key(1), { a: 'x', b: 'y' }]]).hash).not.toBe(rootOf([[key(1), { a: 'y', b: 'x' }]]).hash);
  });

  it('has one hash for one state, written down', () => {
    expect(StateRoot.empty.hash).toBe('0000000000000000');
    const alice = { name: 'Alice', room: 'hall', health: 100, alive: true };
    expect(recordHash(recordKey('player/alice'), alice)).toBe('7d0596b413441f06');
    expect(rootOf([[recordKey('player/alice'), alice]]).hash).toBe('7d0596b413441f06');
    expect(rootOf(manyRecords(1_000)).hash).toBe('7c65b2fac129ee3d');
  });

  it('takes another hasher, and is otherwise the same', () => {
    const lengths = { name: 'lengths', hash: (_view: DataView, length: number, out: Int32Array) => out.fill(length) };
    const root = StateRoot.from(manyRecords(100), lengths);
    expect(root.hash).not.toBe(rootOf(manyRecords(100)).hash);
    expect(new Map(root.entries())).toEqual(new Map(manyRecords(100)));
    expect(root.apply([{ op: 'remove', key: manyRecords(1)[0]![0] }]).hasher).toBe(lengths);
  });

  it('lists by prefix', () => {
    const root = rootOf([...manyRecords(30), [recordKey('player/a'), {}], [recordKey('player/b'), {}]]);
    expect([...root.entries('player/')].map(([one]) => one).sort()).toEqual(['player/a', 'player/b']);
  });

  it('is itself after changes of nothing', () => {
    const root = rootOf(manyRecords(100));
    const [one, record] = manyRecords(100)[7]!;
    expect(root.apply([])).toBe(root);
    expect(root.apply([{ op: 'put', key: one, record: { ...record } }])).toBe(root);
    expect(root.apply([{ op: 'patch', key: one, fields: { name: record.name! }, removed: ['nothing'] }])).toBe(root);
  });

  it('shares what did not change', () => {
    const root = rootOf(manyRecords(5_000));
    const next = root.apply([{ op: 'patch', key: manyRecords(1)[0]![0], fields: { count: -1 }, removed: [] }]);
    const before = new Set<SyncRecord>([...root.entries()].map(([, record]) => record));
    expect([...next.entries()].filter(([, record]) => !before.has(record))).toHaveLength(1);
    expect(root.hash).toBe(rootOf(manyRecords(5_000)).hash);
  });
});

describe('StateMerkleTree', () => {
  it('writes nothing and says false where an equal record is put', () => {
    const tree = new StateMerkleTree(rootOf(manyRecords(50)));
    const root = tree.root();
    for (const [one, record] of manyRecords(50)) expect(tree.put(one, structuredClone(record))).toBe(false);
    expect(tree.root()).toBe(root);
  });

  it('follows Object.is: NaN is NaN, 0 is not -0', () => {
    const tree = new StateMerkleTree();
    tree.put(key(1), { a: Number.NaN, b: [0], c: new Uint8Array([1, 2]) });
    const hash = tree.hash;
    expect(tree.put(key(1), { c: new Uint8Array([1, 2]), b: [0], a: Number.NaN })).toBe(false);
    expect(tree.put(key(1), { a: Number.NaN, b: [-0], c: new Uint8Array([1, 2]) })).toBe(true);
    expect(tree.hash).not.toBe(hash);
  });

  it('applies all or nothing, kept before or not', () => {
    const failing: Change[] = [
      { op: 'put', key: key('new'), record: { name: 'new' } },
      { op: 'patch', key: manyRecords(1)[0]![0], fields: { name: 'changed' }, removed: ['count'] },
      { op: 'remove', key: manyRecords(2)[1]![0] },
      { op: 'patch', key: key('missing'), fields: { name: 'x' }, removed: [] },
    ];
    for (const keepFirst of [true, false]) {
      const tree = new StateMerkleTree();
      for (const [one, record] of manyRecords(40)) tree.put(one, record);
      const root = keepFirst ? tree.root() : undefined;
      const { hash, size } = tree;
      expect(() => tree.apply(failing)).toThrow(/cannot patch item\/missing/);
      expect([tree.hash, tree.size]).toEqual([hash, size]);
      expect(new Map(tree.root().entries())).toEqual(new Map(manyRecords(40)));
      if (root !== undefined) expect(tree.root()).toBe(root);
    }
  });

  it('may meet a key several times in one list', () => {
    const tree = new StateMerkleTree();
    tree.put(key(0), {});
    tree.apply([
      { op: 'put', key: key(1), record: { a: 1 } },
      { op: 'patch', key: key(1), fields: { b: 2 }, removed: ['a'] },
      { op: 'remove', key: key(0) },
      { op: 'put', key: key(0), record: { c: 3 } },
    ]);
    expect(tree.get(key(1))).toEqual({ b: 2 });
    expect(tree.get(key(0))).toEqual({ c: 3 });
  });

  it('names what is missing', () => {
    const root = rootOf(manyRecords(3));
    for (const change of [
      { op: 'remove', key: key('gone') },
      { op: 'patch', key: key('gone'), fields: {}, removed: [] },
    ] as const) {
      try {
        root.apply([change]);
        expect.unreachable();
      } catch (error) {
        expect(isSyncError(error, 'RECORD_MISSING') && error.place.key).toBe('item/gone');
      }
    }
  });

  it('refuses a record that has no canonical bytes, and is as before', () => {
    const tree = new StateMerkleTree(rootOf(manyRecords(3)));
    const root = tree.root();
    const deep = JSON.parse(`${'['.repeat(70)}${']'.repeat(70)}`);
    const wide = Object.fromEntries(Array.from({ length: 65_536 }, (_, index) => [`n${index}`, 0]));
    for (const [record, code] of [
      [{ a: undefined }, 'VALUE_INVALID'],
      [{ a: '\ud800' }, 'VALUE_INVALID'],
      [{ a: 1n }, 'VALUE_INVALID'],
      [JSON.parse('{"__proto__": {"a": 1}}'), 'FIELD_RESERVED'],
      [{ a: deep }, 'LIMIT_DEPTH'],
      [wide, 'LIMIT_MAP_KEYS'],
    ] as [SyncRecord, string][]) {
      for (const write of [() => tree.put(key(9), record), () => tree.patch(manyRecords(1)[0]![0], record)]) {
        try {
          write();
          expect.unreachable();
        } catch (error) {
          expect(error).toMatchObject({ code });
        }
      }
    }
    expect(tree.root()).toBe(root);
  });

  it('keeps keys like constructor apart from what objects inherit', () => {
    const tree = new StateMerkleTree();
    expect(tree.has(recordKey('constructor/prototype'))).toBe(false);
    tree.put(key(1), { constructor: 1, toString: 'x', hasOwnProperty: null });
    expect(tree.get(key(1))).toEqual({ constructor: 1, toString: 'x', hasOwnProperty: null });
    expect(tree.put(key(1), {})).toBe(true);
    expect(tree.patch(key(1), { constructor: 1 })).toBe(true);
  });
});

/** Values near `value`, none of them equal to it. */
function otherValues(value: Value): Value[] {
  if (typeof value === 'number')
    return [value === 0 ? (Object.is(value, -0) ? 0 : -0) : -value, String(value), null].filter(
      (other) => !Object.is(other, value),
    );
  if (typeof value === 'string') return [`${value} `, `${value}\u0000`, [value], new TextEncoder().encode(value)];
  if (typeof value === 'boolean') return [!value, value ? 1 : 0];
  if (value === null) return [false, 0, '', [], {}];
  if (value instanceof Uint8Array) return [new Uint8Array([...value, 0]), [...value]];
  if (Array.isArray(value)) return [[...value, null], { 0: value }, [value]];
  return [{ ...value, 'another field': 1 }, [value]];
}
