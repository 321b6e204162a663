import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MAIN, type Store, storeContract } from '../diffsync/index.ts';
import { recordKey } from '../state/index.ts';
import { openSqliteStore, type SqliteStore } from './sqlite-store.ts';

let folder: string;
const files = new Map<Store, string>();
let count = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sqlite-store-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function open(file: string, name = 'one'): SqliteStore {
  const store = openSqliteStore(file, name);
  files.set(store, file);
  return store;
}

const newFile = (): string => join(folder, `${count++}.sqlite`);
const under = {
  create: (name: string) => open(newFile(), name),
  reopen(store: Store) {
    (store as SqliteStore).close();
    return open(files.get(store)!, store.name);
  },
};

for (const { name, run } of storeContract(under)) test(name, run);

const KEY = recordKey('thing/a');
const codeOf = (run: () => unknown): unknown => {
  try {
    run();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return 'nothing was thrown';
};

function filled(): string {
  const file = newFile();
  const store = open(file);
  store.apply([{ op: 'put', key: KEY, record: { size: 1 } }]);
  store.commit({ branch: MAIN, root: store.root(), time: 0, message: '' });
  store.close();
  return file;
}

test('refuses what is no store, another store, a newer format, and what was changed behind its back', () => {
  const text = newFile();
  writeFileSync(text, 'this is not a database, however long it gets. '.repeat(100));
  expect(codeOf(() => open(text))).toBe('STORE_UNREADABLE');
  expect(codeOf(() => open(join(folder, 'no', 'such', 'folder')))).toBe('STORE_UNREADABLE');
  expect(codeOf(() => open(filled(), 'two'))).toBe('STORE_NAME');
  const harms: [string, string][] = [
    ["UPDATE about SET value = '2' WHERE name = 'format'", 'STORE_FORMAT'],
    ["UPDATE about SET value = 'x' WHERE name = 'root'", 'STORE_DAMAGED'],
    ['DELETE FROM records', 'STORE_DAMAGED'],
    ["UPDATE records SET record = x'c1'", 'STORE_DAMAGED'],
    ["UPDATE records SET key = 'none'", 'STORE_DAMAGED'],
    ["UPDATE versions SET changes = x'90'", 'STORE_DAMAGED'],
    ["INSERT INTO links VALUES (1, x'80')", 'STORE_DAMAGED'],
  ];
  for (const [sql, code] of harms) {
    const file = filled();
    const database = new DatabaseSync(file);
    database.exec(sql);
    database.close();
    expect([sql, codeOf(() => open(file))]).toEqual([sql, code]);
  }
});

test('a store whose file somebody else has written refuses to write, and stays as it was', () => {
  const file = filled();
  const [one, other] = [open(file), open(file)];
  one.apply([{ op: 'put', key: KEY, record: { size: 2 } }]);
  const { hash } = other.root();
  expect(codeOf(() => other.apply([{ op: 'put', key: KEY, record: { size: 3 } }]))).toBe('STORE_CONFLICT');
  expect([other.root().hash, other.revision]).toEqual([hash, 0]);
  expect(codeOf(() => other.commit({ branch: MAIN, root: other.root(), time: 0, message: '' }))).toBe('STORE_CONFLICT');
  one.apply([{ op: 'remove', key: KEY }]);
  one.close();
  other.close();
  const again = open(file);
  expect(again.root().size).toBe(0);
  again.close();
});
