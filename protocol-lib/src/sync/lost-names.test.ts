import { expect, test } from 'vitest';
import { decodeMessage, noNames } from '../messages/index.ts';
import { recordKey } from '../state/index.ts';
import { MemorySession } from './memory-link.test-helper.ts';

test('names that were lost while a repair failed are told with the full sync that follows', () => {
  const session = new MemorySession({ ring: 1, periodicSnapshots: 1 });
  const alice = session.join('alice');
  session.run(500);
  alice.corruptCommitted([{ op: 'patch', key: recordKey('coin/0'), fields: { worth: -1 }, removed: [] }]);
  const lost = new Set(['NAMES', 'MERKLE_ANSWER', 'FULL_SYNC']);
  session.fate = (frame, to) => (to === 'client' && lost.has(typeOf(frame)) ? [] : [frame]);
  // The repair is offered, fails, and everything is asked for.
  session.run(6_000);
  // Records are new, and so are their names; and soon the authority no longer keeps the version that alice is at.
  for (const id of ['first', 'second', 'third']) {
    session.manager.mutate('note', { id, text: 'hello' }, session.now);
    session.run(4_000);
  }
  expect(alice.version).toBeLessThan(session.manager.version);
  session.fate = (frame) => [frame];
  session.run(60_000);
  expect(alice.version).toBe(session.manager.version);
  expect(alice.committed.hash).toBe(session.manager.root.hash);
});

/** HEARTBEAT and the like refer to no names; a frame that cannot be decoded without them is none of those that are lost. */
function typeOf(frame: Uint8Array): string {
  try {
    return decodeMessage(frame, noNames).type;
  } catch {
    return frame[1] === 7 ? 'FULL_SYNC' : 'other';
  }
}
