import { reexecuteSteps, stepsOf } from '@syncscope/protocol/replay';
import { recordSimulation, simulate, simulatedDefinition } from '@syncscope/protocol/simulator';
import type { TraceRecord } from '@syncscope/protocol/trace';
import { describe, expect, test } from 'vitest';

const SEEDS = 500;

function recorded(seed: number): TraceRecord[] {
  const records: TraceRecord[] = [];
  simulate({ seed, inputs: true }, (record) => records.push(record));
  return records;
}

describe('a session that is run again from its recording', () => {
  test(`equals it at every record, for seeds 1 to ${SEEDS}`, { timeout: 300_000 }, () => {
    let hashes = 0;
    const differing: string[] = [];
    for (let seed = 1; seed <= SEEDS; seed++) {
      const steps = stepsOf(recorded(seed).map((record, position) => ({ position, record })));
      const definition = simulatedDefinition({ sessionId: `simulation-${seed}`, build: 'simulator' });
      expect(definition).toBeDefined();
      const result = reexecuteSteps(steps, { definition });
      hashes += result.hashes;
      if (result.difference) differing.push(`seed ${seed}: ${result.difference.sentence}`);
    }
    expect(differing).toEqual([]);
    expect(hashes).toBeGreaterThan(SEEDS * 50);
  });

  test('does so from the capture file, too', async () => {
    const { records } = await recordSimulation({ seed: 3 });
    expect(records.some(({ body }) => body.kind === 'log' && body.text.startsWith('inputs '))).toBe(true);
  });
});
