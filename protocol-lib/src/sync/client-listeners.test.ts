import { describe, expect, test } from 'vitest';
import { FrameDecoder } from '../messages/index.ts';
import { recordKey } from '../state/index.ts';
import type { TraceRecord } from '../trace/index.ts';
import { TraceHub } from '../trace/index.ts';
import type { ClientEvent } from './client-events.ts';
import { MemorySession } from './memory-link.test-helper.ts';

/** A session that notes the numbers of alice's frames as they go out, and what the authority passes over. */
function listening() {
  const tap = new TraceHub({ now: () => 0 });
  const records: TraceRecord[] = [];
  tap.listen((record) => records.push(record));
  const session = new MemorySession({ tap });
  const sent: number[] = [];
  const decoder = new FrameDecoder();
  session.fate = (frame, to) => {
    if (to === 'manager') sent.push(decoder.decode(frame).sequence);
    return [frame];
  };
  const passedOver = () => records.filter(({ body }) => body.kind === 'log' && body.text.includes('passed over'));
  return { session, sent, passedOver, alice: session.join('alice') };
}

describe('a listener', () => {
  test('that predicts sends behind what the client had to say before: nothing is passed over as late', () => {
    const { session, sent, passedOver, alice } = listening();
    session.run(1_600);
    let made = 0;
    alice.on((event) => {
      if (event.type === 'committed' && made < 5) session.predict('alice', 'note', { id: `${made++}`, text: 'mine' });
    });
    session.manager.mutate('unlock', null, session.now);
    session.run(2_000);
    expect(made).toBe(5);
    expect(sent).toEqual(sent.map((_, index) => index + 1));
    expect(passedOver()).toEqual([]);
    expect(alice.pending).toEqual([]);
    expect(alice.committed.get(recordKey('note/4'))).toEqual({ id: '4', text: 'mine' });
  });

  test('that does something itself: what comes of it is told to everybody behind what is being told', () => {
    const { session, alice } = listening();
    session.run(100);
    const [first, second]: [string[], string[]] = [[], []];
    const note = (heard: string[]) => (event: ClientEvent) => {
      heard.push(event.type);
      if (heard === first && event.type === 'event') alice.receive(new Uint8Array([0xc1]), session.now);
    };
    alice.on(note(first));
    alice.on(note(second));
    session.manager.mutate('unlock', null, session.now);
    session.run(150);
    expect(first.slice(0, 2)).toEqual(['event', 'refused']);
    expect(second).toEqual(first);
  });

  test('that throws takes nothing from the others, nor a frame from the authority', () => {
    const { session, alice } = listening();
    session.run(1_600);
    const held: Uint8Array[] = [];
    session.fate = (frame, to) => {
      if (to === 'client') held.push(frame);
      return [];
    };
    session.manager.mutate('unlock', null, session.now);
    session.run(150);
    const heard: string[] = [];
    alice.on((event) => {
      throw new Error(`not ready for ${event.type}`);
    });
    alice.on((event) => heard.push(event.type));
    const failures: string[] = [];
    for (const frame of held) {
      try {
        alice.receive(frame, session.now);
      } catch (error) {
        failures.push(String(error));
      }
    }
    expect(failures).toEqual(['Error: not ready for event', 'Error: not ready for committed']);
    expect(heard).toEqual(['event', 'committed']);
    expect(alice.committed.hash).toBe(session.manager.root.hash);
    const decoder = new FrameDecoder();
    const kept = alice.tick(session.now).map((frame) => decoder.decode(frame));
    expect(kept).toMatchObject([{ type: 'ACK', version: session.manager.version }]);
  });
});
