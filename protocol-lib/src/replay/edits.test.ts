import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isSyncError } from '../errors/index.ts';
import { goldenFrames } from '../messages/golden.test-helper.ts';
import { decodeMessage, FrameEncoder, MESSAGES, type MessageBody, noNames } from '../messages/index.ts';
import { replicaId, type Value } from '../state/index.ts';
import { editedFrame } from './edits.ts';

/** Every kind of message, with its names written out. */
const frames = goldenFrames.map(({ body }) => {
  const encoder = new FrameEncoder(replicaId('server'));
  encoder.names.seal();
  return { type: body.type, body, frame: encoder.encode(body as MessageBody).at(-1)!.frame };
});

/** Paths to everything that a message has. */
function pathsIn(value: unknown, path: readonly string[] = []): string[] {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return [path.join('.')];
  const inner = Object.entries(value).flatMap(([name, one]) => pathsIn(one, [...path, name]));
  return path.length > 0 ? [path.join('.'), ...inner] : inner;
}

const odd = fc.constantFrom<Value>(
  0,
  -1,
  -0,
  1.5,
  1e308,
  Number.NaN,
  '',
  'x',
  null,
  true,
  [],
  {},
  [null],
  99_999_999_999,
);

describe('an edit of a message', () => {
  test('is a message again, or is refused, whatever the field and the value', () => {
    expect(new Set(frames.map(({ type }) => type)).size).toBeGreaterThan(Object.keys(MESSAGES).length / 2);
    const edits = fc
      .constantFrom(...frames)
      .chain(({ frame, body }) =>
        fc.record({ frame: fc.constant(frame), path: fc.constantFrom(...pathsIn(body)), value: odd }),
      );
    fc.assert(
      fc.property(edits, ({ frame, path, value }) => {
        let edited: Uint8Array;
        try {
          edited = editedFrame(frame, noNames, path, value);
        } catch (error) {
          expect(isSyncError(error) && error.code, String(error)).toMatch(/^EDIT_(INVALID|PATH_UNKNOWN)$/);
          return;
        }
        const [before, after] = [frame, edited].map((one) => decodeMessage(one, noNames));
        expect([after!.type, after!.sequence]).toEqual([before!.type, before!.sequence]);
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([
    ['type', 'BYE', 'type cannot be edited'],
    ['root', null, 'at root'],
    ['vector', null, 'at vector'],
    ['changes.0.key', 'x', 'collection/id'],
  ])('of %s to %j is refused by name', (path, value, text) => {
    const delta = frames.find(({ type }) => type === 'DELTA_SYNC');
    const run = () => editedFrame(delta!.frame, noNames, path, value);
    expect(run).toThrow(expect.objectContaining({ code: 'EDIT_INVALID', message: expect.stringContaining(text) }));
  });

  test('of what is no frame says that nothing in it can be edited', () => {
    const run = () => editedFrame(Uint8Array.of(0xc1), noNames, 'to', 1);
    expect(run).toThrow(expect.objectContaining({ code: 'EDIT_INVALID' }));
  });
});
