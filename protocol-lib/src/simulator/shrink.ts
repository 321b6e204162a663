import type { Skips } from './choices.ts';
import { formatSkips } from './choices.ts';
import { outlineOf, simulate } from './scenarios.ts';
import type { SimulationOptions } from './shape.ts';
import type { SimulationResult } from './simulation.ts';

const SHORTEST = 50;
const OTHER_SEEDS = 40;

/**
 * A smaller run that breaks the same rule: without fault classes, with fewer clients, shorter, and without the choices that do
 * not matter. Goes on until nothing more can be taken away, or `isOver` says that its time is.
 */
export function shrink(failed: SimulationResult, isOver: () => boolean): SimulationResult {
  const first = new Shrinking(failed, isOver).run();
  let best = first;
  // Under the options that are left, another seed may need less.
  const { skip: _, ...reduced } = first.options;
  for (let offset = 1; offset <= OTHER_SEEDS && !isOver(); offset++) {
    const other = simulate({ ...reduced, seed: failed.options.seed + offset });
    if (other.failure?.invariant !== failed.failure?.invariant || other.failure!.step >= best.failure!.step) continue;
    const shrunk = new Shrinking(other, isOver).run();
    if (shrunk.failure!.step < best.failure!.step) best = shrunk;
  }
  return best;
}

class Shrinking {
  readonly #isOver: () => boolean;
  #best: SimulationResult;

  constructor(failed: SimulationResult, isOver: () => boolean) {
    this.#best = failed;
    this.#isOver = isOver;
  }

  run(): SimulationResult {
    if (this.#best.failure === undefined) throw new RangeError('a run that did not fail cannot be shrunk');
    this.#dropClasses();
    this.#dropClients();
    this.#shorten();
    // What is done by nodes and faults matters more than how single frames went.
    const concerns = Object.keys(this.#best.choices);
    for (const concern of concerns.toSorted((a, b) => Number(a.includes('/')) - Number(b.includes('/')))) {
      this.#dropChoices(concern);
    }
    return this.#best;
  }

  #dropClasses(): void {
    for (const fault of outlineOf(this.#best.options).faults) {
      this.#try({ without: [...(this.#best.options.without ?? []), fault] });
    }
  }

  #dropClients(): void {
    const most = outlineOf(this.#best.options).clients;
    for (let clients = 1; clients < most; clients++) if (this.#try({ clients })) return;
  }

  #shorten(): void {
    const whole = outlineOf(this.#best.options).safety / 1e6;
    let short = SHORTEST;
    while (short < whole && !this.#try({ length: short })) short = Math.ceil(short * 1.5);
  }

  /** Takes out ever smaller stretches of the choices of one concern. */
  #dropChoices(concern: string): void {
    const count = this.#best.choices[concern] ?? 0;
    for (let size = count; size >= 1; size = Math.floor(size / 2)) {
      for (let start = 0; start < count; start += size) {
        const skip: Skips = this.#best.options.skip ?? {};
        const taken = new Set(skip[concern]);
        const before = taken.size;
        for (let index = start; index < Math.min(start + size, count); index++) taken.add(index);
        if (taken.size === before) continue;
        if (this.#isOver()) return;
        this.#try({ skip: { ...skip, [concern]: [...taken].sort((a, b) => a - b) } });
      }
    }
  }

  #try(change: Partial<SimulationOptions>): boolean {
    if (this.#isOver()) return false;
    const result = simulate({ ...this.#best.options, ...change });
    if (result.failure?.invariant !== this.#best.failure!.invariant) return false;
    this.#best = result;
    return true;
  }
}

/** The arguments of `npm run soak --` that run these options again. */
export function optionLine(options: SimulationOptions): string {
  const { seed, scenario = 'bazaar', without = [], clients, length, skip = {}, canary } = options;
  const skips = formatSkips(skip);
  return [
    `--seed ${seed}`,
    ...(scenario === 'bazaar' ? [] : [`--scenario ${scenario}`]),
    ...(without.length > 0 ? [`--without ${without.join(',')}`] : []),
    ...(clients === undefined ? [] : [`--clients ${clients}`]),
    ...(length === undefined ? [] : [`--length ${length}`]),
    ...(skips === '' ? [] : [`--skip '${skips}'`]),
    ...(canary ? ['--canary'] : []),
  ].join(' ');
}
