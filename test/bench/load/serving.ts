import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { machineTime, PLAYERS, place, type ServerMessage, type ServerOrder } from './messages.ts';

const STEP_MS = 5;

/**
 * The same for every server: sets the places of players in turn at a steady rate, and reads its own process. `set` changes one player,
 * and the server tells its clients in its own way.
 */
export function serve(url: string, set: (player: number, x: number, y: number, at: number) => void): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  let rate = 0;
  let turn = 0;
  let changes = 0;
  let begun = machineTime();
  let made = 0;
  let cpu = process.cpuUsage();
  setInterval(() => {
    const due = Math.floor(((machineTime() - begun) * rate) / 1_000);
    // After a pause, what was missed is not made up for all at once.
    if (due - made > rate / 4) made = due - Math.floor(rate / 4);
    for (; made < due; made++) {
      const { x, y } = place(turn);
      set(turn++ % PLAYERS, x, y, machineTime());
      changes++;
    }
  }, STEP_MS);
  process.on('message', (order: ServerOrder) => {
    if (order.type === 'run') {
      rate = order.rate;
      begun = machineTime();
      made = 0;
      return;
    }
    if (order.type === 'collect') {
      collect();
      collect();
    }
    const used = process.cpuUsage(cpu);
    const { heapUsed, external } = process.memoryUsage();
    say({ type: 'read', cpu: used.user + used.system, changes, memory: heapUsed + external });
    cpu = process.cpuUsage();
    changes = 0;
  });
  process.once('disconnect', () => process.exit());
  say({ type: 'listening', url });
}

function say(message: ServerMessage): void {
  process.send?.(message);
}
