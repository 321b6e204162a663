import { isSyncError } from '../errors/index.ts';
import type { OfflineStorage, StorageContents, StorageWrite } from './storage.ts';

/** What a test of {@link offlineStorageContract} needs of an implementation. */
export interface StorageUnderTest {
  /** An empty storage. */
  create(): Promise<OfflineStorage>;
  /** The same storage, opened beside the first as by another process or tab; the first may be closed already. */
  reopen(storage: OfflineStorage): Promise<OfflineStorage>;
}

export interface StorageContractTest {
  readonly name: string;
  run(): Promise<void>;
}

/** The acceptance suite of `OfflineStorage`, for any test runner: `for (const { name, run } of offlineStorageContract(mine)) test(name, run)`. */
export function offlineStorageContract(under: StorageUnderTest): StorageContractTest[] {
  const test = (name: string, body: (storage: OfflineStorage) => Promise<void>): StorageContractTest => ({
    name,
    async run() {
      const storage = await under.create();
      await body(storage);
      await storage.close();
    },
  });
  return [
    test('has nothing at first', async (storage) => {
      same([await storage.revision(), await shown(storage)], [0, '0:'], 'an empty storage');
    }),
    test('gives back what was written, in the order of keys', async (storage) => {
      same(await storage.write(0, [put('b', 2), put('a', 1), put('aé', 3), put('a/1', 4)]), 1, 'the revision');
      same(await shown(storage), '1:a=1 a/1=4 aé=3 b=2', 'the rows');
    }),
    test('replaces and takes away, and counts every write', async (storage) => {
      await storage.write(0, [put('a', 1), put('b', 2)]);
      await storage.write(1, [put('a', 5), remove('b'), remove('c')]);
      await storage.write(2, []);
      same([await storage.revision(), await shown(storage)], [3, '3:a=5'], 'the rows');
    }),
    test('of two writes to one key in one batch the later counts', async (storage) => {
      await storage.write(0, [put('a', 1), remove('a'), put('a', 2), put('b', 1), remove('b')]);
      same(await shown(storage), '1:a=2', 'the rows');
    }),
    test('keeps every byte, and none', async (storage) => {
      const all = Uint8Array.from({ length: 256 }, (_, index) => index);
      await storage.write(0, [
        { key: 'all', value: all },
        { key: 'none', value: new Uint8Array(0) },
      ]);
      const { rows } = await storage.read();
      same([...(rows.get('all') ?? [])], [...all], 'the bytes');
      same(rows.get('none')?.length, 0, 'the length of nothing');
    }),
    test('refuses a write on another revision, and writes nothing of it', async (storage) => {
      await storage.write(0, [put('a', 1)]);
      for (const expected of [0, 2]) await throwsCode('STORAGE_CONFLICT', () => storage.write(expected, [put('a', 9)]));
      same(await shown(storage), '1:a=1', 'the rows');
    }),
    test('writes all of a batch or nothing', async (storage) => {
      await storage.write(0, [put('a', 1)]);
      let isRefused = false;
      await storage.write(1, [put('a', 2), put('', 3)]).catch(() => {
        isRefused = true;
      });
      holds(isRefused, 'an empty key was taken');
      same(await shown(storage), '1:a=1', 'the rows');
    }),
    test('of two that write on one revision at once, one is told that it was late', async (storage) => {
      const other = await under.reopen(storage);
      const outcomes = await Promise.allSettled([storage.write(0, [put('a', 1)]), other.write(0, [put('a', 2)])]);
      const [first, second] = outcomes.map(({ status }) => status === 'fulfilled');
      holds(first !== second, `both ended alike: ${JSON.stringify(outcomes.map(({ status }) => status))}`);
      const late = outcomes.find((one) => one.status === 'rejected');
      holds(isSyncError(late?.reason, 'STORAGE_CONFLICT'), `the late one got ${String(late?.reason)}`);
      same(await shown(other), first ? '1:a=1' : '1:a=2', 'the rows');
      await other.close();
    }),
    test('shows at once what another has written', async (storage) => {
      const other = await under.reopen(storage);
      await other.write(0, [put('a', 1)]);
      same([await storage.revision(), await shown(storage)], [1, '1:a=1'], 'the rows');
      await other.close();
    }),
    test('hands out and takes copies', async (storage) => {
      const value = Uint8Array.of(1);
      await storage.write(0, [{ key: 'a', value }]);
      value[0] = 9;
      (await storage.read()).rows.get('a')!.fill(8);
      same(await shown(storage), '1:a=1', 'the rows');
    }),
    test('holds a thousand rows of a kibibyte', async (storage) => {
      const writes = Array.from({ length: 1_000 }, (_, index) => {
        return { key: `row/${String(index).padStart(4, '0')}`, value: new Uint8Array(1_024).fill(index) };
      });
      await storage.write(0, writes);
      const { rows } = await storage.read();
      same([rows.size, [...rows.keys()][999], rows.get('row/0300')?.[7]], [1_000, 'row/0999', 300 % 256], 'the rows');
    }),
    test('is closed once, and then refuses', async (storage) => {
      await storage.close();
      await storage.close();
      await throwsCode('STORAGE_CLOSED', () => storage.revision());
      await throwsCode('STORAGE_CLOSED', () => storage.read());
      await throwsCode('STORAGE_CLOSED', () => storage.write(0, []));
    }),
    {
      name: 'outlives the one who wrote it',
      async run() {
        const storage = await under.create();
        await storage.write(0, [put('a', 1)]);
        await storage.close();
        const again = await under.reopen(storage);
        same(await shown(again), '1:a=1', 'the rows');
        await again.close();
      },
    },
  ];
}

function put(key: string, value: number): StorageWrite {
  return { key, value: Uint8Array.of(value) };
}

function remove(key: string): StorageWrite {
  return { key, value: null };
}

async function shown(storage: OfflineStorage): Promise<string> {
  const { revision, rows }: StorageContents = await storage.read();
  return `${revision}:${Array.from(rows, ([key, value]) => `${key}=${value.join('.')}`).join(' ')}`;
}

function holds(isTrue: boolean, what: string): void {
  if (!isTrue) throw new Error(`the storage breaks its contract: ${what}`);
}

function same(got: unknown, wanted: unknown, what: string): void {
  const [left, right] = [JSON.stringify(got), JSON.stringify(wanted)];
  holds(left === right, `${what}: ${left}, not ${right}`);
}

async function throwsCode(code: string, run: () => Promise<unknown>): Promise<void> {
  try {
    await run();
  } catch (error) {
    holds(isSyncError(error, code), `${String(error)}, not ${code}`);
    return;
  }
  holds(false, `nothing was thrown, not ${code}`);
}
