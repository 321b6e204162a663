import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What several benchmarks measure with. */

export interface Alternation {
  readonly rounds: number;
  /** Rounds before that are not counted; half as many by default. */
  readonly warm?: number;
}

/**
 * Median microseconds of each side's step. The sides take turns round by round, so that all of them meet the same machine.
 * A step may return a function: then only that is timed.
 */
export function alternate(
  sides: readonly ((round: number) => unknown)[],
  { rounds, warm = rounds / 2 }: Alternation,
): number[] {
  const times: number[][] = sides.map(() => []);
  for (let round = 0; round < warm + rounds; round++) {
    sides.forEach((step, side) => {
      let start = process.hrtime.bigint();
      const prepared = step(round);
      if (typeof prepared === 'function') {
        start = process.hrtime.bigint();
        prepared();
      }
      if (round >= warm) times[side]!.push(Number(process.hrtime.bigint() - start) / 1_000);
    });
  }
  return times.map((list) => list.sort((left, right) => left - right)[Math.floor(list.length / 2)]!);
}

/** Bytes that stay alive, in the heap and beside it, with what `make` returns. */
export async function heapOf(make: () => unknown): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const used = () => {
    collect();
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const before = used();
  const made = await make();
  const after = used();
  // Read after measuring, so that it is alive until then.
  if (made === undefined) throw new Error('nothing was made');
  return after - before;
}
