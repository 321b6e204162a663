import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isSyncError } from '../errors/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { type BodyOf, FrameEncoder, type MessageOf } from '../messages/index.ts';
import type { Random } from '../ports/index.ts';
import { type RecordKey, recordKey, replicaId, type SyncRecord } from '../state/index.ts';
import { coinSession, MemorySession } from './memory-link.test-helper.ts';
import { MAX_SNAPSHOT_PARTS, SnapshotAssembly, splitSnapshot } from './snapshot-parts.ts';

const server = replicaId('server');

function full(count: number, version = 1): BodyOf<'FULL_SYNC'> {
  const entries = Array.from({ length: count }, (_, index): [RecordKey, SyncRecord] => [
    recordKey(`thing/${index}`),
    { name: `thing ${index}`, at: index * version },
  ]);
  return {
    type: 'FULL_SYNC',
    version,
    progress: version,
    records: entries.map(([key, record]) => ({ key, record })),
    vector: [{ replica: replicaId('alice'), counter: version }],
    rejected: [],
    root: StateRoot.from(entries).hash,
  };
}

function sent(parts: readonly BodyOf<'FULL_SYNC'>[]): MessageOf<'FULL_SYNC'>[] {
  return parts.map((part, index) => ({ ...part, sender: server, sequence: index + 1 }));
}

/** What comes out, and how often parts were found missing. */
function takeAll(
  assembly: SnapshotAssembly,
  messages: readonly MessageOf<'FULL_SYNC'>[],
): { wholes: MessageOf<'FULL_SYNC'>[]; refusals: number } {
  const wholes: MessageOf<'FULL_SYNC'>[] = [];
  let refusals = 0;
  for (const message of messages) {
    try {
      const whole = assembly.take(message);
      if (whole) wholes.push(whole);
    } catch (error) {
      if (!isSyncError(error, 'SNAPSHOT_PART_MISSING')) throw error;
      refusals++;
    }
  }
  return { wholes, refusals };
}

describe('the parts of a snapshot', () => {
  test('are one message where it is small, and bounded frames where it is not', () => {
    const small = full(3);
    expect(splitSnapshot(small, 10_000)).toEqual([small]);
    const large = full(5_000);
    const parts = splitSnapshot(large, 10_000);
    expect(parts.length).toBeGreaterThan(10);
    const encoder = new FrameEncoder(server);
    encoder.names.seal();
    for (const part of parts) {
      expect(encoder.encode(part).map(({ frame }) => frame.length)).toEqual([expect.closeTo(6_000, -4)]);
    }
    expect(parts.map(({ part }) => part)).toEqual(parts.map((_, index) => ({ index, of: parts.length })));
    expect(parts.filter(({ vector }) => vector.length > 0)).toEqual([parts.at(-1)]);
  });

  test('give the snapshot again, and nothing before the last', () => {
    fc.assert(
      fc.property(fc.nat(60), fc.integer({ min: 1, max: 500 }), (count, bytes) => {
        const whole = full(count);
        const messages = sent(splitSnapshot(whole, bytes));
        const assembly = new SnapshotAssembly();
        const before = takeAll(assembly, messages.slice(0, -1));
        expect(before).toEqual({ wholes: [], refusals: 0 });
        const { records, vector, root } = assembly.take(messages.at(-1)!)!;
        expect({ records, vector, root }).toEqual({ records: whole.records, vector: whole.vector, root: whole.root });
        expect(assembly.isOpen).toBe(false);
      }),
    );
  });

  test('lost, repeated, in another order or of two snapshots: a whole one comes out, or none', () => {
    const [one, two] = [full(40, 1), full(40, 2)].map((whole) => sent(splitSnapshot(whole, 200))) as [
      MessageOf<'FULL_SYNC'>[],
      MessageOf<'FULL_SYNC'>[],
    ];
    const any = fc.array(fc.constantFrom(...one, ...two), { maxLength: 60 });
    fc.assert(
      fc.property(any, fc.boolean(), (mess, isFirst) => {
        const assembly = new SnapshotAssembly();
        const { wholes } = takeAll(assembly, mess);
        const after = takeAll(assembly, isFirst ? one : two);
        expect(after.wholes).toHaveLength(1);
        expect(after.refusals).toBe(0);
        for (const { version, records } of [...wholes, ...after.wholes]) {
          expect(records).toEqual(full(40, version).records);
        }
      }),
    );
    const assembly = new SnapshotAssembly();
    expect(takeAll(assembly, [...one.slice(0, 3), ...one.slice(4)]).wholes).toEqual([]);
    expect(takeAll(assembly, [...one.slice(0, 3), ...two.slice(3)]).wholes).toEqual([]);
    expect(takeAll(assembly, [one[0]!, one[0]!, ...one.slice(1)]).wholes).toHaveLength(1);
  });

  test('are larger where there would be too many, and refused where too many come', () => {
    for (const records of [MAX_SNAPSHOT_PARTS, MAX_SNAPSHOT_PARTS + 1, 3 * MAX_SNAPSHOT_PARTS]) {
      const parts = splitSnapshot(full(records), 1);
      expect(parts.length).toBeLessThanOrEqual(MAX_SNAPSHOT_PARTS);
      expect(parts.length).toBeGreaterThan(MAX_SNAPSHOT_PARTS / 4);
      expect(parts.flatMap((part) => part.records)).toEqual(full(records).records);
    }
    const message = { ...sent([full(1)])[0]!, part: { index: 0, of: MAX_SNAPSHOT_PARTS + 1 } };
    expect(() => new SnapshotAssembly().take(message)).toThrow(`at most ${MAX_SNAPSHOT_PARTS}`);
    expect(() => new SnapshotAssembly().take({ ...message, part: { index: 0, of: 0 } })).toThrow('part 0 of 0');
  });
});

