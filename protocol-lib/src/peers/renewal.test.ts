import { describe, expect, it } from 'vitest';
import { ConflictResolver } from '../conflict/index.ts';
import { type RecordKey, recordKey } from '../state/index.ts';
import { PeerGroup } from './peer-group.test-helper.ts';

const names = ['alice', 'bob', 'carol'];
const note = (id: string) => recordKey(`note/${id}`);
const records: [RecordKey, { text: string }][] = [[note('start'), { text: 'old' }]];
const resolver = new ConflictResolver({
  policies: [{ collection: 'note/', policy: { kind: 'last-write' } }],
  rules: [],
});

function write(group: PeerGroup, name: string, id: string): void {
  const made = group.get(name).write([{ op: 'put', key: note(id), record: { text: id } }], group.now);
  if ('rejected' in made) throw new Error(made.rejected);
  group.send(name, made.frames);
}

/** Everybody has written, and history was cut off at places of their own. */
function pruned(keeps: readonly number[]): PeerGroup {
  const group = new PeerGroup([], resolver, records);
  const all = new PeerGroup(names, resolver, records, { settings: { keepHistory: keeps[1]! } });
  expect(group.peers.size).toBe(0);
  all.start('alice', { settings: { keepHistory: keeps[0]! } });
  for (let round = 0; round < 9; round++) {
    write(all, names[round % 3]!, `${round}`);
    all.run(1_500);
  }
  return all;
}

describe('a checkpoint that is damaged after history was cut off', () => {
  it.each([
    ['all cut theirs off', [0, 0]],
    ['only the damaged one did', [0, 1_000]],
    ['only the others did', [1_000, 0]],
    ['the damaged one keeps more', [4, 2]],
  ] as const)('is replaced by what a majority has, and no mutation is lost: %s', (_, keeps) => {
    const group = pruned(keeps);
    const alice = group.get('alice');
    alice.corruptCheckpoint([
      { op: 'remove', key: note('start') },
      { op: 'put', key: note('8'), record: { text: 'damaged' } },
    ]);
    write(group, 'bob', 'from bob');
    write(group, 'alice', 'from alice');
    write(group, 'carol', 'from carol');
    group.run(12_000);
    expect(group.roots().size).toBe(1);
    for (const [, peer] of group.peers) {
      expect(peer.root.get(note('start'))).toEqual({ text: 'old' });
      for (const id of ['0', '8', 'from alice', 'from bob', 'from carol']) {
        expect(peer.root.get(note(id)), id).toEqual({ text: id });
      }
    }
    write(group, 'alice', 'after');
    group.run(3_000);
    expect([...group.peers.values()].map(({ root }) => root.get(note('after')))).toEqual(
      Array(3).fill({ text: 'after' }),
    );
  });

  it('is not taken from one who contradicts a majority', () => {
    const group = pruned([0, 0]);
    const before = group.get('bob').root.hash;
    group.get('alice').corruptCheckpoint([{ op: 'remove', key: note('start') }]);
    group.run(10_000);
    expect(group.get('bob').root.hash).toBe(before);
    expect(group.roots().size).toBe(1);
  });
});
