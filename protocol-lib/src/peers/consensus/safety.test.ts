import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { joinBytes, type LogDisk } from '../../events/index.ts';
import { StateRoot } from '../../merkle/index.ts';
import { type BodyOf, FrameEncoder, type MessageBody } from '../../messages/index.ts';
import { milliseconds, seededRandom } from '../../ports/index.ts';
import { type Change, type ReplicaId, recordKey, replicaId } from '../../state/index.ts';
import { compareBallots } from './ballot.ts';
import { ConsensusEngine, ConsensusPeer, initialStanding, readConsensusLog, type StateProposal } from './index.ts';
import { bindingOf } from './promises.ts';
import type { Standing } from './standing.ts';

const [alice, bob, carol, dave, erin] = ['alice', 'bob', 'carol', 'dave', 'erin'].map(replicaId) as [
  ReplicaId,
  ReplicaId,
  ReplicaId,
  ReplicaId,
  ReplicaId,
];
const note = recordKey('note/1');
const write = (value: number): Change => ({ op: 'put', key: note, record: { value } });
const wrong = StateRoot.empty.apply([write(-1)]);

function proposalOf(writer: ReplicaId, counter: number, value: number, before = StateRoot.empty, version = 1) {
  const changes = [write(value)];
  const root = before.apply(changes).hash;
  return { version, base: before.hash, writer, counter, command: 'write', changes, root };
}

function engineOf(members: readonly ReplicaId[], standing: Standing = initialStanding(StateRoot.empty)) {
  return new ConsensusEngine({ replica: alice, members, random: seededRandom(1) }, standing);
}

/** What it says, once what it settles is told. */
function saidBy(engine: ConsensusEngine): MessageBody[] {
  return engine.takeEffects().flatMap((effect) => {
    if (effect.kind === 'settle') effect.receipt.tell(effect.outcome);
    return effect.kind === 'send' ? [effect.body] : [];
  });
}

function prepare(round: number): MessageBody {
  const nothing = { writer: carol, counter: 0, command: '', changes: [] };
  return { type: 'PREPARE', round, version: 1, base: StateRoot.empty.hash, ...nothing };
}

describe('what a member has accepted', () => {
  const proposal = proposalOf(bob, 1, 1);

  function accepted() {
    const engine = engineOf([alice, bob, carol]);
    engine.receive(bob, { type: 'ACCEPT', round: 1, ...proposal }, 0);
    saidBy(engine);
    return engine;
  }

  test('is still told of after its state was damaged and mended: bob may have counted its vote', () => {
    const engine = accepted();
    engine.damage(wrong);
    engine.mend(StateRoot.empty);
    engine.receive(carol, prepare(2), 0);
    expect(saidBy(engine)).toMatchObject([
      { type: 'VOTE', answer: 'accept', accepted: { writer: bob, counter: 1, round: 1 } },
    ]);
  });

  test('keeps it from voting while its state is another, whatever it is asked', () => {
    const engine = accepted();
    engine.damage(wrong);
    const { standing } = engine;
    engine.receive(carol, { ...prepare(2), base: wrong.hash } as MessageBody, 0);
    engine.receive(carol, { type: 'ACCEPT', round: 2, ...proposalOf(carol, 1, 2, wrong) }, 0);
    expect(saidBy(engine)).toMatchObject([{ answer: 'state-conflict' }, { answer: 'state-conflict' }]);
    const receipt = engine.propose({ command: 'write', changes: [write(3)] }, 0);
    for (let at = 0; at < milliseconds(60_000); at += milliseconds(50)) engine.tick(at);
    expect(new Set(saidBy(engine).map(({ type }) => type))).toEqual(new Set(['HEARTBEAT']));
    expect(receipt.outcome).toBeUndefined();
    expect(engine.standing).toEqual(standing);
  });

  test('is decided by whoever knows of it, also by a member whose state is another', () => {
    const engine = accepted();
    engine.damage(wrong);
    engine.receive(bob, { type: 'DECIDED', ...proposal }, 0);
    expect(engine.standing.version).toBe(0);
    expect(saidBy(engine)).toMatchObject([{ type: 'SYNC_REQUEST', reason: 'root' }]);
    const records = [{ key: note, record: { value: 1 } }];
    const vector = [{ replica: bob, counter: 1 }];
    const whole = { version: 1, progress: 1, records, vector, rejected: [], root: proposal.root };
    engine.receive(bob, { type: 'FULL_SYNC', ...whole }, 0);
    expect(engine.standing).toMatchObject({ version: 1, accepted: undefined });
  });
});

