import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { recordKey } from '../state/index.ts';
import {
  changesBetween,
  diffRoots,
  diffTree,
  type MerkleNode,
  StateMerkleTree,
  StateRoot,
  sameRecord,
} from './index.ts';
import { arbitraryState, type Entries, manyRecords, naiveDiff, rootOf } from './testing.ts';

/** Two states that have much in common: the second is the first with some of its records replaced, gone or new. */
const twoStates = fc
  .tuple(arbitraryState({ maxLength: 80 }), arbitraryState({ maxLength: 20 }), fc.array(fc.nat(200), { maxLength: 20 }))
  .map(([base, changed, removed]) => {
    const gone = new Set(removed.map((id) => recordKey(`item/${id}`)));
    return [base, [...new Map([...base, ...changed])].filter(([key]) => !gone.has(key))] as [Entries, Entries];
  });

describe('diffRoots', () => {
  it('finds what comparing every key finds, for states that share nodes and states that do not', () => {
    fc.assert(
      fc.property(twoStates, ([one, other]) => {
        const expected = naiveDiff(one, other);
        const left = rootOf(one);
        expect(diffRoots(left, rootOf(other))).toEqual(expected);
        const shared = left.apply(changesBetween(left, rootOf(other)));
        expect(diffRoots(left, shared)).toEqual(expected);
        expect([left.hash, shared.hash]).toEqual([rootOf(one).hash, rootOf(other).hash]);
        expect(diffRoots(left, shared)).toEqual(expected);
      }),
    );
  });

  it('compares records by key, not by their place in a list: one insert is one difference', () => {
    const many = manyRecords(500);
    const inserted = [[recordKey('a/first'), { name: 'first' }] as const, ...many];
    expect(diffRoots(rootOf(many), rootOf(inserted))).toEqual([{ key: 'a/first', right: { name: 'first' } }]);
    expect(diffRoots(rootOf(inserted), rootOf(many))).toEqual([{ key: 'a/first', left: { name: 'first' } }]);
  });

  it('finds everything where one side is empty', () => {
    expect(diffRoots(StateRoot.empty, rootOf(manyRecords(300)))).toHaveLength(300);
    expect(diffRoots(rootOf(manyRecords(300)), StateRoot.empty).every(({ right }) => right === undefined)).toBe(true);
    expect(diffRoots(StateRoot.empty, StateRoot.empty)).toEqual([]);
  });

  it('refuses to compare what was hashed differently', () => {
    const other = StateRoot.from(manyRecords(3), { name: 'other', hash: (_view, _length, out) => out.fill(7) });
    expect(() => diffRoots(rootOf(manyRecords(3)), other)).toThrow(expect.objectContaining({ code: 'HASHER_DIFFERS' }));
  });
});

describe('changesBetween', () => {
  it('leads from the one to the other and carries only what differs', () => {
    fc.assert(
      fc.property(twoStates, ([one, other]) => {
        const [from, to] = [rootOf(one), rootOf(other)];
        const changes = changesBetween(from, to);
        expect(from.apply(changes).hash).toBe(to.hash);
        expect(changes.map(({ key }) => key)).toEqual(naiveDiff(one, other).map(({ key }) => key));
        for (const change of changes) {
          if (change.op !== 'patch') continue;
          const before = from.get(change.key)!;
          for (const name of Object.keys(change.fields)) {
            expect(Object.hasOwn(before, name) && sameRecord({ a: before[name]! }, { a: change.fields[name]! })).toBe(
              false,
            );
          }
          for (const name of change.removed) expect(Object.hasOwn(before, name)).toBe(true);
        }
      }),
    );
  });

  it('names a moved player and the room it moved to', () => {
    const from = rootOf([[recordKey('player/alice'), { room: 'hall', health: 100, torch: true }]]);
    const to = rootOf([[recordKey('player/alice'), { room: 'cellar', health: 100 }]]);
    expect(changesBetween(from, to)).toEqual([
      { op: 'patch', key: 'player/alice', fields: { room: 'cellar' }, removed: ['torch'] },
    ]);
  });
});

describe('diffTree', () => {
  it('opens exactly the unequal nodes, and counts add up', () => {
    fc.assert(
      fc.property(twoStates, ([one, other]) => {
        const [left, right] = [rootOf(one), rootOf(other)];
        const { root, comparedNodes, totalNodes } = diffTree(left, right, 100_000);
        expect([root.leftCount, root.rightCount]).toEqual([left.size, right.size]);
        if (left.size > 0) expect(root.leftHash).toBe(left.hash);
        const found: string[] = [];
        let nodes = 0;
        const visit = (node: MerkleNode) => {
          nodes++;
          expect(node.equal).toBe(node.leftHash === node.rightHash);
          if (node.equal) expect([node.children, node.leaves]).toEqual([undefined, undefined]);
          else expect((node.children === undefined) !== (node.leaves === undefined)).toBe(true);
          if (node.children) {
            expect(node.children.reduce((sum, child) => sum + child.leftCount, 0)).toBe(node.leftCount);
            expect(node.children.reduce((sum, child) => sum + child.rightCount, 0)).toBe(node.rightCount);
          }
          for (const leaf of node.leaves ?? []) if (!leaf.equal) found.push(leaf.key);
          for (const child of node.children ?? []) {
            expect(child.path.slice(0, -1)).toBe(node.path);
            visit(child);
          }
        };
        visit(root);
        expect(nodes).toBe(comparedNodes);
        expect(comparedNodes).toBeLessThanOrEqual(totalNodes);
        expect(found.sort()).toEqual(naiveDiff(one, other).map(({ key }) => key));
      }),
    );
  });

  it('shows the path to one corrupted value among many, and both values', () => {
    const left = rootOf(manyRecords(5_000));
    const key = recordKey('thing/1234');
    const right = left.apply([{ op: 'patch', key, fields: { room: 'nowhere' }, removed: [] }]);
    const { root, comparedNodes, totalNodes } = diffTree(left, right);
    let node: MerkleNode = root;
    while (node.children) {
      const unequal = node.children.filter((child) => !child.equal);
      expect(unequal).toHaveLength(1);
      node = unequal[0]!;
    }
    const leaf = node.leaves!.find((one) => !one.equal)!;
    expect(leaf.difference).toEqual({
      key,
      side: 'both',
      fields: [{ field: 'room', left: `room-${1234 % 17}`, right: 'nowhere' }],
    });
    expect(leaf.leftHash).toMatch(/^[0-9a-f]{16}$/);
    expect(comparedNodes).toBeLessThan(70);
    expect(totalNodes).toBeGreaterThan(2_000);
  });

  it('stops opening at the limit', () => {
    const { root } = diffTree(rootOf(manyRecords(5_000)), StateRoot.empty, 100);
    let shown = 0;
    const visit = (node: MerkleNode) => {
      shown += 1 + (node.leaves?.length ?? 0);
      for (const child of node.children ?? []) visit(child);
    };
    visit(root);
    expect(shown).toBeLessThanOrEqual(100 + 16);
    expect(root.leftCount).toBe(5_000);
  });
});

describe('a kept root', () => {
  it('stays as it was while the tree goes on', () => {
    const tree = new StateMerkleTree(rootOf(manyRecords(200)));
    const kept = tree.root();
    tree.patch(recordKey('thing/5'), { room: 'x' });
    tree.remove(recordKey('thing/6'));
    expect(changesBetween(tree.root(), kept).map(({ op, key }) => `${op} ${key}`)).toEqual([
      'patch thing/5',
      'put thing/6',
    ]);
  });
});
