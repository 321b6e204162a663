import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import {
  FAULT_CLASSES,
  type FaultClass,
  parseSkips,
  SCENARIOS,
  type Scenario,
  type SimulationOptions,
  simulate,
} from '@syncscope/protocol/simulator';
import { soakHeap } from '../test/durability/heap.ts';
import { KILL_TABLE_HEAD, killAll, killLine } from '../test/simulation/kill-table.ts';
import { failureLines, reportFailure } from '../test/simulation/report.ts';
import type { SeedsSummary } from '../test/simulation/run-seeds.ts';
import { soak } from '../test/simulation/soak.ts';
import { run } from './process.ts';

/**
 * `npm run soak -- …`, which takes as long as it takes:
 *
 *     --seeds N [--from S] [--workers W] [--scenario NAME]    simulate seeds S to S + N - 1 (from 1, two threads) of each scenario
 *     --seed S [--scenario NAME] [--without CLASS,…] [--clients N] [--length MS] [--skip …] [--canary]    one seed, as a failure prints it
 *     --kills N [--seed S]                  kill a real server N times while it works, and compare its log with what was told
 *     --mutated N [--seed S]                open N capture files that were changed anywhere: no crash, no wrong state shown as right
 *     --heap MINUTES                        a server under load; fails where its heap grows
 *     --corpus N [--from S]                 diagnose N seeds of every fault of the corpus, and ten times as many clean sessions
 *     --planted [--sample N]                plant every bug and print which of them die
 *     nothing, or arguments of vitest       every property test, 100 times as often
 */
const root = resolve(import.meta.dirname, '..');
const SHRINK_BUDGET = 60_000;
/** Failing seeds that are told of as they come, and those that are shrunk at the end. */
const TOLD = 20;
const REPORTED = 5;
const PLANTED_LIMIT = 10_000;
const MUTANTS_AT_ONCE = 5_000;

const names = [
  'seeds',
  'from',
  'workers',
  'seed',
  'without',
  'clients',
  'length',
  'skip',
  'sample',
  'scenario',
] as const;
const isSimulation = process.argv.slice(2).some((one) => /^--(seeds?|planted)(=|$)/.test(one));
const isKilling = process.argv.slice(2).some((one) => /^--kills(=|$)/.test(one));
const isMutating = process.argv.slice(2).some((one) => /^--mutated(=|$)/.test(one));
const isCorpus = process.argv.slice(2).some((one) => /^--corpus(=|$)/.test(one));
const isHeap = process.argv.slice(2).some((one) => /^--heap(=|$)/.test(one));
process.exitCode = isHeap
  ? await heap()
  : isKilling
    ? await kills()
    : isMutating
      ? await mutants()
      : isCorpus
        ? await corpus()
        : isSimulation
          ? await simulation()
          : await properties();

async function corpus(): Promise<number> {
  const { values } = parseArgs({ options: { corpus: { type: 'string' }, from: { type: 'string' } } });
  const seeds = Number(values.corpus);
  if (!Number.isSafeInteger(seeds) || seeds < 1) {
    console.error('--corpus takes a number of seeds');
    return 2;
  }
  const args = ['--seeds', String(seeds), '--clean', String(10 * seeds), '--from', values.from ?? '1', '--verbose'];
  const { code } = await run('node', [resolve(root, 'test/corpus/run.ts'), ...args], { cwd: root });
  return code;
}

async function heap(): Promise<number> {
  const minutes = Number(parseArgs({ options: { heap: { type: 'string' } } }).values.heap);
  if (minutes > 0) return soakHeap(minutes);
  console.error('--heap takes a number of minutes');
  return 2;
}

async function mutants(): Promise<number> {
  const { values } = parseArgs({ options: { mutated: { type: 'string' }, seed: { type: 'string' } } });
  const files = Number(values.mutated);
  if (!(Number.isSafeInteger(files) && files > 0)) {
    console.error('--mutated takes a number of files');
    return 2;
  }
  const first = Number(values.seed ?? '1');
  const args = ['run', '--project', 'unit', '--reporter', 'dot', 'protocol-lib/src/capture/mutated.test.ts'];
  for (let done = 0, seed = first; done < files; seed++) {
    const some = Math.min(MUTANTS_AT_ONCE, files - done);
    const env = { SYNCSCOPE_MUTATED: String(some), SYNCSCOPE_MUTATED_SEED: String(seed) };
    const { code } = await run('vitest', args, { cwd: root, env });
    if (code !== 0) {
      console.log(`again: npm run soak -- --mutated ${some} --seed ${seed}`);
      return code;
    }
    done += some;
    console.log(`${done} of ${files} mutated files: no crash, no wrong state shown as right`);
  }
  return 0;
}

async function kills(): Promise<number> {
  const { values } = parseArgs({ options: { kills: { type: 'string' }, seed: { type: 'string' } } });
  const env = { SYNCSCOPE_KILLS: values.kills ?? '50', SYNCSCOPE_KILL_SEED: values.seed ?? '1' };
  const { code } = await run('vitest', ['run', '--project', 'real', 'test/durability/kill.test.ts'], {
    cwd: root,
    env,
  });
  return code;
}

