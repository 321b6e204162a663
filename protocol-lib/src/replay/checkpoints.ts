import type { ReplicaId } from '../state/index.ts';
import type { Input } from './inputs.ts';
import type { Step } from './steps.ts';

/**
 * Where each endpoint can begin to be run again for what is compared from position `from` on: at its last beginning before that tells all that it
 * held then, be it that it was new, that somebody attached, or that its process came back. What was done to it earlier need not be run.
 */
export function checkpointsBefore(steps: readonly Step[], from: number): ReadonlyMap<ReplicaId, number> {
  const beginnings = new Map<ReplicaId, number[]>();
  const authorities = new Set<ReplicaId>();
  for (const [at, { input, records }] of steps.entries()) {
    if ((records[0]?.position ?? -1) >= from) break;
    if (!input) continue;
    const known = beginnings.get(input.replica);
    if (input.op === 'authority' || input.op === 'authorityStands') authorities.add(input.replica);
    if (!isBeginning(input, known === undefined)) continue;
    // What it drew while it began stands before it.
    const first = behindDraws(steps, at, input.replica);
    if (known) known.push(first);
    else beginnings.set(input.replica, [first]);
  }
  const isClient = (replica: ReplicaId): boolean => !authorities.has(replica);
  const clients = [...beginnings].filter(([replica]) => isClient(replica)).map(([, all]) => all.at(-1) ?? 0);
  const earliest = Math.min(...clients);
  return new Map(
    Array.from(beginnings, ([replica, all]) => {
      // Clients are begun with the name of their authority, which therefore comes before them.
      const last = isClient(replica) ? all.at(-1) : (all.findLast((at) => at < earliest) ?? all[0]);
      return [replica, last ?? 0] as const;
    }),
  );
}

/** Whether nothing that was done to the endpoint before matters any more. */
function isBeginning(input: Input, isFirst: boolean): boolean {
  switch (input.op) {
    case 'authority':
      // With entries in its log it goes on from what its process before had written.
      return isFirst || input.log === null || input.log.last < 0;
    case 'node':
      // Without a disk it may take over the memory of the node before.
      return isFirst || input.contents !== undefined;
    case 'client':
    case 'authorityStands':
    case 'clientStands':
    case 'nodeStands':
      return true;
    default:
      return false;
  }
}

function behindDraws(steps: readonly Step[], at: number, replica: ReplicaId): number {
  let first = at;
  for (let before = at - 1; before >= 0; before--) {
    const { input } = steps[before]!;
    if (input?.op !== 'drawn' || input.replica !== replica) break;
    first = before;
  }
  return first;
}
