import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalBytes } from '../bytes/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { seededRandom } from '../ports/index.ts';
import { type RecordKey, type ReplicaId, recordKey, replicaId, type SyncRecord, type Value } from '../state/index.ts';
import { TraceHub, type TraceRecord, traceRecordSchema } from '../trace/index.ts';
import { MemorySession } from './memory-link.test-helper.ts';
import type { SessionDefinition, SessionView, StateView } from './session.ts';
import { Views } from './views.ts';

const NAMES = ['alice', 'bob', 'carol'] as const;
const ROOMS = ['attic', 'cellar', 'hall'] as const;

function room(state: StateView, who: string): Value | undefined {
  return state.get(recordKey(`player/${who}`))?.room;
}

function text(args: Value, name: string): string {
  return String((args as Readonly<Record<string, Value>>)[name]);
}

/** Rooms with items; a player sees what is in its room. Each text is a token that is found again in bytes. */
const house: SessionDefinition = {
  name: 'house',
  *initialRecords() {
    for (const [index, name] of NAMES.entries()) yield [recordKey(`player/${name}`), { room: ROOMS[index % 2]! }];
    for (let index = 0; index < 30; index++) {
      const key = recordKey(`item/${String(index).padStart(3, '0')}`);
      yield [key, { room: ROOMS[index % 3]!, text: `T${index};`, hidden: false }];
    }
  },
  view(state, replica) {
    const here = room(state, replica);
    if (here === undefined) throw new Error('nobody is nowhere');
    return {
      id: String(here),
      sees: (_key, record) => record.room === here && record.hidden !== true,
      hears: ({ detail }) => detail.startsWith(`${here} `),
    };
  },
  commands: {
    enter: (state, args, writer) => ({
      accepted: true,
      events: [
        event('ENTERED', writer, `${room(state, writer)} `, { key: `player/${writer}`, room: text(args, 'room') }),
      ],
    }),
    carry: (state, args, writer) =>
      state.get(recordKey(text(args, 'key')))?.room === room(state, writer) || writer === 'server'
        ? { accepted: true, events: [event('CARRIED', writer, `${text(args, 'room')} `, args)] }
        : { accepted: false, reason: `it is not in the ${room(state, writer)}` },
    label: (state, args, writer) => {
      const item = state.get(recordKey(text(args, 'key')));
      const detail = item?.hidden ? '' : `${item?.room} ${text(args, 'text')}`;
      return { accepted: true, events: [event('LABELLED', writer, detail, args)] };
    },
    hide: (_state, args, writer) => ({ accepted: true, events: [event('HIDDEN', writer, '', args)] }),
  },
  reduce(_state, { data }) {
    const { key, ...fields } = data as Readonly<Record<string, Value>>;
    return [{ op: 'patch', key: recordKey(String(key)), fields, removed: [] }];
  },
};

function event(type: string, player: string, detail: string, data: Value) {
  return { type, player, detail, data };
}

/** What a replica may see of a state, without any tree or kept view. */
function visible(state: StateRoot, who: string): Map<RecordKey, SyncRecord> {
  const here = room(state, who);
  const seen = [...state.entries()].filter(([, record]) => record.room === here && record.hidden !== true);
  return new Map(seen);
}

function bytesOf(records: Iterable<readonly [RecordKey, SyncRecord]>): string {
  return Buffer.from(canonicalBytes(Object.fromEntries(records))).toString('hex');
}

/** A session of which every frame to a client is held against what that client may see. */
class House {
  readonly records: TraceRecord[] = [];
  readonly session: MemorySession;
  readonly #ever = new Map<string, Set<string>>();

  constructor() {
    let time = 0;
    const hub = new TraceHub({ now: () => time++ });
    this.session = new MemorySession({
      definition: house,
      tap: hub,
      ring: 15,
      periodicSnapshots: 3,
      verifyReducer: true,
    });
    hub.listen((record) => {
      this.records.push(record);
      if (record.body.kind === 'commit') this.look();
      if (record.replica === 'server') this.#check(record);
    });
    this.look();
    for (const name of NAMES) this.session.join(name, { definition: house });
  }

  /** Notes what each may see now. Called at every version. */
  look(): void {
    for (const name of NAMES) {
      const ever = this.#ever.get(name) ?? new Set();
      this.#ever.set(name, ever);
      for (const token of this.#allowed(name)) ever.add(token);
    }
  }

  #allowed(name: string): Set<string> {
    return new Set(
      [...visible(this.session.manager.root, name)].flatMap(([key, record]) => [key, String(record.text)]),
    );
  }

