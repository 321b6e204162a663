import version1 from '../../vectors/v1.json' with { type: 'json' };
import { fromHex } from '../bytes/index.ts';
import type { ContractTest } from '../events/index.ts';
import {
  decodeMessage,
  decodeText,
  MESSAGES,
  type Message,
  type MessageType,
  parseJson,
  writeJson,
} from '../messages/index.ts';
import { array, type Infer, literal, object, string, uint } from '../schema/index.ts';
import { type Value, valueSchema } from '../state/index.ts';

const types = Object.keys(MESSAGES) as MessageType[];

const goldenFrameSchema = object({
  name: string(100),
  type: literal(...types),
  codec: literal('binary', 'text'),
  /** The frame, in hex. */
  bytes: string(1_000_000),
  /** Names that the sender had announced when it wrote the frame, by their number; text needs none. */
  names: array(string(256)),
  /** What it says, as the text protocol writes values in JSON. */
  message: valueSchema,
});

/** One kept frame: its bytes, and what they say. */
export type GoldenFrame = Infer<typeof goldenFrameSchema>;

const goldenFileSchema = object({ protocol: uint, schema: string(16), frames: array(goldenFrameSchema) });

/** The kept frames of one version of the protocol. Whoever speaks it reads each of them, for ever. */
export type GoldenFile = Infer<typeof goldenFileSchema>;

/** The kept frames of every version, the oldest first. The files are exported as `@syncscope/protocol/vectors/v1.json` and so on. */
export const GOLDEN_FRAMES: readonly GoldenFile[] = [goldenFileSchema.parse(version1, 'vectors/v1.json')];

/** A codec of somebody's own. */
export interface CodecUnderTest {
  /** Reads a frame of a sender that has announced `names`. Throws where it is none. */
  decode(frame: Uint8Array, names: readonly string[]): unknown;
  /** Writes a frame; where absent, only reading is tested. */
  encode?(message: Message, names: readonly string[]): Uint8Array;
}

/**
 * The acceptance suite of a codec of the sync protocol, for any test runner: `for (const { name, run } of codecContract('binary', mine)) test(name, run)`. Each
 * kept frame is read as it was meant; one that is cut anywhere or goes on behind its end is refused. Where the codec writes too, this library reads what it
 * writes: a message may have several forms, since the fields of a map are in any order and a column of any type that holds its values.
 */
export function codecContract(codec: GoldenFrame['codec'], under: CodecUnderTest): ContractTest[] {
  const test = (name: string, run: () => void): ContractTest => ({ name, run: async () => run() });
  return GOLDEN_FRAMES.flatMap(({ protocol, frames }) =>
    frames
      .filter((frame) => frame.codec === codec)
      .flatMap(({ name, bytes, names, message }) => {
        const what = `${name} of version ${protocol}`;
        const frame = fromHex(bytes);
        const { encode } = under;
        return [
          test(`${what} is read as it was meant`, () => {
            same(writeJson(under.decode(frame, names)), writeJson(unpacked(message)), what);
          }),
          test(`${what} is refused where it is cut, and where more follows`, () => {
            for (let length = 0; length < frame.length; length++) {
              refuses(under, frame.subarray(0, length), names, `the first ${length} bytes of ${what}`);
            }
            refuses(under, Uint8Array.of(...frame, 0), names, `${what} with a byte behind it`);
          }),
          ...(encode
            ? [
                test(`${what} is written so that others read it as it was meant`, () => {
                  same(
                    writeJson(read(codec, encode(messageOf(message), names), names)),
                    writeJson(unpacked(message)),
                    what,
                  );
                }),
              ]
            : []),
        ];
      }),
  );
}

function read(codec: GoldenFrame['codec'], frame: Uint8Array, names: readonly string[]): Message {
  return codec === 'text' ? decodeText(frame) : decodeMessage(frame, { nameAt: (index) => names[index] });
}

/** Values as they are, where the file has them as JSON. */
function unpacked(message: Value): Value {
  return parseJson(JSON.stringify(message), 'a kept message');
}

function messageOf(json: Value): Message {
  const { type, sender, sequence, ...fields } = unpacked(json) as Readonly<Record<string, Value>>;
  const { schema } = MESSAGES[type as MessageType];
  // The type and its own schema's fields, which TypeScript cannot follow.
  return { type, sender, sequence, ...(schema.parse(fields, String(type)) as object) } as unknown as Message;
}

function same(got: string, wanted: string, what: string): void {
  if (got !== wanted) throw new Error(`the codec breaks its contract: ${what}: ${got}, not ${wanted}`);
}

function refuses(under: CodecUnderTest, frame: Uint8Array, names: readonly string[], what: string): void {
  try {
    under.decode(frame, names);
  } catch {
    return;
  }
  throw new Error(`the codec breaks its contract: ${what} is taken`);
}
