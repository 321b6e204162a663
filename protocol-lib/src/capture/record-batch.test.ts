import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { packMsgpack } from '../bytes/index.ts';
import { type ReplicaId, replicaId } from '../state/index.ts';
import { emitSends, type FrameSends, TraceHub, type TraceRecord } from '../trace/index.ts';
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

/** The records of each way of being told, from one hub. */
function bothWays(facts: readonly (Told | 'log')[]): {
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
  });
  for (const fact of facts) {
    if (fact === 'log') hub.emit(server, log(1).body);
    else emitSends(hub, fact.sends, fact.cause, fact.wire);
  }
  batches.push(batch.take().slice());
  return { listened, batches };
}

function commit(seq: number, detail: string): TraceRecord {
  const event = { type: 'moved', player: 'server', detail };
  return { ...log(seq), body: { kind: 'commit', version: seq, event, changes: [] } };
}

/** The batches that were full while facts were added; the last one is left in `batch`. What cannot be encoded is left out. */
function batchesOf(
  batch: RecordBatch,
  facts: readonly (Told | 'log' | 'commit' | 'broken')[],
  full: number,
): Uint8Array[] {
  const batches: Uint8Array[] = [];
  for (const [at, fact] of facts.entries()) {
    if (fact === 'log') batch.add(log(at));
    else if (fact === 'commit') batch.add(commit(at, 'to the hall'));
    else if (fact === 'broken') expect(() => batch.add(commit(at, '\ud800'))).toThrow('surrogate');
    else if (fact.sends.to.length > 0) batch.addSends(at, at, fact.sends, fact.cause, fact.wire);
    if (batch.length > full) batches.push(batch.take().slice());
  }
  return batches;
}

describe('a batch of trace records', () => {
  test('stands for the same records, byte for byte, as if each had been told alone', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(toldArbitrary, fc.constant('log' as const)), { maxLength: 12 }), (facts) => {
        const { listened, batches } = bothWays(facts);
        expect(batches.flatMap(recordsOfBatch)).toEqual(listened.map(encodeTraceRecord));
      }),
    );
  });

  test('is the same whether what is in it was added one by one or together, with what was no record in between', () => {
    const factArbitrary = fc.oneof(
      toldArbitrary,
      fc.constantFrom('log' as const, 'commit' as const, 'broken' as const),
    );
    fc.assert(
      fc.property(fc.array(factArbitrary, { maxLength: 30 }), fc.nat(400), (facts, full) => {
        const [single, several] = [new RecordBatch(), new RecordBatch()];
        const one = batchesOf(single, facts, full);
        let together: Uint8Array[] = [];
        several.together(() => {
          together = batchesOf(several, facts, full);
        });
        expect(together).toEqual(one);
        expect(several.length).toBe(single.length);
        expect(several.take()).toEqual(single.take());
      }),
    );
  });

  test('names the receivers once, however often they are sent to', () => {
    const to = Array.from({ length: 500 }, (_, at) => replicaId(`client-${at}`));
    const wire = new Uint8Array(30);
    const batch = new RecordBatch();
    let seq = 1;
    for (let sequence = 1; sequence <= 100; sequence++, seq += to.length) {
      batch.addSends(seq, 5, { sender: server, to: [...to], type: 'EVENT', sequence }, [], wire);
    }
    expect(batch.length).toBeLessThan(500 * 12 + 100 * 80);
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

  test('to more than one list of receivers has room for goes in several lists', () => {
    const to = Array.from({ length: 70_000 }, (_, at) => replicaId(`c${at}`));
    const { batches } = bothWays([
      { sends: { sender: server, to, type: 'EVENT', sequence: 1 }, cause: [], wire: Uint8Array.of(1) },
    ]);
    const records = batches.flatMap(recordsOfBatch);
    expect(records).toHaveLength(70_000);
    expect(decodeTraceRecord(records.at(-1)!)).toMatchObject({ seq: 70_000, body: { to: 'c69999' } });
  });

  test('takes nothing of a record that cannot be encoded', () => {
    const batch = new RecordBatch();
    batch.add(log(1));
    const { length } = batch;
    let nested: unknown = 1;
    for (let depth = 0; depth < 100; depth++) nested = [nested];
    const body = { ...log(2).body, text: nested } as unknown as TraceRecord['body'];
    expect(() => batch.add({ ...log(2), body })).toThrow(/nested/);
    expect(batch.length).toBe(length);
    batch.add(log(3));
    expect(recordsOfBatch(batch.take())).toEqual([log(1), log(3)].map(encodeTraceRecord));
  });
});

describe('a batch from elsewhere', () => {
  const names = audiences[0]!;
  const sends = (to: unknown, wire: unknown = new Uint8Array(3)): unknown => [1, 2, server, to, 'EVENT', 9, [], wire];
  const ofValues = (...values: unknown[]): Uint8Array =>
    Uint8Array.from(values.flatMap((value) => [...packMsgpack(value)]));

  test('made by another msgpack reads the same', () => {
    const record = encodeTraceRecord(log(1));
    expect(recordsOfBatch(ofValues(record, sends(names), sends(0)))).toHaveLength(1 + 2 * names.length);
  });

  test.each<[string, Uint8Array]>([
    ['a number', ofValues(7)],
    ['too few parts', ofValues([1, 2, server])],
    ['receivers that were not named', ofValues(sends(0))],
    ['receivers that are no names', ofValues(sends(['no spaces, please']))],
    ['a frame that is no bytes', ofValues(sends(names, 'text'))],
    ['a sender that is no name', ofValues([1, 2, '', names, 'EVENT', 9, [], new Uint8Array(1)])],
    ['a list longer than itself', Uint8Array.from([0xdd, 0xff, 0xff, 0xff, 0xff])],
    [
      'more records than anybody tells at once',
      new Uint8Array(2 * 1_000_002).map((_, at) => (at % 2 === 0 ? 0xc4 : 0)),
    ],
    [
      'more receivers than anybody has',
      Uint8Array.from(
        [...Array.from({ length: 20 })].flatMap(() => [
          ...packMsgpack(sends(Array.from({ length: 60_000 }, () => 'a'))),
        ]),
      ),
    ],
    [
      'numbers that are too high',
      ofValues([Number.MAX_SAFE_INTEGER - 1, 2, server, names, 'EVENT', 9, [], new Uint8Array(1)]),
    ],
    ['a cut one', ofValues(sends(names)).subarray(0, -1)],
    [
      'one that stands for far more than it is',
      ofValues(
        sends(
          Array.from({ length: 60_000 }, () => 'a' as ReplicaId),
          new Uint8Array(100),
        ),
        ...Array.from({ length: 10 }, () => sends(0, new Uint8Array(100))),
      ),
    ],
  ])('is refused: %s', (_, batch) => {
    expect(() => recordsOfBatch(batch)).toThrow(expect.objectContaining({ name: 'SyncError' }));
  });

  test('any bytes are records or a typed error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          recordsOfBatch(bytes);
        } catch (error) {
          expect(error).toMatchObject({ name: 'SyncError' });
        }
      }),
    );
  });
});
