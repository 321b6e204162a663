import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { unpackMsgpack } from '../bytes/index.ts';
import { ConflictQueue, ConflictResolver } from '../conflict/index.ts';
import { encodeRow, type MemoryRows, MemoryStorage, memoryRows, StoredConflicts } from '../offline/index.ts';
import { type RecordKey, recordKey, replicaId } from '../state/index.ts';
import { type PeerReplica, PeerStorage } from './index.ts';
import { PeerGroup } from './peer-group.test-helper.ts';

const alice = replicaId('alice');
const names = ['alice', 'bob', 'carol'];
const note = recordKey('note/1');
const records: [RecordKey, { text: string }][] = [[note, { text: 'old' }]];
const human = new ConflictResolver({ policies: [{ collection: 'note/', policy: { kind: 'human' } }], rules: [] });
const lastWins = new ConflictResolver({
  policies: [{ collection: 'note/', policy: { kind: 'last-write' } }],
  rules: [],
});
const identity = { replica: alice, session: 'group' };

const open = (rows: MemoryRows) => PeerStorage.open(new MemoryStorage(rows), identity);

function writeNote(group: PeerGroup, name: string, text: string): void {
  const made = group.get(name).write([{ op: 'put', key: note, record: { text } }], group.now);
  if ('rejected' in made) throw new Error(made.rejected);
  group.send(name, made.frames);
}

/** Takes `alice` away and starts her from what was kept. */
async function restart(group: PeerGroup, rows: MemoryRows): Promise<PeerReplica> {
  group.peers.delete('alice');
  const storage = await open(rows);
  return group.start('alice', { ...(storage.saved && { saved: storage.saved }), conflicts: storage.conflicts });
}

