import { expect, test } from 'vitest';
import { decodeText, FrameDecoder, FrameEncoder, formatMessage, type Message } from '../messages/index.ts';
import { recordKey } from '../state/index.ts';
import { type Fate, MemorySession } from './memory-link.test-helper.ts';

/**
 * Carries the frames of a session of one client as text: each is read from its bytes, written as lines, read again, and only
 * what the lines said is packed for the receiver.
 */
class TextLink {
  readonly seen = new Set<string>();
  readonly bytes = { text: 0, binary: 0 };
  #decoders = { client: new FrameDecoder(), manager: new FrameDecoder() };
  #encoders: { client?: FrameEncoder; manager?: FrameEncoder } = {};

  readonly fate: Fate = (frame, to) => {
    const message = this.#read(frame, to);
    const text = new TextEncoder().encode(formatMessage(message));
    const { sender, sequence, ...body } = decodeText(text);
    this.seen.add(body.type);
    this.bytes.binary += frame.length;
    // Lines have no numbers for names, so the packing announces its own.
    if (body.type === 'NAMES') return [];
    this.bytes.text += text.length;
    expect(sequence).toBe(message.sequence);
    this.#encoders[to] ??= new FrameEncoder(sender);
    return this.#encoders[to].encode(body).map((one) => one.frame);
  };

  /** A HELLO begins another connection, for which everybody forgets the names. */
  #read(frame: Uint8Array, to: 'client' | 'manager'): Message {
    const fresh = new FrameDecoder();
    if (to === 'manager' && isHello(frame)) {
      this.#decoders = { client: new FrameDecoder(), manager: fresh };
      this.#encoders = {};
    }
    return this.#decoders[to].decode(frame);
  }
}

/** An array of at most 15 whose first item is 1. */
function isHello(frame: Uint8Array): boolean {
  return (frame[0]! & 0xf0) === 0x90 && frame[1] === 1;
}

test('a whole session, with a refusal, a repair and a reconnection, goes over text and ends in one state', () => {
  const session = new MemorySession();
  const link = new TextLink();
  session.fate = link.fate;
  const alice = session.join('alice');
  expect(alice.phase).toBe('live');
  expect(session.predict('alice', 'take', { coin: 3 })).toBeUndefined();
  session.predict('alice', 'unlock', {}, { unchecked: true });
  session.predict('alice', 'note', { id: 1, text: 'a:b\nc,"d"\\', parts: [1, -0, Number.NaN, new Uint8Array([1, 2])] });
  session.run(500);
  session.manager.mutate('note', { id: 'ö', text: '' }, session.now);
  session.predict('alice', 'erase', { id: 1 });
  session.run(500);
  expect(alice.pending).toEqual([]);
  expect(alice.committed.hash).toBe(session.manager.root.hash);

  alice.corruptCommitted([{ op: 'patch', key: recordKey('coin/7'), fields: { worth: 1_000 }, removed: [] }]);
  session.run(5_000);
  expect(session.manager.stats.mismatches).toBeGreaterThan(0);
  expect(alice.committed.hash).toBe(session.manager.root.hash);

  session.cut('alice');
  session.manager.mutate('note', { id: 3 }, session.now);
  session.connect('alice');
  session.run(500);
  expect(alice.committed.hash).toBe(session.manager.root.hash);
  // Names announced included.
  expect(link.bytes.binary).toBeLessThan(link.bytes.text);
  expect(link.seen).toContain('MERKLE_ANSWER');
  expect([...link.seen]).toEqual(
    expect.arrayContaining([
      'HELLO',
      'WELCOME',
      'NAMES',
      'FULL_SYNC',
      'DELTA_SYNC',
      'EVENT',
      'ACK',
      'COMMAND',
      'REJECT',
    ]),
  );
});
