import { describe, expect, test } from 'vitest';
import { isSyncError } from '../../errors/index.ts';
import { encodeFrame, FRAME_KINDS, joinBytes, type LogDisk } from '../../events/index.ts';
import { StateRoot } from '../../merkle/index.ts';
import { FrameEncoder, type MessageBody } from '../../messages/index.ts';
import { milliseconds, seededRandom } from '../../ports/index.ts';
import { type Change, type ReplicaId, recordKey, replicaId, type SyncRecord, type Value } from '../../state/index.ts';
import { NO_BALLOT } from './ballot.ts';
import {
  type ConsensusEffect,
  ConsensusEngine,
  type ConsensusOptions,
  ConsensusPeer,
  initialStanding,
  readConsensusLog,
  type Standing,
  type StateProposal,
} from './index.ts';
import { type ConsensusRecord, encodeRecord } from './records.ts';

const [alice, bob, carol] = ['alice', 'bob', 'carol'].map(replicaId) as [ReplicaId, ReplicaId, ReplicaId];
const members = [alice, bob, carol];
const note = recordKey('note/1');
const put = (value: number): Change => ({ op: 'put', key: note, record: { value } });

function engineOf(standing: Standing = initialStanding(StateRoot.empty), options: Partial<ConsensusOptions> = {}) {
  return new ConsensusEngine({ replica: alice, members, random: seededRandom(1), ...options }, standing);
}

/** What it has sent since it was last asked, as `TYPE to`. */
function sentBy(engine: ConsensusEngine): MessageBody[] {
  const effects: readonly ConsensusEffect[] = engine.takeEffects();
  return effects.flatMap((effect) => (effect.kind === 'send' ? [effect.body] : []));
}

/** A change that makes the next version of a state. */
function proposalOn(before: StateRoot, version: number, writer: ReplicaId, counter: number, value = version) {
  const changes = [put(value)];
  const after = before.apply(changes);
  const proposal: StateProposal = {
    version,
    base: before.hash,
    writer,
    counter,
    command: 'write',
    changes,
    root: after.hash,
  };
  return { proposal, after };
}

const decided = (proposal: StateProposal): MessageBody => {
  return { type: 'DECIDED', ...proposal, changes: [...proposal.changes] };
};

describe('a counter', () => {
  test('is not given twice where what an earlier life offered was decided after all', () => {
    // It was accepted here, then another change under a higher ballot; a third member has brought the first to its end.
    const earlier = proposalOn(StateRoot.empty, 1, alice, 1);
    const other = proposalOn(StateRoot.empty, 1, bob, 1, 7);
    const ballot = { round: 2, proposer: bob };
    const standing = {
      ...initialStanding(StateRoot.empty),
      promised: ballot,
      accepted: { ballot, proposal: other.proposal },
    };
    const engine = engineOf(standing);
    engine.receive(carol, decided(earlier.proposal), 0);
    engine.takeEffects();
    const receipt = engine.propose({ command: 'next', changes: [put(9)] }, milliseconds(10));
    engine.tick(milliseconds(500));
    const asked = sentBy(engine).find((body) => body.type === 'PREPARE');
    expect(receipt.outcome).toBeUndefined();
    expect(asked).toMatchObject({ version: 2, writer: alice, counter: 2 });
  });
});

describe("the application's own rules", () => {
  const broken = () => {
    throw new TypeError('boom');
  };

  test.each([
    ['validate', 'invalid-change'],
    ['admit', 'resource-constraint'],
  ] as const)('that throw in %s are a no with what they threw', (rule, answer) => {
    const engine = engineOf(undefined, { [rule]: broken });
    const { proposal } = proposalOn(StateRoot.empty, 1, bob, 1);
    engine.receive(bob, { type: 'ACCEPT', round: 1, ...proposal, changes: [put(1)] }, 0);
    expect(sentBy(engine)).toMatchObject([{ type: 'VOTE', answer, reason: `${rule} failed: boom` }]);
    expect(engine.standing).toEqual(initialStanding(StateRoot.empty));
  });
});

