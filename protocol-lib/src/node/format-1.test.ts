import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { diffFromJson, diffToJson, PARENT } from '../diffsync/index.ts';
import { NotesWorld } from '../offline/notes.test-helper.ts';
import { recordKey } from '../state/index.ts';
import { SqliteStorage } from './sqlite-queue.ts';
import { openSqliteStore } from './sqlite-store.ts';

/**
 * Files of format 1 as the first build wrote them. They are never written anew: whatever later builds write, these stay readable
 * and mean the same.
 */
const kept = (name: string): string => join(import.meta.dirname, 'format-1', name);

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'format-1-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Opening a database changes its file. */
function copyOf(name: string): string {
  const copy = join(folder, name);
  copyFileSync(kept(name), copy);
  return copy;
}

const VALUES = {
  nothing: null,
  minusZero: -0,
  notANumber: Number.NaN,
  big: 2 ** 53,
  text: 'Tür',
  bytes: new Uint8Array([0, 255]),
};

test('a diff in JSON', () => {
  const json = readFileSync(kept('diff.txt'), 'utf8');
  const diff = diffFromJson(json);
  expect(diff.entries).toMatchObject([
    { key: 'thing/a', before: VALUES, after: { ...VALUES, text: 'Tor' } },
    { key: 'thing/b', before: { size: 1 } },
    { key: 'thing/d', after: { [PARENT]: 'thing/c', size: 2 } },
  ]);
  expect(diff.parents.get(recordKey('thing/d'))).toBe('thing/c');
  expect(diff.totals).toEqual(new Map([['thing', 3]]));
  expect(diffToJson(diff)).toBe(json);
});

test('the SQLite file of a store, with its history', () => {
  const store = openSqliteStore(copyOf('store.sqlite'), 'one');
  const [a, b] = [recordKey('thing/a'), recordKey('thing/b')];
  expect([...store.root().entries()]).toEqual([[b, { size: 2 }]]);
  expect(store.versions()).toEqual([
    { number: 1, branch: 'main', parent: null, root: store.at(1).hash, time: 5, message: 'first' },
    { number: 2, branch: 'common:two', parent: null, root: store.at(1).hash, time: 6, message: 'in common with two' },
    { number: 3, branch: 'main', parent: 1, root: store.at(3).hash, time: 7, message: 'second' },
  ]);
  expect(store.at(2).get(a)).toEqual(VALUES);
  expect([store.at(1).get(b), store.at(3).get(b)]).toEqual([{ size: 1 }, { size: 2 }]);
  expect(store.links()).toEqual([{ version: 2, store: 'two', other: 9, relation: 'synchronized' }]);
  store.close();
});

test('the SQLite file of an offline device, with what waits in it', async () => {
  const storage = new SqliteStorage(copyOf('offline.sqlite'));
  const device = await new NotesWorld().device('phone', { storage });
  expect(device.entries.map(({ mutation: { counter, args }, state }) => [counter, args, state])).toEqual([
    [1, { key: 'note/~phone-1', text: 'settled' }, 'reconciled'],
    [2, { key: 'note/~phone-2', text: 'waiting' }, 'pending'],
    [3, { key: 'note/~phone-2', text: 'waiting, edited' }, 'pending'],
  ]);
  expect(device.resolve(recordKey('note/~phone-1'))).toBe('note/phone-1');
  expect(device.local.get(recordKey('note/phone-1'))).toMatchObject({ text: 'settled' });
  expect(device.local.get(recordKey('note/~phone-2'))).toMatchObject({ text: 'waiting, edited' });
  await device.close();
});
