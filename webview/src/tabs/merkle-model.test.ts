import type { MerkleLeaf, MerkleNode } from '@syncscope/protocol/capture';
import { recordKey } from '@syncscope/protocol/state';
import { describe, expect, it } from 'vitest';
import {
  describePart,
  foldTrie,
  LINE_HEIGHT,
  layoutTrie,
  type MerklePart,
  PARTS_MAX,
  partLines,
} from './merkle-model.ts';

const node = (path: string, patch: Partial<MerkleNode> = {}): MerkleNode => ({
  path,
  equal: true,
  leftHash: 'aaaaaaaaaaaaaaaa',
  rightHash: 'aaaaaaaaaaaaaaaa',
  leftCount: 3,
  rightCount: 3,
  ...patch,
});

const differing: Partial<MerkleNode> = { equal: false, rightHash: 'bbbbbbbbbbbbbbbb' };
const key = recordKey('item/golden_key');
const leaf: MerkleLeaf = {
  key,
  equal: false,
  leftHash: '1111111111111111',
  rightHash: null,
  difference: {
    key,
    side: 'both',
    fields: [
      { field: 'owner', left: 3, right: 1 },
      { field: 'note', left: 'a\u202eb' },
    ],
  },
};

const trie = node('', {
  ...differing,
  children: [
    node('0'),
    node('1', { leftCount: 4 }),
    node('2', {
      ...differing,
      children: [
        node('2a', {
          ...differing,
          leaves: [leaf, { key: recordKey('item/lamp'), equal: true, leftHash: 'c', rightHash: 'c' }],
        }),
      ],
    }),
    node('3'),
  ],
});

const all = (part: MerklePart): MerklePart[] => [part, ...(part.type === 'branch' ? part.children.flatMap(all) : [])];

describe('foldTrie', () => {
  it('folds equal neighbours with their count and opens the path to what differs', () => {
    const root = foldTrie(trie);
    expect(root.type === 'branch' && root.children.map((part) => part.type)).toEqual(['equal', 'branch', 'equal']);
    expect(all(root).filter((part) => part.type === 'leaf')).toHaveLength(1);
    expect(all(root).map((part) => partLines(part)[0]!.text)).toEqual([
      'root',
      'equal: 7 records in 2 subtrees',
      '2',
      '2a',
      'item/golden_key',
      'equal: 1 record',
      'equal: 3 records',
    ]);
  });

  it('stays small however much differs, and says how much it left out', () => {
    const wide = node('', {
      ...differing,
      children: Array.from({ length: 3000 }, (_, index) => node(index.toString(16), { ...differing, leaves: [leaf] })),
    });
    const parts = all(foldTrie(wide));
    expect(parts.length).toBeLessThanOrEqual(PARTS_MAX + 2);
    const drawn = parts.filter((part) => part.type === 'branch').length - 1;
    expect(parts.find((part) => part.id === '+')).toMatchObject({ count: 3000 - drawn });
  });

  it('has an id of its own for every part', () => {
    const ids = all(foldTrie(trie)).map((part) => part.id);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

describe('layoutTrie', () => {
  it('goes down line by line, indented by depth, without overlap', () => {
    const { parts, height } = layoutTrie(foldTrie(trie), 600);
    for (let index = 1; index < parts.length; index++) {
      const above = parts[index - 1]!;
      expect(parts[index]!.y).toBe(above.y + above.lines.length * LINE_HEIGHT);
    }
    expect(parts.map((part) => part.depth)).toEqual([0, 1, 1, 2, 3, 3, 1]);
    expect(parts.find((one) => one.part.type === 'leaf')?.parent?.part).toMatchObject({ node: { path: '2a' } });
    expect(height).toBeGreaterThan(parts.at(-1)!.y);
  });

  it('gives both replicas the same room, and scrolls where there is none', () => {
    const wide = layoutTrie(foldTrie(trie), 800);
    expect(wide.rightX - wide.leftX).toBe(wide.columnWidth);
    expect(wide.width).toBe(800);
    expect(layoutTrie(foldTrie(trie), 100).width).toBeGreaterThan(300);
  });
});

describe('the lines of a leaf', () => {
  it('hold both hashes and both values, with nothing invisible in them', () => {
    const lines = partLines({ type: 'leaf', id: '', leaf });
    expect(lines[0]).toEqual({ text: 'item/golden_key', left: '11111111', right: 'absent' });
    expect(lines[1]).toEqual({ text: 'owner', left: '3', right: '1' });
    expect(lines[2]!.left).toContain('\\u{202e}');
    expect(lines[2]!.right).toBe('absent');
  });

  it('are told in words', () => {
    expect(describePart({ type: 'leaf', id: '', leaf }, 'server', 'bot-2')).toContain('owner: server 3, bot-2 1');
  });
});