describe('a change that no frame can carry', () => {
  const nested = (depth: number): Value => (depth === 0 ? 1 : { in: nested(depth - 1) });
  const deep: Change = { op: 'put', key: note, record: nested(60) as SyncRecord };

  test.each([
    ['a record', { command: 'deep', changes: [deep] }],
    ['fields', { command: 'deep', changes: [{ ...deep, op: 'patch', fields: nested(60) as SyncRecord, removed: [] }] }],
    ['arguments', { command: 'deep', args: nested(60), changes: [put(1)] }],
    ['what has no canonical form', { command: 'odd', args: 'a\ud800', changes: [put(1)] }],
  ] as const)('is rejected by name: %s', (_, intent) => {
    const engine = engineOf();
    const { outcome } = engine.propose(intent as Parameters<ConsensusEngine['propose']>[0], 0);
    const { effects } = { effects: engine.takeEffects() };
    for (const effect of effects) if (effect.kind === 'settle') effect.receipt.tell(effect.outcome);
    expect(outcome).toBeUndefined();
    expect(effects).toMatchObject([{ kind: 'settle', outcome: { state: 'rejected', reason: 'invalid-change' } }]);
  });
});

describe('time', () => {
  test('that goes back by an hour holds nothing up', () => {
    const engine = engineOf();
    const hour = milliseconds(3_600_000);
    engine.tick(hour);
    engine.propose({ command: 'write', changes: [put(1)] }, hour);
    sentBy(engine);
    const later: MessageBody[] = [];
    for (let at = 0; at <= milliseconds(5_000); at += milliseconds(50)) {
      engine.tick(at);
      later.push(...sentBy(engine));
    }
    const rounds = new Set(later.flatMap((body) => (body.type === 'PREPARE' ? [body.round] : [])));
    expect(rounds.size).toBeGreaterThan(1);
    expect(later.filter((body) => body.type === 'HEARTBEAT').length).toBeGreaterThanOrEqual(4);
  });
});

describe('catching up', () => {
  test('asks ever less often where nobody answers: a whole state may be on its way', () => {
    const engine = engineOf();
    engine.receive(bob, { type: 'HEARTBEAT', version: 50, progress: 50, root: StateRoot.empty.hash }, 0);
    let asked = 0;
    for (let at = 0; at <= milliseconds(60_000); at += milliseconds(50)) {
      engine.tick(at);
      asked += sentBy(engine).filter((body) => body.type === 'SYNC_REQUEST').length;
    }
    expect(asked).toBeGreaterThanOrEqual(8);
    expect(asked).toBeLessThanOrEqual(16);
  });

  test('takes what it held once the state that it follows upon has come whole', () => {
    const engine = engineOf();
    const before = StateRoot.empty.apply([put(5)]);
    const next = proposalOn(before, 6, bob, 2);
    engine.receive(bob, decided(next.proposal), 0);
    expect(engine.held).toBe(1);
    const records = [{ key: note, record: { value: 5 } }];
    const vector = [{ replica: bob, counter: 1 }];
    const whole = { version: 5, progress: 5, records, vector, rejected: [], root: before.hash };
    engine.receive(carol, { type: 'FULL_SYNC', ...whole }, 0);
    expect(engine.standing).toMatchObject({ version: 6, root: { hash: next.after.hash } });
    expect(engine.held).toBe(0);
  });
});

/** A disk whose writes come to nothing, or are done at once. */
class Disk implements LogDisk {
  contents: Uint8Array = new Uint8Array();
  isStuck = false;

  append(bytes: Uint8Array): void {
    this.contents = joinBytes([this.contents, bytes]);
  }

  flush(done: (error?: unknown) => void): void {
    if (!this.isStuck) done();
  }

  replace(bytes: Uint8Array, done: (error?: unknown) => void): void {
    this.contents = bytes;
    this.flush(done);
  }
}

function openPeer(disk: Disk, replica = alice, group: readonly ReplicaId[] = members, now = { value: 0 }) {
  const options = { replica, members: group, clock: { now: () => now.value }, random: seededRandom(1) };
  let opened: ConsensusPeer | undefined;
  ConsensusPeer.open(options, { disk, contents: disk.contents }, StateRoot.empty, (peer) => {
    if (!(peer instanceof ConsensusPeer)) throw peer;
    opened = peer;
  });
  return opened!;
}

