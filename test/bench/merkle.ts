import { Tree } from '@canvas-js/okra-memory';
import {
  changesBetween,
  StateMerkleTree as MerkleTree,
  type StateMerkleTree,
  StateRoot,
} from '@syncscope/protocol/merkle';
import { type RecordKey, recordKey, type SyncRecord } from '@syncscope/protocol/state';
import { heapOf } from './measure.ts';
import type { Bench, Figure } from './types.ts';

/**
 * The Merkle trie alone: the root after a few writes, the differences of two states, and what a key costs
 * in memory. Records have five fields, about 60 bytes as canonical msgpack; a write changes two of them.
 */
const SIZES = [100, 1_000, 10_000, 100_000];
const WRITES = 10;
const OKRA = '@canvas-js/okra-memory';
const encoder = new TextEncoder();

type Entries = (readonly [RecordKey, SyncRecord])[];

function entriesOf(count: number): Entries {
  return Array.from({ length: count }, (_, index) => [
    recordKey(`thing/${String(index).padStart(6, '0')}`),
    { name: `thing ${index}`, room: `room-${index % 97}`, x: index, y: index % 1_000, open: index % 2 === 0 },
  ]);
}

/** The keys that the `round`-th round writes to: spread, and never twice in a round. */
function keysOf(entries: Entries, round: number): RecordKey[] {
  const step = Math.floor(entries.length / WRITES);
  return Array.from({ length: WRITES }, (_, index) => entries[(index * step + round * 7_919) % entries.length]![0]);
}

export const benches: readonly Bench[] = [
  { name: 'merkle.update', run: () => inTurn(SIZES, measureUpdate) },
  { name: 'merkle.diff', run: () => inTurn(SIZES, measureDiff) },
  { name: 'merkle.memory', run: () => inTurn(SIZES, measureMemory) },
];

async function inTurn(sizes: readonly number[], measure: (size: number) => Promise<Figure>): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const size of sizes) figures.push(await measure(size));
  return figures;
}

/** The figure that is compared goes by the bench's name; those of smaller sizes say how the cost grows. */
function named(name: string, size: number): string {
  return size === SIZES.at(-1) ? name : `${name}.${size}`;
}

async function measureUpdate(size: number): Promise<Figure> {
  const entries = entriesOf(size);
  const tree = new MerkleTree(StateRoot.from(entries));
  const hashes = new Set<string>([tree.hash]);
  const own = await medianMicroseconds(2_000, (round) => {
    writeOwn(tree, keysOf(entries, round), round);
    hashes.add(tree.root().hash);
  });
  if (hashes.size < 2_000) throw new Error('the root did not change with every round');

  const peer = await okraOf(entries);
  const peerRounds = Math.min(200, 20_000 / WRITES);
  const theirs = await medianMicroseconds(peerRounds, (round) => {
    // Bytes are made before the clock starts for the peer; ours makes its own within.
    const writes = keysOf(entries, round).map(
      (key) => [encoder.encode(key), bytesOf({ x: round, y: -round })] as const,
    );
    return () =>
      peer.write((transaction) => {
        for (const [key, value] of writes) transaction.set(key, value);
        return transaction.getRoot().hash;
      });
  });
  await peer.close();
  return {
    name: named('merkle.update', size),
    value: own,
    unit: 'us',
    peer: OKRA,
    ratio: own / theirs,
    note: `${WRITES} records of ${size} written, root kept and hashed; peer ${theirs.toFixed(0)} us with blake3`,
  };
}

function writeOwn(tree: StateMerkleTree, keys: readonly RecordKey[], round: number): void {
  for (const key of keys) tree.patch(key, { x: round, y: -round - 1 });
}

function bytesOf(record: SyncRecord): Uint8Array {
  return encoder.encode(JSON.stringify(record));
}

