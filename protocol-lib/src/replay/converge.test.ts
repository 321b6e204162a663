import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { packMsgpack, unpackMsgpack } from '../bytes/index.ts';
import { CaptureMaker } from '../capture/exchange/made-capture.ts';
import { redactCapture } from '../capture/exchange/redact.ts';
import { memorySink, memorySource, openCapture } from '../capture/index.ts';
import { HybridClock } from '../clock/index.ts';
import {
  AddWinsSet,
  addWinsOperationSchema,
  CallState,
  decodeOperation,
  encodeOperation,
  GCounter,
  LWWElementSet,
  PNCounter,
  RGA,
  recordsOfState,
} from '../crdt/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { CrdtReplica, type JoinedState } from '../peers/index.ts';
import { type Random, seededRandom } from '../ports/index.ts';
import { recordSimulation, simulatedGroup } from '../simulator/index.ts';
import {
  type Change,
  type RecordKey,
  type ReplicaId,
  recordKey,
  replicaId,
  type SyncRecord,
  type Value,
} from '../state/index.ts';
import { TraceHub, type TraceRecord } from '../trace/index.ts';
import { captureOf, headerOf } from './captured.test-helper.ts';
import { type CrdtModel, converge } from './index.ts';

const NAMES = ['ann', 'bob', 'cid'].map(replicaId);
const LENGTH = 40;

/** What happens at one replica, and what the others are told. */
interface Actor<M> {
  operate(random: Random, step: number): M | undefined;
  receive(message: M): void;
}

/** Replicas that do something by turns and hear of each other late, in any order; what they trace is the capture. */
async function sessionOf<M>(seed: number, begin: (replica: ReplicaId, hub: TraceHub) => Actor<M>) {
  const random = seededRandom(seed);
  const clock = { time: 0, now: () => clock.time };
  const hub = new TraceHub(clock);
  const records: TraceRecord[] = [];
  hub.listen((record) => records.push(record));
  const actors = NAMES.map((replica) => {
    hub.emit(replica, { kind: 'replica', role: 'peer' });
    return begin(replica, hub);
  });
  /** On the way, by receiver: what one writer sends arrives in its order. */
  const queues = actors.map((): { from: number; message: M }[] => []);
  for (let step = 0; step < LENGTH; step++) {
    clock.time += 1_000_000;
    const at = Math.floor(random.next() * actors.length);
    if (random.next() < 0.5) {
      const first = queues[at]?.shift();
      if (first) actors[at]!.receive(first.message);
      continue;
    }
    const message = actors[at]!.operate(random, step);
    if (message !== undefined)
      for (const [to, queue] of queues.entries()) if (to !== at) queue.push({ from: at, message });
  }
  return { capture: await captureOf(headerOf('crdt'), records), records };
}

const pick = <T>(random: Random, list: readonly T[]): T => list[Math.floor(random.next() * list.length)]!;

/** Replicas of a type whose operations are small states that are joined. */
function joined<S extends JoinedState>(
  make: (replica: ReplicaId) => S,
  act: (state: S, random: Random, stamp: () => ReturnType<HybridClock['tick']>, replica: ReplicaId) => Change[],
) {
  return (replica: ReplicaId, hub: TraceHub): Actor<Parameters<CrdtReplica<S>['receive']>[0]> => {
    const crdt = new CrdtReplica<S>({ replica, crdt: 'thing', state: make(replica), tap: hub });
    const clock = new HybridClock(replica);
    return {
      operate: (random, step) =>
        crdt.operate(`step ${step}`, (state) => act(state, random, () => clock.tick(1_000 + step), replica)),
      receive: (message) => void crdt.receive(message),
    };
  };
}

