import { join } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Test files that take long, the longest first. Without a cache of earlier runs, files are started by their size, and the one that has
 * every planted bug found is the smallest of all: it would be started last, and waited for alone.
 */
const LONG = [
  'test/simulation/planted.test.ts',
  'test/simulation/simulation.test.ts',
  'test/corpus/corpus.test.ts',
  'test/simulation/consensus.test.ts',
  'test/replay/attached.test.ts',
  'test/replay/ended.test.ts',
  'sample-server/src/peers/peer-group.test.ts',
  'sample-server/src/peers/peer-sessions.test.ts',
  'sample-server/src/cli.test.ts',
  'protocol-lib/src/capture/file.test.ts',
  'protocol-lib/src/shrink/shrink.test.ts',
];

/** Starts what takes long before everything else, so that nothing is waited for alone at the end. */
export class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const ranks = new Map(LONG.map((file, rank) => [join(this.ctx.config.root, file), rank]));
    const rank = ({ moduleId }: TestSpecification): number => ranks.get(moduleId) ?? LONG.length;
    return (await super.sort(files)).sort((left, right) => rank(left) - rank(right));
  }
}