async function properties(): Promise<number> {
  const args = ['run', '--project', 'unit', '--testTimeout=3600000', ...process.argv.slice(2)];
  const { code } = await run('vitest', args, {
    cwd: root,
    env: { SYNCSCOPE_RUNS: process.env.SYNCSCOPE_RUNS ?? '10000' },
  });
  return code;
}

async function simulation(): Promise<number> {
  const { values } = parseArgs({
    options: {
      ...(Object.fromEntries(names.map((name) => [name, { type: 'string' }])) as Record<
        (typeof names)[number],
        { type: 'string' }
      >),
      planted: { type: 'boolean' },
      canary: { type: 'boolean' },
    },
  });
  try {
    if (values.planted) return await planted(count(values.sample ?? '200', 'sample'));
    if (values.seeds !== undefined) {
      const first = count(values.from ?? '1', 'from');
      const seeds = count(values.seeds, 'seeds');
      const workers = count(values.workers ?? '2', 'workers');
      let code = 0;
      for (const name of values.scenario ? [scenario(values.scenario)] : SCENARIOS) {
        code = Math.max(code, await many(name, first, seeds, workers));
      }
      return code;
    }
    return await one({
      seed: count(values.seed ?? '', 'seed'),
      ...(values.scenario ? { scenario: scenario(values.scenario) } : {}),
      ...(values.without ? { without: values.without.split(',').map(faultClass) } : {}),
      ...(values.clients ? { clients: count(values.clients, 'clients') } : {}),
      ...(values.length ? { length: count(values.length, 'length') } : {}),
      ...(values.skip ? { skip: parseSkips(values.skip) } : {}),
      ...(values.canary ? { canary: true } : {}),
    });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    console.error(error.message);
    return 2;
  }
}

async function one(options: SimulationOptions): Promise<number> {
  const result = simulate(options);
  const again = simulate(options);
  const { events, commits, frames, time, hash } = result;
  console.log(
    `seed ${options.seed}: ${events} events, ${frames} frames, ${commits} commits in ${(time / 1e9).toFixed(1)} s`,
  );
  console.log(
    `trace ${hash}${again.hash === hash ? ', the same when run again' : `, but ${again.hash} when run again`}`,
  );
  if (result.failure) for (const line of await reportFailure(result, SHRINK_BUDGET)) console.log(line);
  return result.failure || again.hash !== hash ? 1 : 0;
}

async function many(name: Scenario, first: number, seeds: number, workers: number): Promise<number> {
  const start = performance.now();
  let shown = 0;
  const sum = await soak(name, first, seeds, workers, (sofar) => {
    for (const failed of sofar.failures.slice(shown, TOLD)) for (const line of failureLines(failed)) console.log(line);
    shown = sofar.failures.length;
    if (process.stderr.isTTY)
      process.stderr.write(`\r${sofar.seeds} of ${seeds} seeds, ${sofar.failures.length} failed `);
  });
  console.log(`${name}:`);
  console.log(summaryText(sum, (performance.now() - start) / 1_000));
  for (const failed of sum.failures.slice(0, REPORTED)) {
    for (const line of await reportFailure(failed, SHRINK_BUDGET)) console.log(line);
  }
  console.log(`${sum.seeds - sum.failures.length} passed, ${sum.failures.length} failed`);
  return sum.failures.length > 0 ? 1 : 0;
}

function summaryText(sum: SeedsSummary, seconds: number): string {
  const tally = Object.entries(sum.tally).sort(([a], [b]) => (a < b ? -1 : 1));
  return [
    `${sum.seeds} seeds in ${seconds.toFixed(0)} s, ${(sum.seeds / seconds).toFixed(0)} a second`,
    `${sum.events} events, ${sum.frames} frames, ${sum.commits} commits, ${(sum.virtualSeconds / 3_600).toFixed(1)} h of virtual time`,
    `${sum.repeated} run a second time, ${sum.recorded} captures opened and compared`,
    tally.map(([what, times]) => `${what}: ${times}`).join(', '),
  ].join('\n');
}

async function planted(sample: number): Promise<number> {
  console.log(KILL_TABLE_HEAD);
  const kills = await killAll(PLANTED_LIMIT, sample, (kill) => console.log(killLine(kill)));
  const living = kills.filter(({ by }) => by === undefined).length;
  console.log(`\n${kills.length - living} of ${kills.length} planted bugs killed`);
  return living > 0 ? 1 : 0;
}

function count(text: string, name: string): number {
  const value = Number(text);
  if (text === '' || !Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`--${name} takes a number, not ${JSON.stringify(text)}`);
  return value;
}

function scenario(text: string): Scenario {
  const known = SCENARIOS.find((name) => name === text);
  if (!known) throw new RangeError(`--scenario takes one of ${SCENARIOS.join(', ')}, not ${text}`);
  return known;
}

function faultClass(text: string): FaultClass {
  const known = FAULT_CLASSES.find((name) => name === text);
  if (!known) throw new RangeError(`--without takes some of ${FAULT_CLASSES.join(', ')}, not ${text}`);
  return known;
}