const LIBRARY: Readonly<Record<string, (replica: ReplicaId, hub: TraceHub) => Actor<never>>> = {
  'G-counter': joined(
    (replica) => new GCounter('likes', replica),
    (state) => state.increment(),
  ) as never,
  'PN-counter': joined(
    (replica) => new PNCounter('stock', replica),
    (state, random) => (random.next() < 0.5 ? state.increment(3) : state.decrement(2)),
  ) as never,
  'LWW set': joined(
    () => new LWWElementSet('cart'),
    (state, random, stamp) =>
      random.next() < 0.6
        ? state.add(pick(random, ['tea', 'oil']), stamp(), Math.floor(random.next() * 9))
        : state.remove(pick(random, ['tea', 'oil']), stamp()),
  ) as never,
  'call state': joined(
    () => new CallState('call/1'),
    (state, random, stamp, replica) => {
      const what = random.next();
      if (what < 0.4) return state.join(replica);
      if (what < 0.6) return state.leave(replica);
      if (what < 0.95) return state.mute(replica, random.next() < 0.5, stamp());
      return state.hangUp(stamp());
    },
  ) as never,
  RGA: ((replica: ReplicaId, hub: TraceHub): Actor<Parameters<RGA['apply']>[0]> => {
    const text = RGA.text(replica);
    return {
      operate: (random, step) => {
        const at = Math.floor(random.next() * (text.length + 1));
        const operation =
          at < text.length && random.next() < 0.3 ? text.delete(at, 1) : text.insert(at, `${replica[0]}${step}`);
        if (!operation) return undefined;
        const { counter } = operation;
        const told = {
          crdt: 'page',
          origin: 'local',
          writer: replica,
          counter,
          vector: text.vector.entries(),
        } as const;
        hub.emit(replica, { kind: 'operation', ...told, detail: operation.op, data: encodeOperation(operation) });
        return operation;
      },
      receive: (operation) => void text.apply(operation),
    };
  }) as never,
  'add-wins set': ((
    replica: ReplicaId,
    hub: TraceHub,
  ): Actor<Parameters<AddWinsSet['apply']>[0] & { seen: unknown }> => {
    const set = new AddWinsSet('tags', replica);
    const seen = new Map<ReplicaId, number>();
    let counter = 0;
    const origin = new Map<object, readonly [ReplicaId, number]>();
    return {
      operate: (random) => {
        const element = pick(random, ['red', 'blue']);
        const operation = random.next() < 0.6 ? set.add(element) : set.remove(element);
        if (!operation) return undefined;
        seen.set(replica, ++counter);
        origin.set(operation, [replica, counter]);
        const vector = [...seen]
          .map(([one, last]) => ({ replica: one, counter: last }))
          .sort((a, b) => (a.replica < b.replica ? -1 : 1));
        const told = { crdt: 'tags', origin: 'local', writer: replica, counter, vector } as const;
        hub.emit(replica, {
          kind: 'operation',
          ...told,
          detail: operation.op,
          data: packMsgpack(operation as unknown as Value),
        });
        return Object.assign({}, operation, { from: replica, counter }) as never;
      },
      receive: (message) => {
        const { from, counter: last, ...operation } = message as typeof message & { from: ReplicaId; counter: number };
        set.apply(operation as Parameters<AddWinsSet['apply']>[0]);
        seen.set(from, Math.max(seen.get(from) ?? 0, last));
      },
    };
  }) as never,
};

