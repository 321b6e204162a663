import type { Transport } from '../ports/index.ts';
import { milliseconds, seededRandom } from '../ports/index.ts';
import { type ReplicaId, recordKey, replicaId } from '../state/index.ts';
import { perLink, SyncManager } from '../sync/index.ts';
import { coinSession } from '../sync/memory-link.test-helper.ts';
import type { Session } from './session.ts';
import { openSession } from './source-of-truth.ts';

export const SOURCES = ['authority', 'merge', 'consensus'] as const;
export type Source = (typeof SOURCES)[number];

interface End {
  frame(frame: Uint8Array): void;
  close(reason: string): void;
}

/** Everybody's ends of their connections, by who has it and to whom. Delivers when it is pumped. */
class Board {
  readonly ends = new Map<string, End>();
  /** Whose frames are lost without anybody's being told. */
  cut: ReplicaId | undefined;
  /** Who reaches nobody, and is told so. */
  down: ReplicaId | undefined;
  tries = 0;
  readonly #waiting: (() => void)[] = [];

  connect(from: ReplicaId, to: ReplicaId): Transport {
    if (from === 'alice') this.tries++;
    if ([from, to].includes(this.down!)) throw new Error('the network is down');
    const end: End = { frame: () => {}, close: () => {} };
    this.ends.set(`${from}>${to}`, end);
    return {
      send: (frame) => this.send(from, to, frame),
      close: () => {
        if (this.ends.get(`${from}>${to}`) === end) this.ends.delete(`${from}>${to}`);
      },
      onFrame: (listener) => {
        end.frame = listener;
      },
      onClose: (listener) => {
        end.close = listener;
      },
    };
  }

  send(from: ReplicaId, to: ReplicaId, frame: Uint8Array): void {
    if (![from, to].includes(this.cut!)) this.#waiting.push(() => this.ends.get(`${to}>${from}`)?.frame(frame));
  }

  break(name: ReplicaId): void {
    for (const [key, end] of [...this.ends]) {
      if (!key.split('>').includes(name)) continue;
      this.ends.delete(key);
      end.close('the network is down');
    }
  }

  pump(): boolean {
    const next = this.#waiting.shift();
    next?.();
    return next !== undefined;
  }
}

/** Alice and bob in one session, and the means to let time go by and to cut alice off. */
export interface Pair {
  readonly alice: Session;
  readonly bob: Session;
  run(milliseconds: number): void;
  /** Alice's frames are lost. */
  cut(isCut: boolean): void;
  /** Alice's connections are closed, and no new ones to be had. */
  down(isDown: boolean): void;
  /** Connections that alice has tried to open. */
  tries(): number;
}

const names = ['alice', 'bob', 'carol'].map(replicaId);
const server = replicaId('server');

/** Alice and bob, after `settle` milliseconds. */
export function openPair(source: Source, settle = 1_000): Pair {
  const time = { now: 0 };
  const clock = { now: () => time.now };
  const board = new Board();
  const ticks: (() => void)[] = [];
  const sessions = source === 'authority' ? withAuthority() : names.map((one) => among(one));
  for (const session of sessions) ticks.push(() => session.tick());
  const run = (most: number) => {
    for (let passed = 0; passed < most; passed += 50) {
      time.now += milliseconds(50);
      for (const tick of ticks) tick();
      while (board.pump()) {}
    }
  };
  run(settle);
  const [alice, bob] = sessions as [Session, Session];
  return {
    alice,
    bob,
    run,
    cut: (isCut) => {
      board.cut = isCut ? alice.replica : undefined;
    },
    down: (isDown) => {
      board.down = isDown ? alice.replica : undefined;
      if (isDown) board.break(alice.replica);
    },
    tries: () => board.tries,
  };

  function portsOf(replica: ReplicaId) {
    const random = seededRandom(names.indexOf(replica) + 1);
    const backoff = { base: 100, max: 1_000 };
    return { clock, random, backoff, replica, definition: coinSession };
  }

  function withAuthority(): Session[] {
    const first = { replica: server, session: 'coins', random: seededRandom(1), now: 0 };
    const manager = new SyncManager({ definition: coinSession, ...first });
    const clients = new Map<number, ReplicaId>();
    const send = (outgoing: ReturnType<SyncManager['tick']>) => {
      for (const one of perLink(outgoing)) if ('frame' in one) board.send(server, clients.get(one.link)!, one.frame);
    };
    ticks.push(() => send(manager.tick(time.now)));
    const connect = (replica: ReplicaId): Transport => {
      const transport = board.connect(replica, server);
      const link = clients.size + 1;
      clients.set(link, replica);
      manager.connect(link, time.now);
      board.ends.set(`server>${replica}`, {
        frame: (frame) => send(manager.receive(link, frame, time.now)),
        close: (reason) => manager.disconnect(link, reason, time.now),
      });
      return transport;
    };
    return names.slice(0, 2).map((replica) => {
      const options = { ...portsOf(replica), connect: () => connect(replica), session: 'coins', token: '' };
      return openSession({ truth: 'authority', ...options });
    });
  }

  function among(replica: ReplicaId): Session {
    const records = [...coinSession.initialRecords(seededRandom(1))];
    const connect = (to: ReplicaId) => board.connect(replica, to);
    const group = { ...portsOf(replica), connect, members: names, records, truth: 'peers' as const };
    if (source === 'consensus') {
      // Few attempts, so that a cut makes it give up and propose again.
      const settings = { maxAttempts: 2, roundTimeout: milliseconds(300) };
      return openSession({ ...group, agreement: 'consensus', settings });
    }
    const collections = ['coin/', 'door/', 'note/'];
    const rest = { collections, session: 'coins', epoch: 1_700_000_000_000 };
    return openSession({ ...group, ...rest, agreement: 'merge' });
  }
}

export const owner = (session: Session, coin: string, state: 'committed' | 'optimistic' = 'committed') =>
  session[state].get(recordKey(`coin/${coin}`))?.owner;

export function mutate(session: Session, command: string, args: { readonly [name: string]: string }) {
  const made = session.mutate(command, args);
  if ('rejected' in made) throw new Error(made.rejected);
  return made.mutation;
}
