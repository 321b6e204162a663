import { memorySource, openCapture } from '@syncscope/protocol/capture';
import { optionLine, recordSimulation, shrink, simulate } from '@syncscope/protocol/simulator';
import { describe, expect, test } from 'vitest';
import { movingStart } from './moving-range.ts';
import { failureLines, reportFailure } from './report.ts';
import { runSeeds } from './run-seeds.ts';

const SEEDS = 1_000;
const SHRINK_BUDGET = 20_000;
const scenario = 'consensus';

/** No seed may break a rule; the message of one that does says how to run it again. */
async function expectNoFailure(first: number): Promise<void> {
  const { failures, seeds, repeated, commits } = await runSeeds(first, SEEDS, { recordEvery: 200, scenario });
  const [failed] = failures;
  const report = failed ? (await reportFailure(failed, SHRINK_BUDGET)).join('\n') : '';
  expect(report, `${failures.length} of ${seeds} seeds from ${first} on failed\n${report}`).toBe('');
  expect(repeated).toBeGreaterThanOrEqual(SEEDS / 20);
  expect(commits).toBeGreaterThan(SEEDS * 5);
}

describe('no seed of a group breaks a rule', () => {
  test(`seeds 1 to ${SEEDS}`, { timeout: 300_000 }, () => expectNoFailure(1));

  const { seed, from } = movingStart();
  test(`${SEEDS} seeds from ${seed} on, after ${from}`, { timeout: 300_000 }, () => expectNoFailure(seed));
});

test('the seeds between them strike with every fault, and end proposals in every way', async () => {
  const { tally } = await runSeeds(1, 150, { scenario });
  const faults = ['partition', 'pause', 'crash', 'disk', 'clock', 'stall', 'corrupt'];
  const outcomes = ['committed', 'rejected', 'gave-up', 'unknown'].map((state) => `outcome ${state}`);
  const answers = ['invalid-change', 'state-conflict', 'resource-constraint', 'stale-ballot'].flatMap((answer) =>
    ['prepare', 'accept'].map((phase) => `${phase} answered by ${answer}`),
  );
  const phases = ['decided', 'superseded', 'retried', 'abandoned'].map((phase) => `proposal ${phase}`);
  const seen = [...faults, ...outcomes, ...answers, ...phases, 'refused MEMBER_UNKNOWN'].map((one) => `group: ${one}`);
  expect(Object.keys(tally)).toEqual(expect.arrayContaining(seen));
});

test('the same options give the same trace, other seeds another', () => {
  const hashes = [1, 2, 3, 4, 5].map((seed) => simulate({ seed, scenario }).hash);
  expect([1, 2, 3, 4, 5].map((seed) => simulate({ seed, scenario }).hash)).toEqual(hashes);
  expect(new Set(hashes).size).toBe(hashes.length);
});

describe('the alarm', () => {
  const failed = simulate({ seed: 21, scenario, canary: true });

  test('sounds for the canary, and says how to run it again', () => {
    expect(failed.failure).toMatchObject({ invariant: 'canary' });
    expect(simulate({ seed: 21, scenario }).failure).toBeUndefined();
    expect(failureLines(failed).join('\n')).toContain('npm run soak -- --seed 21 --scenario consensus --canary');
  });

  test('comes with a smaller run that breaks the same rule, and a capture that opens', async () => {
    let steps = 0;
    const shrunk = shrink(failed, () => ++steps > 150);
    expect(shrunk.failure).toMatchObject({ invariant: 'canary' });
    expect(shrunk.failure!.step).toBeLessThan(failed.failure!.step / 2);
    expect(simulate(shrunk.options)).toEqual(shrunk);
    expect(optionLine(shrunk.options)).toContain('--scenario consensus');
    const { capture, records } = await recordSimulation(failed.options);
    const opened = await openCapture(memorySource(capture));
    const info = await opened.info();
    expect(info.records).toBe(records.length);
    expect(info.header.authority).toBeNull();
    await opened.close();
  });
});
