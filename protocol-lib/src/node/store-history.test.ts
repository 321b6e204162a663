import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commonBranch, DiffSync, MAIN, MemoryStore, type Store, type StoreVersion } from '../diffsync/index.ts';
import { aFolder, inventory, sideOf, stateOf } from '../diffsync/inventory.test-helper.ts';
import type { StateRoot } from '../merkle/index.ts';
import { recordKey } from '../state/index.ts';
import { openSqliteStore } from './sqlite-store.ts';

let folder = '';
let files = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'store-history-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const KEY = recordKey('thing/a');
const branches = [MAIN, commonBranch('two'), commonBranch('three')];

/** The rule from scratch: at twice as many versions as are to be kept, a branch keeps so many of its newest. */
function keptOf(committed: readonly { number: number; branch: string }[], keep: number): number[] {
  let left: typeof committed = [];
  for (const one of committed) {
    left = [...left, one];
    const own = left.filter(({ branch }) => branch === one.branch);
    if (own.length < 2 * keep) continue;
    const gone = new Set(own.slice(0, -keep));
    left = left.filter((version) => !gone.has(version));
  }
  return left.map(({ number }) => number);
}

function checkHistory(
  store: Store,
  committed: readonly StoreVersion[],
  roots: readonly StateRoot[],
  keep: number,
): void {
  const kept = keptOf(committed, keep);
  expect(store.versions().map(({ number }) => number)).toEqual(kept);
  for (const { number, branch } of committed) {
    if (kept.includes(number)) expect(store.at(number).hash).toBe(roots[number - 1]!.hash);
    else expect(() => store.at(number)).toThrow(expect.objectContaining({ code: 'VERSION_UNKNOWN' }));
    const first = store.versions().find((version) => version.branch === branch);
    expect(first?.parent).toBeNull();
  }
  expect(store.links().map(({ version }) => version)).toEqual(kept);
}

describe('a store forgets old versions by its rule', () => {
  const history = fc.array(fc.nat(2), { maxLength: 40 });
  const play = (store: Store, steps: readonly number[], keep: number): [StoreVersion[], StateRoot[]] => {
    const committed: StoreVersion[] = [];
    const roots: StateRoot[] = [];
    for (const [index, step] of steps.entries()) {
      const root = store.apply([{ op: 'put', key: KEY, record: { size: index } }]);
      const version = store.commit({ branch: branches[step]!, root, time: index, message: '' });
      expect(version.number).toBe(index + 1);
      store.link({ version: version.number, store: 'two', other: index, relation: 'to' });
      committed.push(version);
      roots.push(root);
    }
    checkHistory(store, committed, roots, keep);
    return [committed, roots];
  };

  test('in memory', () => {
    fc.assert(
      fc.property(history, fc.integer({ min: 2, max: 5 }), (steps, keepVersions) => {
        play(new MemoryStore('one', {}, undefined, { keepVersions }), steps, keepVersions);
      }),
    );
  });

  test('in its SQLite file, which gives back the same', () => {
    fc.assert(
      fc.property(history, fc.integer({ min: 2, max: 5 }), (steps, keepVersions) => {
        const file = join(folder, `${files++}.sqlite`);
        const store = openSqliteStore(file, 'one', { keepVersions });
        const [committed, roots] = play(store, steps, keepVersions);
        store.close();
        const again = openSqliteStore(file, 'one', { keepVersions });
        expect(again.versions()).toEqual(store.versions());
        checkHistory(again, committed, roots, keepVersions);
        again.close();
      }),
      { numRuns: 10 },
    );
  });

  test('keeps 1,000 of a branch where nothing is said', () => {
    const store = new MemoryStore('one');
    for (let number = 1; number <= 2_000; number++) {
      expect(store.versions().length).toBe(number - 1);
      store.commit({ branch: MAIN, root: store.root(), time: 0, message: '' });
    }
    expect([store.versions().length, store.versions()[0]]).toMatchObject([1_000, { number: 1_001, parent: null }]);
  });

  test('and refuses to keep less than a broken sync needs', () => {
    const refused = expect.objectContaining({ code: 'HISTORY_INVALID' });
    for (const keepVersions of [1, 0, -1, 2.5, Number.NaN]) {
      expect(() => new MemoryStore('one', {}, undefined, { keepVersions })).toThrow(refused);
      expect(() => openSqliteStore(':memory:', 'one', { keepVersions })).toThrow(refused);
    }
  });
});

test('two-way syncs go on from what both have in common, however little history is kept', async () => {
  const sync = new DiffSync();
  const store = (name: string) => new MemoryStore(name, {}, undefined, { keepVersions: 2 });
  const [left, right] = ['left', 'right'].map((name) => ({ ...sideOf(name), store: store(name), models: inventory }));
  for (let round = 0; round < 12; round++) {
    for (const [side, id] of [
      [left!, 2 * round],
      [right!, 2 * round + 1],
    ] as const) {
      const [[key, record]] = [...stateOf(aFolder(id)).entries()] as [[typeof KEY, { title: string }]];
      side.store.apply([{ op: 'put', key, record }]);
    }
    // What came in the round before goes on one side; without the state in common it would come back from the other.
    if (round > 0) left!.store.apply([{ op: 'remove', key: recordKey(`folder/#${2 * round - 1}`) }]);
    const report = await sync.twoWay(left!, right!, { strategies: { default: 'fail' } });
    expect([report.isEqual, report.open]).toEqual([true, []]);
    expect(left!.store.root().size).toBe(round + 2);
    for (const { store } of [left!, right!]) expect(store.versions().length).toBeLessThan(8);
  }
});
