import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CompactWriter } from '../bytes/index.ts';
import { type ReplicaId, recordKey, replicaId, type Value } from '../state/index.ts';
import { emitSends, type FrameSends, type TraceBody, TraceHub, type TraceRecord } from '../trace/index.ts';
import { ENTRY, NEW_TEXT, TEXT_VALUE, UNNUMBERED_TEXT } from './batch-format.ts';
import { commitArbitrary } from './commits.test-helper.ts';
import { inputTextCount, inputTexts } from './inputs-text.ts';
import { RecordBatch, recordsOfBatch } from './record-batch.ts';
import { decodeTraceRecord, encodeTraceRecord } from './record-codec.ts';

const server = replicaId('server');
const log = (seq: number): TraceRecord => {
  return {
    seq,
    time: seq * 7_000_000_000,
    replica: server,
    cause: [],
    body: { kind: 'log', level: 'info', text: 'x' },
  };
};

interface Told {
  readonly sends: FrameSends;
  readonly cause: readonly number[];
  readonly wire: Uint8Array;
}

const audiences = Array.from({ length: 4 }, (_, which) =>
  Array.from({ length: which * 9 + 2 }, (_, at) => replicaId(`client-${at}-of-${which}`)),
);
const toldArbitrary: fc.Arbitrary<Told> = fc.record({
  sends: fc.record({
    sender: fc.constantFrom(server, replicaId('peer.1')),
    to: fc.oneof(fc.constantFrom(...audiences), fc.array(fc.constantFrom(...audiences[3]!), { maxLength: 5 })),
    type: fc.constantFrom('EVENT', 'DELTA_SYNC'),
    sequence: fc.nat(2 ** 31 - 1),
  }),
  cause: fc.array(fc.nat(1_000), { maxLength: 3 }),
  wire: fc.uint8Array({ maxLength: 80 }),
});

type Fact = Told | TraceBody | 'log' | Uint8Array;
const factArbitrary: fc.Arbitrary<Fact> = fc.oneof(
  toldArbitrary,
  fc.constant('log' as const),
  commitArbitrary,
  fc.uint8Array({ maxLength: 40 }),
  fc.constantFrom(7_424, 7_425, 7_426, 20_000).map((length) => new Uint8Array(length).fill(length)),
);

/** The records of each way of being told, from one hub. */
function bothWays(facts: readonly Fact[]): {
  readonly listened: TraceRecord[];
  readonly batches: Uint8Array[];
} {
  let now = 1;
  const hub = new TraceHub({ now: () => now++ * 1_000_000 });
  const listened: TraceRecord[] = [];
  const batch = new RecordBatch();
  const batches: Uint8Array[] = [];
  hub.listen((record) => listened.push(record));
  hub.attach({
    record: (record) => batch.add(record),
    sends: (...told) => {
      let from = 0;
      while (from < told[2].to.length) {
        from = batch.addSends(...told, from);
        if (batch.isFull) batches.push(batch.take().slice());
      }
    },
    logs: (seq, time, replica, { packed }) => batch.addInputs(seq, time, replica, packed),
  });
  for (const fact of facts) {
    if (fact === 'log') hub.emit(server, log(1).body, [1, 2]);
    else if (fact instanceof Uint8Array) {
      hub.emitLogs(server, { packed: fact, count: inputTextCount(fact), texts: () => inputTexts(fact) });
    } else if ('kind' in fact) hub.emit(server, fact, [3, 0, 70_000]);
    else emitSends(hub, fact.sends, fact.cause, fact.wire);
  }
  batches.push(batch.take().slice());
  return { listened, batches };
}

const moved = (seq: number, over: object = {}): TraceRecord => {
  const event = { type: 'MOVED', player: 'server', detail: 'kitchen' };
  const key = recordKey('player/server');
  const changes = [{ op: 'patch' as const, key, fields: { room: 'kitchen', energy: 96 }, removed: [] }];
  const mutation = { writer: server, counter: seq };
  const body = { kind: 'commit' as const, version: seq, event, mutation, changes };
  return { ...log(seq), body: { ...body, ...over } };
};

