import fc from 'fast-check';
import { expect, test } from 'vitest';
import { preparedFrames, prepareFrames } from './websocket-frames.ts';

const sizes = fc.constantFrom(0, 1, 125, 126, 127, 65_535, 65_536, 70_000);
const frames = fc.array(
  sizes.map((size) => new Uint8Array(size).fill(size % 251)),
  { maxLength: 5 },
);

/** Reads messages as RFC 6455, 5.2 lays them out; a length stands in its shortest form. */
function read(bytes: Buffer): Uint8Array[] {
  const messages: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    expect(bytes[at]).toBe(0x82);
    const first = bytes[at + 1]!;
    const [length, start] =
      first < 126
        ? [first, at + 2]
        : first === 126
          ? [bytes.readUInt16BE(at + 2), at + 4]
          : [Number(bytes.readBigUInt64BE(at + 2)), at + 10];
    expect(first).toBe(length < 126 ? length : length < 65_536 ? 126 : 127);
    messages.push(new Uint8Array(bytes.subarray(start, start + length)));
    at = start + length;
  }
  return messages;
}

test('what is prepared is what a WebSocket reads', () => {
  const property = fc.property(frames, (list) => {
    expect(read(prepareFrames(list))).toEqual(list);
  });
  fc.assert(property);
});

test('the same frames in the same order are prepared once', () => {
  const [one, two] = [new Uint8Array([1]), new Uint8Array([1])];
  const first = preparedFrames([one, two]);
  expect(preparedFrames([one, two])).toBe(first);
  expect(preparedFrames([two, one])).not.toBe(first);
  expect(preparedFrames([one])).toEqual(Buffer.from([0x82, 1, 1]));
});