async function okraOf(entries: Entries): Promise<Tree> {
  async function* leaves(): AsyncGenerator<[Uint8Array, Uint8Array]> {
    for (const [key, record] of entries) yield [encoder.encode(key), bytesOf(record)];
  }
  return Tree.fromEntries({}, leaves());
}

async function measureDiff(size: number): Promise<Figure> {
  const entries = entriesOf(size);
  const drifted = new Set(keysOf(entries, 1));
  // Built apart, as two replicas are: nothing is shared, so only hashes can tell what is equal.
  const left = StateRoot.from(entries);
  const others = entriesOf(size).map(
    ([key, record]) => [key, drifted.has(key) ? { ...record, y: -1 } : record] as const,
  );
  const right = StateRoot.from(others);
  if (left.hash === right.hash) throw new Error('the states should differ');
  const [leftMap, rightMap] = [new Map(entries), new Map(others)];

  let found = 0;
  const own = await medianMicroseconds(1_000, () => {
    found = changesBetween(left, right).length;
  });
  let compared = 0;
  const theirs = await medianMicroseconds(Math.max(20, Math.min(1_000, 2_000_000 / size)), () => {
    compared = compareEveryKey(leftMap, rightMap);
  });
  if (found !== drifted.size || compared !== found)
    throw new Error(`found ${found} and ${compared} of ${drifted.size}`);
  return {
    name: named('merkle.diff', size),
    value: own,
    unit: 'us',
    peer: 'comparing every key',
    ratio: own / theirs,
    note: `${WRITES} of ${size} records differ, hashes known; peer ${theirs.toFixed(0)} us`,
  };
}

function compareEveryKey(left: ReadonlyMap<RecordKey, SyncRecord>, right: ReadonlyMap<RecordKey, SyncRecord>): number {
  let different = 0;
  for (const [key, record] of left) {
    const other = right.get(key);
    if (other === undefined || !isSameFlat(record, other)) different++;
  }
  for (const key of right.keys()) if (!left.has(key)) different++;
  return different;
}

function isSameFlat(left: SyncRecord, right: SyncRecord): boolean {
  let fields = 0;
  for (const name in left) {
    if (!Object.is(left[name], right[name])) return false;
    fields++;
  }
  for (const _ in right) fields--;
  return fields === 0;
}

/** Keys that are held at once, so that what a small trie takes is more than what a heap says too much. */
const KEYS_HELD = 10_000;

async function measureMemory(size: number): Promise<Figure> {
  const entries = entriesOf(size);
  const tries = Math.ceil(KEYS_HELD / size);
  const make = (): StateRoot => {
    const root = StateRoot.from(entries);
    if (root.hash.length !== 16) throw new Error('no hash');
    return root;
  };
  // Once before, so that what an engine keeps of code is not counted.
  make();
  await okraOf(entries.slice(0, 100));
  const own = await heapOf(() => Array.from({ length: tries }, make));
  const theirs = await heapOf(() => Promise.all(Array.from({ length: tries }, () => okraOf(entries))));
  const keys = tries * size;
  return {
    name: named('merkle.memory', size),
    value: own / keys,
    unit: 'B/key',
    peer: OKRA,
    ratio: own / theirs,
    note: `${size} keys; ours without keys and records, the peer's ${(theirs / keys).toFixed(0)} B with its copies of them`,
  };
}

/**
 * Median time of `step` over `rounds`, in microseconds, after as many as a fifth of them for warming up.
 * A step may return a function: then only that is timed.
 */
async function medianMicroseconds(rounds: number, step: (round: number) => unknown): Promise<number> {
  const times: number[] = [];
  const warm = Math.ceil(rounds / 5);
  for (let round = 0; round < warm + rounds; round++) {
    let start = process.hrtime.bigint();
    const prepared = step(round);
    if (typeof prepared === 'function') {
      start = process.hrtime.bigint();
      await prepared();
    }
    if (round >= warm) times.push(Number(process.hrtime.bigint() - start) / 1_000);
  }
  return times.sort((left, right) => left - right)[Math.floor(times.length / 2)]!;
}