describe('a batch of trace records', () => {
  test('stands for the same records, byte for byte, as if each had been told alone', () => {
    fc.assert(
      fc.property(fc.array(factArbitrary, { maxLength: 24 }), (facts) => {
        const { listened, batches } = bothWays(facts);
        expect(batches.flatMap(recordsOfBatch)).toEqual(listened.map(encodeTraceRecord));
      }),
    );
  });

  test('begins anew with each, whatever was in those before', () => {
    fc.assert(
      fc.property(fc.array(commitArbitrary, { maxLength: 20 }), fc.nat(200), (bodies, full) => {
        const [one, several] = [new RecordBatch(), new RecordBatch()];
        const told: Uint8Array[] = [];
        const records = bodies.map((body, at): TraceRecord => ({ ...log((at * 7) % 5), body }));
        for (const record of records) {
          one.add(record);
          several.add(record);
          if (several.length > full) told.push(...recordsOfBatch(several.take().slice()));
        }
        told.push(...recordsOfBatch(several.take().slice()));
        expect(told).toEqual(records.map(encodeTraceRecord));
        expect(recordsOfBatch(one.take())).toEqual(told);
      }),
    );
  });

  test('tells a commit that is like those before it in a few bytes', () => {
    const batch = new RecordBatch();
    for (let seq = 1; seq <= 10; seq++) batch.add(moved(seq));
    const { length } = batch;
    for (let seq = 11; seq <= 20; seq++) batch.add(moved(seq));
    expect(batch.length - length).toBeLessThan(10 * 30);
    expect(encodeTraceRecord(moved(1)).length).toBeGreaterThan(150);
  });

  test('has commits beyond what it can say shortly as they are', () => {
    const key = recordKey('thing/a');
    const names = Array.from({ length: 200 }, (_, at) => `name-${at}`);
    const fields = Object.fromEntries(names.map((name) => [name, 1]));
    const record = { ...moved(1), wire: new Uint8Array(3), source: { file: 'a.ts', line: 1, column: 2 } };
    const records = [
      moved(1, { changes: [{ op: 'patch', key, fields, removed: names }] }),
      moved(2, { version: Number.MAX_SAFE_INTEGER }),
      { ...moved(3), time: Number.MAX_SAFE_INTEGER },
      { ...moved(4), cause: Array.from({ length: 1_500 }, (_, at) => at) },
      record,
      moved(0),
      // Each change in two bytes; with the names that they stand for they would be 1.7 MB.
      moved(6, {
        changes: Array.from({ length: 12_000 }, () => ({ op: 'patch', key, fields: {}, removed: names.slice(0, 12) })),
      }),
    ];
    const batch = new RecordBatch();
    for (const one of records) batch.add(one);
    expect(recordsOfBatch(batch.take())).toEqual(records.map(encodeTraceRecord));
  });

  test('names the receivers once, however often they are sent to', () => {
    const to = Array.from({ length: 500 }, (_, at) => replicaId(`client-${at}`));
    const wire = new Uint8Array(30);
    const batch = new RecordBatch();
    let seq = 1;
    for (let sequence = 1; sequence <= 100; sequence++, seq += to.length) {
      batch.addSends(seq, 5, { sender: server, to: [...to], type: 'EVENT', sequence }, [], wire);
    }
    expect(batch.length).toBeLessThan(500 * 12 + 100 * 45);
    const records = recordsOfBatch(batch.take());
    expect(records).toHaveLength(50_000);
    expect(decodeTraceRecord(records.at(-1)!)).toMatchObject({
      seq: 50_000,
      body: { to: 'client-499', sequence: 100 },
    });
  });

  test('that would stand for more than an observer takes at once is ended before, even inside of one frame’s receivers', () => {
    const to = Array.from({ length: 3_000 }, (_, at) => replicaId(`c${at}`));
    const wire = new Uint8Array(64 * 1024).fill(7);
    const { listened, batches } = bothWays([
      { sends: { sender: server, to, type: 'DELTA_SYNC', sequence: 1 }, cause: [], wire },
      'log',
    ]);
    expect(batches.length).toBeGreaterThan(4);
    const seqs = batches.flatMap((batch) => recordsOfBatch(batch).map((record) => decodeTraceRecord(record).seq));
    expect(seqs).toEqual(listened.map((record) => record.seq));
  });

  test('is full before what its commits stand for is more than an observer takes at once', () => {
    const batch = new RecordBatch();
    const removed = Array.from({ length: 60 }, (_, at) => `${at}`.padEnd(60, 'x'));
    const key = recordKey('thing/a');
    const changes = Array.from({ length: 50 }, () => ({ op: 'patch' as const, key, fields: {}, removed }));
    let seq = 0;
    while (!batch.isFull) batch.add(moved(++seq, { changes }));
    expect(batch.length).toBeLessThan(64 * 1024);
    expect(recordsOfBatch(batch.take())).toHaveLength(seq);
  });

  test('to more than one list of receivers has room for goes in several lists', () => {
    const to = Array.from({ length: 70_000 }, (_, at) => replicaId(`c${at}`));
    const { batches } = bothWays([
      { sends: { sender: server, to, type: 'EVENT', sequence: 1 }, cause: [], wire: Uint8Array.of(1) },
    ]);
    const records = batches.flatMap(recordsOfBatch);
    expect(records).toHaveLength(70_000);
    expect(decodeTraceRecord(records.at(-1)!)).toMatchObject({ seq: 70_000, body: { to: 'c69999' } });
  });

  const nested = Array.from({ length: 100 }).reduce<Value>((inner) => [inner], 1);
  const change = { op: 'put', key: recordKey('thing/new'), record: {} };
  test.each<[string, TraceRecord]>([
    ['is nested too deeply', { ...log(2), body: { ...log(2).body, text: nested } as unknown as TraceBody }],
    ['has a value that is none', moved(2, { changes: [{ ...change, record: { deep: undefined } }] })],
    ['has half a character', moved(2, { changes: [{ ...change, record: { whole: 1, text: '\ud800' } }] })],
    ['has a commit nested too deeply', moved(2, { changes: [{ ...change, record: { whole: 1, nested } }] })],
    [
      'has a field of a reserved name',
      moved(2, { changes: [{ ...change, record: JSON.parse('{"__proto__":1}') as Record<string, Value> }] }),
    ],
  ])('takes nothing of a record that %s', (_, broken) => {
    const batch = new RecordBatch();
    batch.add(moved(1));
    const { length } = batch;
    expect(() => batch.add(broken)).toThrow(expect.objectContaining({ name: 'SyncError' }));
    expect(batch.length).toBe(length);
    const after = moved(3, { changes: [{ ...change, record: { whole: 1, text: 'other' } }] });
    batch.add(after);
    expect(recordsOfBatch(batch.take())).toEqual([moved(1), after].map(encodeTraceRecord));
  });

  test('takes nothing of sends that cannot be encoded', () => {
    const batch = new RecordBatch();
    const sends = { sender: server, to: audiences[0]!, type: 'EVENT', sequence: 1 };
    for (const broken of [{ type: '\ud800' }, { sequence: -1 }, { sequence: Number.NaN }]) {
      expect(() => batch.addSends(1, 1, { ...sends, ...broken }, [], new Uint8Array(1))).toThrow(
        expect.objectContaining({ code: 'VALUE_INVALID' }),
      );
    }
    expect(() => batch.addSends(1, 1, sends, [0.5], new Uint8Array(1))).toThrow(/count/);
    expect(batch.length).toBe(0);
    batch.addSends(1, 1, sends, [], new Uint8Array(1));
    expect(recordsOfBatch(batch.take())).toHaveLength(sends.to.length);
  });
});

