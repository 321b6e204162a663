import type { ReplicaId, Version } from '../state/index.ts';
import type { Finding } from './finding.ts';
import type { Trail } from './trail.ts';

const STALLED_NANOSECONDS = 5_000_000_000;
const PENDING_NANOSECONDS = 10_000_000_000;
/** So many frames each way since, and the connection is not what is missing. */
const ENOUGH_FRAMES = 3;

/**
 * Replicas that are connected, differ from nobody, and do not get on. Those that hear nothing are cut off, which is no fault of theirs.
 *
 * @param newest the version of the authority at the end; 0 where there is none
 */
export function stuckFindings(
  trails: readonly Trail[],
  authority: ReplicaId | undefined,
  newest: Version,
  end: number,
): Finding[] {
  return trails.flatMap((trail) => {
    const stall = stalled(trail, authority, end);
    // Who takes nothing in is told no answers either.
    return stall && trail.version < newest ? stall : (stuckPending(trail, authority, end) ?? stall ?? []);
  });
}

function stalled(trail: Trail, authority: ReplicaId | undefined, end: number): Finding | undefined {
  const { stalled: since } = trail;
  if (!since || !trail.isConnected || end - since.time < STALLED_NANOSECONDS) return undefined;
  if (trail.heard - since.heard < ENOUGH_FRAMES) return undefined;
  return {
    class: 'not-progressing',
    ...{ replica: trail.id, against: authority ?? trail.id, version: trail.version, time: since.time },
    ...{ cause: since.ref, detected: since.ref, confidence: 'medium', differences: [] },
    reason: 'it received frames all the time and did not get on',
    evidence: [{ text: `It was found to be ${since.text}, and that did not end.`, record: since.ref }],
    confirm: 'look at what it does with the frames that it receives',
  };
}

function stuckPending(trail: Trail, authority: ReplicaId | undefined, end: number): Finding | undefined {
  const oldest = trail.pending.values().next().value;
  if (!oldest || !trail.isConnected || end - oldest.time < PENDING_NANOSECONDS) return undefined;
  const wasHeard = trail.wasHeard - oldest.framesSent;
  const heard = trail.heard - oldest.framesReceived;
  if (wasHeard < ENOUGH_FRAMES || heard < ENOUGH_FRAMES) return undefined;
  return {
    class: 'pending-stuck',
    ...{ replica: trail.id, against: authority ?? trail.id, version: trail.version, time: oldest.time },
    ...{ cause: oldest.ref, detected: oldest.ref, confidence: 'medium', differences: [] },
    reason: `${wasHeard} of its frames arrived since and ${heard} were received, and none settled it`,
    evidence: [{ text: 'It was made here and never confirmed or refused.', record: oldest.ref }],
    confirm: 'look for its number at the authority: was it received, and what was answered?',
  };
}
