import { toHex } from '../bytes/index.ts';
import type { ContractTest } from '../events/index.ts';
import type { Transport } from '../ports/index.ts';

/** The two ends of one connection of an adapter, open. */
export interface TransportPair {
  readonly ends: readonly [Transport, Transport];
  /** Resolves when all that was sent and said has arrived. */
  settle(): void | Promise<void>;
}

/**
 * The acceptance suite of `Transport`, for any test runner: `for (const { name, run } of transportContract(open)) test(name, run)`. `open` makes a new
 * connection without faults for each test. Whether an end that closes is told so itself is the adapter's affair.
 */
export function transportContract(open: () => TransportPair | Promise<TransportPair>): ContractTest[] {
  const test = (name: string, body: (pair: Listening) => Promise<void>): ContractTest => ({
    name,
    run: async () => body(listening(await open())),
  });
  return [
    test('frames arrive whole, in order, and no others', async ({ near, heard, settle }) => {
      const sent = Array.from({ length: 200 }, (_, index) => bytes(index % 7, index));
      for (const frame of sent) near.send(frame);
      await settle();
      same(heard.far.frames.map(toHex), sent.map(toHex), 'the frames');
      same(heard.near.frames, [], 'what came back');
    }),
    test('a frame may be empty, hold any byte, and be a mebibyte long', async ({ near, heard, settle }) => {
      const sent = [new Uint8Array(0), bytes(256, 0), bytes(1024 * 1024, 3)];
      for (const frame of sent) near.send(frame);
      await settle();
      same(heard.far.frames.map(toHex), sent.map(toHex), 'the frames');
    }),
    test('both directions are one connection, and neither waits for the other', async ({
      near,
      far,
      heard,
      settle,
    }) => {
      for (let index = 0; index < 50; index++) {
        near.send(bytes(3, index));
        far.send(bytes(4, index));
      }
      await settle();
      same([heard.far.frames.length, heard.near.frames.length], [50, 50], 'the frames');
      same(
        heard.near.frames.map(({ length }) => length),
        Array(50).fill(4),
        'their lengths',
      );
    }),
    test('an answer goes out from within a listener', async ({ near, far, heard, settle }) => {
      far.onFrame((frame) => far.send(Uint8Array.of(...frame, 7)));
      near.send(bytes(2, 0));
      await settle();
      same(heard.near.frames.map(toHex), ['000107'], 'the answer');
    }),
    test('what was sent before a close arrives, and then the other end hears of it, once', async (pair) => {
      const { near, heard, settle } = pair;
      for (let index = 0; index < 20; index++) near.send(bytes(100, index));
      near.close('enough');
      await settle();
      same(heard.far.frames.length, 20, 'the frames');
      same(heard.far.closes.length, 1, 'how often it heard');
      same(typeof heard.far.closes[0], 'string', 'the reason');
      same(heard.far.order, [...Array(20).fill('frame'), 'close'], 'the order');
    }),
    test('after a close nothing arrives, and to send or to close again harms nobody', async ({
      near,
      far,
      heard,
      settle,
    }) => {
      near.close('enough');
      near.send(bytes(1, 1));
      near.close('again');
      await settle();
      far.send(bytes(1, 2));
      far.close('me too');
      await settle();
      same([heard.near.frames.length, heard.far.frames.length], [0, 0], 'the frames');
      same(heard.far.closes.length, 1, 'how often it heard');
    }),
  ];
}

interface Heard {
  readonly frames: Uint8Array[];
  readonly closes: string[];
  readonly order: ('frame' | 'close')[];
}

interface Listening {
  readonly near: Transport;
  readonly far: Transport;
  readonly heard: { readonly near: Heard; readonly far: Heard };
  readonly settle: TransportPair['settle'];
}

function listening({ ends: [near, far], settle }: TransportPair): Listening {
  return { near, far, heard: { near: listen(near), far: listen(far) }, settle };
}

function listen(end: Transport): Heard {
  const heard: Heard = { frames: [], closes: [], order: [] };
  end.onFrame((frame) => {
    heard.frames.push(frame);
    heard.order.push('frame');
  });
  end.onClose((reason) => {
    heard.closes.push(reason);
    heard.order.push('close');
  });
  return heard;
}

function bytes(length: number, first: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (first + index) % 256);
}

function same(got: unknown, wanted: unknown, what: string): void {
  const [left, right] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (left === right) return;
  throw new Error(`the transport breaks its contract: ${what}: ${short(left)}, not ${short(right)}`);
}

function short(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
