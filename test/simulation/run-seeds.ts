import { checkRecording, type Scenario, type SimulationResult, simulate } from '@syncscope/protocol/simulator';

/** What many seeds came to. Sums only, so that those of several workers add up. */
export interface SeedsSummary {
  seeds: number;
  events: number;
  frames: number;
  commits: number;
  /** Virtual seconds. */
  virtualSeconds: number;
  /** Seeds that were run a second time and did the same. */
  repeated: number;
  /** Seeds whose capture was written, opened and compared. */
  recorded: number;
  readonly tally: Record<string, number>;
  readonly failures: SimulationResult[];
}

export function emptySummary(): SeedsSummary {
  const sums = { seeds: 0, events: 0, frames: 0, commits: 0, virtualSeconds: 0, repeated: 0, recorded: 0 };
  return { ...sums, tally: {}, failures: [] };
}

export interface SeedsOptions {
  /** The bazaar where absent. */
  readonly scenario?: Scenario;
  /** One seed in so many is run twice and compared, as is every one that fails. */
  readonly repeatEvery?: number;
  /** One seed in so many has its capture written, opened and compared; 0 for none. */
  readonly recordEvery?: number;
}

/** Runs `count` seeds from `first` on. Failing seeds are part of the answer, not an error. */
export async function runSeeds(first: number, count: number, options: SeedsOptions = {}): Promise<SeedsSummary> {
  const { repeatEvery = 20, recordEvery = 0, scenario = 'bazaar' } = options;
  const summary = emptySummary();
  for (let seed = first; seed < first + count; seed++) {
    let result = simulate({ seed, scenario });
    add(summary, result);
    if (result.failure || seed % repeatEvery === 0) {
      const again = simulate({ seed, scenario });
      summary.repeated++;
      if (again.hash !== result.hash || again.failure?.text !== result.failure?.text) {
        result = failed(
          result,
          'deterministic',
          `the trace hash was ${result.hash}, and ${again.hash} the second time`,
        );
      }
    }
    if (!result.failure && recordEvery > 0 && seed % recordEvery === 0) {
      const violation = await checkRecording({ seed, scenario });
      summary.recorded++;
      if (violation) result = failed(result, violation.invariant, violation.text);
    }
    if (result.failure) summary.failures.push(result);
  }
  return summary;
}

function failed(
  result: SimulationResult,
  invariant: NonNullable<SimulationResult['failure']>['invariant'],
  text: string,
): SimulationResult {
  return { ...result, failure: { invariant, text, step: result.events, time: result.time, phase: 'audit' } };
}

function add(summary: SeedsSummary, result: SimulationResult): void {
  summary.seeds++;
  summary.events += result.events;
  summary.frames += result.frames;
  summary.commits += result.commits;
  summary.virtualSeconds += result.time / 1e9;
  for (const [what, count] of Object.entries(result.tally)) summary.tally[what] = (summary.tally[what] ?? 0) + count;
}

/** Adds `part` to `sum`. */
export function addSummary(sum: SeedsSummary, part: SeedsSummary): void {
  for (const name of ['seeds', 'events', 'frames', 'commits', 'virtualSeconds', 'repeated', 'recorded'] as const) {
    sum[name] += part[name];
  }
  for (const [what, count] of Object.entries(part.tally)) sum.tally[what] = (sum.tally[what] ?? 0) + count;
  sum.failures.push(...part.failures);
}
