import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { replicaId } from '../state/index.ts';
import { areEqual, Channel, differingBytes } from './channel.ts';

const bytes = fc.uint8Array({ minLength: 16, maxLength: 60 });
/** Frames of one connection: each has its number in it, so that no two are equal. */
const frames = fc
  .array(bytes, { minLength: 2, maxLength: 40 })
  .map((all) => all.map((frame, at) => Uint8Array.of(0x93, at + 1, ...frame)));

function channelOf(sent: readonly Uint8Array[], from = 0, channel = new Channel()) {
  sent.forEach((wire, at) => {
    const ref = { seq: from + at + 1, position: from + at };
    const sides = { from: replicaId('a'), to: replicaId('b'), cause: undefined, receipts: [] };
    channel.sent({ ref, ...sides, type: 'DELTA_SYNC', sequence: at + 1, wire });
  });
  return channel;
}

describe('a frame is matched with what was sent', () => {
  test('by its bytes, in whichever order and as often as it comes', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.nat(), { minLength: 1, maxLength: 60 }), (sent, order) => {
        const channel = channelOf(sent);
        for (const pick of order) {
          const at = pick % sent.length;
          const found = channel.match('DELTA_SYNC', at + 1, sent[at]!.slice());
          expect(found?.ref.position).toBe(at);
        }
      }),
    );
  });

  test('of an earlier connection too, though its number was given again', () => {
    fc.assert(
      fc.property(frames, frames, fc.nat(), (first, second, pick) => {
        const distinct = second.map((frame) => Uint8Array.of(0x94, ...frame.subarray(1)));
        const channel = channelOf(distinct, first.length, channelOf(first));
        const at = pick % first.length;
        expect(channel.match('DELTA_SYNC', at + 1, first[at]!.slice())?.ref.position).toBe(at);
      }),
    );
  });

  test('by its number on the connection that is heard, whatever became of its bytes', () => {
    const changed = fc.record({ at: fc.nat(), wire: fc.uint8Array({ minLength: 1, maxLength: 80 }) });
    fc.assert(
      fc.property(frames, changed, (sent, { at: pick, wire }) => {
        const at = 1 + (pick % (sent.length - 1));
        fc.pre(!sent.some((one) => areEqual(one, wire)));
        const channel = channelOf(sent);
        for (let before = 0; before < at; before++) channel.match('DELTA_SYNC', before + 1, sent[before]!.slice());
        expect(channel.match('DELTA_SYNC', at + 1, wire)?.ref.position).toBe(at);
      }),
    );
  });

  test('but one that was numbered before all that is known is none of those', () => {
    fc.assert(
      fc.property(frames, fc.integer({ min: 2, max: 40 }), fc.boolean(), (sent, gone, isHeard) => {
        const known = sent.slice(1).map((frame) => Uint8Array.of(0x94, ...frame.subarray(1)));
        const channel = new Channel();
        known.forEach((wire, at) => {
          const ref = { seq: at + 1, position: at };
          const sides = { from: replicaId('a'), to: replicaId('b'), cause: undefined, receipts: [] };
          channel.sent({ ref, ...sides, type: 'DELTA_SYNC', sequence: gone + at, wire });
        });
        if (isHeard) channel.match('DELTA_SYNC', gone, known[0]!.slice());
        // Most alike to one of those that are known, but for its number.
        const late = Uint8Array.of(...known.at(-1)!, 1);
        expect(channel.isBefore(gone - 1)).toBe(true);
        expect(channel.match('DELTA_SYNC', gone - 1, late)).toBeUndefined();
        expect(channel.isBefore(gone)).toBe(false);
        // Before anything was heard as it was sent, it may be of a life before, under the same number.
        const found = channel.match('DELTA_SYNC', gone + known.length - 1, late);
        expect(found?.ref.position).toBe(isHeard ? known.length - 1 : undefined);
        expect(channel.match('ACK', gone + known.length - 1, late)).toBeUndefined();
      }),
    );
  });

  test('and one that was never told of as sent is none of those that were', () => {
    fc.assert(
      fc.property(frames, bytes, (sent, wire) => {
        const unsaid = Uint8Array.of(0x93, 0xff, ...wire);
        expect(channelOf(sent).match('DELTA_SYNC', sent.length + 1, unsaid)).toBeUndefined();
      }),
    );
  });
});

test('bytes differ exactly within the range that is told, and what is around it is equal', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 30 }), fc.uint8Array({ maxLength: 30 }), (left, right) => {
      const range = differingBytes(left, right);
      expect(range === undefined).toBe(areEqual(left, right));
      if (!range) return;
      const { first, leftEnd, rightEnd } = range;
      expect(left.subarray(0, first)).toEqual(right.subarray(0, first));
      expect(left.subarray(leftEnd)).toEqual(right.subarray(rightEnd));
      // No narrower range will do.
      const isEmpty = first === leftEnd || first === rightEnd;
      if (!isEmpty) {
        expect(left[first]).not.toBe(right[first]);
        expect(left[leftEnd - 1]).not.toBe(right[rightEnd - 1]);
      }
    }),
  );
});