describe('over a link', () => {
  const things = (count: number) => ({
    ...coinSession,
    *initialRecords(random: Random): Iterable<readonly [RecordKey, SyncRecord]> {
      yield* coinSession.initialRecords(random);
      for (let index = 0; index < count; index++) yield [recordKey(`thing/${index}`), { at: index }];
    },
  });
  const isPart = (frame: Uint8Array) => frame[1] === 7;

  test('150,000 records come whole, in frames below 1 MiB', () => {
    const definition = things(150_000);
    const session = new MemorySession({ definition });
    let [frames, longest] = [0, 0];
    session.fate = (frame, to) => {
      if (to === 'client' && isPart(frame)) frames++;
      longest = Math.max(longest, frame.length);
      return [frame];
    };
    const alice = session.join('alice', { definition });
    session.run(100);
    expect(frames).toBeGreaterThan(10);
    expect(longest).toBeLessThan(1024 * 1024);
    expect(alice.committed.size).toBe(session.manager.root.size);
    expect(alice.committed.hash).toBe(session.manager.root.hash);
    expect(alice.isSettled).toBe(true);
  });

  test('cut in the middle, the state stays as before, and the next link brings it', () => {
    const definition = things(2_000);
    const session = new MemorySession({ definition, snapshotPart: 2_000, ring: 1, periodicSnapshots: 1 });
    const alice = session.join('alice', { definition });
    session.run(100);
    session.cut('alice');
    const before = { version: alice.version, hash: alice.committed.hash };
    for (const id of ['a', 'b', 'c']) {
      session.manager.mutate('note', { id, text: 'new' }, session.now);
      session.run(2_000);
    }
    let parts = 0;
    session.fate = (frame, to) => (to === 'client' && isPart(frame) && ++parts > 5 ? [] : [frame]);
    session.connect('alice');
    session.run(200);
    expect(parts).toBeGreaterThan(5);
    expect({ version: alice.version, hash: alice.committed.hash }).toEqual(before);
    expect(alice.isSettled).toBe(false);
    session.cut('alice');
    expect({ version: alice.version, hash: alice.committed.hash }).toEqual(before);
    session.fate = (frame) => [frame];
    session.connect('alice');
    session.run(100);
    expect(alice.committed.hash).toBe(session.manager.root.hash);
  });

  test('whose rest is lost, while what was lacking comes by another way: nobody waits for it any more', () => {
    const definition = things(500);
    const session = new MemorySession({ definition, snapshotPart: 1_000 });
    const alice = session.join('alice', { definition });
    session.run(100);
    const [server] = [replicaId('server')];
    const encoder = new FrameEncoder(server);
    encoder.resume({ names: [], announced: 0, sequence: 1_000 });
    const { version, committed } = alice;
    const records = Array.from(committed.entries(), ([key, record]) => ({ key, record }));
    const body = {
      type: 'FULL_SYNC' as const,
      version,
      progress: 0,
      records,
      vector: [],
      rejected: [],
      root: committed.hash,
    };
    const parts = splitSnapshot(body, 1_000).map((part) => encoder.encode(part).map(({ frame }) => frame));
    const empty = {
      type: 'DELTA_SYNC' as const,
      from: version,
      to: version,
      since: 0,
      progress: 0,
      changes: [],
      vector: [],
      rejected: [],
    };
    const receive = (frames: readonly Uint8Array[]) => frames.flatMap((frame) => alice.receive(frame, session.now));
    for (const frames of parts.slice(0, 3)) receive(frames);
    expect(alice.isSettled).toBe(false);
    receive(encoder.encode({ ...empty, root: committed.hash }).map(({ frame }) => frame));
    expect(alice.isSettled).toBe(true);
    // And what comes of it nevertheless is passed over, without a new question.
    expect(parts.slice(3).flatMap(receive)).toEqual([]);
    expect([alice.isSettled, alice.committed.hash]).toEqual([true, committed.hash]);
  });

  test.each([
    ['the third lost', (parts: Uint8Array[]) => parts.toSpliced(2, 1)],
    ['the last lost', (parts: Uint8Array[]) => parts.slice(0, -1)],
    ['the first lost', (parts: Uint8Array[]) => parts.slice(1)],
    ['two exchanged', (parts: Uint8Array[]) => parts.with(2, parts[3]!).with(3, parts[2]!)],
    ['backwards', (parts: Uint8Array[]) => parts.toReversed()],
    ['each twice', (parts: Uint8Array[]) => parts.flatMap((part) => [part, part])],
  ])('%s: never half a state, and all of it in the end', (_what, spoil) => {
    const definition = things(500);
    const session = new MemorySession({ definition, snapshotPart: 1_000 });
    const held: Uint8Array[] = [];
    session.fate = (frame, to) => {
      if (to !== 'client' || !isPart(frame)) return [frame];
      held.push(frame);
      return [];
    };
    const alice = session.join('alice', { definition });
    session.run(100);
    expect(held.length).toBeGreaterThan(5);
    expect(alice.version).toBe(0);
    for (const part of spoil(held)) {
      alice.receive(part, session.now);
      expect([0, session.manager.root.size]).toContain(alice.committed.size);
    }
    session.fate = (frame) => [frame];
    session.run(20_000);
    expect(alice.committed.hash).toBe(session.manager.root.hash);
    expect(alice.isSettled).toBe(true);
  });
});