describe('a peer that is kept', () => {
  it('is after a restart what it was, over a checkpoint that has moved', async () => {
    const rows = memoryRows();
    const storage = await open(rows);
    expect(storage.saved).toBeUndefined();
    const group = new PeerGroup(names, lastWins, records, { settings: { keepHistory: 2 } });
    for (let round = 0; round < 12; round++) {
      writeNote(group, names[round % 3]!, `round ${round}`);
      group.run(1_500);
      await storage.keep(group.get('alice').saved);
    }
    const before = group.get('alice');
    expect(before.checkpoint.vector.entries().length).toBeGreaterThan(0);
    const after = await restart(group, rows);
    expect(after.root.hash).toBe(before.root.hash);
    expect(after.vector.entries()).toEqual(before.vector.entries());
    expect(after.checkpoint.root.hash).toBe(before.checkpoint.root.hash);
    writeNote(group, 'alice', 'after');
    group.run(3_000);
    expect(group.roots().size).toBe(1);
    expect(group.get('bob').root.get(note)).toEqual({ text: 'after' });
  });

  it('never gives a counter to two mutations, whichever of its writes was the last', async () => {
    const step = fc.constantFrom('write', 'other', 'run', 'restart');
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const rows = memoryRows();
        const group = new PeerGroup(names, lastWins, records, { settings: { keepHistory: 3 } });
        let storage = await open(rows);
        let text = 0;
        // Whatever it tells of, what it has from others as well, is kept before it is told: others cut their history off behind that.
        let told = group.get('alice').saved;
        group.fate = ({ frame }, from) => {
          if (from === alice) told = group.get('alice').saved;
          return [frame];
        };
        for (const one of steps) {
          if (one === 'other') writeNote(group, 'bob', `bob ${text++}`);
          else if (one === 'run') group.run(1_000);
          else if (one === 'write') {
            const made = group.get('alice').write([{ op: 'put', key: note, record: { text: `${text++}` } }], group.now);
            if ('rejected' in made) throw new Error(made.rejected);
            await storage.keep(group.get('alice').saved);
            group.send('alice', made.frames);
          } else {
            await storage.keep(told);
            // Dies with what was made last neither kept nor sent.
            group.get('alice').write([{ op: 'put', key: note, record: { text: `lost ${text++}` } }], group.now);
            await restart(group, rows);
            storage = await open(rows);
          }
        }
        group.run(8_000);
        expect(group.roots().size).toBe(1);
        const refused = group.trace.flatMap(({ body }) => (body.kind === 'refused' ? [body.code] : []));
        expect(refused).not.toContain('MUTATION_DIFFERS');
      }),
      { numRuns: 60 },
    );
  });

  it('keeps its queue of conflicts, and tells of none of them twice', async () => {
    const rows = memoryRows();
    const storage = await open(rows);
    const group = new PeerGroup(names, human, records);
    group.peers.delete('alice');
    group.start('alice', { conflicts: storage.conflicts });
    group.cut(['alice'], ['bob', 'carol']);
    writeNote(group, 'alice', 'mine');
    writeNote(group, 'bob', 'theirs');
    group.heal();
    group.run(4_000);
    await storage.keep(group.get('alice').saved);
    const [waiting] = group.get('alice').conflicts.waiting;
    expect(waiting).toMatchObject({ key: note, base: { text: 'old' } });
    const again = await open(rows);
    // The queue is there before any state is.
    const queue = new ConflictQueue(again.conflicts);
    expect(queue.waiting).toEqual([waiting]);
    expect(queue.follow(group.get('alice').root)).toEqual([]);
    const after = await restart(group, rows);
    const intent = after.conflicts.decide(waiting!.id, waiting!.sides[0]);
    const made = after.carryOut(intent, group.now);
    if ('rejected' in made) throw new Error(made.rejected);
    group.send('alice', made.frames);
    group.run(3_000);
    expect(group.roots().size).toBe(1);
    expect(after.conflicts.decided.map(({ id }) => id)).toEqual([waiting!.id]);
  });

  it('refuses the storage of another peer, of another session, of something else, and a damaged one', async () => {
    const rows = memoryRows();
    const storage = await open(rows);
    const group = new PeerGroup(names, lastWins, records);
    writeNote(group, 'alice', 'kept');
    await storage.keep(group.get('alice').saved);
    const wrong = [
      { replica: replicaId('bob'), session: 'group' },
      { replica: alice, session: 'other' },
    ];
    for (const one of wrong) {
      await expect(PeerStorage.open(new MemoryStorage(rows), one)).rejects.toMatchObject({ code: 'STORAGE_FOREIGN' });
    }
    const foreign = new MemoryStorage(memoryRows());
    await foreign.write(0, [{ key: 'meta', value: Uint8Array.of(1) }]);
    await expect(PeerStorage.open(foreign, identity)).rejects.toMatchObject({ code: 'STORAGE_FOREIGN' });
    for (const key of [...rows.rows.keys()]) {
      const whole = rows.rows;
      const bytes = whole.get(key)!.slice();
      bytes[bytes.length - 1]! ^= 1;
      rows.rows = new Map(whole).set(key, bytes);
      await expect(open(rows), key).rejects.toMatchObject({ code: 'STORAGE_DAMAGED' });
      if (!key.startsWith('mutation/')) {
        rows.rows = new Map([...whole].filter(([one]) => one !== key));
        await expect(open(rows), key).rejects.toMatchObject({
          code: key === 'peer' ? 'STORAGE_FOREIGN' : 'STORAGE_DAMAGED',
        });
      }
      rows.rows = whole;
    }
  });

  it('refuses a vector with a negative or fractional counter, however sound its row is', async () => {
    const rows = memoryRows();
    const storage = await open(rows);
    const group = new PeerGroup(names, lastWins, records);
    writeNote(group, 'alice', 'kept');
    await storage.keep(group.get('alice').saved);
    const row = unpackMsgpack(rows.rows.get('peer')!.subarray(8)) as object;
    for (const counter of [-1, 0.5, 2 ** 53]) {
      const wrong = encodeRow('peer', { ...row, base: [{ replica: alice, counter }] });
      if (!wrong.value) throw new Error('a row without bytes');
      rows.rows = new Map(rows.rows).set('peer', wrong.value);
      await expect(open(rows)).rejects.toMatchObject({ code: 'STORAGE_DAMAGED' });
    }
  });

  it('lets a second process of the same peer say nothing', async () => {
    const rows = memoryRows();
    const [first, second] = [await open(rows), await open(rows)];
    const group = new PeerGroup(names, lastWins, records);
    writeNote(group, 'alice', 'one');
    await first.keep(group.get('alice').saved);
    await expect(second.keep(group.get('alice').saved)).rejects.toMatchObject({ code: 'STORAGE_CONFLICT' });
    await expect(second.keep(group.get('alice').saved)).rejects.toMatchObject({ code: 'STORAGE_CONFLICT' });
  });
});

it('a queue beside an authority keeps its conflicts in a storage of its own', async () => {
  const rows = memoryRows();
  const group = new PeerGroup(names, human, records);
  group.cut(['alice'], ['bob', 'carol']);
  writeNote(group, 'alice', 'mine');
  writeNote(group, 'bob', 'theirs');
  group.heal();
  group.run(4_000);
  const store = await StoredConflicts.open(new MemoryStorage(rows));
  const queue = new ConflictQueue(store);
  expect(queue.follow(group.get('carol').root)).toHaveLength(1);
  await store.flush();
  const again = new ConflictQueue(await StoredConflicts.open(new MemoryStorage(rows)));
  expect(again.waiting).toEqual(queue.waiting);
});