describe('a change that an earlier life of a member has offered', () => {
  test('is not taken for what it wants now, when it brings it to its end', () => {
    // Alice has accepted carol's since, so that her log tells her nothing of it; bob has carried hers on.
    const ballot = { round: 2, proposer: carol };
    const since = { ballot, proposal: proposalOf(carol, 1, 7) };
    const earlier = proposalOf(alice, 1, 5);
    const standing = { ...initialStanding(StateRoot.empty), promised: ballot, accepted: since };
    const engine = engineOf([alice, bob, carol, dave, erin], standing);
    engine.receive(bob, { ...prepare(3), writer: bob } as MessageBody, 0);
    const receipt = engine.propose({ command: 'another', changes: [write(9)] }, 0);
    engine.tick(milliseconds(10_000));
    const asked = saidBy(engine).find((body) => body.type === 'PREPARE');
    expect(asked).toMatchObject({ round: 4, counter: 0 });
    const yes = { type: 'VOTE', version: 1, round: 4, proposer: alice, answer: 'accept', at: 0, promised: 4 } as const;
    const vote = { ...yes, own: StateRoot.empty.hash, reason: '' };
    const { writer, counter, command, changes, root } = earlier;
    const carried = { round: 3, proposer: bob, writer, counter, command, changes, root };
    const now = milliseconds(10_100);
    engine.receive(bob, { ...vote, phase: 'prepare', accepted: carried }, now);
    engine.receive(dave, { ...vote, phase: 'prepare' }, now);
    expect(saidBy(engine).find((body) => body.type === 'ACCEPT')).toMatchObject({ writer: alice, counter: 1 });
    engine.receive(bob, { ...vote, phase: 'accept' }, now);
    engine.receive(dave, { ...vote, phase: 'accept' }, now);
    saidBy(engine);
    expect(engine.standing).toMatchObject({ version: 1, root: { hash: root } });
    expect(receipt.outcome).toBeUndefined();
    engine.tick(milliseconds(20_000));
    const next = saidBy(engine).find((body) => body.type === 'ACCEPT' || body.type === 'PREPARE');
    expect(next).toMatchObject({ version: 2, command: 'another', counter: 2 });
  });
});

describe('promises', () => {
  type Vote = BodyOf<'VOTE'>;
  const asked = { version: 1, base: StateRoot.empty.hash };
  const said = { type: 'VOTE', version: 1, round: 9, proposer: alice, phase: 'prepare', answer: 'accept' } as const;
  const vote: Vote = { ...said, at: 0, own: StateRoot.empty.hash, promised: 9, reason: '' };
  const promise = fc
    .option(fc.record({ round: fc.integer({ min: 1, max: 4 }), proposer: fc.constantFrom(alice, bob) }))
    .map((ballot): Vote => {
      if (!ballot) return vote;
      const { writer, counter, command, changes, root } = proposalOf(ballot.proposer, ballot.round, ballot.round);
      return { ...vote, accepted: { ...ballot, writer, counter, command, changes, root } };
    });

  const highestOf = (votes: readonly Vote[]) =>
    votes.flatMap(({ accepted }) => (accepted ? [accepted] : [])).sort((left, right) => compareBallots(right, left))[0];

  test('bind to the highest that fits, by as many of them as any choice of them allows', () => {
    fc.assert(
      fc.property(fc.array(promise, { maxLength: 6 }), fc.uniqueArray(fc.integer({ min: 1, max: 4 })), (votes, bad) => {
        const fits = ({ counter }: Pick<StateProposal, 'counter'>) => !bad.includes(counter);
        const { promises, left } = bindingOf(votes, asked, fits);
        const highest = highestOf(promises);
        expect(left === undefined).toBe(highest === undefined);
        expect(left).toEqual(left && highest && proposalOf(highest.writer, highest.counter, highest.round));
        const choices = Array.from({ length: 2 ** votes.length }, (_, mask) =>
          votes.filter((__, at) => mask & (1 << at)),
        );
        const possible = choices.filter((some) => !highestOf(some) || fits(highestOf(some)!));
        expect(promises.length).toBe(Math.max(...possible.map((some) => some.length)));
      }),
    );
  });
});

/** A disk that is done when it is told. */
class Disk implements LogDisk {
  contents: Uint8Array = new Uint8Array();
  #done: (() => void)[] = [];

  append(bytes: Uint8Array): void {
    this.contents = joinBytes([this.contents, bytes]);
  }