describe('the operations of a capture', () => {
  test.each(Object.keys(LIBRARY))('come to one root in every order: %s', async (name) => {
    for (const seed of [1, 2, 3]) {
      const { capture, records } = await sessionOf(seed, LIBRARY[name]!);
      const made = records.filter(({ body }) => body.kind === 'operation' && body.origin === 'local').length;
      expect(made).toBeGreaterThan(8);
      expect(await converge(capture, { orders: 200, seed })).toMatchObject({
        status: 'converges',
        kind: 'operations',
        operations: made,
        orders: 200,
      });
    }
  });

  test('that no type of the library has are asked for by the name of what merges them', async () => {
    const { capture } = await sessionOf(1, wallClock);
    await expect(converge(capture)).rejects.toMatchObject({ code: 'CONVERGE_UNKNOWN' });
  });

  test('are gone from a redacted capture where they hold what was written', async () => {
    const { capture } = await sessionOf(1, LIBRARY.RGA!);
    const sink = memorySink();
    const maker = new CaptureMaker(sink, (await capture.info()).header);
    await redactCapture(capture, maker, { paths: [], patterns: [], pseudonym: () => 'x' });
    await maker.end();
    const redacted = await openCapture(memorySource(sink.bytes()));
    for await (const { record } of redacted.trace()) expect(record.body).not.toHaveProperty('data');
    await expect(converge(redacted)).rejects.toMatchObject({ code: 'CONVERGE_NOTHING' });
  });

  test('of peers are merged by the policies of their group, in every order', async () => {
    const recorded = await recordSimulation({ seed: 3, scenario: 'partition', length: 2_000, without: ['corrupt'] });
    const capture = await openCapture(memorySource(recorded.capture));
    const merge = simulatedGroup((await capture.info()).header)?.merge;
    const result = await converge(capture, { merge, orders: 60 });
    expect(result).toMatchObject({ status: 'converges', kind: 'mutations', orders: 60 });
    expect(result.operations).toBeGreaterThan(5);
    await expect(converge(capture)).rejects.toMatchObject({ code: 'REPLAY_NEEDS_DEFINITION' });
  });
});

/** Planted: the last write by wall clock wins, and of two at one moment whichever comes later. */
class WallClockRegister implements JoinedState {
  #records = new Map<RecordKey, SyncRecord>();

  root(): StateRoot {
    return StateRoot.from(this.#records);
  }

  apply(delta: Iterable<readonly [RecordKey, SyncRecord]>): Change[] {
    const changes: Change[] = [];
    for (const [key, record] of delta) {
      const known = this.#records.get(key);
      if (known && Number(known.at) > Number(record.at)) continue;
      this.#records.set(key, record);
      changes.push({ op: 'put', key, record });
    }
    return changes;
  }
}

const KEYS = ['a', 'b', 'c', 'd'].map((name) => recordKey(`register/${name}`));

/** Clocks tick every ten steps, so that many writes are at one moment. */
const wallClock = (replica: ReplicaId, hub: TraceHub): Actor<never> => {
  const crdt = new CrdtReplica({ replica, crdt: 'register', state: new WallClockRegister(), tap: hub });
  return {
    operate: (random, step) =>
      crdt.operate(`step ${step}`, (state) => {
        const key = pick(random, KEYS);
        return state.apply([[key, { at: Math.floor(step / 10), by: `${replica} ${step}` }]]);
      }) as never,
    receive: (message) => void crdt.receive(message),
  };
};

const registers: CrdtModel = (begun) => {
  const state = new WallClockRegister();
  state.apply(begun);
  return { apply: ({ entries }) => void state.apply(entries), root: () => state.root() };
};

describe('a type that does not commute', () => {
  test('is named by the two operations that show it, with both orders and both results', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(1_000_000), fc.nat(1_000), async (seed, orders) => {
        const { capture, records } = await sessionOf(seed, wallClock);
        const result = await converge(capture, { models: { register: registers }, orders: 40, seed: orders });
        const made = localOperations(records);
        // The orders that are farthest from the recorded one, each writer behind all others, are always among those that are run.
        expect(result.status).toBe(KEYS.some((key) => lastOf(key, made).length > 1) ? 'differs' : 'converges');
        const { conflict } = result;
        if (!conflict) return;
        const [first, second] = [conflict.first, conflict.second].map(
          ({ seq }) => made.find((one) => one.seq === seq)!,
        );
        expect(first).toMatchObject({ key: second?.key, record: { at: second?.record.at } });
        expect(follows(first!, second!, made) || follows(second!, first!, made)).toBe(false);
        expect(conflict.roots[0]).not.toBe(conflict.roots[1]);
        // Both orders hold the same, and exchange the two alone.
        const pair = [conflict.first, conflict.second].map(({ mutation }) => `${mutation.writer}:${mutation.counter}`);
        expect(conflict.orders[0]).toEqual([...conflict.before, ...pair]);
        expect(conflict.orders[1]).toEqual([...conflict.before, ...pair.toReversed()]);
        expect(conflict.differences).toEqual([{ key: first!.key, values: [second!.record, first!.record] }]);
        // Before the two is what they follow upon, and nothing else.
        const causes = made.filter((one) => follows(first!, one, made) || follows(second!, one, made));
        expect(conflict.before.toSorted()).toEqual(causes.map(({ writer, counter }) => `${writer}:${counter}`).sort());
      }),
      { numRuns: 40 },
    );
  });
});

