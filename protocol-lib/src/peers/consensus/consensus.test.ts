import { describe, expect, test } from 'vitest';
import { isSyncError, type SyncError } from '../../errors/index.ts';
import { SimulatedDisk } from '../../events/index.ts';
import { EMPTY_HASH, StateRoot } from '../../merkle/index.ts';
import { FrameEncoder, type MessageBody } from '../../messages/index.ts';
import { milliseconds, seededRandom, type Transport } from '../../ports/index.ts';
import { type ReplicaId, recordKey, replicaId, stateHash } from '../../state/index.ts';
import { TraceHub, type TraceRecord } from '../../trace/index.ts';
import { ConsensusPeer, type ConsensusSettings, readConsensusLog, SynchronizedCounter } from './index.ts';

const [alice, bob, carol] = ['alice', 'bob', 'carol'].map(replicaId) as [ReplicaId, ReplicaId, ReplicaId];
const members = [alice, bob, carol];
const note = recordKey('note/1');

/** A group in one process; frames wait until they are delivered. */
class Group {
  now = 0;
  readonly records: TraceRecord[] = [];
  readonly hub = new TraceHub({ now: () => this.now });
  readonly peers = new Map<ReplicaId, ConsensusPeer>();
  readonly disks = new Map<ReplicaId, SimulatedDisk>();
  /** Whoever is in here hears and says nothing. */
  readonly cut = new Set<ReplicaId>();
  readonly #settings: Partial<ConsensusSettings>;
  #frames: { readonly from: ReplicaId; readonly to: ReplicaId; readonly frame: Uint8Array }[] = [];
  readonly #listeners = new Map<string, (frame: Uint8Array) => void>();

  constructor(settings: Partial<ConsensusSettings> = {}) {
    this.#settings = { maxAttempts: 3, maxChanges: 5, ...settings };
    this.hub.listen((record) => this.records.push(record));
    for (const member of members) this.open(member, new SimulatedDisk());
  }

