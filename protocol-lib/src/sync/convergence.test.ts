import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalBytes } from '../bytes/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import { decodeMessage, noNames } from '../messages/index.ts';
import { seededRandom } from '../ports/index.ts';
import { recordKey, replicaId } from '../state/index.ts';
import { TraceHub, type TraceRecord } from '../trace/index.ts';
import type { ClientState } from './client.ts';
import { coinSession, MemorySession } from './memory-link.test-helper.ts';

const NAMES = ['alice', 'bob', 'carol'] as const;

const name = fc.constantFrom(...NAMES);
const coin = fc.nat(5);
const command = fc.oneof(
  { weight: 4, arbitrary: fc.record({ command: fc.constantFrom('take', 'drop'), args: fc.record({ coin }) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      command: fc.constantFrom('note', 'erase'),
      args: fc.record({ id: fc.nat(3), text: fc.string() }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ command: fc.constantFrom('wave', 'unlock', 'explode', 'nonsense'), args: fc.constant({}) }),
  },
);

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('predict' as const), name, what: command, unchecked: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('mutate' as const), what: command }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('run' as const),
      for: fc
        .oneof(
          { weight: 4, arbitrary: fc.integer({ min: 1, max: 8 }) },
          { weight: 1, arbitrary: fc.integer({ min: 20, max: 80 }) },
        )
        .map((n) => n * 50),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cut' as const), name }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('connect' as const), name }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('corrupt' as const), name, coin }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Bytes of the whole state, made by sorting, without any tree. */
function stateBytes(root: StateRoot): string {
  return Buffer.from(canonicalBytes(Object.fromEntries(root.entries()))).toString('hex');
}

/** The pending mutations run on the committed state once more, one after the other. */
function replayed(client: ClientState): StateRoot {
  let root = client.committed;
  for (const { command: run, args } of client.pending) {
    const handler = Object.hasOwn(coinSession.commands, run) ? coinSession.commands[run] : undefined;
    try {
      const outcome = handler?.(root, args, client.replica);
      if (!outcome?.accepted) continue;
      let next = root;
      for (const event of outcome.events) next = next.apply(coinSession.reduce(next, event));
      root = next;
    } catch {
      // An app's own fault: the mutation contributes nothing.
    }
  }
  return root;
}

interface Network {
  readonly seed: number;
  readonly loss: number;
  readonly duplication: number;
  /** Milliseconds that a frame takes at most. */
  readonly latency: number;
}

class Run {
  readonly records: TraceRecord[] = [];
  readonly session: MemorySession;
  readonly #ends = new Map<string, string[]>();

  constructor(network: Network) {
    let time = 0;
    const hub = new TraceHub({ now: () => time++ });
    hub.listen((record) => this.records.push(record));
    this.session = new MemorySession({ tap: hub, ring: 20, periodicSnapshots: 2 });
    for (const who of NAMES) {
      this.session.join(who).on((event) => {
        if (event.type !== 'confirmed' && event.type !== 'rejected') return;
        const id = `${event.mutation.writer}#${event.mutation.counter}`;
        this.#ends.set(id, [...(this.#ends.get(id) ?? []), event.type]);
      });
    }
    const random = seededRandom(network.seed);
    this.session.latency = () => Math.floor(random.next() * network.latency) * 1_000_000;
    this.session.fate = (frame) => {
      if (random.next() < network.loss) return [];
      return random.next() < network.duplication ? [frame, frame] : [frame];
    };
  }

  take(one: Step): void {
    const { session } = this;
    switch (one.do) {
      case 'predict':
        session.predict(one.name, one.what.command, one.what.args, { unchecked: one.unchecked });
        break;
      case 'mutate':
        session.manager.mutate(one.what.command, one.what.args, session.now);
        break;
      case 'run':
        session.run(one.for);
        break;
      case 'cut':
        session.cut(one.name);
        break;
      case 'connect':
        if (!session.isConnected(one.name)) session.connect(one.name);
        break;
      case 'corrupt': {
        const client = session.clients.find(({ replica }) => replica === one.name);
        const key = recordKey(`coin/${one.coin}`);
        if (client?.committed.has(key)) {
          client.corruptCommitted([{ op: 'patch', key, fields: { worth: -1 }, removed: [] }]);
        }
        break;
      }
    }
    for (const client of session.clients) {
      expect(stateBytes(client.optimistic)).toBe(stateBytes(replayed(client)));
      const last = session.manager.clients.find(({ replica }) => replica === client.replica);
      if (last) expect(last.version).toBeLessThanOrEqual(session.manager.version);
    }
  }

