import { FEATURES } from '@syncscope/protocol/messages';
import { monotonicClock } from '@syncscope/protocol/node';
import { replicaId } from '@syncscope/protocol/state';
import { ClientState } from '@syncscope/protocol/sync';
import { SCENARIOS, SyncClient } from '@syncscope/sample-server';
import { type ClientsMessage, type ClientsOrder, machineTime } from '../server.ts';

/** The clients of `server.delay`: a process of their own, each with its whole state, that note what they applied when. */
const applied: number[][] = [];

process.on('message', (order: ClientsOrder) => {
  if (order.type === 'connect') connect(order).then(() => say({ type: 'ready' }));
  else say({ type: 'applied', clients: applied });
});
process.once('disconnect', () => process.exit());

async function connect({
  url,
  session,
  token,
  count,
  events,
}: Extract<ClientsOrder, { type: 'connect' }>): Promise<void> {
  const { definition } = SCENARIOS.adventure!;
  const features = FEATURES.filter((feature) => events || feature !== 'events');
  const first: Promise<void>[] = [];
  for (let number = 1; number <= count; number++) {
    const state = new ClientState({ definition, replica: replicaId(`client-${number}`), session, token, features });
    const rows: number[] = [];
    applied.push(rows);
    first.push(
      new Promise((resolve) => {
        state.on((event) => {
          if (event.type !== 'committed') return;
          rows.push(event.version, machineTime());
          resolve();
        });
      }),
    );
    new SyncClient({ url, state, clock: monotonicClock });
  }
  await Promise.all(first);
}

function say(message: ClientsMessage): void {
  process.send?.(message);
}