/** Planted: of two insertions at one place whichever comes later stands first. */
const latestFirst: CrdtModel = () => {
  const elements: { readonly id: string; readonly unit: string; isGone: boolean }[] = [];
  const idOf = (replica: string, counter: number) => `${replica}:${counter}`;
  const apply = (data: Uint8Array): void => {
    const operation = decodeOperation(data);
    if (operation.op === 'delete') {
      for (const { replica, counter, length } of operation.ranges) {
        const gone = new Set(Array.from({ length }, (_, more) => idOf(replica, counter + more)));
        for (const one of elements) if (gone.has(one.id)) one.isGone = true;
      }
      return;
    }
    const { replica, counter, parent, side, content } = operation;
    const at = parent ? elements.findIndex(({ id }) => id === idOf(parent.replica, parent.counter)) : -1;
    const units = Array.from(String(content), (unit, more) => ({
      id: idOf(replica, counter + more),
      unit,
      isGone: false,
    }));
    elements.splice(side === 'left' ? Math.max(0, at) : at + 1, 0, ...units);
  };
  const text = () => elements.map(({ unit, isGone }) => (isGone ? '' : unit)).join('');
  return {
    apply: ({ data }) => apply(data!),
    root: () => StateRoot.from([[recordKey('page/text'), { text: text() }]]),
  };
};

/** Planted: a removal takes away whatever stands there when it comes, seen or not. */
const latestWins: CrdtModel = () => {
  const present = new Set<string>();
  return {
    apply: ({ data }) => {
      const { op, element } = addWinsOperationSchema.parse(unpackMsgpack(data!), 'operation');
      if (op === 'add') present.add(element);
      else present.delete(element);
    },
    root: () => StateRoot.from([[recordKey('tags/all'), { present: [...present].sort() }]]),
  };
};

