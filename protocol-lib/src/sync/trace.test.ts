import { describe, expect, test } from 'vitest';
import { StateRoot } from '../merkle/index.ts';
import { decodeMessage, describeFrame, NameTables } from '../messages/index.ts';
import { recordKey } from '../state/index.ts';
import { TraceHub, type TraceKind, type TraceRecord, traceRecordSchema } from '../trace/index.ts';
import { MemorySession } from './memory-link.test-helper.ts';

function traced(): { session: MemorySession; hub: TraceHub; records: TraceRecord[] } {
  let time = 0;
  const hub = new TraceHub({ now: () => time++ });
  const records: TraceRecord[] = [];
  hub.listen((record) => records.push(record));
  return { session: new MemorySession({ tap: hub }), hub, records };
}

/** A session with something of everything in it. */
function eventful(session: MemorySession): void {
  const alice = session.join('alice');
  session.join('bob');
  session.predict('alice', 'take', { coin: 1 });
  session.predict('bob', 'unlock', {}, { unchecked: true });
  session.run(200);
  session.manager.mutate('note', { id: 1, text: 'hello' }, session.now);
  session.predict('bob', 'wave', {});
  session.run(300);
  alice.corruptCommitted([{ op: 'patch', key: recordKey('coin/7'), fields: { worth: 1_000 }, removed: [] }]);
  session.run(1_500);
  session.cut('bob');
  session.predict('bob', 'take', { coin: 2 });
  session.manager.mutate('note', { id: 2, text: 'new names', more: true }, session.now);
  session.run(300);
  session.connect('bob');
  session.run(300);
}

/** The records that made this one happen, and theirs, kinds only; a send is joined to its receipt by (sender, sequence). */
function chain(records: readonly TraceRecord[], from: TraceRecord): TraceKind[] {
  const kinds: TraceKind[] = [];
  let at: TraceRecord | undefined = from;
  while (at && kinds.length < 30) {
    kinds.push(at.body.kind);
    const { body, replica }: TraceRecord = at;
    at =
      body.kind === 'receive'
        ? records.find(
            (one) =>
              one.body.kind === 'send' &&
              one.body.sender === body.sender &&
              one.body.sequence === body.sequence &&
              one.body.to === replica,
          )
        : records.find((one) => one.seq === at?.cause[0]);
  }
  return kinds;
}

