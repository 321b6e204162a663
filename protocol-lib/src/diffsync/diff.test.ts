import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StateRoot } from '../merkle/index.ts';
import { applyToState, orderSteps } from './apply.ts';
import { countDiff, countLevels, diffChanges, diffModels, hasChanges, invertDiff } from './diff.ts';
import { diffFromJson, diffToJson } from './diff-json.ts';
import { type DiffNode, diffText, treeOf } from './diff-tree.ts';
import {
  aDevice,
  aFolder,
  aRack,
  aSite,
  deviceKey,
  folderKey,
  rackKey,
  siteKey,
  stateOf,
  states,
} from './inventory.test-helper.ts';
import { typeName } from './model.ts';

test('a state does not differ from itself', () => {
  fc.assert(
    fc.property(states, (state) => {
      const same = StateRoot.from([...state.entries()].reverse());
      expect(hasChanges(diffModels(state, same))).toBe(false);
    }),
  );
});

test('a diff applied leads from the one state to the other, and its inverse back', () => {
  fc.assert(
    fc.property(states, states, (from, to) => {
      const diff = diffModels(from, to);
      expect(applyToState(diff, from).hash).toBe(to.hash);
      const inverse = invertDiff(diff);
      expect(applyToState(inverse, to).hash).toBe(from.hash);
      expect(inverse.entries).toEqual(diffModels(to, from).entries);
      expect(inverse.totals).toEqual(diffModels(to, from).totals);
      expect(invertDiff(inverse)).toEqual(diff);
    }),
  );
});

test('the order in which models come does not count', () => {
  const shuffled = states.chain((state) =>
    fc.tuple(fc.constant(state), fc.shuffledSubarray([...state.entries()], { minLength: state.size })),
  );
  fc.assert(
    fc.property(shuffled, states, ([state, entries], other) => {
      expect(diffModels(StateRoot.from(entries), other)).toEqual(diffModels(state, other));
    }),
  );
});

test('the counts are those of comparing every model', () => {
  fc.assert(
    fc.property(states, states, (from, to) => {
      const naive = { create: 0, update: 0, delete: 0, none: 0 };
      for (const [key] of to.entries()) if (!from.has(key)) naive.create++;
      for (const [key, record] of from.entries()) {
        const other = to.get(key);
        if (other === undefined) naive.delete++;
        else if (StateRoot.from([[key, record]]).hash === StateRoot.from([[key, other]]).hash) naive.none++;
        else naive.update++;
      }
      const diff = diffModels(from, to);
      expect(countDiff(diff)).toEqual(naive);
      for (const [type, { update, delete: gone, none }] of countLevels(diff)) {
        expect(update + gone + none).toBe([...from.entries()].filter(([key]) => typeName(key) === type).length);
      }
    }),
  );
});

test('the JSON form comes back as the same diff', () => {
  fc.assert(
    fc.property(states, states, (from, to) => {
      const diff = diffModels(from, to);
      expect(diffFromJson(diffToJson(diff))).toEqual(diff);
    }),
  );
});

test('every model of a diff is in its tree once, below its parent', () => {
  fc.assert(
    fc.property(states, states, (from, to) => {
      const diff = diffModels(from, to);
      const found: string[] = [];
      const visit = (nodes: readonly DiffNode[], parent: string | null): number => {
        let changed = 0;
        for (const node of nodes) {
          expect(diff.parents.get(node.key)).toBe(parent);
          if (node.entry !== undefined) found.push(node.key);
          const own = visit(node.children, node.key) + (node.entry === undefined ? 0 : 1);
          expect(node.counts.create + node.counts.update + node.counts.delete).toBe(own);
          changed += own;
        }
        return changed;
      };
      visit(treeOf(diff), null);
      expect(found.sort()).toEqual(diff.entries.map(({ key }) => key));
      expect(diffText(diff).split('\n').length).toBeGreaterThanOrEqual(found.length);
    }),
  );
});