describe('operations told with their data', () => {
  test.each([
    ['RGA', 'page', latestFirst],
    ['add-wins set', 'tags', latestWins],
  ] as const)('whose type does not commute are told by two of them: %s', async (name, crdt, model) => {
    let differing = 0;
    for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
      const { capture, records } = await sessionOf(seed, LIBRARY[name]!);
      const { status, conflict } = await converge(capture, { models: { [crdt]: model }, orders: 200, seed });
      // Where what comes last has seen all others, their order is lost with them.
      if (status === 'converges') continue;
      differing++;
      const [first, second] = [conflict!.first, conflict!.second].map(({ seq }) => {
        const body = records.find((one) => one.seq === seq)?.body;
        return body?.kind === 'operation' ? body : undefined;
      });
      const knew = (one: typeof first, other: typeof first) =>
        one!.vector.some(({ replica, counter }) => replica === other!.writer && counter >= other!.counter);
      expect([knew(first, second), knew(second, first)]).toEqual([false, false]);
      const pair = [conflict!.first, conflict!.second].map(({ mutation }) => `${mutation.writer}:${mutation.counter}`);
      expect(conflict!.orders).toEqual([
        [...conflict!.before, ...pair],
        [...conflict!.before, ...pair.toReversed()],
      ]);
      // Each order leads by itself to the root that is said.
      for (const [at, order] of conflict!.orders.entries()) {
        const replica = model([]);
        for (const id of order) {
          const made = records.flatMap(({ body }) => (body.kind === 'operation' ? [body] : []));
          const { data } = made.find((one) => `${one.writer}:${one.counter}` === id)!;
          const [writer, counter] = id.split(':') as [ReplicaId, string];
          replica.apply({ crdt, writer, counter: Number(counter), detail: '', entries: [], data: data! });
        }
        expect(replica.root().hash).toBe(conflict!.roots[at]);
      }
    }
    expect(differing).toBeGreaterThan(4);
  });

  test('count once their mutation is settled, by what its writer made last, on what there was before', async () => {
    const hub = new TraceHub({ now: () => 0 });
    const records: TraceRecord[] = [];
    hub.listen((record) => records.push(record));
    const [server, ann, bob] = ['server', 'ann', 'bob'].map(replicaId) as [ReplicaId, ReplicaId, ReplicaId];
    const begun = RGA.text(server);
    begun.insert(0, 'ab');
    const entries = [...recordsOfState(begun.state(), 'page').entries()];
    const state = { version: 1, records: entries.map(([key, record]) => ({ key, record })), vector: [] };
    const { hash: root } = StateRoot.from(entries);
    hub.emit(server, { kind: 'snapshot', reason: 'attach', ...state, root });
    const typed = (writer: ReplicaId, counter: number, text: string): number => {
      const document = RGA.text(writer);
      document.merge(begun.state());
      const mutation = { writer, counter };
      const operation = document.insert(1, text);
      const seq = hub.emit(writer, { kind: 'prediction', mutation, command: 'type', version: 1, changes: [] });
      const told = { crdt: 'page', origin: 'local', writer, counter: document.vector.get(writer) } as const;
      const vector = document.vector.entries();
      hub.emit(writer, { kind: 'operation', ...told, vector, detail: '', data: encodeOperation(operation) }, [seq]);
      return seq;
    };
    typed(ann, 1, 'never');
    hub.emit(ann, { kind: 'rollback', mutation: { writer: ann, counter: 1 }, reason: 'full', version: 1 });
    // Lost with a process that ended; its numbers are given again.
    typed(bob, 1, 'lost');
    typed(bob, 1, 'x');
    typed(ann, 2, 'y');
    for (const [writer, counter] of [
      [bob, 1],
      [ann, 2],
    ] as const) {
      hub.emit(writer, { kind: 'confirmation', mutation: { writer, counter }, version: 2 });
    }
    const capture = await captureOf(headerOf('crdt', { authority: server }), records);
    const result = await converge(capture, { orders: 10 });
    expect(result).toMatchObject({ status: 'converges', kind: 'operations', operations: 2 });
    const [one, two] = [RGA.text(ann), RGA.text(bob)];
    for (const document of [one, two]) document.merge(begun.state());
    one.apply(two.insert(1, 'x'));
    const other = RGA.text(ann);
    other.merge(begun.state());
    one.apply(other.insert(1, 'y'));
    expect(result.root).toBe(recordsOfState(one.state(), 'page').hash);
  });
});

interface Made {
  readonly seq: number;
  readonly writer: string;
  readonly counter: number;
  readonly vector: readonly { readonly replica: string; readonly counter: number }[];
  readonly key: RecordKey;
  readonly record: SyncRecord;
}

function localOperations(records: readonly TraceRecord[]): Made[] {
  return records.flatMap(({ body, seq }) => {
    if (body.kind !== 'operation' || body.origin !== 'local') return [];
    const applied = records.find(({ body: one, cause }) => one.kind === 'apply' && cause[0] === seq);
    const change = applied?.body.kind === 'apply' ? applied.body.changes[0] : undefined;
    if (change?.op !== 'put') throw new Error('an operation changes something');
    const { writer, counter, vector } = body;
    return [{ seq, writer, counter, vector, key: change.key, record: change.record }];
  });
}

/** Whether one comes after another in every order that causes allow. */
function follows(one: Made, other: Made, made: readonly Made[]): boolean {
  const knew = (seen: Made): boolean =>
    seen !== one && one.vector.some(({ replica, counter }) => replica === seen.writer && counter >= seen.counter);
  return made.some((seen) => knew(seen) && (seen === other || follows(seen, other, made)));
}

/** The writes of a key that can be the last of those at its latest moment. */
function lastOf(key: RecordKey, made: readonly Made[]): Made[] {
  const own = made.filter((one) => one.key === key);
  const latest = Math.max(...own.map(({ record }) => Number(record.at)));
  const last = own.filter(({ record }) => record.at === latest);
  return last.filter((one) => !last.some((other) => follows(other, one, made)));
}
