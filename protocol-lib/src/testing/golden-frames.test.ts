import { describe, expect, test } from 'vitest';
import {
  decodeMessage,
  decodeText,
  FrameEncoder,
  formatMessage,
  MESSAGES,
  type Message,
  PROTOCOL_HISTORY,
} from '../messages/index.ts';
import { type CodecUnderTest, codecContract, GOLDEN_FRAMES } from './golden-frames.ts';

const utf8 = new TextEncoder();

const binary: CodecUnderTest = {
  decode: (frame, names) => decodeMessage(frame, { nameAt: (index) => names[index] }),
  encode({ sender, sequence, ...body }, names) {
    const encoder = new FrameEncoder(sender);
    encoder.resume({ names: [...names], announced: names.length, sequence: sequence - 1 });
    return encoder.encode(body).at(-1)!.frame;
  },
};
const text: CodecUnderTest = {
  decode: (frame) => decodeText(frame),
  encode: (message) => utf8.encode(formatMessage(message)),
};

test('there are frames of every version, and of every message in both codecs', () => {
  expect(GOLDEN_FRAMES.map(({ protocol, schema }) => ({ protocol, schema }))).toEqual(
    PROTOCOL_HISTORY.map(({ version, schema }) => ({ protocol: version, schema })),
  );
  for (const codec of ['binary', 'text'] as const) {
    const types = GOLDEN_FRAMES.at(-1)!.frames.flatMap((frame) => (frame.codec === codec ? [frame.type] : []));
    expect([...new Set(types)].sort()).toEqual(Object.keys(MESSAGES).sort());
  }
});

describe('our own binary codec', () => {
  for (const { name, run } of codecContract('binary', binary)) test(name, run);
});

describe('our own text codec', () => {
  for (const { name, run } of codecContract('text', text)) test(name, run);
});

/** How many tests of the suite a codec fails. */
async function failures(codec: 'binary' | 'text', under: CodecUnderTest): Promise<string[]> {
  const results = await Promise.allSettled(codecContract(codec, under).map(({ run }) => run()));
  return results.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []));
}

describe('a codec that is wrong is found', () => {
  const spoilt = (spoil: (message: Message) => object): CodecUnderTest => ({
    decode: (frame, names) => spoil(binary.decode(frame, names) as Message),
  });

  test.each([
    { what: 'which takes a number one too high', codec: spoilt((one) => ({ ...one, sequence: one.sequence + 1 })) },
    { what: 'which leaves out a field', codec: spoilt(({ sender: _, ...one }) => one) },
    { what: 'which adds one', codec: spoilt((one) => ({ ...one, more: 1 })) },
  ])('$what', async ({ codec }) => {
    const found = await failures('binary', codec);
    expect(found).toHaveLength(GOLDEN_FRAMES.flatMap(({ frames }) => frames).length / 2);
    expect(found[0]).toContain('the codec breaks its contract');
  });

  test('which takes what goes on behind its end', async () => {
    const lenient: CodecUnderTest = {
      decode: (frame, names) => binary.decode(frame.at(-1) === 0 ? frame.subarray(0, -1) : frame, names),
    };
    expect((await failures('binary', lenient)).some((one) => one.includes('with a byte behind it is taken'))).toBe(
      true,
    );
  });

  test('which does not escape', async () => {
    const encode = (message: Message) => utf8.encode(formatMessage(message).replaceAll('\\:', ':'));
    expect((await failures('text', { ...text, encode })).length).toBeGreaterThan(0);
  });
});
