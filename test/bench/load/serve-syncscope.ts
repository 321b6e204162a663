import { monotonicClock } from '@syncscope/protocol/node';
import { milliseconds, seededRandom } from '@syncscope/protocol/ports';
import { recordKey, replicaId } from '@syncscope/protocol/state';
import { type SessionDefinition, SyncManager } from '@syncscope/protocol/sync';
import { closedTap } from '@syncscope/protocol/trace';
import { FaultBoard, Gateway } from '@syncscope/sample-server/gateway';
import { PLAYERS, ROUND_MS } from './messages.ts';
import { serve } from './serving.ts';

const authority = replicaId('server');
const players = Array.from({ length: PLAYERS }, (_, index) => recordKey(`player/${index}`));

export const places: SessionDefinition = {
  name: 'places',
  initialRecords: () => players.map((key) => [key, { x: 0, y: 0, at: 0 }]),
  commands: {
    place: (_state, args, writer) => ({
      accepted: true,
      events: [{ type: 'PLACED', player: writer, detail: '', data: args }],
    }),
  },
  reduce(_state, { data }) {
    const { player, ...fields } = data as { readonly player: number; readonly x: number };
    return [{ op: 'patch', key: players[player]!, fields, removed: [] }];
  },
};

if (process.send) {
  const clock = monotonicClock;
  const manager = new SyncManager({
    definition: places,
    replica: authority,
    session: 'places',
    random: seededRandom(1),
    now: clock.now(),
    syncInterval: milliseconds(ROUND_MS),
    maxClients: 2_000,
  });
  const faults = new FaultBoard({
    tap: closedTap,
    authority,
    random: seededRandom(2),
    targets: () => [],
    corrupt: () => '',
  });
  const gateway = new Gateway({ manager, faults, tap: closedTap, clock });
  const port = await gateway.listen('127.0.0.1', 0);
  serve(`ws://127.0.0.1:${port}/sync`, (player, x, y, at) => {
    manager.mutate('place', { player, x, y, at }, clock.now());
  });
}