  open(member: ReplicaId, disk: SimulatedDisk): void {
    this.disks.set(member, disk);
    const options = {
      replica: member,
      members,
      clock: { now: () => this.now },
      random: seededRandom(members.indexOf(member)),
      settings: this.#settings,
      validate: (_: StateRoot, after: StateRoot) => (after.has(recordKey('note/bad')) ? 'bad' : undefined),
      tap: this.hub,
    };
    ConsensusPeer.open(options, { disk, contents: disk.contents }, StateRoot.empty, (peer) => {
      if (!(peer instanceof ConsensusPeer)) throw peer;
      this.peers.set(member, peer);
      for (const other of members) if (other !== member) peer.attach(other, this.#transport(member, other));
    });
  }

  peer(member: ReplicaId): ConsensusPeer {
    return this.peers.get(member)!;
  }

  /** Time passes and all frames arrive. */
  run(duration = milliseconds(3_000)): void {
    for (const end = this.now + duration; this.now < end; this.now += milliseconds(50)) {
      for (const peer of this.peers.values()) peer.tick();
      this.deliver();
    }
  }

  /** Time passes, and each frame takes 50 ms. */
  runSlowly(duration: number): void {
    for (const end = this.now + duration; this.now < end; this.now += milliseconds(50)) {
      for (const peer of this.peers.values()) peer.tick();
      this.deliver(this.#frames.length);
    }
  }

  /** All frames arrive, and those that answer them; or only so many. */
  deliver(most = Number.POSITIVE_INFINITY): void {
    for (let count = 0; count < most; count++) {
      const one = this.#frames.shift();
      if (!one) return;
      if (!this.cut.has(one.from) && !this.cut.has(one.to)) this.#listeners.get(`${one.to} ${one.from}`)?.(one.frame);
    }
  }

  bodies<K extends TraceRecord['body']['kind']>(kind: K) {
    return this.records.map(({ body }) => body).filter((body) => body.kind === kind);
  }

  #transport(from: ReplicaId, to: ReplicaId): Transport {
    return {
      send: (frame) => this.#frames.push({ from, to, frame }),
      close: () => {},
      onFrame: (listener) => this.#listeners.set(`${from} ${to}`, listener),
      onClose: () => {},
    };
  }
}

const put = (value: number) => [{ op: 'put', key: note, record: { value } }] as const;

describe('a group', () => {
  test('decides on a change, which every member applies as the same delta, with frames in the trace', async () => {
    const group = new Group();
    const receipt = group.peer(alice).propose({ command: 'write', changes: put(1) });
    group.run();
    const { root } = group.peer(bob);
    expect(await receipt.ended()).toEqual({ state: 'committed', version: 1, root: root.hash, isExact: true });
    for (const member of members) expect(group.peer(member)).toMatchObject({ version: 1, root: { hash: root.hash } });
    expect(group.bodies('commit')).toMatchObject([{ version: 1, changes: put(1), root: root.hash }]);
    expect(group.bodies('apply')).toMatchObject([{ to: 1, changes: put(1) }, { to: 1 }]);
    const sent = group.records.filter(({ body }) => body.kind === 'send' && body.type === 'ACCEPT');
    expect(sent.every(({ wire }) => wire !== undefined && wire.length > 10)).toBe(true);
  });

  test('needs no second promise for the next change of the same member', () => {
    const group = new Group();
    group.peer(alice).propose({ command: 'one', changes: put(1) });
    group.run();
    group.peer(alice).propose({ command: 'two', changes: put(2) });
    group.run();
    const phases = group.bodies('proposal').map((body) => ('phase' in body ? body.phase : ''));
    expect(phases).toEqual(['prepare', 'accept', 'decided', 'accept', 'decided']);
  });

  test('two that increment at once both count', () => {
    const group = new Group();
    const counters = members.map((member) => new SynchronizedCounter(group.peer(member), 'clicks'));
    const receipts = counters.flatMap((counter) => [counter.increment(), counter.increment(2)]);
    group.run(milliseconds(10_000));
    expect(receipts.map(({ outcome }) => outcome?.state)).toEqual(receipts.map(() => 'committed'));
    expect(counters.map(({ value }) => value)).toEqual([9, 9, 9]);
    expect(() => counters[0]!.increment(0.5)).toThrow('safe integer');
  });

  test('without a majority gives up, or says that it does not know, and tells later', () => {
    const group = new Group();
    group.cut.add(bob).add(carol);
    const lonely = group.peer(alice).propose({ command: 'lonely', changes: put(1) });
    group.run(milliseconds(30_000));
    expect(lonely.outcome).toMatchObject({ state: 'gave-up', attempts: 3 });
    group.cut.clear();
    group.run();
    expect(group.peer(alice).version).toBe(0);
    // It leads, so that it asks at once to accept; and nobody hears.
    group.peer(alice).propose({ command: 'lead', changes: put(2) });
    group.run();
    group.cut.add(bob).add(carol);
    const unknown = group.peer(alice).propose({ command: 'unknown', changes: put(3) });
    group.run(milliseconds(60_000));
    expect(unknown).toMatchObject({ outcome: { state: 'unknown', attempts: 3 }, isFinal: false });
    group.cut.clear();
    group.run(milliseconds(60_000));
    expect(unknown.outcome).toMatchObject({ state: 'committed', version: 2 });
  });

  test('lets everybody have a turn, however much one of them has to propose', async () => {
    const group = new Group();
    const versions: number[] = [];
    const more = (value: number): void => {
      group
        .peer(alice)
        .propose({ command: 'much', changes: put(value) })
        .listen(() => value < 400 && more(value + 1));
    };
    more(1);
    group.runSlowly(milliseconds(1_000));
    const before = group.peer(alice).version;
    expect(before).toBeGreaterThan(5);
    for (const member of [bob, carol]) {
      const receipt = group.peer(member).propose({ command: 'once', changes: put(-1) });
      receipt.listen((outcome) => outcome.state === 'committed' && versions.push(outcome.version));
    }
    group.runSlowly(milliseconds(120_000));
    expect(group.peer(alice).version).toBe(402);
    expect(versions.length).toBe(2);
    // Each lets 16 rounds pass at most, of which those of the other are some.
    expect(Math.max(...versions)).toBeLessThanOrEqual(before + 40);
  });

  test('lets a round end before another begins: who proposes meanwhile is not outbidden', () => {
    const group = new Group({ maxAttempts: 30 });
    const receipts = Array.from({ length: 20 }, (_, at) => at).flatMap((value) =>
      [alice, bob].map((member) => group.peer(member).propose({ command: 'write', changes: put(value) })),
    );
    group.runSlowly(milliseconds(60_000));
    expect(receipts.map(({ outcome }) => outcome?.state)).toEqual(receipts.map(() => 'committed'));
    const rounds = group.bodies('proposal').filter((body) => 'phase' in body && body.phase === 'prepare');
    // Of 40 decisions: each of the two lets some of the other's pass, then has its turn.
    expect(rounds.length).toBeLessThanOrEqual(12);
  });

  test('finishes what was left though its own change is one that nobody may take', () => {
    const group = new Group();
    group.cut.add(bob);
    group.hub.listen(({ replica, body }) => {
      if (replica === carol && body.kind === 'vote' && body.phase === 'accept') group.cut.add(alice);
    });
    const left = group.peer(alice).propose({ command: 'left', changes: put(1) });
    group.deliver();
    group.cut.delete(bob);
    expect(group.peer(carol).hasUndecided).toBe(true);
    const bad = { op: 'put', key: recordKey('note/bad'), record: {} } as const;
    const wrong = group.peer(carol).propose({ command: 'wrong', changes: [bad] });
    group.run(milliseconds(10_000));
    for (const member of [bob, carol]) expect(group.peer(member).root.get(note)).toEqual({ value: 1 });
    expect(wrong.outcome).toMatchObject({ state: 'rejected', reason: 'invalid-change', detail: 'bad' });
    group.cut.clear();
    group.run(milliseconds(60_000));
    expect(left.outcome).toMatchObject({ state: 'committed', version: 1 });
  });

  test('brings one that lags up at the speed of the link, not of its clock, though another that knows is gone', () => {
    const group = new Group({ perAnswer: 1 });
    group.cut.add(carol);
    for (let value = 0; value < 100; value++) group.peer(alice).propose({ command: 'write', changes: put(value) });
    group.run(milliseconds(1_000));
    group.cut.delete(carol);
    group.run(milliseconds(2_000));
    expect(group.peer(carol).version).toBe(100);
    expect(group.bodies('snapshot').some((body) => 'reason' in body && body.reason === 'full-sync')).toBe(false);
  });

  test('keeps what was decided through a crash of all', () => {
    const group = new Group();
    group.peer(bob).propose({ command: 'write', changes: put(7) });
    group.run();
    const { hash } = group.peer(bob).root;
    for (const member of members) group.open(member, group.disks.get(member)!.crash(seededRandom(1)));
    for (const member of members) expect(group.peer(member)).toMatchObject({ version: 1, root: { hash } });
  });

  test('brings one that missed everything up by the whole state', () => {
    const group = new Group();
    group.cut.add(carol);
    for (let value = 0; value < 300; value++) {
      group.peer(alice).propose({ command: 'write', changes: put(value) });
      group.run(milliseconds(50));
    }
    group.cut.clear();
    group.run(milliseconds(5_000));
    expect(group.peer(carol)).toMatchObject({ version: 300, root: { hash: group.peer(alice).root.hash } });
    expect(group.bodies('snapshot').some((body) => 'reason' in body && body.reason === 'full-sync')).toBe(true);
  });
});

describe('what is wrong', () => {
  const propose = (intent: Parameters<ConsensusPeer['propose']>[0]) => {
    const group = new Group();
    const { outcome } = group.peer(alice).propose(intent);
    group.run();
    for (const member of members) expect(group.peer(member).version).toBe(0);
    return outcome;
  };

  test('is rejected by name before anybody is asked', () => {
    const base = stateHash('0123456789abcdef');
    expect(propose({ command: 'x', changes: put(1), base })).toMatchObject({
      state: 'rejected',
      reason: 'state-conflict',
    });
    const many = Array.from({ length: 6 }, () => put(1)[0]);
    const invalid = { state: 'rejected', reason: 'invalid-change' };
    expect(propose({ command: 'x', changes: many })).toMatchObject(invalid);
    expect(propose({ command: 'x', changes: [{ op: 'remove', key: note }] })).toMatchObject(invalid);
    const bad = { op: 'put', key: recordKey('note/bad'), record: {} } as const;
    expect(propose({ command: 'x', changes: [bad] })).toMatchObject({ ...invalid, detail: 'bad', voters: [alice] });
  });

  const fields = { version: 1, base: EMPTY_HASH, writer: bob, counter: 1, command: 'x', changes: [...put(1)] };
  const voted = { proposer: alice, phase: 'accept', answer: 'accept', at: 0, own: EMPTY_HASH, reason: '' } as const;
  const wrong: readonly (readonly [what: string, from: ReplicaId, body: MessageBody, code: string])[] = [
    [
      'a vote of a stranger',
      replicaId('mallory'),
      { type: 'VOTE', version: 1, round: 1, promised: 1, ...voted },
      'MEMBER_UNKNOWN',
    ],
    ['a huge ballot', bob, { type: 'PREPARE', round: 2 ** 52, ...fields }, 'BALLOT_INVALID'],
    ['ballot 0', bob, { type: 'ACCEPT', round: 0, ...fields, root: EMPTY_HASH }, 'BALLOT_INVALID'],
    ['a negative ballot', bob, { type: 'PREPARE', round: -1, ...fields }, 'SCHEMA_MISMATCH'],
    ['a fractional ballot', bob, { type: 'PREPARE', round: 1.5, ...fields }, 'SCHEMA_MISMATCH'],
    [
      'a version far in the future',
      bob,
      { type: 'DECIDED', ...fields, version: 2 ** 50, root: EMPTY_HASH },
      'VERSION_INVALID',
    ],
    ['version 0', bob, { type: 'PREPARE', round: 1, ...fields, version: 0 }, 'VERSION_INVALID'],
    ['another kind of message', bob, { type: 'BYE', reason: '' }, 'MESSAGE_UNEXPECTED'],
    [
      'a state without its hash',
      bob,
      {
        type: 'FULL_SYNC',
        version: 5,
        progress: 5,
        records: [{ key: note, record: {} }],
        vector: [],
        rejected: [],
        root: EMPTY_HASH,
      },
      'SNAPSHOT_ROOT_MISMATCH',
    ],
  ];

  test.each(wrong.map(([what, from, body, code]) => ({ what, from, body, code })))(
    '$what is $code',
    ({ from, body, code }) => {
      const group = new Group();
      const encoder = new FrameEncoder(from);
      encoder.names.seal();
      const before = group.disks.get(alice)!.contents;
      const error = group.peer(alice).receiveFrame(encoder.encode(body)[0]!.frame) as SyncError;
      expect(isSyncError(error, code), error?.message).toBe(true);
      expect(group.bodies('refused')).toMatchObject([{ code }]);
      expect(group.disks.get(alice)!.contents).toEqual(before);
      expect(group.peer(alice).version).toBe(0);
    },
  );

  test('a frame under another name, and a link to a stranger', () => {
    const group = new Group();
    const { frame } = new FrameEncoder(carol).encode({
      type: 'HEARTBEAT',
      version: 0,
      progress: 0,
      root: EMPTY_HASH,
    })[0]!;
    expect(group.peer(alice).receiveFrame(frame, bob)?.code).toBe('SENDER_MISMATCH');
    const transport: Transport = { send: () => {}, close: () => {}, onFrame: () => {}, onClose: () => {} };
    expect(() => group.peer(alice).attach(replicaId('mallory'), transport)).toThrow('not another member');
  });

  test('a log that is cut anywhere is read up to there, one that was changed in its durable part is not believed', () => {
    const group = new Group();
    for (let value = 0; value < 4; value++) {
      group.peer(alice).propose({ command: 'write', changes: put(value) });
      group.run(milliseconds(500));
    }
    const bytes = group.disks.get(alice)!.contents;
    const whole = readConsensusLog(bytes, 10).standing!;
    expect(whole).toMatchObject({ version: 4, root: { hash: group.peer(alice).root.hash } });
    let version = 0;
    for (let length = 8; length <= bytes.length; length++) {
      const standing = readConsensusLog(bytes.slice(0, length), 10).standing;
      expect(standing?.version ?? 0).toBeGreaterThanOrEqual(version);
      version = standing?.version ?? 0;
    }
    const damaged = bytes.slice();
    damaged[40] = damaged[40]! ^ 1;
    expect(() => readConsensusLog(damaged, 10)).toThrow('durable');
  });
});
