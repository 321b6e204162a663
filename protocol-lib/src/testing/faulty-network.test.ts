import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { milliseconds, seededRandom } from '../ports/index.ts';
import { replicaId, type Value } from '../state/index.ts';
import { ClientState, type Outgoing, perLink, type SessionDefinition, SyncManager } from '../sync/index.ts';
import { type FaultyConnection, FaultyNetwork } from './faulty-network.ts';
import { type TransportPair, transportContract } from './transport-contract.ts';

function pairOn(network: FaultyNetwork, connection: FaultyConnection): TransportPair {
  return { ends: [connection.near, connection.far], settle: () => network.run(milliseconds(60_000)) };
}

describe.each([
  { what: 'at once', shape: {} },
  { what: 'with latency and jitter', shape: { latency: milliseconds(40), jitter: milliseconds(90) } },
  { what: 'at 1 MB/s', shape: { bandwidth: 0.001 } },
  { what: 'of datagrams that none is lost of', shape: { model: 'datagram', latency: milliseconds(5) } },
] as const)('a healthy link, $what, keeps the contract of a transport', ({ shape }) => {
  const open = () => {
    const network = new FaultyNetwork(1);
    return pairOn(network, network.connect(shape));
  };
  for (const { name, run } of transportContract(open)) test(name, run);
});

test('the contract finds a link that loses, repeats or reorders', async () => {
  for (const rate of ['loss', 'duplication', 'reordering'] as const) {
    const open = () => {
      const network = new FaultyNetwork(7);
      return pairOn(network, network.connect({ model: 'datagram', [rate]: 0.5 }));
    };
    const results = await Promise.allSettled(transportContract(open).map(({ run }) => run()));
    expect(results.filter(({ status }) => status === 'rejected').length, rate).toBeGreaterThan(0);
  }
});

test('a rate or a time that is none is refused', () => {
  const network = new FaultyNetwork(1);
  for (const wrong of [{ loss: 1.1 }, { loss: Number.NaN }, { latency: -1 }, { bandwidth: Number.POSITIVE_INFINITY }]) {
    expect(() => network.connect(wrong)).toThrow(RangeError);
  }
});

/** What may happen on a link, and when. */
const strike = fc.record({
  at: fc.nat(4_000),
  what: fc.constantFrom('block up', 'block down', 'block both', 'cut', 'calm', 'rough', 'close near', 'close far'),
  duration: fc.nat(800),
});

const shape = fc.record({
  model: fc.constantFrom('stream' as const, 'datagram' as const),
  latency: fc.nat(100).map(milliseconds),
  jitter: fc.nat(100).map(milliseconds),
  bandwidth: fc.constantFrom(0, 0.000_01, 0.001),
  loss: fc.double({ min: 0, max: 1, noNaN: true }),
  duplication: fc.double({ min: 0, max: 1, noNaN: true }),
  reordering: fc.double({ min: 0, max: 1, noNaN: true }),
});

type Strike = typeof strike extends fc.Arbitrary<infer T> ? T : never;
type Shape = typeof shape extends fc.Arbitrary<infer T> ? T : never;

/** Sends a number each 20 ms both ways, with all that strikes; answers what each end heard, in words with the time. */
function play(
  seed: number,
  form: Shape,
  strikes: readonly Strike[],
): { readonly told: string[]; readonly left: number } {
  const network = new FaultyNetwork(seed);
  const link = network.connect(form);
  const told: string[] = [];
  for (const end of ['near', 'far'] as const) {
    link[end].onFrame((frame) => told.push(`${network.now()} ${end} ${frame[0]}`));
    link[end].onClose((reason) => told.push(`${network.now()} ${end} closed: ${reason}`));
  }
  for (let index = 0; index < 200; index++) {
    network.after(milliseconds(20 * index), () => {
      link.near.send(Uint8Array.of(index));
      link.far.send(Uint8Array.of(index));
    });
  }
  for (const { at, what, duration } of strikes) {
    network.after(milliseconds(at), () => {
      const [verb, object] = what.split(' ');
      if (verb === 'block') link.block(milliseconds(duration), object as 'up' | 'down' | 'both');
      else if (verb === 'close') link[object as 'near' | 'far'].close('enough');
      else if (what === 'cut') link.cut({ near: milliseconds(duration) });
      else link.isRough = what === 'rough';
    });
  }
  network.run(milliseconds(60_000));
  return { told, left: link.inFlight };
}

