import type { OpenCapture } from '../capture/index.ts';
import { isSyncError } from '../errors/index.ts';
import { branchCapture, type InputOp, readSteps, runBranch, type Step } from '../replay/index.ts';
import { ddmin } from './ddmin.ts';
import { type FindingIdentity, findingIn } from './found.ts';
import { withBytes } from './item.ts';
import type { SessionCode } from './shrink.ts';
import type { ShrinkWatch } from './watch.ts';

/**
 * The recorded session run again through the library with the fewest inputs that still lead to the finding: fewer clients, then fewer of what people
 * and drivers did. Answers a capture that can be run again itself; undefined where the capture has no inputs, or the library that is
 * here does not come to the finding again, as where its fault has been put right.
 */
export async function shrinkInputs(
  capture: OpenCapture,
  wanted: FindingIdentity,
  code: SessionCode,
  watch: ShrinkWatch,
): Promise<Uint8Array | undefined> {
  const recorded = await readSteps(capture).catch(unlessNotReplayable);
  if (!recorded) return undefined;
  const run = async (steps: readonly Step[], without: ReadonlySet<Step>): Promise<Uint8Array | undefined> => {
    try {
      const left = new Set(steps.flatMap((step, at) => (without.has(step) ? [at] : [])));
      return await branchCapture(runBranch({ ...recorded, steps }, [], { ...code, without: left }));
    } catch (error) {
      // An endpoint that was not begun has nothing done to it.
      if (isSyncError(error) || error instanceof TypeError) return undefined;
      throw error;
    }
  };
  let best: Uint8Array | undefined;
  const attempt = async (steps: readonly Step[], without: ReadonlySet<Step>): Promise<boolean> => {
    if (watch.isOver()) return false;
    const bytes = await run(steps, without);
    const keeps = bytes !== undefined && (await withBytes(bytes, (one) => findingIn(one, wanted))) !== undefined;
    watch.tried(keeps, steps.length - without.size);
    if (!keeps) return false;
    best = bytes;
    await watch.onStep?.(bytes);
    return true;
  };
  if (!(await attempt(recorded.steps, new Set()))) return undefined;
  const steps = await shortest(recorded.steps, (some) => attempt(some, new Set()));
  let left = steps.filter(canGo);
  const without = (kept: readonly Step[]): ReadonlySet<Step> => {
    const all = new Set(kept);
    return new Set(steps.filter((step) => canGo(step) && !all.has(step)));
  };
  for (const unitsOf of [byClient, (some: readonly Step[]) => some.map((step) => [step])]) {
    const units = await ddmin(unitsOf(left), (some) => attempt(steps, without(some.flat())), watch.isOver);
    left = units.flat();
  }
  return best;
}

/** Frames, what is drawn and what the disk does come and go with what made them; the authority, and each node of a group, have to be there. */
const BOUND: readonly string[] = [
  'authority',
  'authorityStands',
  'clientStands',
  'describe',
  'arrival',
  'delivery',
  'node',
  'nodeStands',
  'take',
  'drawn',
  'flushed',
] satisfies InputOp[];

function canGo({ input }: Step): boolean {
  return input !== undefined && !BOUND.includes(input.op);
}

/** What was done to each client with the links that it had, which the authority numbers. */
function byClient(steps: readonly Step[]): Step[][] {
  const owners = new Map<number, string>();
  for (const { input } of steps) if (input?.op === 'open') owners.set(input.link, input.replica);
  const units = new Map<string, Step[]>();
  for (const step of steps) {
    const { input } = step;
    if (!input) continue;
    const whose = ('link' in input ? owners.get(input.link) : undefined) ?? input.replica;
    const unit = units.get(whose);
    if (unit) unit.push(step);
    else units.set(whose, [step]);
  }
  return [...units.values()];
}

/** The shortest beginning that keeps, by halving. */
async function shortest(
  steps: readonly Step[],
  keeps: (steps: readonly Step[]) => Promise<boolean>,
): Promise<readonly Step[]> {
  let fails = 0;
  let good = steps.length;
  while (good - fails > 1) {
    const middle = (good + fails) >> 1;
    if (await keeps(steps.slice(0, middle))) good = middle;
    else fails = middle;
  }
  return steps.slice(0, good);
}

function unlessNotReplayable(error: unknown): undefined {
  if (isSyncError(error) && error.code.startsWith('REPLAY_')) return undefined;
  throw error;
}