/** Entries of a batch, as anybody may write them. */
class Written {
  readonly #writer = new CompactWriter();

  /** Bytes and numbers as they are, texts as new ones without a number. */
  put(...parts: readonly (number | string | Uint8Array)[]): this {
    for (const part of parts) {
      if (typeof part === 'number') this.#writer.uint(part);
      else if (typeof part === 'string') {
        this.#writer.uint(UNNUMBERED_TEXT);
        this.#writer.text(part);
      } else this.#writer.bytes(part);
    }
    return this;
  }

  names(names: readonly string[]): this {
    this.#writer.uint(0);
    this.#writer.uint(names.length);
    for (const name of names) this.#writer.text(name);
    return this;
  }

  /** A frame to these, or to a list by its number. */
  sends(to: readonly string[] | number, wire = 3, sender = 'server'): this {
    this.put(ENTRY.sends, 1, 2, sender);
    if (typeof to === 'number') this.put(to);
    else this.names(to);
    return this.put('EVENT', 9, 0, wire, new Uint8Array(wire));
  }

  /** A commit up to its changes. */
  commit(changes: number, flags = 0): this {
    return this.put(ENTRY.commit, 1, 1, 'server', 0, flags, 2, 'MOVED', 'server', 'hall', changes);
  }

  get bytes(): Uint8Array {
    return this.#writer.written();
  }
}

const written = (): Written => new Written();

