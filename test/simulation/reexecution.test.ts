import { type ReplayResult, reexecuteSteps, stepsOf } from '@syncscope/protocol/replay';
import {
  recordSimulation,
  type Scenario,
  simulate,
  simulatedDefinition,
  simulatedGroup,
} from '@syncscope/protocol/simulator';
import type { TraceRecord } from '@syncscope/protocol/trace';
import { describe, expect, test } from 'vitest';

const SEEDS = { bazaar: 250, consensus: 100, partition: 60 } as const;

function runAgain(scenario: Scenario, seed: number): ReplayResult {
  const records: TraceRecord[] = [];
  simulate({ seed, scenario, inputs: true }, (record) => records.push(record));
  const steps = stepsOf(records.map((record, position) => ({ position, record })));
  const sessionId = scenario === 'bazaar' ? `simulation-${seed}` : `simulation-${scenario}-${seed}`;
  const header = { sessionId, build: 'simulator' };
  return reexecuteSteps(steps, { definition: simulatedDefinition(header), group: simulatedGroup(header) });
}

describe('a session that is run again from its recording', () => {
  test.each(['bazaar', 'consensus', 'partition'] as const)(
    'equals it at every record: %s',
    { timeout: 600_000 },
    (scenario) => {
      let hashes = 0;
      const differing: string[] = [];
      for (let seed = 1; seed <= SEEDS[scenario]; seed++) {
        const result = runAgain(scenario, seed);
        expect(result.level).toBe('app');
        hashes += result.hashes;
        for (const { sentence } of result.difference ? [result.difference] : result.leftOut) {
          differing.push(`seed ${seed}: ${sentence}`);
        }
        expect(result.status === 'equal').toBe(result.difference === undefined);
      }
      expect(differing).toEqual([]);
      expect(hashes).toBeGreaterThan(SEEDS[scenario] * 50);
    },
  );

  test('does so from the capture file, too', async () => {
    const { records } = await recordSimulation({ seed: 3 });
    expect(records.some(({ body }) => body.kind === 'log' && body.text.startsWith('inputs= '))).toBe(true);
  });

  test.each(['consensus', 'partition'] as const)('is the same session as without the inputs: %s', (scenario) => {
    for (const seed of [4, 9]) {
      const plain = simulate({ seed, scenario });
      const { hash: _, ...told } = simulate({ seed, scenario, inputs: true });
      const { hash: __, ...expected } = plain;
      expect({ ...told, options: expected.options }).toEqual(expected);
    }
  });
});
