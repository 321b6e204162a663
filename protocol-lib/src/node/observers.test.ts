import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { decodeTraceRecord, recordsOfBatch } from '../capture/index.ts';
import { recordKey, replicaId, type StateHash } from '../state/index.ts';
import {
  decodeServerFrame,
  emitSends,
  encodeAttachFrame,
  recordsHead,
  TraceHub,
  type TraceRecord,
} from '../trace/index.ts';
import { encodeOrGap } from './encode-or-gap.ts';
import { OBSERVER_QUEUE_MAX, Observers } from './observers.ts';
import { messageHead } from './websocket-head.ts';

const server = replicaId('server');
const peers = Array.from({ length: 12 }, (_, at) => replicaId(`client-${at}`));

/** A socket that keeps what is written to it. */
function keeping(): { readonly socket: WebSocket; readonly stream: PassThrough; readonly messages: Uint8Array[] } {
  const messages: Uint8Array[] = [];
  const stream = new PassThrough();
  stream.write = (bytes: Uint8Array) => {
    messages.push(bytes);
    return true;
  };
  const events = new EventEmitter();
  const close = (): boolean => events.emit('close');
  const socket = Object.assign(events, {
    readyState: WebSocket.OPEN,
    bufferedAmount: 0,
    send: () => {},
    close,
    terminate: () => {},
  });
  return { socket: socket as unknown as WebSocket, stream, messages };
}

/** A socket in which everything waits until it is read, with the code that it was closed with. */
function piling() {
  const { socket, stream } = keeping();
  const seen = { bufferedAmount: 0, code: 0 };
  stream.write = (bytes: Uint8Array) => {
    seen.bufferedAmount += bytes.length;
    return true;
  };
  const close = (code: number): void => {
    seen.code = code;
    socket.emit('close');
  };
  Object.defineProperty(socket, 'bufferedAmount', { get: () => seen.bufferedAmount });
  const read = (): void => {
    seen.bufferedAmount = 0;
  };
  return { socket: Object.assign(socket, { close }), stream, seen, read };
}

/** The payloads of whole, unmasked messages. */
function payloadOf(message: Uint8Array): Uint8Array {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  expect(message[0]).toBe(0x82);
  const short = message[1]!;
  const [start, length] =
    short < 126 ? [2, short] : short === 126 ? [4, view.getUint16(2)] : [10, Number(view.getBigUint64(2))];
  expect(message.length).toBe(start + length);
  return new Uint8Array(message.subarray(start));
}

function recordsIn(messages: readonly Uint8Array[]): Uint8Array[] {
  return messages.flatMap((message) => {
    const told = decodeServerFrame(payloadOf(message));
    return told.type === 'records' ? recordsOfBatch(told.batch) : [];
  });
}

function expectSame(records: readonly Uint8Array[], expected: readonly Uint8Array[]): void {
  expect(records.map(({ length }) => length)).toEqual(expected.map(({ length }) => length));
  // Both at once: to compare them byte by byte takes the test runner seconds.
  expect(Buffer.concat(records).equals(Buffer.concat(expected))).toBe(true);
}

type Fact =
  | { readonly kind: 'commit'; readonly changes: number; readonly text: string }
  | { readonly kind: 'sends'; readonly to: number; readonly bytes: number }
  | { readonly kind: 'receive'; readonly from: number; readonly bytes: number }
  | { readonly kind: 'log' }
  | { readonly kind: 'broken' };

const factArbitrary: fc.Arbitrary<Fact> = fc.oneof(
  fc.record({
    kind: fc.constant('commit' as const),
    changes: fc.nat(10),
    text: fc.oneof(fc.string(), fc.constant('long '.repeat(4_000))),
  }),
  fc.record({
    kind: fc.constant('sends' as const),
    to: fc.nat(12),
    bytes: fc.constantFrom(0, 30, 1_024, 1_025, 70_000),
  }),
  fc.record({ kind: fc.constant('receive' as const), from: fc.nat(11), bytes: fc.constantFrom(5, 1_024, 1_025) }),
  fc.constant({ kind: 'log' as const }),
  fc.constant({ kind: 'broken' as const }),
);

