import { isSyncError } from '../errors/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { type Change, recordKey } from '../state/index.ts';
import { commonBranch, MAIN, type Store } from './store.ts';

/** What a test of {@link storeContract} needs of an implementation. */
export interface StoreUnderTest {
  /** An empty store of this name. */
  create(name: string): Store | Promise<Store>;
  /** The same store, opened anew; absent where it does not outlive its process. */
  reopen?(store: Store): Store | Promise<Store>;
}

export interface StoreContractTest {
  readonly name: string;
  run(): Promise<void>;
}

const A = recordKey('thing/a');
const B = recordKey('thing/b');
const put = (key: typeof A, size: number): Change => ({ op: 'put', key, record: { size } });
const VALUES = { nothing: null, minusZero: -0, notANumber: Number.NaN, text: 'Tür', bytes: new Uint8Array([0, 255]) };

/** The acceptance suite of `Store`, for any test runner: `for (const { name, run } of storeContract(mine)) test(name, run)`. */
export function storeContract(under: StoreUnderTest): StoreContractTest[] {
  const again = async (store: Store): Promise<Store> => (under.reopen ? under.reopen(store) : store);
  const test = (name: string, run: () => Promise<void>): StoreContractTest => ({ name, run });
  return [
    test('begins empty, under its name', async () => {
      const store = await under.create('one');
      same([store.name, store.root().size, store.versions().length, store.links().length], ['one', 0, 0, 0], 'it');
    }),
    test('applies changes in order and gives them back', async () => {
      const store = await under.create('one');
      store.apply([put(A, 1), put(B, 2), { op: 'patch', key: A, fields: { ...VALUES }, removed: ['size'] }]);
      const after = store.apply([{ op: 'remove', key: B }]);
      const wanted = StateRoot.from([[A, VALUES]]);
      same([after.hash, store.root().hash, (await again(store)).root().hash], Array(3).fill(wanted.hash), 'the root');
    }),
    test('applies all of the changes or none', async () => {
      const store = await under.create('one');
      store.apply([put(A, 1)]);
      const { hash } = store.root();
      const revision = store.revision;
      let told = 0;
      store.subscribe(() => told++);
      throws('RECORD_MISSING', () => store.apply([put(B, 1), { op: 'remove', key: recordKey('thing/c') }]));
      throws('RECORD_MISSING', () =>
        store.apply([
          put(B, 1),
          { op: 'patch', key: B, fields: {}, removed: [] },
          { op: 'remove', key: recordKey('thing/c') },
        ]),
      );
      throws('VALUE_INVALID', () => store.apply([put(B, 1), { op: 'put', key: A, record: { text: '\ud800' } }]));
      throws('FIELD_RESERVED', () => store.apply([{ op: 'put', key: A, record: JSON.parse('{"__proto__": 1}') }]));
      throws('SCHEMA_MISMATCH', () => store.apply([{ op: 'put', key: 'none' } as unknown as Change]));
      same([store.root().hash, (await again(store)).root().hash], [hash, hash], 'the root');
      same([store.revision, told], [revision, 0], 'revision and events');
    }),
    test('tells of each change once, after it is there, and of nothing that changes nothing', async () => {
      const store = await under.create('one');
      const told: unknown[] = [];
      const listener = (changes: readonly Change[], root: StateRoot): void => {
        told.push([changes.length, root.hash === store.root().hash, store.revision]);
      };
      const end = store.subscribe(listener);
      store.apply([put(A, 1), put(B, 1)]);
      store.apply([put(A, 1)]);
      store.apply([]);
      store.apply([put(A, 2)]);
      end();
      end();
      store.apply([put(A, 3)]);
      same(
        told,
        [
          [2, true, 1],
          [1, true, 2],
        ],
        'what was told',
      );
    }),
    test('keeps versions under their numbers, each branch by itself', async () => {
      const store = await under.create('one');
      const commit = (branch: string, message: string) =>
        store.commit({ branch, root: store.root(), time: 5, message }).number;
      same(commit(MAIN, 'empty'), 1, 'the first number');
      const hashes = [store.root().hash];
      for (let size = 1; size <= 5; size++) {
        hashes.push(store.apply([put(size % 2 === 0 ? A : B, size)]).hash);
        commit(size === 3 ? commonBranch('two') : MAIN, `size ${size}`);
      }
      store.apply([{ op: 'remove', key: A }]);
      const opened = await again(store);
      same(
        opened.versions().map(({ number, parent }) => [number, parent]),
        [
          [1, null],
          [2, 1],
          [3, 2],
          [4, null],
          [5, 3],
          [6, 5],
        ],
        'versions',
      );
      same(
        opened.versions()[3],
        { number: 4, branch: 'common:two', parent: null, root: hashes[3], time: 5, message: 'size 3' },
        'version 4',
      );
      same(
        hashes.map((_, index) => opened.at(index + 1).hash),
        hashes,
        'the states of the versions',
      );
      throws('VERSION_UNKNOWN', () => opened.at(7));
      throws('VERSION_UNKNOWN', () => opened.at(Number.NaN));
      same(opened.commit({ branch: MAIN, root: opened.root(), time: 6, message: '' }).number, 7, 'the next number');
    }),
    test('keeps a state of any branch that is not its own', async () => {
      const store = await under.create('one');
      store.apply([put(A, 1)]);
      const other = StateRoot.from([[B, { size: 9 }]]);
      const { number } = store.commit({ branch: commonBranch('two'), root: other, time: 0, message: '' });
      const opened = await again(store);
      same([opened.at(number).hash, opened.root().size, opened.root().has(A)], [other.hash, 1, true], 'both states');
    }),
    test('keeps links between versions, of known ones only', async () => {
      const store = await under.create('one');
      const { number } = store.commit({ branch: MAIN, root: store.root(), time: 0, message: '' });
      const link = { version: number, store: 'two', other: 7, relation: 'from' } as const;
      store.link(link);
      throws('VERSION_UNKNOWN', () => store.link({ ...link, version: 2 }));
      throws('SCHEMA_MISMATCH', () => store.link({ ...link, relation: 'beside' as 'from' }));
      throws('SCHEMA_MISMATCH', () => store.commit({ branch: MAIN, root: store.root(), time: -1, message: '' }));
      const opened = await again(store);
      same([opened.links(), opened.versions().length], [[link], 1], 'links and versions');
    }),
    test('hands out copies of its lists', async () => {
      const store = await under.create('one');
      store.commit({ branch: MAIN, root: store.root(), time: 0, message: '' });
      (store.versions() as unknown[]).length = 0;
      (store.links() as unknown[]).push(1);
      same([store.versions().length, store.links().length], [1, 0], 'versions and links');
    }),
  ];
}

function same(got: unknown, wanted: unknown, what: string): void {
  const [left, right] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (left !== right) throw new Error(`the store breaks its contract: ${what}: ${left}, not ${right}`);
}

function throws(code: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    if (isSyncError(error, code)) return;
    throw new Error(`the store breaks its contract: ${String(error)}, not ${code}`);
  }
  throw new Error(`the store breaks its contract: nothing was thrown, not ${code}`);
}
