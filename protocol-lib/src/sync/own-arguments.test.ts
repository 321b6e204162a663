import { describe, expect, test } from 'vitest';
import { recordKey } from '../state/index.ts';
import { MemorySession } from './memory-link.test-helper.ts';

const note = (id: number) => recordKey(`note/${id}`);

describe('arguments that an app changes after it gave them', () => {
  test('stay as they were in a prediction, when it is run again and when it is sent again', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    session.run(100);
    session.cut('alice');
    const args = { id: 1, text: 'first', list: [1] };
    alice.predict('note', args, session.now);
    Object.assign(args, { id: 2, text: 'second' });
    args.list.push(2);
    alice.predict('note', args, session.now);
    session.manager.mutate('unlock', null, session.now);
    session.connect('alice');
    session.run(300);
    for (const root of [alice.optimistic, alice.committed, session.manager.root]) {
      expect(root.get(note(1))).toEqual({ id: 1, text: 'first', list: [1] });
      expect(root.get(note(2))).toEqual({ id: 2, text: 'second', list: [1, 2] });
    }
    expect(alice.pending).toEqual([]);
  });

  test("stay as they were in the authority's own state", () => {
    const session = new MemorySession();
    const args = { id: 1, text: 'first', list: [1] };
    session.manager.mutate('note', args, session.now);
    args.list.push(2);
    expect(session.manager.root.get(note(1))).toEqual({ id: 1, text: 'first', list: [1] });
  });
});