function tell(hub: TraceHub, fact: Fact, at: number): void {
  if (fact.kind === 'sends') {
    const sends = { sender: server, to: peers.slice(0, fact.to), type: 'EVENT', sequence: at };
    emitSends(hub, sends, [at], new Uint8Array(fact.bytes).fill(at));
  } else if (fact.kind === 'receive') {
    const from = peers[fact.from]!;
    hub.emit(
      server,
      { kind: 'receive', from, type: 'ACK', sender: from, sequence: at },
      [],
      new Uint8Array(fact.bytes),
    );
    hub.emit(from, { kind: 'hash', version: at, own: 'ffffffffffffffff' as StateHash }, [at + 1]);
  } else if (fact.kind === 'log') {
    hub.emit(server, { kind: 'log', level: 'info', text: `line ${at}` });
  } else {
    // No encoder takes half a character.
    const { text, changes: count } = fact.kind === 'broken' ? { text: '\ud800', changes: 1 } : fact;
    const changes = Array.from({ length: count }, (_, which) => {
      return { op: 'patch' as const, key: recordKey(`thing/${which}`), fields: { text }, removed: [] };
    });
    const event = { type: 'SET', player: 'server', detail: '' };
    const mutation = { writer: server, counter: at + 1 };
    hub.emit(server, { kind: 'commit', version: at + 1, event, mutation, changes });
  }
}

/** A commit of about so many bytes. */
function tellCommit(hub: TraceHub, at: number, bytes: number): void {
  tell(hub, { kind: 'commit', changes: 8, text: 'x'.repeat(bytes / 8) }, at);
}

