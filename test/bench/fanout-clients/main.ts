import { monotonicClock } from '@syncscope/protocol/node';
import { replicaId } from '@syncscope/protocol/state';
import { ClientState } from '@syncscope/protocol/sync';
import { SCENARIOS, SyncClient } from '@syncscope/sample-server';
import { WebSocket } from 'ws';
import type { FanoutMessage, FanoutOrder } from '../fanout.ts';

/** The clients of `fanout`, a process of their own: whole ones of a session, or bare sockets. Both count the frames they get. */
let frames = 0;
let bytes = 0;
let sample: number[][] = [];

/** Whose messages are told. */
const SAMPLED = replicaId('client-1');

process.on('message', (order: FanoutOrder) => {
  if (order.type === 'reset') {
    [frames, bytes, sample] = [0, 0, []];
  } else if (order.type === 'count') {
    say({ type: 'counted', frames, bytes, sample });
  } else {
    (order.session === undefined ? openBare(order.url, order.count) : openWhole(order)).then(() =>
      say({ type: 'ready' }),
    );
  }
});
process.once('disconnect', () => process.exit());

function count(frame: Uint8Array): void {
  frames++;
  bytes += frame.length;
}

class CountingState extends ClientState {
  override receive(frame: Uint8Array, now: number): Uint8Array[] {
    count(frame);
    if (this.replica === SAMPLED) sample.push(Array.from(frame));
    return super.receive(frame, now);
  }
}

async function openWhole({ url, session, token, first = 1, count }: FanoutOrder & { type: 'connect' }): Promise<void> {
  const { definition } = SCENARIOS.adventure!;
  for (let number = first; number < first + count; number++) {
    const replica = replicaId(`client-${number}`);
    const state = new CountingState({ definition, replica, session: session!, token: token! });
    await new Promise<void>((resolve) => {
      state.on((event) => {
        if (event.type === 'committed') resolve();
      });
      new SyncClient({ url, state, clock: monotonicClock });
    });
  }
}

async function openBare(url: string, count: number): Promise<void> {
  for (let number = 0; number < count; number++) {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    socket.on('message', (data: Buffer) => countBare(data));
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  }
}

function countBare(data: Buffer): void {
  count(new Uint8Array(data));
}

function say(message: FanoutMessage): void {
  process.send?.(message);
}
