import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packMsgpack, unpackMsgpack } from '../bytes/index.ts';
import { recordKey, type StateHash } from '../state/index.ts';
import {
  answerMerkleQuery,
  changesBetween,
  type MerkleAnswer,
  MerkleDescent,
  type MerkleNodeAnswer,
  merkleAnswerSchema,
  merkleQuerySchema,
  StateRoot,
} from './index.ts';
import { arbitraryState, type Entries, manyRecords, naiveDiff, rootOf } from './testing.ts';

/** Runs a descent over bytes, as two processes would. */
function descend(own: StateRoot, remote: StateRoot): MerkleDescent {
  const descent = new MerkleDescent(own, remote.hash);
  for (let query = descent.next(); query !== undefined; query = descent.next()) {
    const asked = merkleQuerySchema.parse(unpackMsgpack(packMsgpack(query)), 'query');
    const answer = answerMerkleQuery(remote, asked);
    descent.receive(merkleAnswerSchema.parse(unpackMsgpack(packMsgpack(answer)), 'answer'));
  }
  return descent;
}

const twoStates = fc
  .tuple(
    arbitraryState({ maxLength: 120 }),
    arbitraryState({ maxLength: 30 }),
    fc.array(fc.nat(200), { maxLength: 60 }),
  )
  .map(([base, changed, removed]) => {
    const gone = new Set(removed.map((id) => recordKey(`item/${id}`)));
    return [base, [...new Map([...base, ...changed])].filter(([key]) => !gone.has(key))] as [Entries, Entries];
  });

