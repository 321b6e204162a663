import { describe, expect, test } from 'vitest';
import { StateRoot } from '../merkle/index.ts';
import { FrameEncoder, type MessageBody } from '../messages/index.ts';
import { type Change, type ReplicaId, recordKey, replicaId } from '../state/index.ts';
import type { Ballot, TraceBody, TraceRecord } from '../trace/index.ts';
import { Audit } from './audit.ts';

const [ann, bob, cid] = ['ann', 'bob', 'cid'].map(replicaId) as [ReplicaId, ReplicaId, ReplicaId];
const empty = StateRoot.empty.hash;
const put = (name: string): Change => ({ op: 'put', key: recordKey(`seat/${name}`), record: { by: name } });

/** What three members tell, as it is written down by hand. */
class Told {
  readonly records: TraceRecord[] = [];
  readonly #encoders = new Map([ann, bob, cid].map((id) => [id, new FrameEncoder(id)]));

  constructor() {
    for (const encoder of this.#encoders.values()) encoder.names.seal();
    for (const replica of [ann, bob, cid]) this.tell(replica, { kind: 'replica', role: 'peer' });
  }

  tell(replica: ReplicaId, body: TraceBody, wire?: Uint8Array): number {
    const seq = this.records.length + 1;
    this.records.push({ seq, time: seq * 1_000, replica, cause: [], body, ...(wire ? { wire } : {}) });
    return seq - 1;
  }

  ask(proposer: ReplicaId, round: number, phase: 'prepare' | 'accept', name = ''): number {
    const change = name === '' ? { command: '', changes: [] } : { command: 'sit', changes: [put(name)] };
    const ballot = { round, proposer };
    return this.tell(proposer, { kind: 'proposal', version: 1, ballot, phase, base: empty, ...change, reason: '' });
  }

  /** A yes, told to the proposer unless it is its own. Answers the position of the vote. */
  yes(
    voter: ReplicaId,
    ballot: Ballot,
    phase: 'prepare' | 'accept',
    accepted?: Ballot & { readonly name: string },
  ): number {
    const at = this.tell(voter, { kind: 'vote', version: 1, ballot, phase, answer: 'accept', own: empty, reason: '' });
    if (voter === ballot.proposer) return at;
    const before = accepted && {
      ...{ round: accepted.round, proposer: accepted.proposer, writer: accepted.proposer, counter: 1 },
      ...{ command: 'sit', changes: [put(accepted.name)], root: StateRoot.empty.apply([put(accepted.name)]).hash },
    };
    const vote: MessageBody = {
      ...{ type: 'VOTE', version: 1, ...ballot, phase, answer: 'accept', at: 0, own: empty, promised: ballot.round },
      ...{ reason: '', ...(before ? { accepted: before } : {}) },
    };
    const { type, sender, sequence, frame } = this.#encoders.get(voter)!.encode(vote).at(-1)!;
    this.tell(voter, { kind: 'send', to: ballot.proposer, type, sender, sequence }, frame);
    this.tell(ballot.proposer, { kind: 'receive', from: voter, type, sender, sequence }, frame);
    return at;
  }

  decided(replica: ReplicaId, name: string): number {
    const event = { type: 'sit', player: replica, detail: '' };
    const changes = [put(name)];
    return this.tell(replica, {
      kind: 'commit',
      version: 1,
      event,
      changes,
      root: StateRoot.empty.apply(changes).hash,
    });
  }

  get found() {
    const audit = new Audit({ authority: null, startedAt: 0 });
    for (const [position, record] of this.records.entries()) audit.take(position, record);
    return audit.finish().findings.map(({ class: of, replica, cause }) => [of, replica, cause.position]);
  }
}

describe('a group that decides', () => {
  test('by the rules is found nothing in, nor is one whose proposer is bound by the highest of two ballots', () => {
    const told = new Told();
    told.ask(ann, 1, 'prepare', 'a');
    told.yes(ann, { round: 1, proposer: ann }, 'prepare');
    told.yes(bob, { round: 1, proposer: ann }, 'prepare');
    told.ask(ann, 1, 'accept', 'a');
    told.yes(ann, { round: 1, proposer: ann }, 'accept');
    told.ask(cid, 2, 'prepare', 'c');
    told.yes(cid, { round: 2, proposer: cid }, 'prepare');
    told.yes(bob, { round: 2, proposer: cid }, 'prepare');
    told.ask(cid, 2, 'accept', 'c');
    told.yes(bob, { round: 2, proposer: cid }, 'accept');
    told.ask(bob, 3, 'prepare');
    told.yes(ann, { round: 3, proposer: bob }, 'prepare', { round: 1, proposer: ann, name: 'a' });
    told.yes(bob, { round: 3, proposer: bob }, 'prepare');
    told.ask(bob, 3, 'accept', 'c');
    told.yes(bob, { round: 3, proposer: bob }, 'accept');
    told.yes(ann, { round: 3, proposer: bob }, 'accept');
    told.decided(bob, 'c');
    expect(told.found).toEqual([]);
  });

  test('is found to have a member that says yes to less than it has promised, in a life before as well', () => {
    const told = new Told();
    told.yes(bob, { round: 5, proposer: cid }, 'prepare');
    told.tell(bob, { kind: 'replica', role: 'peer' });
    const broken = told.yes(bob, { round: 4, proposer: ann }, 'accept');
    told.yes(bob, { round: 3, proposer: ann }, 'prepare');
    expect(told.found).toEqual([['split-decision', bob, broken]]);
  });

  test('is found to have a member that hides what it has accepted', () => {
    const told = new Told();
    told.yes(bob, { round: 1, proposer: ann }, 'accept');
    const hidden = told.yes(bob, { round: 2, proposer: cid }, 'prepare');
    expect(told.found).toEqual([['split-decision', bob, hidden]]);
    const honest = new Told();
    honest.yes(bob, { round: 1, proposer: ann }, 'accept');
    honest.yes(bob, { round: 2, proposer: cid }, 'prepare', { round: 1, proposer: ann, name: 'a' });
    expect(honest.found).toEqual([]);
  });

  test('is found to have a proposer that offers its own though all majorities are bound', () => {
    const told = new Told();
    told.ask(cid, 2, 'prepare', 'c');
    told.yes(cid, { round: 2, proposer: cid }, 'prepare');
    told.yes(bob, { round: 2, proposer: cid }, 'prepare', { round: 1, proposer: ann, name: 'a' });
    const offered = told.ask(cid, 2, 'accept', 'c');
    expect(told.found).toEqual([['split-decision', cid, offered]]);
  });

  test.each([
    ['by its own vote alone', false, true],
    ['by votes that cannot be read', true, false],
  ])('is found to have counted wrong or not, %s', (_, isUnread, isFound) => {
    const told = new Told();
    told.ask(ann, 1, 'accept', 'a');
    told.yes(ann, { round: 1, proposer: ann }, 'accept');
    if (isUnread) told.tell(ann, { kind: 'receive', from: bob, type: 'VOTE', sender: bob, sequence: 9 });
    const decided = told.decided(ann, 'a');
    expect(told.found).toEqual(isFound ? [['split-decision', ann, decided]] : []);
  });

  test('is not blamed for votes in a part that is missing', () => {
    const told = new Told();
    told.ask(ann, 1, 'accept', 'a');
    told.yes(ann, { round: 1, proposer: ann }, 'accept');
    told.tell(ann, { kind: 'gap', count: 3, reason: 'not kept up with' });
    told.decided(ann, 'a');
    expect(told.found).toEqual([]);
  });

  test('is found to differ by something else though a rule was broken before, by which nothing was decided twice', () => {
    const told = new Told();
    told.yes(bob, { round: 5, proposer: cid }, 'prepare');
    const broken = told.yes(bob, { round: 4, proposer: ann }, 'accept');
    const wrong = StateRoot.empty.apply([put('a')]).hash;
    const seen = told.tell(cid, { kind: 'hash', version: 0, own: wrong, reference: empty, agrees: false });
    expect(told.found).toEqual([
      ['split-decision', bob, broken],
      ['unknown', cid, seen],
    ]);
  });

  test('twice is told where it was seen, with the value, and with no other finding', () => {
    const told = new Told();
    const states = [ann, bob, cid].map((replica) => {
      return told.tell(replica, {
        kind: 'snapshot',
        reason: 'attach',
        version: 0,
        records: [],
        root: empty,
        vector: [],
      });
    });
    expect(states).toHaveLength(3);
    told.yes(bob, { round: 5, proposer: cid }, 'prepare');
    const broken = told.yes(bob, { round: 4, proposer: ann }, 'accept');
    told.decided(ann, 'a');
    told.decided(cid, 'c');
    const audit = new Audit({ authority: null, startedAt: 0 });
    for (const [position, record] of told.records.entries()) audit.take(position, record);
    const { findings } = audit.finish();
    expect(findings).toHaveLength(1);
    expect(findings[0]).toMatchObject({ class: 'split-decision', replica: bob, cause: { position: broken } });
    expect(findings[0]!.detected.position).toBe(told.records.length - 1);
    expect(findings[0]!.differences.length).toBeGreaterThan(0);
  });
});