describe('the trace of a session', () => {
  test('every record is valid, and every cause is an earlier record', () => {
    const { session, records } = traced();
    eventful(session);
    for (const record of records) {
      expect(traceRecordSchema.parse(record, '')).toEqual(record);
      for (const cause of record.cause) expect(cause).toBeLessThan(record.seq);
    }
  });

  test('every frame can be decoded from the `names` records before it alone', () => {
    const { session, records } = traced();
    eventful(session);
    expectDecodable(records);
  });

  test('also where listening begins in the middle, after `describe`', () => {
    const { session, hub } = traced();
    eventful(session);
    const late: TraceRecord[] = [];
    hub.listen((record) => late.push(record));
    session.manager.describe();
    for (const client of session.clients) client.describe();
    session.manager.mutate('note', { id: 3, again: 1 }, session.now);
    session.predict('alice', 'take', { coin: 9 });
    session.run(1_500);
    expect(late.filter(({ wire }) => wire).length).toBeGreaterThan(10);
    expectDecodable(late);
    expect(late.slice(0, 2).map(({ body }) => body.kind)).toEqual(['replica', 'replica']);
  });

  test('also for one client alone, whose connection began before', () => {
    const { session, hub, records } = traced();
    eventful(session);
    const start = records.length;
    const [alice] = session.clients;
    alice?.describe();
    session.manager.mutate('note', { id: 3, again: 1 }, session.now);
    session.run(300);
    expect(hub.isOpen).toBe(true);
    const own = records.slice(start).filter(({ replica }) => replica === 'alice');
    expect(own.filter(({ wire }) => wire).length).toBeGreaterThan(2);
    expectDecodable(own);
  });

  test('the state of every replica at every version follows from its records', () => {
    const { session, records } = traced();
    eventful(session);
    const states = new Map<string, StateRoot>();
    let compared = 0;
    for (const { replica, body } of records) {
      if (body.kind === 'snapshot') {
        const root = StateRoot.from(body.records.map(({ key, record }) => [key, record] as const));
        expect(root.hash).toBe(body.root);
        states.set(replica, root);
      } else if (body.kind === 'apply' || body.kind === 'commit') {
        const before = states.get(replica);
        if (!before) throw new Error(`${replica} has no state yet`);
        const after = before.apply(body.changes);
        expect(after.hash).toBe(body.root);
        states.set(replica, after);
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(8);
    for (const client of session.clients) expect(states.get(client.replica)?.hash).toBe(client.committed.hash);
  });

  test('a corruption leaves its whole story', () => {
    const { session, records } = traced();
    eventful(session);
    const kinds = records.filter(({ replica }) => replica === 'alice').map(({ body }) => body.kind);
    const story = kinds.filter((kind) => ['mismatch', 'snapshot', 'divergence', 'repair'].includes(kind));
    expect(story).toEqual(['snapshot', 'mismatch', 'snapshot', 'divergence', 'repair']);
    const divergence = records.find(({ body }) => body.kind === 'divergence')?.body;
    expect(divergence).toMatchObject({
      against: 'server',
      differences: [{ key: 'coin/7', own: { worth: 1_000 }, theirs: { worth: 7 } }],
    });
    const hashes = records.flatMap(({ body }) => (body.kind === 'hash' && body.agrees === false ? [body] : []));
    expect(hashes).toHaveLength(1);
    const repair = records.find(({ body }) => body.kind === 'repair')!;
    expect(chain(records, repair).slice(0, 4)).toEqual(['repair', 'apply', 'divergence', 'receive']);
  });

  test('causes lead from an acknowledgement back to the intent, across replicas', () => {
    const { session, records } = traced();
    const alice = session.join('alice');
    session.join('bob');
    session.run(100);
    session.predict('alice', 'take', { coin: 1 });
    session.run(600);
    expect(alice.pending).toEqual([]);
    const acknowledged = records.findLast(
      ({ body, replica }) => body.kind === 'send' && body.type === 'ACK' && replica === 'bob',
    )!;
    expect(chain(records, acknowledged)).toEqual([
      'send',
      'apply',
      'receive',
      'send',
      'delta',
      'commit',
      'receive',
      'send',
      'prediction',
    ]);
  });

  test('a rejection leads to the rollback at its writer', () => {
    const { session, records } = traced();
    session.join('alice');
    session.predict('alice', 'unlock', {}, { unchecked: true });
    const rollback = records.find(({ body }) => body.kind === 'rollback')!;
    expect(chain(records, rollback)).toEqual([
      'rollback',
      'receive',
      'send',
      'rejection',
      'receive',
      'send',
      'prediction',
    ]);
  });
});

test('where nobody listens, nothing is emitted', () => {
  const tap = {
    isOpen: false,
    emit: () => {
      throw new Error('the tap is closed');
    },
  };
  eventful(new MemorySession({ tap }));
});

function expectDecodable(records: readonly TraceRecord[]): void {
  const tables = new NameTables();
  for (const { body, wire } of records) {
    if (body.kind === 'names') tables.add(body.sender, body.first, body.names);
    if (!wire || (body.kind !== 'send' && body.kind !== 'receive')) continue;
    const message = decodeMessage(wire, tables.of(body.sender));
    expect([message.type, message.sender, message.sequence]).toEqual([body.type, body.sender, body.sequence]);
    expect(JSON.stringify(describeFrame(wire, tables))).not.toContain('(unknown)');
  }
}
