import { type SimulationResult, simulate } from '@syncscope/protocol/simulator';
import { describe, expect, test } from 'vitest';
import { movingStart } from './moving-range.ts';
import { reportFailure } from './report.ts';

const SEEDS = 250;
const REPEAT_EVERY = 20;
const SHRINK_BUDGET = 20_000;

const run = (seed: number): SimulationResult => simulate({ seed, scenario: 'partition' });

/** No seed may break a rule, and one in twenty must do the same when it is run again. */
async function expectNoFailure(first: number): Promise<Record<string, number>> {
  const tally: Record<string, number> = {};
  for (let seed = first; seed < first + SEEDS; seed++) {
    const result = run(seed);
    const report = result.failure ? (await reportFailure(result, SHRINK_BUDGET)).join('\n') : '';
    expect(report).toBe('');
    if (seed % REPEAT_EVERY === 0) expect(run(seed).hash).toBe(result.hash);
    for (const [what, count] of Object.entries(result.tally)) tally[what] = (tally[what] ?? 0) + count;
  }
  return tally;
}

describe('a group that is cut and merges', () => {
  test(`breaks no rule in seeds 1 to ${SEEDS}, in which everything happens`, { timeout: 300_000 }, async () => {
    const tally = await expectNoFailure(1);
    const faults = ['partition', 'restart', 'pause', 'corrupt', 'repair by merkle'];
    const states = ['connected', 'minority', 'split', 'merging', 'healed'];
    const policies = ['last-write', 'role', 'merge counter', 'merge set', 'removal', 'craps@1'];
    const conflicts = policies.map((policy) => `conflict resolved by ${policy}`);
    const human = ['conflict waiting by human', 'conflict decided by human'];
    const expected = [...faults, ...states, ...conflicts, ...human].map((what) => `peers: ${what}`);
    expect(Object.keys(tally)).toEqual(expect.arrayContaining(expected));
  });

  const { seed, from } = movingStart();
  test(`breaks no rule in ${SEEDS} seeds from ${seed} on, after ${from}`, { timeout: 300_000 }, async () => {
    await expectNoFailure(seed);
  });
});