  #check({ body, wire }: TraceRecord): void {
    if (body.kind !== 'send' || !wire) return;
    expect(body.type).not.toBe('NAMES');
    const tokens =
      Buffer.from(wire)
        .toString('latin1')
        .match(/item\/\d{3}|T\d+;/g) ?? [];
    const isState = body.type === 'FULL_SYNC';
    const allowed = isState ? this.#allowed(body.to) : this.#ever.get(body.to);
    for (const token of tokens) expect(allowed, `${body.type} to ${body.to}`).toContain(token);
  }

  mutate(command: string, args: Value): void {
    this.session.manager.mutate(command, args, this.session.now);
    this.look();
  }

  /** What a command of a client's does is looked at when it arrives: links are at once here. */
  predict(name: string, command: string, args: Value): void {
    this.session.predict(name, command, args, { unchecked: true });
    this.look();
  }
}

describe('what is seen of a state', () => {
  const move = fc.record({ index: fc.nat(29), room: fc.constantFrom(...ROOMS), hidden: fc.boolean(), back: fc.nat(4) });

  test('is found by the difference from another state as it is found from nothing', () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 40 }), (moves) => {
        const views = new Views(house.view!);
        const states = [StateRoot.from(house.initialRecords(seededRandom(1)))];
        for (const { index, room: to, hidden, back } of moves) {
          const key = recordKey(`item/${String(index).padStart(3, '0')}`);
          states.push(states.at(-1)!.apply([{ op: 'patch', key, fields: { room: to, hidden }, removed: [] }]));
          // Of older states too, in any order.
          const state = states.at(-1 - back) ?? states[0]!;
          for (const name of NAMES) {
            const root = views.rootOf(state, replicaId(name));
            expect(bytesOf(root.entries())).toBe(bytesOf(visible(state, name)));
            expect(root.hash).toBe(StateRoot.from(visible(state, name)).hash);
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  test('is not shared by one whose view fails, whatever the others are called', () => {
    for (const id of ['', 'nothing', '=']) {
      const views = new Views((_state, replica) => {
        if (replica === 'alice') throw new Error('oops');
        return { id, sees: () => true };
      });
      const state = StateRoot.from(house.initialRecords(seededRandom(1)));
      expect(views.rootOf(state, replicaId('bob')).hash).toBe(state.hash);
      expect(views.rootOf(state, replicaId('alice')).size).toBe(0);
    }
  });

  test('is nothing where the view fails', () => {
    const state = StateRoot.from(house.initialRecords(seededRandom(1)));
    expect(new Views(house.view!).rootOf(state, replicaId('stranger')).size).toBe(0);
    const failing = new Views(() => ({
      id: 'x',
      sees: () => {
        throw new Error('oops');
      },
    }));
    expect(failing.rootOf(state, replicaId('alice')).size).toBe(0);
    for (const none of [undefined, null, {}, { id: 'x' }, { id: 5, sees: () => true }, Promise.resolve(null)]) {
      expect(new Views(() => none as unknown as SessionView).rootOf(state, replicaId('alice')).size).toBe(0);
    }
  });
});

describe('a client with a view', () => {
  test('gets what is in its room; records enter and leave as its view moves', () => {
    const { session } = new House();
    const [alice, bob] = session.clients;
    session.run(200);
    expect(alice?.committed.size).toBe(12);
    expect(bob?.committed.has(recordKey('item/000'))).toBe(false);
    const { fullSyncs } = session.manager.stats;
    session.predict('alice', 'enter', { room: 'cellar' });
    session.run(200);
    expect(session.manager.stats.fullSyncs).toBe(fullSyncs);
    expect(alice?.committed.hash).toBe(bob?.committed.hash);
    expect(alice?.committed.has(recordKey('item/000'))).toBe(false);
    expect(alice?.committed.has(recordKey('item/001'))).toBe(true);
    expect(alice?.version).toBe(session.manager.version);
    // Into one that Carol sees alone, and out of the sight of all.
    session.manager.mutate('carry', { key: 'item/001', room: 'attic' }, session.now);
    session.run(200);
    expect(alice?.committed.has(recordKey('item/001'))).toBe(false);
    expect(session.clients[2]?.committed.has(recordKey('item/001'))).toBe(true);
  });

  test('shares one encoding with all that see the same', () => {
    const { session } = new House();
    session.run(200);
    session.manager.mutate('enter', { room: 'attic' }, session.now);
    const frames = new Set<Uint8Array>();
    session.fate = (frame, to) => {
      if (to === 'client') frames.add(frame);
      return [frame];
    };
    for (const index of [0, 3, 6])
      session.manager.mutate('label', { key: `item/00${index}`, text: 'T99;' }, session.now);
    session.run(100);
    // Alice and Carol are in the attic, Bob is not: three events and a delta for two, and a delta for one.
    expect(frames.size).toBe(5);
  });

  test('agrees by its own root, and is repaired against it', () => {
    const { session, records } = new House();
    session.run(200);
    const [alice] = session.clients;
    alice?.corruptCommitted([{ op: 'patch', key: recordKey('item/000'), fields: { text: 'wrong' }, removed: [] }]);
    session.run(3_000);
    expect(session.manager.stats.repairs).toBe(1);
    expect(bytesOf(alice!.committed.entries())).toBe(bytesOf(visible(session.manager.root, 'alice')));
    const hashes = records.flatMap(({ body }) => (body.kind === 'hash' && body.reference ? [body.agrees] : []));
    expect(hashes.filter((agrees) => agrees === false)).toHaveLength(1);
    const [view] = records.flatMap(({ replica, body }) => (replica === 'alice' && body.kind === 'view' ? [body] : []));
    expect(view).toMatchObject({ view: 'attic', records: 12 });
    for (const record of records) traceRecordSchema.parse(record, '');
  });

  test('is told why its own mutations were refused, and of nobody else’s', () => {
    const { session, records } = new House();
    session.run(200);
    session.predict('bob', 'carry', { key: 'item/000', room: 'hall' }, { unchecked: true });
    session.run(500);
    const told = records.filter(
      ({ body, wire }) =>
        body.kind === 'send' && body.sender === 'server' && wire && Buffer.from(wire).includes('is not in the'),
    );
    expect(new Set(told.map(({ body }) => body.kind === 'send' && body.to))).toEqual(new Set(['bob']));
  });
});

test('whatever happens, no client is ever sent what its view does not allow, and in the end each has exactly that', () => {
  const who = fc.constantFrom(...NAMES);
  const key = fc.nat(29).map((index) => `item/${String(index).padStart(3, '0')}`);
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('enter' as const), who, room: fc.constantFrom(...ROOMS) }) },
    {
      weight: 5,
      arbitrary: fc.record({ do: fc.constant('carry' as const), who, key, room: fc.constantFrom(...ROOMS) }),
    },
    {
      weight: 5,
      arbitrary: fc.record({ do: fc.constant('label' as const), key, token: fc.integer({ min: 100, max: 9_999 }) }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('hide' as const), key, hidden: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('corrupt' as const), who, key }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('link' as const), who }) },
    { weight: 6, arbitrary: fc.record({ do: fc.constant('run' as const), for: fc.integer({ min: 1, max: 40 }) }) },
  );
  const network = fc.record({ seed: fc.nat(1_000_000), loss: fc.constantFrom(0, 0, 0.1, 0.3) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), network, (steps, { seed, loss }) => {
      const run = new House();
      const { session } = run;
      const random = seededRandom(seed);
      session.fate = (frame) => (random.next() < loss ? [] : [frame]);
      const clientOf = (name: string) => session.clients.find(({ replica }) => replica === (name as ReplicaId));
      for (const one of steps) {
        if (one.do === 'enter') run.predict(one.who, 'enter', { room: one.room });
        else if (one.do === 'carry') run.predict(one.who, 'carry', { key: one.key, room: one.room });
        else if (one.do === 'label') run.mutate('label', { key: one.key, text: `T${one.token};` });
        else if (one.do === 'hide') run.mutate('hide', { key: one.key, hidden: one.hidden });
        else if (one.do === 'corrupt') {
          const key = recordKey(one.key);
          const client = clientOf(one.who);
          if (client?.committed.has(key)) {
            client.corruptCommitted([{ op: 'patch', key, fields: { text: 'wrong' }, removed: [] }]);
          }
        } else if (one.do === 'link') {
          if (session.isConnected(one.who)) session.cut(one.who);
          else session.connect(one.who);
        } else {
          for (let ticks = 0; ticks < one.for; ticks++) {
            session.run(50);
            run.look();
          }
        }
      }
      session.fate = (frame) => [frame];
      for (let round = 0; round < 4; round++) {
        for (const name of NAMES) if (!session.isConnected(name)) session.connect(name);
        for (let ticks = 0; ticks < 40; ticks++) {
          session.run(500);
          run.look();
        }
      }
      for (const client of session.clients) {
        expect(client.pending).toEqual([]);
        expect(client.version).toBe(session.manager.version);
        expect(bytesOf(client.committed.entries())).toBe(bytesOf(visible(session.manager.root, client.replica)));
        expect(client.isSettled).toBe(true);
      }
    }),
    { numRuns: 60 },
  );
});