  /** Faults end; everybody is connected and has time. */
  heal(): void {
    const { session } = this;
    session.fate = (frame) => [frame];
    session.latency = () => 0;
    for (let round = 0; round < 4; round++) {
      for (const who of NAMES) if (!session.isConnected(who)) session.connect(who);
      session.run(20_000);
    }
  }

  audit(): void {
    const { manager, clients } = this.session;
    const truth = stateBytes(manager.root);
    for (const client of clients) {
      expect(client.pending).toEqual([]);
      expect(client.version).toBe(manager.version);
      expect(stateBytes(client.committed)).toBe(truth);
      expect(stateBytes(client.optimistic)).toBe(truth);
      expect(client.vector.entries()).toEqual(manager.vector);
      expect(client.isSettled).toBe(true);
    }
    this.#auditMutations();
    this.#auditVersions();
  }

  /** Each mutation was settled once by the authority, and its writer was told exactly that, exactly once. */
  #auditMutations(): void {
    const settled = new Map<string, string[]>();
    for (const { body } of this.records) {
      if (body.kind !== 'commit' && body.kind !== 'rejection') continue;
      if (!body.mutation || body.mutation.writer === replicaId('server')) continue;
      const id = `${body.mutation.writer}#${body.mutation.counter}`;
      settled.set(id, [...(settled.get(id) ?? []), body.kind === 'commit' ? 'confirmed' : 'rejected']);
    }
    for (const { body } of this.records) {
      if (body.kind !== 'prediction') continue;
      const id = `${body.mutation.writer}#${body.mutation.counter}`;
      expect(settled.get(id), `${id} at the authority`).toHaveLength(1);
      expect(this.#ends.get(id), `${id} at its writer`).toEqual(settled.get(id));
    }
  }

  #auditVersions(): void {
    let version = 1;
    for (const { body, replica } of this.records) {
      if (body.kind !== 'commit' || replica !== 'server' || body.version === version) continue;
      expect(body.version).toBe(version + 1);
      version = body.version;
    }
    expect(version).toBe(this.session.manager.version);
  }
}

describe('whatever happens, after it stops all replicas equal the authority', () => {
  const steps = fc.array(step, { maxLength: 60 });

  test('over links that only break', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const run = new Run({ seed: 1, loss: 0, duplication: 0, latency: 0 });
        for (const one of list) run.take(one);
        run.heal();
        run.audit();
      }),
    );
  });

  test('over links that are slow, lose and double frames', () => {
    const network = fc.record({
      seed: fc.nat(1_000_000),
      loss: fc.constantFrom(0, 0.02, 0.1, 0.3),
      duplication: fc.constantFrom(0, 0.1, 0.5),
      latency: fc.constantFrom(0, 120, 400, 3_000),
    });
    fc.assert(
      fc.property(steps, network, (list, chosen) => {
        const run = new Run(chosen);
        for (const one of list) run.take(one);
        run.heal();
        run.audit();
      }),
    );
  });
});

test('when all is well again, a session is quiet but for heartbeats', () => {
  const run = new Run({ seed: 3, loss: 0.2, duplication: 0.2, latency: 200 });
  for (let round = 0; round < 20; round++) {
    for (const who of NAMES) run.session.predict(who, 'take', { coin: round % 7 }, { unchecked: true });
    run.session.run(100);
  }
  run.heal();
  const types: string[] = [];
  run.session.fate = (frame) => {
    types.push(decodeMessage(frame, noNames).type);
    return [frame];
  };
  run.session.run(5_000);
  expect(new Set(types)).toEqual(new Set(['HEARTBEAT']));
});
