import type { ReplicaId } from '../state/index.ts';
import type { Input } from './inputs.ts';
import type { NotRun } from './left-out.ts';
import { leftOut } from './live-steps.ts';
import type { Step } from './steps.ts';

/** Whether the nodes of a group go on from where they stood when somebody attached. */
export function isAttachedGroup(steps: readonly Step[]): boolean {
  return steps.some(({ input }) => input?.op === 'nodeStands');
}

/** What is done to nodes that are known: they began, or have said where they stand; of others, why it is not run: what was done to one before is not known as a whole. */
export function groupSteps(steps: readonly Step[]): Step[] {
  const known = new Set<ReplicaId>();
  const unknown = new Map<ReplicaId, NotRun>();
  /** Numbers are drawn for the next input of their node: places in `done`, until it is there. */
  const drawn = new Map<ReplicaId, number[]>();
  const done: (Step | undefined)[] = [];
  for (const step of steps) {
    const { input } = step;
    if (input?.op === 'drawn') {
      const places = drawn.get(input.replica) ?? [];
      places.push(done.push(step) - 1);
      drawn.set(input.replica, places);
      continue;
    }
    if (step.isCut) {
      for (const replica of known) unknown.set(replica, { replica, why: 'gap' });
      known.clear();
      drawn.clear();
    }
    if (input && isBeginning(input)) {
      const { replica } = input;
      if (leansOnBefore(input)) unknown.set(replica, { replica, why: 'leans-on-before' });
      else known.add(replica);
    }
    if (!input || known.has(input.replica)) done.push(step);
    else {
      for (const place of drawn.get(input.replica) ?? []) done[place] = undefined;
      const { replica } = input;
      done.push(...leftOut(step, unknown.get(replica) ?? { replica, why: 'no-standing' }));
    }
    if (input) drawn.delete(input.replica);
  }
  return done.filter((step) => step !== undefined);
}

function leansOnBefore(input: Input): boolean {
  return input.op === 'node' && input.leansOnBefore === true;
}

function isBeginning({ op }: Input): boolean {
  return op === 'node' || op === 'nodeStands';
}