describe('MerkleDescent', () => {
  it('finds exactly the symmetric difference, both ways', () => {
    fc.assert(
      fc.property(twoStates, ([one, other]) => {
        for (const [a, b] of [
          [one, other],
          [other, one],
        ] as const) {
          const [own, remote] = [rootOf(a), rootOf(b)];
          const descent = descend(own, remote);
          expect(descent.differences).toEqual(
            naiveDiff(a, b).map(({ key, left, right }) => ({ key, own: left ?? null, theirs: right ?? null })),
          );
          expect(descent.result()).toEqual(changesBetween(own, remote));
          expect(own.apply(descent.result()).hash).toBe(remote.hash);
        }
      }),
    );
  });

  it('costs by the differences and the depth, not by the size', () => {
    for (const size of [1_000, 10_000, 50_000]) {
      const remote = rootOf(manyRecords(size));
      const changes = Array.from({ length: 10 }, (_, index) => recordKey(`thing/${Math.floor((index * size) / 10)}`));
      const own = remote.apply([
        ...changes.slice(0, 6).map((key) => ({ op: 'patch' as const, key, fields: { room: 'drifted' }, removed: [] })),
        ...changes.slice(6).map((key) => ({ op: 'remove' as const, key })),
        { op: 'put', key: recordKey('extra/1'), record: { room: 'only here' } },
      ]);
      const descent = descend(own, remote);
      expect(descent.differences).toHaveLength(11);
      // One level of 16 a round: a bucket of 8 is reached at log16(n / 8) + 1 or so.
      const levels = Math.ceil(Math.log(size) / Math.log(16)) + 2;
      expect(descent.rounds).toBeLessThanOrEqual(levels);
      expect(descent.hashes).toBeLessThanOrEqual(11 * 16 * levels);
      expect(descent.bytes).toBeLessThan(11 * levels * 400);
    }
  });

  it('asks nothing where nothing differs', () => {
    const descent = new MerkleDescent(rootOf(manyRecords(100)), rootOf(manyRecords(100)).hash);
    expect(descent.next()).toBeUndefined();
    expect([descent.isDone, descent.result(), descent.differences, descent.rounds]).toEqual([true, [], [], 0]);
  });

  it('fills an empty state and empties a full one', () => {
    const full = rootOf(manyRecords(3_000));
    expect(StateRoot.empty.apply(descend(StateRoot.empty, full).result()).hash).toBe(full.hash);
    expect(full.apply(descend(full, StateRoot.empty).result()).size).toBe(0);
    expect(descend(full, StateRoot.empty).rounds).toBe(1);
  });

  it('has no result before it is done', () => {
    const descent = new MerkleDescent(StateRoot.empty, rootOf(manyRecords(100)).hash);
    expect(() => descent.result()).toThrow(expect.objectContaining({ code: 'MERKLE_UNFINISHED' }));
    expect(descent.next()).toEqual({ paths: [''] });
    expect(descent.next()).toEqual({ paths: [''] });
  });

  it('never believes an answer with a bit changed: refused at once with nothing taken, or a round later', () => {
    const remote = rootOf(manyRecords(60));
    const own = remote.apply([{ op: 'patch', key: recordKey('thing/7'), fields: { room: 'x' }, removed: [] }]);
    let [refusedAtOnce, refusedLater] = [0, 0];
    fc.assert(
      fc.property(fc.nat(), fc.nat(7), fc.nat(1), (place, bit, strikeAt) => {
        const descent = new MerkleDescent(own, remote.hash);
        let struck = false;
        try {
          for (let query = descent.next(); query !== undefined; query = descent.next()) {
            const answer = answerMerkleQuery(remote, query);
            const tampered = descent.rounds === strikeAt && !struck ? tamper(answer, place, bit) : undefined;
            if (tampered !== undefined) {
              struck = true;
              const before = [descent.rounds, descent.hashes, descent.bytes];
              try {
                descent.receive(tampered);
                continue;
              } catch (error) {
                expect(error).toMatchObject({ code: 'MERKLE_UNVERIFIED' });
                expect([descent.rounds, descent.hashes, descent.bytes]).toEqual(before);
                expect(descent.next()).toEqual(query);
                refusedAtOnce++;
              }
            }
            descent.receive(answer);
          }
        } catch (error) {
          // The sum of a branch binds neither counts nor slots; the answers below do.
          expect([struck, error]).toMatchObject([true, { code: 'MERKLE_UNVERIFIED' }]);
          refusedLater++;
          return;
        }
        expect(own.apply(descent.result()).hash).toBe(remote.hash);
      }),
      { numRuns: 300 },
    );
    expect(refusedAtOnce).toBeGreaterThan(refusedLater);
  });

  it('names the key whose value is not that of its leaf', () => {
    const remote = rootOf(manyRecords(5));
    const descent = new MerkleDescent(StateRoot.empty, remote.hash);
    const answer = answerMerkleQuery(remote, descent.next()!);
    const node = answer.nodes[0]!;
    if (node.kind !== 'leaves') throw new Error('five records are one bucket');
    const entries = node.entries.map((entry) =>
      entry.key === 'thing/3' ? { ...entry, record: { ...entry.record, count: 99 } } : entry,
    );
    expect(() => descent.receive({ nodes: [{ ...node, entries }] })).toThrow(/the value of thing\/3/);
    expect(descent.isDone).toBe(false);
  });

  it('refuses answers that sum up but do not belong: records elsewhere, missing, twice, or an answer to something else', () => {
    const remote = rootOf(manyRecords(60));
    const descent = new MerkleDescent(StateRoot.empty, remote.hash);
    const answer = answerMerkleQuery(remote, descent.next()!);
    const node = answer.nodes[0]!;
    if (node.kind !== 'branch') throw new Error('sixty records are a branch');
    const swapped = [node.counts[0]! + 1, node.counts[1]! - 1, ...node.counts.slice(2)];
    const bad: MerkleAnswer[] = [
      { nodes: [] },
      { nodes: [node, node] },
      { nodes: [{ ...node, path: 'a' as typeof node.path }] },
      { nodes: [{ ...node, slots: node.slots | 0x10000 }] },
      { nodes: [{ ...node, counts: node.counts.slice(1) }] },
      { nodes: [{ ...node, hashes: node.hashes.subarray(8) }] },
      { nodes: [{ ...node, counts: node.counts.map(() => 0) }] },
      { nodes: [{ kind: 'leaves', path: node.path, hashes: new Uint8Array(0), entries: [] }] },
    ];
    for (const one of bad) {
      expect(() => descent.receive(one)).toThrow(expect.objectContaining({ code: 'MERKLE_UNVERIFIED' }));
    }
    // Counts carry no hash of their own: a wrong one is found when its subtree is answered.
    descent.receive({ nodes: [{ ...node, counts: swapped }] });
    expect(() => descent.receive(answerMerkleQuery(remote, descent.next()!))).toThrow(/were promised/);
  });

  it('refuses records of another subtree, out of order, or given twice', () => {
    const remote = rootOf(manyRecords(60));
    const descent = new MerkleDescent(StateRoot.empty, remote.hash);
    descent.receive(answerMerkleQuery(remote, descent.next()!));
    const good = answerMerkleQuery(remote, descent.next()!);
    const index = good.nodes.findIndex((node) => node.kind === 'leaves' && node.entries.length >= 2);
    const node = good.nodes[index]!;
    const other = good.nodes[index === 0 ? 1 : 0]!;
    if (node.kind !== 'leaves' || other.kind !== 'leaves') throw new Error('sixty records are one branch of buckets');
    const hashes = new Uint8Array([...node.hashes.subarray(8), ...node.hashes.subarray(0, 8)]);
    const bad: [MerkleNodeAnswer, RegExp][] = [
      [{ ...node, entries: [...node.entries.slice(1), node.entries[0]!], hashes }, /out of order/],
      [{ ...node, entries: [node.entries[0]!, node.entries[0]!], hashes: node.hashes.subarray(0, 16) }, /given twice/],
      [{ ...other, path: node.path }, /does not belong there/],
    ];
    for (const [replacement, message] of bad) {
      const nodes = good.nodes.map((one, at) => (at === index ? replacement : one));
      expect(() => descent.receive({ nodes })).toThrow(message);
    }
  });

  it('is refused by a state that moved on between rounds', () => {
    const remote = rootOf(manyRecords(500));
    const descent = new MerkleDescent(StateRoot.empty, remote.hash);
    descent.receive(answerMerkleQuery(remote, descent.next()!));
    const moved = remote.apply([{ op: 'patch', key: recordKey('thing/7'), fields: { room: 'x' }, removed: [] }]);
    expect(() => descent.receive(answerMerkleQuery(moved, descent.next()!))).toThrow(
      expect.objectContaining({ code: 'MERKLE_UNVERIFIED', retry: 'backoff' }),
    );
  });

  it('cannot be led to a hash that nobody has', () => {
    const remote = rootOf(manyRecords(20));
    const descent = new MerkleDescent(StateRoot.empty, 'ffffffffffffffff' as StateHash);
    expect(() => descent.receive(answerMerkleQuery(remote, descent.next()!))).toThrow(/ffffffffffffffff was promised/);
  });
});

