import type { StateHash, Version } from '../state/index.ts';
import type { Judged } from './cases.ts';
import type { RecordRef } from './finding.ts';
import type { Step, Trail } from './trail.ts';

/**
 * By what a replica came under suspicion: its own hash at a version, changes that do not lead to what it says, what it or somebody else tells, or
 * nothing but a comparison with the state of the authority. `doubted`: its hash is that of something else, and nothing shows which of the two is wrong.
 */
export type Suspicion = 'own' | 'changes' | 'told' | 'compared' | 'doubted';

/** What is to be said of a replica that has another state than it should, though no frame is to blame. */
export function atRest(
  trail: Trail,
  held: Step | undefined,
  detected: RecordRef,
  version: Version,
  own: StateHash | undefined,
  how: Suspicion,
): Judged {
  const cause = held?.at ?? trail.verified ?? detected;
  const isChanged =
    how === 'changes' ? trail.root !== undefined : held !== undefined && own !== undefined && held.root.hash !== own;
  const had = held?.root.hash ?? 'unknown';
  const evidence = [
    { text: `At v${version} it had the root ${had} here.`, record: isChanged ? (trail.verified ?? cause) : cause },
    { text: own === undefined ? 'It was found to differ here.' : `It had the root ${own} here.`, record: detected },
  ];
  if (how === 'doubted') {
    return {
      ...{ class: 'unknown', cause, confidence: 'low', evidence, differences: [] },
      reason:
        'its hash is that of another version or of a prediction; whether it only told of that or holds it, nothing shows',
      confirm: 'record on: what it makes of the next delta tells what it holds',
    };
  }
  if (isChanged) {
    return {
      ...{ class: 'corrupted-at-rest', cause: trail.verified ?? cause, confidence: 'high', evidence, differences: [] },
      reason:
        how === 'changes'
          ? 'its changes lead from another state than its records gave it'
          : 'its own hash was right at this version, is another now, and no record lies between that changes it',
      confirm: 'look for code that writes into the committed state other than by deltas',
    };
  }
  return {
    ...{ class: 'unknown', cause, confidence: 'low', evidence, differences: [] },
    reason: held
      ? 'it has what its records gave it, and was found to differ nevertheless'
      : 'the capture does not hold what it had at this version',
    confirm: 'record from the start of the session, with everybody in the same capture',
  };
}