describe('a disk that hangs', () => {
  test('does not let what waits for it grow, whatever comes in', () => {
    const now = { value: 0 };
    const disk = new Disk();
    const peer = openPeer(disk, alice, members, now);
    disk.isStuck = true;
    const encoder = new FrameEncoder(bob);
    encoder.names.seal();
    let refused = 0;
    for (let round = 1; round <= 30_000; round++) {
      now.value += milliseconds(50);
      const { proposal } = proposalOn(StateRoot.empty, 1, bob, 1);
      const body: MessageBody = { type: 'ACCEPT', round, ...proposal, changes: [put(1)] };
      const error = peer.receiveFrame(encoder.encode(body).at(-1)!.frame, bob);
      if (isSyncError(error, 'PEER_OVERLOADED')) refused++;
      peer.tick();
    }
    expect(refused).toBeGreaterThan(10_000);
    expect(peer.backlog.effects).toBeLessThan(11_000);
  });
});

describe('a log', () => {
  const fileOf = (...records: readonly ConsensusRecord[]) => {
    const head = Uint8Array.of(...[...'SYNCVOT'].map((letter) => letter.charCodeAt(0)), 1);
    const frames = records.map((record, at) => {
      return encodeFrame(at === 0 ? FRAME_KINDS.snapshot : FRAME_KINDS.entry, at + 1, encodeRecord(record));
    });
    return joinBytes([head, ...frames]);
  };
  const first = proposalOn(StateRoot.empty, 1, bob, 1);
  const second = proposalOn(first.after, 2, bob, 2);
  const asRecord = (one: StateProposal) => ({ ...one, changes: [...one.changes] });
  const sound = {
    kind: 'checkpoint',
    version: 1,
    root: first.after.hash,
    records: [{ key: note, record: { value: 1 } }],
    writers: [{ writer: bob, counter: 1 }],
    promised: { round: 3, proposer: bob },
    accepted: { ballot: { round: 3, proposer: bob }, proposal: asRecord(second.proposal) },
    recent: [asRecord(first.proposal)],
  } as const satisfies ConsensusRecord;

  test('of sound checkpoints and records is read', () => {
    const { standing } = readConsensusLog(fileOf({ ...sound, recent: [...sound.recent] }), 10);
    expect(standing).toMatchObject({ version: 1, promised: { round: 3 }, accepted: { ballot: { round: 3 } } });
  });

  const third = proposalOn(second.after, 3, bob, 3);
  const wrong: readonly (readonly [what: string, change: object])[] = [
    ['a state of another hash', { root: StateRoot.empty.hash }],
    ['a record twice', { records: [...sound.records, ...sound.records] }],
    ['a writer twice', { writers: [...sound.writers, ...sound.writers] }],
    ['an accepted change of another version', { accepted: { ...sound.accepted, proposal: asRecord(third.proposal) } }],
    ['an accepted change above the promise', { promised: NO_BALLOT }],
    ['kept changes that end elsewhere', { recent: [asRecord(second.proposal)] }],
    [
      'kept changes with a gap',
      { version: 3, accepted: undefined, recent: [asRecord(first.proposal), asRecord(third.proposal)] },
    ],
  ];

  test.each(wrong.map(([what, change]) => ({ what, change })))('with $what is not believed', ({ change }) => {
    const { accepted, ...rest } = { ...sound, ...change } as Omit<typeof sound, 'accepted'> & { accepted?: unknown };
    const record = { ...rest, ...(accepted === undefined ? {} : { accepted }) } as unknown as ConsensusRecord;
    expect(() => readConsensusLog(fileOf(record), 10)).toThrowError(expect.objectContaining({ code: 'LOG_DAMAGED' }));
  });

  test('that goes back on its promise is not believed', () => {
    const lower: ConsensusRecord = { kind: 'promise', ballot: { round: 2, proposer: carol } };
    const file = fileOf({ ...sound, recent: [...sound.recent] }, lower);
    expect(() => readConsensusLog(file, 10)).toThrowError(expect.objectContaining({ code: 'LOG_DAMAGED' }));
  });

  test('of another member, or of another group, is not used', () => {
    const disk = new Disk();
    openPeer(disk, bob);
    expect(() => openPeer(disk, alice)).toThrowError(expect.objectContaining({ code: 'LOG_FOREIGN' }));
    expect(() => openPeer(disk, bob, [alice, bob])).toThrowError(expect.objectContaining({ code: 'LOG_FOREIGN' }));
    expect(openPeer(disk, bob, [carol, bob, alice]).version).toBe(0);
  });
});