test('steps put parents before their children, and delete from below', () => {
  fc.assert(
    fc.property(states, states, (from, to) => {
      const diff = diffModels(from, to);
      const order = orderSteps(diff);
      expect(order.length).toBe(diff.entries.length);
      const position = new Map(order.map(({ key }, index) => [key, index]));
      for (const { key, action } of order) {
        const above = position.get(diff.parents.get(key)!);
        if (above === undefined) continue;
        const isBefore = above < position.get(key)!;
        expect(isBefore).toBe(!(action === 'delete' && order[above]!.action === 'delete'));
      }
    }),
  );
});

test('reads as a tree with its counts', () => {
  const from = stateOf(
    aSite('berlin'),
    aRack('berlin', 1),
    aRack('berlin', 2),
    aDevice('s1', { vlan: 10, note: 'old' }, rackKey('berlin', 1)),
    aDevice('s2', {}, rackKey('berlin', 1)),
    aFolder(1),
  );
  const to = stateOf(
    aSite('berlin'),
    aRack('berlin', 1),
    aRack('berlin', 2),
    aDevice('s1', { vlan: 20 }, rackKey('berlin', 2)),
    aDevice('s3', {}, siteKey('berlin')),
    aFolder(1),
  );
  const diff = diffModels(from, to);
  expect(diffText(diff).split('\n')).toEqual([
    '  site/berlin',
    '  + device/s3',
    '      parent: "site/berlin"',
    '      serial: "s3"',
    '      vlan: 1',
    '    rack/berlin/#1',
    '    - device/s2',
    '    rack/berlin/#2',
    '    ~ device/s1',
    '        parent: "rack/berlin/#1" → "rack/berlin/#2"',
    '        note: "old" → (none)',
    '        vlan: 10 → 20',
    'device: 1 to create, 1 to update, 1 to delete, 0 unchanged',
    'folder: 0 to create, 0 to update, 0 to delete, 1 unchanged',
    'rack: 0 to create, 0 to update, 0 to delete, 2 unchanged',
    'site: 0 to create, 0 to update, 0 to delete, 1 unchanged',
  ]);
  expect(diffChanges(diff).map(({ op, key }) => `${op} ${key}`)).toEqual([
    `patch ${deviceKey('s1')}`,
    `remove ${deviceKey('s2')}`,
    `put ${deviceKey('s3')}`,
  ]);
});

test('a JSON diff that contradicts itself is refused with its place', () => {
  const diff = diffModels(stateOf(aFolder(1)), stateOf(aFolder(1, null, 'u'), aFolder(2, 1)));
  const json = diffToJson(diff);
  const codeOf = (text: string): unknown => {
    try {
      return diffFromJson(text);
    } catch (error) {
      return (error as { code: unknown }).code;
    }
  };
  const entry = (key: string) => `{"after":{"id":1,"title":"x"},"key":${JSON.stringify(key)}}`;
  const text = (entries: string, parents: string) =>
    `{"entries":[${entries}],"format":1,"from":"${diff.from}","parents":[${parents}],"to":"${diff.to}","totals":[]}`;
  const top = (key: string, parent: string | null) => `{"key":"${key}","parent":${JSON.stringify(parent)}}`;
  expect(codeOf(json)).toEqual(diff);
  expect(codeOf('')).toBe('TEXT_SYNTAX');
  expect(codeOf(json.slice(0, -1))).toBe('TEXT_SYNTAX');
  expect(codeOf(`${json} `)).toBe('TEXT_SYNTAX');
  expect(codeOf(json.replace('"format":1', '"format":2'))).toBe('SCHEMA_MISMATCH');
  expect(codeOf(json.replace('"title"', '"__proto__"'))).toBe('FIELD_RESERVED');
  expect(codeOf(text('{"key":"folder/#1"}', top('folder/#1', null)))).toBe('DIFF_INVALID');
  expect(codeOf(text(entry('folder/#1'), ''))).toBe('DIFF_INVALID');
  expect(codeOf(text(`${entry('folder/#1')},${entry('folder/#1')}`, top('folder/#1', null)))).toBe('DIFF_INVALID');
  const circle = `${top('folder/#1', 'folder/#2')},${top('folder/#2', 'folder/#1')}`;
  expect(codeOf(text(entry(folderKey(1)), circle))).toBe('DIFF_INVALID');
});