describe('merkleQuerySchema', () => {
  it('takes hex paths only, and not too many', () => {
    expect(merkleQuerySchema.parse({ paths: ['', 'a3'] }, 'query')).toEqual({ paths: ['', 'a3'] });
    for (const paths of [['g'], ['A'], ['0'.repeat(17)], [3], Array.from({ length: 513 }, () => '')]) {
      expect(() => merkleQuerySchema.parse({ paths }, 'query')).toThrow(
        expect.objectContaining({ code: 'SCHEMA_MISMATCH' }),
      );
    }
  });

  it('is answered wherever it leads', () => {
    const remote = rootOf(manyRecords(30));
    const { nodes } = answerMerkleQuery(remote, merkleQuerySchema.parse({ paths: ['0123456789abcdef', '5'] }, 'query'));
    expect(nodes.map(({ kind }) => kind)).toEqual(['leaves', 'leaves']);
  });

  it('is answered with no record twice, whatever it asks for, and with all that any of its paths leads to', () => {
    const digits = fc.constantFrom(...'0123456789abcdef');
    // Few paths are long, or most would lead to nothing.
    const path = fc.oneof(fc.array(digits, { maxLength: 2 }), fc.array(digits, { maxLength: 16 }));
    const paths = fc.array(path.map((all) => all.join('')));
    fc.assert(
      fc.property(arbitraryState({ maxLength: 120 }), paths, fc.boolean(), (entries, some, isTwice) => {
        const remote = rootOf(entries);
        const asked = isTwice ? [...some, ...some] : some;
        const { nodes } = answerMerkleQuery(remote, merkleQuerySchema.parse({ paths: asked }, 'query'));
        const alone = asked.filter((one) => !asked.some((other) => other !== one && one.startsWith(other)));
        expect(nodes.map((node) => node.path)).toEqual([...new Set(alone)]);
        const keys = nodes.flatMap((node) => (node.kind === 'leaves' ? node.entries.map(({ key }) => key) : []));
        expect(new Set(keys).size).toBe(keys.length);
        for (const node of nodes) {
          const [single] = answerMerkleQuery(remote, { paths: [node.path] }).nodes;
          expect(node).toEqual(single);
        }
      }),
    );
  });
});

/** The answer with one bit flipped, where that still is an answer and means something else. */
function tamper(answer: MerkleAnswer, place: number, bit: number): MerkleAnswer | undefined {
  const bytes = packMsgpack(answer);
  bytes[place % bytes.length]! ^= 1 << bit;
  try {
    const changed = merkleAnswerSchema.parse(unpackMsgpack(bytes), 'answer');
    return Buffer.from(packMsgpack(changed)).equals(packMsgpack(answer)) ? undefined : changed;
  } catch {
    return undefined;
  }
}