test('the same seed is the same run; a stream gives what was sent first, in order; nobody hears of a close twice, or of a frame after it', () => {
  fc.assert(
    fc.property(fc.nat(1_000_000), shape, fc.array(strike, { maxLength: 6 }), (seed, form, strikes) => {
      const { told, left } = play(seed, form, strikes);
      expect(play(seed, form, strikes).told).toEqual(told);
      expect(left).toBe(0);
      for (const end of ['near', 'far']) {
        const own = told.filter((line) => line.split(' ')[1] === end);
        const closedAt = own.findIndex((line) => line.includes('closed'));
        if (closedAt !== -1) expect(closedAt).toBe(own.length - 1);
        const frames = own.filter((line) => !line.includes('closed')).map((line) => Number(line.split(' ')[2]));
        if (form.model === 'stream') expect(frames).toEqual(frames.map((_, index) => index));
        else expect(frames.every((frame) => frame < 200)).toBe(true);
      }
    }),
  );
});

// — an app's own driver over it —

const counting: SessionDefinition = {
  name: 'counting',
  *initialRecords() {},
  commands: {
    add: (_state, args, writer) => ({
      accepted: true,
      events: [{ type: 'ADDED', player: writer, detail: String(args), data: args }],
    }),
  },
  reduce(state, event) {
    const key = `count/${event.player}` as Parameters<typeof state.get>[0];
    const before = Number(state.get(key)?.n ?? 0);
    return [{ op: 'put', key, record: { n: before + Number(event.data) } }];
  },
};

/** A client and an authority, joined by a connection that is opened again when it breaks. */
function session(seed: number, form: Parameters<FaultyNetwork['connect']>[0]) {
  const network = new FaultyNetwork(seed);
  const manager = new SyncManager({
    definition: counting,
    replica: replicaId('server'),
    session: 'counting',
    random: seededRandom(seed),
    now: 0,
  });
  const client = new ClientState({ definition: counting, replica: replicaId('amy'), session: 'counting', token: '' });
  let link = 0;
  let connection: FaultyConnection | undefined;
  let isRough = false;
  const sendUp = (frames: readonly Uint8Array[]) => {
    for (const frame of frames) connection?.near.send(frame);
  };
  const sendDown = (outgoing: readonly Outgoing[]) => {
    for (const one of perLink(outgoing)) {
      if (one.link !== link) continue;
      if ('frame' in one) connection?.far.send(one.frame);
      else connection?.far.close(one.close);
    }
  };
  const open = () => {
    const [id, made] = [++link, network.connect(form)];
    connection = made;
    made.isRough = isRough;
    manager.connect(id, network.now());
    made.near.onFrame((frame) => id === link && sendUp(client.receive(frame, network.now())));
    made.far.onFrame((frame) => id === link && sendDown(manager.receive(id, frame, network.now())));
    made.far.onClose((reason) => manager.disconnect(id, reason, network.now()));
    made.near.onClose((reason) => {
      if (id !== link) return;
      client.closed(reason, network.now());
      manager.disconnect(id, reason, network.now());
      open();
    });
    sendUp(client.open(network.now()));
  };
  const tick = () => {
    sendDown(manager.tick(network.now()));
    sendUp(client.tick(network.now()));
    // It gave up: its HELLO, or the answer, was lost.
    if (client.phase === 'closed') {
      manager.disconnect(link, 'given up', network.now());
      open();
    }
    network.after(milliseconds(50), tick);
  };
  open();
  tick();
  return {
    network,
    manager,
    client,
    cut: () => connection?.cut(),
    rough(is: boolean) {
      isRough = is;
      if (connection) connection.isRough = is;
    },
    add(n: Value) {
      const result = client.predict('add', n, network.now());
      if ('frames' in result) sendUp(result.frames);
    },
  };
}

test('an authority and a client agree over it whatever it does, and each addition counts once', () => {
  fc.assert(
    fc.property(fc.nat(1_000_000), fc.boolean(), (seed, isStream) => {
      const rates = { loss: 0.2, duplication: 0.2, reordering: 0.2 };
      const link = { model: isStream ? 'stream' : 'datagram', latency: milliseconds(30), ...rates } as const;
      const { network, manager, client, cut, rough, add } = session(seed, link);
      network.run(milliseconds(1_000));
      rough(true);
      for (let index = 1; index <= 10; index++) {
        add(index);
        network.run(milliseconds(300));
        if (isStream && index % 4 === 0) cut();
      }
      rough(false);
      network.run(milliseconds(90_000));
      expect(client.isSettled).toBe(true);
      expect(client.committed.hash).toBe(manager.root.hash);
      expect([...manager.root.entries()]).toEqual([['count/amy', { n: 55 }]]);
    }),
    { numRuns: 20 },
  );
});
