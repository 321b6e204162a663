import { monotonicClock } from '@syncscope/protocol/node';
import { milliseconds, seededRandom } from '@syncscope/protocol/ports';
import { replicaId } from '@syncscope/protocol/state';
import { SyncManager } from '@syncscope/protocol/sync';
import { closedTap } from '@syncscope/protocol/trace';
import { FaultBoard, Gateway } from '@syncscope/sample-server/gateway';
import { ROUND_MS } from './messages.ts';
import { places } from './places.ts';
import { serve } from './serving.ts';

const authority = replicaId('server');
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
