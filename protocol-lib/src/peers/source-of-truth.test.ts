import { describe, expect, test } from 'vitest';
import type { Transport } from '../ports/index.ts';
import { seededRandom } from '../ports/index.ts';
import { type ReplicaId, recordKey, replicaId } from '../state/index.ts';
import { type LinkId, SyncManager } from '../sync/index.ts';
import { coinSession } from '../sync/memory-link.test-helper.ts';
import { openSession, type Session } from './source-of-truth.ts';

/** Both ends of a line that delivers when it is pumped. */
class Wire {
  isCut = false;
  readonly ends: readonly [Transport, Transport];
  readonly #waiting: (() => void)[] = [];

  constructor() {
    const listeners: ((frame: Uint8Array) => void)[] = [() => {}, () => {}];
    const end = (own: number): Transport => ({
      send: (frame) => {
        if (!this.isCut) this.#waiting.push(() => listeners[1 - own]!(frame));
      },
      close: () => {},
      onFrame: (listener) => {
        listeners[own] = listener;
      },
      onClose: () => {},
    });
    this.ends = [end(0), end(1)];
  }

  pump(): boolean {
    const next = this.#waiting.shift();
    next?.();
    return next !== undefined;
  }
}

/** Alice and bob in one session, and the means to let time go by and to cut alice off. */
interface Pair {
  readonly alice: Session;
  readonly bob: Session;
  run(milliseconds: number): void;
  cut(isCut: boolean): void;
}

const names = ['alice', 'bob', 'carol'].map(replicaId) as [ReplicaId, ReplicaId, ReplicaId];

function pairOf(truth: Session['truth']): Pair {
  const time = { now: 0 };
  const clock = { now: () => time.now };
  const wires: Wire[] = [];
  const ticks: (() => void)[] = [];
  const run = (milliseconds: number) => {
    for (let passed = 0; passed < milliseconds; passed += 50) {
      time.now += 50_000_000;
      for (const tick of ticks) tick();
      while (wires.some((wire) => wire.pump()));
    }
  };
  const sessions = truth === 'authority' ? withAuthority() : amongPeers();
  for (const session of sessions) ticks.push(() => session.tick());
  run(1_000);
  const [alice, bob] = sessions as [Session, Session];
  const cut = (isCut: boolean) => {
    for (const wire of wires.slice(0, truth === 'authority' ? 1 : 2)) wire.isCut = isCut;
  };
  return { alice, bob, run, cut };

  function withAuthority(): Session[] {
    const manager = new SyncManager({
      definition: coinSession,
      replica: replicaId('server'),
      session: 'coins',
      random: seededRandom(1),
      now: 0,
    });
    const links = new Map<LinkId, Transport>();
    const send = (outgoing: ReturnType<SyncManager['tick']>) => {
      for (const one of outgoing) if ('frame' in one) links.get(one.link)?.send(one.frame);
    };
    ticks.push(() => send(manager.tick(time.now)));
    return names.slice(0, 2).map((replica, index) => {
      const wire = new Wire();
      wires.push(wire);
      links.set(index + 1, wire.ends[1]);
      manager.connect(index + 1, time.now);
      wire.ends[1].onFrame((frame) => send(manager.receive(index + 1, frame, time.now)));
      const options = { definition: coinSession, replica, session: 'coins', token: '' };
      return openSession({ truth: 'authority', clock, transport: wire.ends[0], ...options });
    });
  }

  function amongPeers(): Session[] {
    const links = new Map(names.map((name) => [name, new Map<ReplicaId, Transport>()]));
    for (const [one, other] of [
      [0, 1],
      [0, 2],
      [1, 2],
    ] as const) {
      const wire = new Wire();
      wires.push(wire);
      links.get(names[one])!.set(names[other], wire.ends[0]);
      links.get(names[other])!.set(names[one], wire.ends[1]);
    }
    const records = [...coinSession.initialRecords(seededRandom(1))];
    const collections = ['coin/', 'door/', 'note/'];
    return names.map((replica) =>
      openSession({
        truth: 'peers',
        clock,
        definition: coinSession,
        collections,
        links: links.get(replica)!,
        replica,
        session: 'coins',
        members: names,
        records,
        epoch: 1_700_000_000_000,
      }),
    );
  }
}

const owner = (session: Session, coin: string, state: 'committed' | 'optimistic' = 'committed') =>
  session[state].get(recordKey(`coin/${coin}`))?.owner;

function mutate(session: Session, command: string, args: { readonly [name: string]: string }) {
  const made = session.mutate(command, args);
  if ('rejected' in made) throw new Error(made.rejected);
  return made.mutation;
}

describe.each(['authority', 'peers'] as const)('a session whose truth is with the %s', (truth) => {
  test('shows what was done at once, and settles it for everybody', () => {
    const { alice, bob, run } = pairOf(truth);
    expect(alice.truth).toBe(truth);
    let told = 0;
    const end = bob.subscribe(() => told++);
    const mutation = mutate(alice, 'take', { coin: '3' });
    expect(owner(alice, '3', 'optimistic')).toBe('alice');
    expect(owner(alice, '3')).toBe(null);
    expect(alice.outcome(mutation)).toEqual({ state: 'pending' });
    run(3_000);
    expect(owner(alice, '3')).toBe('alice');
    expect(owner(bob, '3')).toBe('alice');
    expect(alice.outcome(mutation)).toEqual({ state: 'settled' });
    expect(alice.committed.hash).toBe(bob.committed.hash);
    expect(told).toBeGreaterThan(0);
    end();
  });

  test('refuses at once what the state does not allow', () => {
    const { alice, bob, run } = pairOf(truth);
    mutate(alice, 'take', { coin: '1' });
    run(3_000);
    expect(bob.mutate('take', { coin: '1' })).toEqual({ rejected: 'coin/1 is taken' });
    expect(bob.mutate('fly', {})).toEqual({ rejected: expect.stringContaining('fly') });
  });

  test('gives one coin to one of two, and tells the other why not', () => {
    const { alice, bob, run } = pairOf(truth);
    const takes = [alice, bob].map((one) => [one, mutate(one, 'take', { coin: '5' })] as const);
    run(4_000);
    const outcomes = takes.map(([session, mutation]) => session.outcome(mutation)!);
    expect(outcomes.map(({ state }) => state).sort()).toEqual(['rejected', 'settled']);
    expect(outcomes).toContainEqual({ state: 'rejected', reason: 'coin/5 is taken' });
    expect(alice.committed.hash).toBe(bob.committed.hash);
    expect(alice.optimistic.hash).toBe(alice.committed.hash);
  });

  test('goes on where one is cut off, and comes together after', () => {
    const { alice, bob, run, cut } = pairOf(truth);
    cut(true);
    mutate(alice, 'take', { coin: '7' });
    mutate(bob, 'take', { coin: '8' });
    run(2_000);
    expect(owner(alice, '7', 'optimistic')).toBe('alice');
    expect(owner(alice, '7')).toBe(null);
    expect(owner(bob, '8')).toBe('bob');
    cut(false);
    run(8_000);
    for (const session of [alice, bob]) expect([owner(session, '7'), owner(session, '8')]).toEqual(['alice', 'bob']);
    expect(alice.isConnected).toBe(true);
  });
});
