import { Client } from '@colyseus/sdk';
import { monotonicClock } from '@syncscope/protocol/node';
import { replicaId } from '@syncscope/protocol/state';
import { ClientState } from '@syncscope/protocol/sync';
import { SyncClient } from '@syncscope/sample-server';
import { io } from 'socket.io-client';
import { type ClientsMessage, type ClientsOrder, machineTime, PLAYERS, type System } from './messages.ts';
import { places, players } from './places.ts';

/** The clients of one server: each keeps the state, and notes how old each place is when it comes to know it. */
const BUCKETS_A_MS = 10;
const MAX_MS = 5_000;
const delays = new Uint32Array(MAX_MS * BUCKETS_A_MS);
let applied = 0;

process.on('message', async (order: ClientsOrder) => {
  if (order.type === 'connect') {
    await connectAll(order);
    say({ type: 'connected' });
  } else if (order.type === 'reset') {
    delays.fill(0);
    applied = 0;
  } else {
    say({ type: 'read', applied, p50: percentile(0.5), p99: percentile(0.99) });
  }
});
process.once('disconnect', () => process.exit());

async function connectAll({ system, url, count }: Extract<ClientsOrder, { type: 'connect' }>): Promise<void> {
  // Some at a time: who connects all at once measures its own queue.
  for (let first = 1; first <= count; first += 50) {
    const some = Array.from({ length: Math.min(50, count - first + 1) }, (_, index) => first + index);
    await Promise.all(some.map((number) => connect[system](url, number)));
  }
}

const connect: Readonly<Record<System, (url: string, number: number) => Promise<void>>> = {
  syncscope(url, number) {
    const state = new ClientState({
      definition: places,
      replica: replicaId(`client-${number}`),
      session: 'places',
      token: '',
      // A state is all that is wanted, as of the others.
      features: ['merkle'],
    });
    const seen = new Float64Array(PLAYERS);
    const connected = new Promise<void>((resolve) => {
      state.on((event) => {
        if (event.type !== 'committed') return;
        for (let player = 0; player < PLAYERS; player++) {
          note(seen, player, Number(state.committed.get(players[player]!)?.at ?? 0));
        }
        resolve();
      });
    });
    new SyncClient({ url, state, clock: monotonicClock });
    return connected;
  },
  'socket.io'(url) {
    const state: { x: number; y: number; at: number }[] = [];
    const socket = io(url, { transports: ['websocket'], forceNew: true });
    const seen = new Float64Array(PLAYERS);
    socket.on('changes', (changes: readonly { player: number; x: number; y: number; at: number }[]) => {
      for (const { player, x, y, at } of changes) {
        state[player] = { x, y, at };
        note(seen, player, at);
      }
    });
    return new Promise((resolve) => {
      socket.on('state', (whole: typeof state) => {
        state.push(...whole);
        resolve();
      });
    });
  },
  async colyseus(url) {
    const room = await new Client(url).joinOrCreate('places');
    const seen = new Float64Array(PLAYERS);
    await new Promise<void>((resolve) => {
      room.onStateChange((state: { readonly players: ReadonlyMap<string, { readonly at: number }> }) => {
        for (let player = 0; player < PLAYERS; player++) note(seen, player, state.players.get(String(player))?.at ?? 0);
        resolve();
      });
    });
  },
};

function note(seen: Float64Array, player: number, at: number): void {
  if (at === 0 || at === seen[player]) return;
  seen[player] = at;
  const bucket = Math.floor((machineTime() - at) * BUCKETS_A_MS);
  delays[Math.min(Math.max(bucket, 0), delays.length - 1)]!++;
  applied++;
}

/** Upper bound of the bucket, in ms. */
function percentile(share: number): number {
  let left = applied * share;
  for (let bucket = 0; bucket < delays.length; bucket++) {
    left -= delays[bucket]!;
    if (left <= 0) return (bucket + 1) / BUCKETS_A_MS;
  }
  return MAX_MS;
}

function say(message: ClientsMessage): void {
  process.send?.(message);
}