describe('a batch from elsewhere', () => {
  const names: readonly ReplicaId[] = audiences[0]!;

  test('made by another writer reads the same', () => {
    const record = encodeTraceRecord(log(1));
    const { bytes } = written().put(ENTRY.record, record.length, record).sends(names).sends(1);
    expect(recordsOfBatch(bytes)).toHaveLength(1 + 2 * names.length);
    const one = written().commit(1).put('room/a', 0, 1, 1, 'text', 0, Uint8Array.of(TEXT_VALUE), 'x').bytes;
    expect(decodeTraceRecord(recordsOfBatch(one)[0]!)).toMatchObject({
      seq: 1,
      body: { version: 1, changes: [{ op: 'patch', key: 'room/a', fields: { text: 'x' }, removed: [] }] },
    });
  });

  const patched = (): Written => written().commit(1).put('room/a', 0, 1);
  test.each<[string, Uint8Array]>([
    ['an entry of no known kind', written().put(99).bytes],
    ['a record longer than the batch', written().put(ENTRY.record, 5, new Uint8Array(4)).bytes],
    ['a number that never ends', new Uint8Array(20).fill(0xff)],
    ['receivers that were not named', written().sends(1).bytes],
    ['receivers that are no names', written().sends(['no spaces, please']).bytes],
    ['no receivers', written().sends([]).bytes],
    ['a sender that is no name', written().sends(names, 3, '').bytes],
    ['a frame longer than the batch', written().sends(names).bytes.subarray(0, -1)],
    ['a list longer than the batch', written().put(ENTRY.sends, 1, 2, 'server', 0, 60_000).bytes],
    ['more receivers than there may be', written().sends(Array.from({ length: 65_536 }, () => 'a')).bytes],
    [
      'more records than anybody tells at once',
      new Uint8Array(2 * 1_000_002).map((_, at) => (at % 2 === 0 ? ENTRY.record : 0)),
    ],
    [
      'more receivers than anybody has',
      Uint8Array.from(
        Array.from({ length: 20 }).flatMap(() => [
          ...written().sends(
            Array.from({ length: 60_000 }, () => 'a'),
            0,
          ).bytes,
        ]),
      ),
    ],
    ['numbers that are too high', written().put(ENTRY.sends, Number.MAX_SAFE_INTEGER, 2, 'server').sends(names).bytes],
    [
      'numbers of records that are too high',
      written().put(ENTRY.sends, Number.MAX_SAFE_INTEGER, 2, 'server').names(names).put('EVENT', 9, 0, 0).bytes,
    ],
    [
      'one that stands for far more than it is',
      Uint8Array.from([
        ...written().sends(
          Array.from({ length: 60_000 }, () => 'a'),
          100,
        ).bytes,
        ...Array.from({ length: 10 }).flatMap(() => [...written().sends(1, 100).bytes]),
      ]),
    ],
    ['a commit that is cut', written().commit(1).bytes],
    ['a commit with parts that nobody knows', written().commit(0, 4).bytes],
    ['a commit with more changes than bytes', written().commit(1_000).put('a', 0).bytes],
    ['a version below 0', written().put(ENTRY.commit, 1, 1, 'server', 0, 0, 1).bytes],
    ['more causes than there may be', written().put(ENTRY.commit, 1, 1, 'server', 1_001, new Uint8Array(2_000)).bytes],
    ['a text that it has not had', written().put(ENTRY.commit, 1, 1, 9).bytes],
    ['text that is no UTF-8', written().put(ENTRY.commit, 1, 1, NEW_TEXT, 1, Uint8Array.of(0xff)).bytes],
    ['a numbered text that is too long', written().put(ENTRY.commit, 1, 1, NEW_TEXT, 200, new Uint8Array(200)).bytes],
    ['a shape that it has not had', written().commit(1).put('room/a', 3).bytes],
    ['a change of no known kind', written().commit(1).put('room/a', 0, 3, 0).bytes],
    ['more names than a change may have', patched().put(65, new Uint8Array(200)).bytes],
    ['fields of what is removed', written().commit(1).put('room/a', 0, 2, 1, 'text').bytes],
    ['a value that is none', patched().put(1, 'text', 0, Uint8Array.of(0xc7)).bytes],
    ['inputs longer than the batch', written().put(ENTRY.inputs, 1, 1, 'server', 5, new Uint8Array(4)).bytes],
    ['inputs of nobody', written().put(ENTRY.inputs, 1, 1, '', 1, new Uint8Array(1)).bytes],
    [
      'commits that stand for far more than they are',
      Uint8Array.from([
        ...patched()
          .put(0, 60, NEW_TEXT, 60, new Uint8Array(60).fill(97))
          .put(...Array.from({ length: 59 }, () => 2)).bytes,
        ...written().commit(20_000).bytes,
        ...Array.from({ length: 20_000 }).flatMap(() => [2, 1]),
      ]),
    ],
  ])('is refused: %s', (_, batch) => {
    expect(() => recordsOfBatch(batch)).toThrow(expect.objectContaining({ name: 'SyncError' }));
  });

  test('of which any byte was changed, or the end is missing, is records or a typed error', () => {
    fc.assert(
      fc.property(fc.array(factArbitrary, { maxLength: 8 }), fc.nat(), fc.nat(255), (facts, place, byte) => {
        const { batches } = bothWays(facts);
        for (const batch of batches) {
          const changed = batch.map((old, at) => (at === place % batch.length ? byte : old));
          for (const wrong of [changed, batch.subarray(0, place % (batch.length + 1))]) expectRead(wrong);
        }
      }),
    );
  });

  test('any bytes are records or a typed error', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => expectRead(bytes)));
  });
});

/** What each record is, is for whoever decodes it: that, too, is a record or a typed error. */
function expectRead(batch: Uint8Array): void {
  try {
    for (const record of recordsOfBatch(batch)) decodeTraceRecord(record);
  } catch (error) {
    expect(error).toMatchObject({ name: 'SyncError' });
  }
}