  flush(done: () => void): void {
    this.#done.push(done);
  }

  replace(bytes: Uint8Array, done: () => void): void {
    this.contents = bytes;
    this.#done.push(done);
  }

  complete(): void {
    for (let done = this.#done.shift(); done; done = this.#done.shift()) done();
  }
}

describe('a damaged state', () => {
  test('is nothing that another member is told', () => {
    const { proposal, after } = { proposal: proposalOf(bob, 1, 1), after: StateRoot.empty.apply([write(1)]) };
    const engine = engineOf([alice, bob, carol]);
    engine.receive(bob, { type: 'DECIDED', ...proposal }, 0);
    engine.damage(wrong);
    const asked = { version: 0, progress: 0, root: StateRoot.empty.hash } as const;
    engine.receive(carol, { type: 'SYNC_REQUEST', ...asked, reason: 'root' }, 0);
    engine.receive(carol, { type: 'SYNC_REQUEST', ...asked, reason: 'base' }, 0);
    expect(saidBy(engine)).toEqual([]);
    engine.mend(after);
    engine.receive(carol, { type: 'SYNC_REQUEST', ...asked, reason: 'base' }, 0);
    expect(saidBy(engine)).toMatchObject([{ type: 'DECIDED', version: 1 }]);
  });

  test('is not what a log is written anew as', () => {
    const disk = new Disk();
    const members = [alice, bob, carol];
    const options = { replica: alice, members, clock: { now: () => 0 }, random: seededRandom(1) };
    let peer: ConsensusPeer | undefined;
    const settings = { compactBytes: 500, kept: 1 };
    ConsensusPeer.open({ ...options, settings }, { disk, contents: disk.contents }, StateRoot.empty, (opened) => {
      if (opened instanceof ConsensusPeer) peer = opened;
    });
    disk.complete();
    const encoder = new FrameEncoder(bob);
    encoder.names.seal();
    const take = (body: MessageBody) => peer!.receiveFrame(encoder.encode(body).at(-1)!.frame, bob);
    const first = proposalOf(bob, 1, 1);
    const after = StateRoot.empty.apply([write(1)]);
    take({ type: 'DECIDED', ...first });
    disk.complete();
    // Promises that wait while another is being written: only after it is the file as large as it may be.
    for (let round = 1; round <= 20; round++) take({ ...prepare(round), version: 2, base: after.hash } as MessageBody);
    peer!.corrupt([write(-1)]);
    disk.complete();
    peer!.tick();
    disk.complete();
    expect(disk.contents.length).toBeGreaterThan(settings.compactBytes);
    peer!.mend(after);
    const second = proposalOf(bob, 2, 2, after, 2);
    take({ type: 'DECIDED', ...second });
    disk.complete();
    const { standing } = readConsensusLog(disk.contents, 100, { replica: alice, members });
    expect(standing).toMatchObject({ version: 2, root: { hash: second.root } });
  });

  test('that strikes while a decision is being written is one of the version to come', () => {
    const disk = new Disk();
    const options = { replica: alice, members: [alice, bob, carol], clock: { now: () => 0 }, random: seededRandom(1) };
    let peer: ConsensusPeer | undefined;
    ConsensusPeer.open(options, { disk, contents: disk.contents }, StateRoot.empty, (opened) => {
      if (opened instanceof ConsensusPeer) peer = opened;
    });
    disk.complete();
    const encoder = new FrameEncoder(bob);
    encoder.names.seal();
    const take = (body: MessageBody) => peer!.receiveFrame(encoder.encode(body).at(-1)!.frame, bob);
    take({ type: 'DECIDED', ...proposalOf(bob, 1, 1) });
    const other: Change = { op: 'put', key: recordKey('note/2'), record: { value: -1 } };
    peer!.corrupt([other]);
    expect(peer).toMatchObject({ version: 0, root: { hash: StateRoot.empty.apply([other]).hash } });
    peer!.mend(StateRoot.empty);
    disk.complete();
    expect(peer).toMatchObject({ version: 1, root: { hash: StateRoot.empty.apply([write(1), other]).hash } });
    peer!.mend(StateRoot.empty.apply([write(1)]));
    take({ type: 'DECIDED', ...proposalOf(bob, 2, 2, StateRoot.empty.apply([write(1)]), 2) });
    disk.complete();
    expect(peer).toMatchObject({ version: 2, root: { hash: StateRoot.empty.apply([write(2)]).hash } });
  });
});
