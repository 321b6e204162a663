import { type SimulationOptions, simulate } from '@syncscope/protocol/simulator';
import { describe, expect, test } from 'vitest';

interface Regression {
  readonly name: string;
  readonly options: SimulationOptions;
}

/**
 * Seeds that once broke a rule, with what was wrong. A seed only means the same run for as long as the simulator draws the same,
 * so what matters also has a test beside the code that was mended, or a planted bug that the simulator must find again.
 */
const REGRESSIONS: readonly Regression[] = [
  {
    // Planted again as `refusal-leaves-hole`.
    name: 'a refusal out of turn left a hole in the counters, at which an authority that had lost its memory waited for ever',
    options: { seed: 17 },
  },
  {
    // Tested as well in `sync/lost-names.test.ts`.
    name: 'names that were lost while a Merkle repair failed were never told again, and nothing could be read any more',
    options: { seed: 11_588 },
  },
  {
    // Planted again as `duplicate-known-too-soon`.
    name: 'a client without its memory was given a counter that was still on its way into the log, and took it a second time',
    options: { seed: 6 },
  },
  {
    name: 'an error to a socket that nobody reads any more counted as talk in a quiet session',
    options: { seed: 100_603 },
  },
  {
    name: 'an authority whose clock stepped back told of settled mutations after everybody seemed to agree',
    options: { seed: 1_981_107_432 },
  },
  {
    // Tested as well in `sync/incarnation.test.ts`.
    name: 'how much another life of the session had settled was taken for what this one had, where both came to the same state',
    options: { seed: 15_752 },
  },
  {
    name: 'false alarm: who had heard of everything but the end of an authority that was ended for its disk was expected to be connected',
    options: { seed: 9_009_532 },
  },
  {
    name: 'a takeover of a checkpoint that was overtaken by what came in another way undid it',
    options: { seed: 1_717_293_204, scenario: 'partition' },
  },
  {
    // Tested as well in `peers/renewal.test.ts`.
    name: 'a history that was fetched anew waited for ever where its source had cut its own off meanwhile',
    options: { seed: 165, scenario: 'partition' },
  },
  {
    // Tested as well in `peers/peers.test.ts`.
    name: 'a peer of a wrong state had written upon it, and waited for ever for others to take that and contradict it',
    options: { seed: 400_001_075, scenario: 'partition' },
  },
  {
    name: 'a proposer that died with its decision on the disk, and had told nobody, was taken for one without a majority',
    options: { seed: 500_015_657, scenario: 'consensus' },
  },
  {
    // Planted again as `nobody-gives-way`.
    name: "members that all had much to propose undid each other's rounds, and needed three times as long for each version",
    options: { seed: 1_220_144_865, scenario: 'consensus' },
  },
  {
    name: 'the same of three, of whom a version came too late',
    options: { seed: 300_001_580, scenario: 'consensus' },
  },
  {
    name: 'the same of two, one of whom accepted what the other had no time to finish',
    options: { seed: 300_004_857, scenario: 'consensus' },
  },
  {
    // Tested as well in `peers/consensus/consensus.test.ts`.
    name: 'a member that had to finish what was left asked with an invalid change of its own, to which nobody promised',
    options: { seed: 50_336, scenario: 'consensus' },
  },
  {
    name: 'a member that woke up answered each of many decisions that came at once with a round, until its attempts were used up',
    options: { seed: 500_000_508, scenario: 'consensus' },
  },
  {
    name: 'a member whose log fails while its memory is damaged is not looked at as if it were whole',
    options: { seed: 1_871_145_871, scenario: 'consensus' },
  },
  {
    // Planted again as `catches-up-by-the-clock`.
    name: 'a member that lagged asked for a few versions at each tick of its clock, and disturbed the others with proposals meanwhile',
    options: { seed: 325, scenario: 'consensus' },
  },
];

describe('seeds that were found', () => {
  test.each(REGRESSIONS)('$name', ({ options }) => {
    expect(simulate(options).failure).toBeUndefined();
  });
});
