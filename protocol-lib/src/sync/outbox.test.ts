import fc from 'fast-check';
import { expect, test } from 'vitest';
import { replicaId } from '../state/index.ts';
import type { FrameSends, Tap } from '../trace/index.ts';
import { LinkQueue, QUEUE_DEFAULTS } from './link-queue.ts';
import { Outbox, perLink, type Receiver } from './outbox.ts';

const receivers = Array.from({ length: 6 }, (_, link): Receiver => {
  return { link, replica: replicaId(`c${link}`), bytes: 0, queue: new LinkQueue(QUEUE_DEFAULTS) };
});

test('who got a frame is told of each, in order, however the lists follow each other, and lists once told stay as they were', () => {
  fc.assert(
    fc.property(fc.array(fc.shuffledSubarray(receivers), { maxLength: 12 }), (lists) => {
      const told: FrameSends[] = [];
      const single: FrameSends[] = [];
      const tap: Tap = {
        isOpen: true,
        emit: (sender, body) => {
          if (body.kind === 'send') single.push({ ...body, sender, to: [body.to] });
          return 1;
        },
        // As a batch does it: the list is kept, and not copied.
        emitSends: (sends) => told.push(sends),
      };
      const outbox = new Outbox(replicaId('server'), tap, () => receivers, false);
      for (const list of lists) outbox.send(list, { type: 'BYE', reason: 'x' }, []);
      const sent = [...perLink(outbox.drain())].map(({ link }) => `c${link}`);
      expect(sent).toEqual(lists.flat().map(({ replica }) => replica));
      const all = [...told, ...single].sort((a, b) => a.sequence - b.sequence);
      expect(all.map(({ to }) => to)).toEqual(
        lists.filter(({ length }) => length > 0).map((list) => list.map(({ replica }) => replica)),
      );
    }),
  );
});
