import { memorySource, openCapture } from '@syncscope/protocol/capture';
import {
  findUnhashedChange,
  formatSkips,
  optionLine,
  parseSkips,
  recordSimulation,
  shrink,
  simulate,
} from '@syncscope/protocol/simulator';
import { describe, expect, test } from 'vitest';
import { movingStart } from './moving-range.ts';
import { reportFailure } from './report.ts';
import { runSeeds } from './run-seeds.ts';

const SEEDS = 1_000;
const SHRINK_BUDGET = 20_000;

/** No seed may break a rule; the message of one that does says how to run it again. */
async function expectNoFailure(first: number): Promise<void> {
  const { failures, seeds, repeated } = await runSeeds(first, SEEDS, { recordEvery: 200 });
  const [failed] = failures;
  const report = failed ? (await reportFailure(failed, SHRINK_BUDGET)).join('\n') : '';
  expect(report, `${failures.length} of ${seeds} seeds from ${first} on failed\n${report}`).toBe('');
  expect(repeated).toBeGreaterThanOrEqual(SEEDS / 20);
}

describe('no seed breaks a rule', () => {
  test(`seeds 1 to ${SEEDS}`, { timeout: 300_000 }, () => expectNoFailure(1));

  const { seed, from } = movingStart();
  test(`${SEEDS} seeds from ${seed} on, after ${from}`, { timeout: 300_000 }, () => expectNoFailure(seed));
});

describe('the seeds between them', () => {
  test('strike with every fault and repair in every way', async () => {
    const { tally } = await runSeeds(1, 150);
    const faults = [
      'cut',
      'half-open',
      'stall',
      'partition',
      'pause',
      'server-pause',
      'restart',
      'clock',
      'corrupt',
      'crash',
      'disk',
    ];
    const repairs = ['delta', 'snapshot', 'merkle'].map((method) => `repair by ${method}`);
    const mismatches = ['base', 'record', 'root', 'heartbeat'].map((reason) => `mismatch of ${reason}`);
    expect(Object.keys(tally)).toEqual(expect.arrayContaining([...faults, ...repairs, ...mismatches]));
  });
});

describe('the same options', () => {
  test('give the same trace, other seeds another', () => {
    const hashes = [1, 2, 3, 4, 5].map((seed) => simulate({ seed }).hash);
    expect([1, 2, 3, 4, 5].map((seed) => simulate({ seed }).hash)).toEqual(hashes);
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  test('are read back from the line that a failure prints', () => {
    const skip = { faults: [0, 2, 3, 4], 'up/alice': [7] };
    expect(formatSkips(skip)).toBe('faults:0,2-4;up/alice:7');
    expect(parseSkips(formatSkips(skip))).toEqual(skip);
    expect(optionLine({ seed: 9, without: ['cut', 'loss'], clients: 2, skip })).toBe(
      "--seed 9 --without cut,loss --clients 2 --skip 'faults:0,2-4;up/alice:7'",
    );
    expect(() => parseSkips('faults')).toThrow(RangeError);
    expect(() => parseSkips('faults:1-99999999')).toThrow(RangeError);
  });

  test('without one choice leave all others as they were', () => {
    const commands = (skip: Record<string, number[]>): string[] => {
      const made: string[] = [];
      const without = ['cut', 'half-open', 'restart', 'pause', 'server-pause', 'clock', 'corrupt'] as const;
      simulate({ seed: 11, skip, without }, ({ body, replica }) => {
        if (body.kind === 'prediction' && replica === 'bob') made.push(body.command);
      });
      return made;
    };
    expect(commands({ alice: [0, 1, 2, 3] }).length).toBeGreaterThan(5);
    expect(commands({ faults: [0], alice: [1] }).slice(0, 3)).toEqual(commands({}).slice(0, 3));
  });
});

describe('the alarm', () => {
  const failed = simulate({ seed: 21, canary: true });

  test('sounds for the canary, with rule, seed, step and time', () => {
    expect(failed.failure).toMatchObject({ invariant: 'canary', text: 'the canary sings' });
    expect(failed.failure!.step).toBeGreaterThan(0);
    expect(failed.failure!.time).toBeGreaterThan(0);
    expect(simulate({ seed: 21 }).failure).toBeUndefined();
  });

  test('comes with a smaller run that breaks the same rule', () => {
    let steps = 0;
    const shrunk = shrink(failed, () => ++steps > 400);
    expect(shrunk.failure).toMatchObject({ invariant: 'canary' });
    expect(shrunk.failure!.step).toBeLessThan(failed.failure!.step / 2);
    expect(simulate(shrunk.options)).toEqual(shrunk);
  });

  test('leaves a capture that opens', async () => {
    const { capture, records } = await recordSimulation(failed.options);
    const opened = await openCapture(memorySource(capture));
    const info = await opened.info();
    expect(info.records).toBe(records.length);
    expect(info.header.title).toBe('Simulated session, seed 21');
    await opened.close();
  });

  test('prints the line to run it again', async () => {
    const lines = (await reportFailure(failed, 200)).join('\n');
    expect(lines).toContain('seed 21 breaks "canary" at step');
    expect(lines).toContain('npm run soak -- --seed 21 --canary');
    expect(lines).toContain('.mcap');
  });
});

test('changing any field of any record changes the hash', () => {
  for (let seed = 1; seed <= 50; seed++) expect(findUnhashedChange(seed), `seed ${seed}`).toBeUndefined();
});