describe('an observer', () => {
  test('is told at once of what is large, whatever was told before', () => {
    const hub = new TraceHub({ now: () => 1 });
    const observers = new Observers({ hub, describe() {} });
    const { socket, stream, messages } = keeping();
    observers.add({ socket, stream, role: 'observe' }, new Uint8Array(0));
    for (let at = 0; at < 300; at++) tellCommit(hub, at, 8);
    const before = messages.length;
    for (let at = 0; at < 100; at++) tellCommit(hub, at, 8_000);
    expect(messages.length - before).toBeGreaterThanOrEqual(11);
    socket.emit('close');
  });

  test('is not sent away for what one turn told it, however much, but for what it has not read by the next', async () => {
    const hub = new TraceHub({ now: () => 1 });
    const observers = new Observers({ hub, describe() {} });
    const one = piling();
    observers.add({ ...one, role: 'observe' }, new Uint8Array(0));
    for (let times = 0; times < 3; times++) {
      for (let at = 0; at < 400; at++) tellCommit(hub, at, 8_000);
      expect(one.seen.bufferedAmount).toBeGreaterThan(2 * OBSERVER_QUEUE_MAX);
      await turn();
      one.read();
    }
    expect(one.seen.code).toBe(0);
    const tellTurn = async (): Promise<void> => {
      for (let at = 0; at < 100; at++) tellCommit(hub, at, 8_000);
      await turn();
    };
    await tellTurn();
    const first = one.seen.bufferedAmount;
    while (one.seen.code === 0) await tellTurn();
    expect(one.seen.code).toBe(4408);
    expect(one.seen.bufferedAmount).toBeLessThan(OBSERVER_QUEUE_MAX + 2 * first);
    expect(observers.count).toBe(0);
  });

  test('that never reads does not make a single turn take all memory', () => {
    const hub = new TraceHub({ now: () => 1 });
    const observers = new Observers({ hub, describe() {} });
    const one = piling();
    observers.add({ ...one, role: 'observe' }, new Uint8Array(0));
    for (let at = 0; at < 200 && one.seen.code === 0; at++) tellCommit(hub, at, 800_000);
    expect(one.seen.code).toBe(4408);
    expect(one.seen.bufferedAmount).toBeLessThan(70 * OBSERVER_QUEUE_MAX);
  });

  test('is told as often as it needs, and no more often than is enough for all', () => {
    vi.useFakeTimers();
    try {
      const hub = new TraceHub({ now: () => 1 });
      const observers = new Observers({ hub, describe() {} });
      const [recorder, page] = [keeping(), keeping()];
      const tellSecond = (): number => {
        const before = recorder.messages.length;
        for (let at = 0; at < 100; at++) {
          tellCommit(hub, at, 1_000);
          vi.advanceTimersByTime(10);
        }
        return recorder.messages.length - before;
      };
      observers.add({ ...recorder, role: 'observe' }, new Uint8Array(0));
      tellSecond();
      const usual = tellSecond();
      observers.setPace(recorder.socket, 250);
      tellSecond();
      const seldom = tellSecond();
      expect([usual, seldom]).toEqual([10, 4]);
      observers.add({ ...page, role: 'observe' }, new Uint8Array(0));
      tellSecond();
      expect(tellSecond()).toBe(usual);
      page.socket.emit('close');
      tellSecond();
      expect(tellSecond()).toBe(seldom);
      // Neither never nor all the time, whatever is asked for; a whole batch goes out in any case.
      observers.setPace(recorder.socket, Number.MAX_SAFE_INTEGER);
      tellSecond();
      expect(tellSecond()).toBe(2);
      observers.setPace(recorder.socket, 0);
      tellSecond();
      expect(tellSecond()).toBe(usual);
      recorder.socket.emit('close');
    } finally {
      vi.useRealTimers();
    }
  });

  test('is told how many sends are missing where a frame cannot be told of', () => {
    const hub = new TraceHub({ now: () => 1 });
    const observers = new Observers({ hub, describe() {} });
    const { socket, stream, messages } = keeping();
    observers.add({ socket, stream, role: 'observe' }, new Uint8Array(0));
    for (const bytes of [10, 2_000]) {
      tell(hub, { kind: 'log' }, 1);
      emitSends(hub, { sender: server, to: peers, type: '\ud800', sequence: 1 }, [1], new Uint8Array(bytes));
    }
    tell(hub, { kind: 'log' }, 2);
    observers.closeAll('over');
    const told = recordsIn(messages).map(decodeTraceRecord);
    expect(told.map(({ seq, body }) => [seq, body.kind])).toEqual([
      [1, 'log'],
      [13, 'gap'],
      [14, 'log'],
      [26, 'gap'],
      [27, 'log'],
    ]);
    expect(told[1]?.body).toMatchObject({ count: 12, reason: expect.stringContaining('lone surrogate') });
    socket.emit('close');
  });

  test('is told the same records in the same order, whether they were encoded at once or waited', () => {
    fc.assert(
      fc.property(fc.array(fc.array(factArbitrary, { maxLength: 50 }), { maxLength: 3 }), (parts) => {
        let now = 0;
        const hub = new TraceHub({ now: () => now++ });
        const told: TraceRecord[] = [];
        hub.listen((record) => told.push(record));
        const observers = new Observers({ hub, describe() {} });
        const [first, second] = [keeping(), keeping()];
        observers.add({ ...first, role: 'observe' }, new Uint8Array(0));
        let before = 0;
        for (const [which, part] of parts.entries()) {
          for (const [at, fact] of part.entries()) tell(hub, fact, at);
          if (which > 0) continue;
          before = told.length;
          observers.add({ ...second, role: 'observe' }, new Uint8Array(0));
        }
        observers.closeAll('over');
        const expected = told.map(encodeOrGap);
        expectSame(recordsIn(first.messages), expected);
        expectSame(recordsIn(second.messages), parts.length === 0 ? [] : expected.slice(before));
        for (const { socket } of [first, second]) socket.emit('close');
      }),
      { numRuns: 25 },
    );
  });

  test('is told of many small ones without any of them waiting for all', () => {
    const hub = new TraceHub({ now: () => 1 });
    const observers = new Observers({ hub, describe() {} });
    const { socket, stream, messages } = keeping();
    observers.add({ socket, stream, role: 'observe' }, new Uint8Array(0));
    for (let at = 0; at < 8_000; at++) tell(hub, { kind: 'commit', changes: 1, text: `${at}` }, at);
    expect(messages.length).toBeGreaterThan(1);
    for (const message of messages) expect(message.length).toBeLessThan(70_000);
    observers.closeAll('over');
    expect(recordsIn(messages).map((bytes) => decodeTraceRecord(bytes).seq)).toEqual(
      Array.from({ length: 8_000 }, (_, at) => at + 1),
    );
    socket.emit('close');
    expect(hub.isOpen).toBe(false);
  });

  test('has what was sent stay as it was', () => {
    const hub = new TraceHub({ now: () => 1 });
    const observers = new Observers({ hub, describe() {} });
    const { socket, stream, messages } = keeping();
    observers.add({ socket, stream, role: 'observe' }, new Uint8Array(0));
    const logs = (text: string): void => {
      for (let at = 0; at < 200; at++) hub.emit(server, { kind: 'log', level: 'info', text: text.repeat(500) });
    };
    logs('a');
    // Not `slice`: a Node Buffer answers that with a view of itself.
    const copies = (): Uint8Array[] => messages.map((message) => new Uint8Array(message));
    const sent = copies();
    expect(sent).not.toHaveLength(0);
    logs('b');
    expect(copies().slice(0, sent.length)).toEqual(sent);
    socket.emit('close');
  });
});

test.each([0, 1, 100, 255, 256, 65_535, 65_536, 300_000])(
  'the head of a frame of %i bytes is that of its encoder',
  (length) => {
    const batch = new Uint8Array(length).fill(7);
    const frame = encodeAttachFrame({ type: 'records', batch });
    expect(recordsHead(length)).toEqual(frame.slice(0, frame.length - length));
  },
);

test.each([0, 1, 125, 126, 127, 65_535, 65_536])('a message of %i bytes has a head that says so', (length) => {
  const message = new Uint8Array([...messageHead(length), ...new Uint8Array(length)]);
  expect(payloadOf(message)).toHaveLength(length);
});
