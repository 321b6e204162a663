import { expect, test } from 'vitest';
import type { Value } from '../state/index.ts';
import { coinSession, MemorySession } from './memory-link.test-helper.ts';
import type { SessionDefinition } from './session.ts';

/** A session that quotes what a client wrote: in an event, in a refusal and in an error. */
const chat: SessionDefinition = {
  ...coinSession,
  commands: {
    say: (_state, text, writer) => ({
      accepted: true,
      events: [{ type: 'SAID', player: writer, detail: String(text) }],
    }),
    refuse: (_state, text) => ({ accepted: false, reason: String(text) }),
    fail: (_state, text) => {
      throw new Error(String(text));
    },
  },
};

// Wherever a field ends, one of these has a character across its end.
const texts: readonly Value[] = ['😀'.repeat(400), `a${'😀'.repeat(400)}`, 'x'.repeat(20_000)];

test.each(['say', 'refuse', 'fail'])('what a client wrote is told on by %s, however it must be cut', (command) => {
  const session = new MemorySession({ definition: chat });
  session.join('alice');
  const bob = session.join('bob');
  const told: string[] = [];
  bob.on((event) => {
    if (event.type === 'event') told.push(event.event.detail);
  });
  session.run(200);
  for (const text of texts) session.predict('alice', command, text, { unchecked: true });
  session.run(500);
  expect(session.closes).toEqual([]);
  expect(session.manager.receipts).toHaveLength(texts.length);
  expect(told).toHaveLength(command === 'say' ? texts.length : 0);
  expect(told.every((text) => text.isWellFormed() && text.length <= 500)).toBe(true);
  expect(session.clients.map(({ phase }) => phase)).toEqual(['live', 'live']);
});
