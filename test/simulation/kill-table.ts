import { loadPlanted } from './plant.ts';
import { PLANTED_BUGS, type PlantedBug } from './planted-bugs.ts';

/** What became of one planted bug. */
export interface Kill {
  readonly bug: PlantedBug;
  /** The rule that it broke first, or `the property`; undefined where it lives. */
  readonly by: string | undefined;
  /** The first seed that found it, from 1. */
  readonly seed: number;
  /** How often it was found, of how many seeds. */
  readonly found: number;
  readonly tried: number;
  /** Why it could not be planted, where it does not fit the code any more. */
  readonly misfit?: string;
}

/**
 * Seeds that found bugs which hundreds of seeds pass by. They come first where one find is all that is asked for; where the
 * simulator has changed so much that one of them finds nothing any more, only time is lost.
 */
const KNOWN_SEEDS: Readonly<Record<string, number>> = {
  'advanced-at-send': 466,
  'votes-of-other-rounds': 478,
  'left-undecided': 215,
  'accepted-not-recorded': 96,
  'catches-up-by-the-clock': 76,
  'refusal-leaves-hole': 60,
  'no-root-check': 35,
  'torn-tail-accepted': 32,
  'settlements-not-based': 25,
  'snapshot-forgets-rejections': 21,
};

function findBy(properties: readonly ((seed: number) => string | undefined)[], seed: number): string | undefined {
  return properties.some((one) => one(seed) !== undefined) ? 'the property' : undefined;
}

/**
 * Runs seeds from 1 until the bug is found, at most `limit`, then on to `sample` seeds to know how often it is. For a sample of
 * one, a seed that is known to find it comes before all others.
 */
export async function killOne(bug: PlantedBug, limit: number, sample: number): Promise<Kill> {
  const { simulate, ...properties } = await loadPlanted(bug);
  const { findUnhashedChange, findUnmergedSides, findPresenceFault, findWrongChoice } = properties;
  const find = [findUnhashedChange, findUnmergedSides, findPresenceFault, findWrongChoice];
  const run = (seed: number): string | undefined =>
    bug.by === 'property'
      ? findBy(find, seed)
      : simulate(bug.scenario ? { seed, scenario: bug.scenario } : { seed }).failure?.invariant;
  const known = sample <= 1 ? KNOWN_SEEDS[bug.name] : undefined;
  const foundAt = known === undefined ? undefined : run(known);
  if (known !== undefined && foundAt !== undefined) return { bug, by: foundAt, seed: known, found: 1, tried: 1 };
  let first: { seed: number; by: string } | undefined;
  let found = 0;
  let tried = 0;
  for (let seed = 1; seed <= (first ? sample : limit); seed++) {
    const by = run(seed);
    tried = seed;
    if (by === undefined) continue;
    found++;
    first ??= { seed, by };
  }
  return { bug, by: first?.by, seed: first?.seed ?? 0, found, tried };
}

/** All of them, one after the other; `told` hears of each. */
export async function killAll(limit: number, sample: number, told: (kill: Kill) => void): Promise<Kill[]> {
  const kills: Kill[] = [];
  for (const bug of PLANTED_BUGS) {
    const kill = await killOne(bug, limit, sample).catch((error: unknown): Kill => {
      return { bug, by: undefined, seed: 0, found: 0, tried: 0, misfit: String(error) };
    });
    kills.push(kill);
    told(kill);
  }
  return kills;
}

export const KILL_TABLE_HEAD =
  '| planted bug | what it does | killed by | first seed | of 1,000 seeds |\n|---|---|---|---|---|';

export function killLine({ bug, by, seed, found, tried, misfit }: Kill): string {
  if (misfit !== undefined) return `| ${bug.name} | ${bug.what} | **not planted**: ${misfit} | | |`;
  const rate = by === undefined ? '0' : `${Math.round((found / tried) * 1_000)}`;
  return `| ${bug.name} | ${bug.what} | ${by ?? `**lives** after ${tried}`} | ${by === undefined ? '' : seed} | ${rate} |`;
}
