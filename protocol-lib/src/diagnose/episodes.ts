import type { CaptureIndex, ReplicaIndex } from '../capture/capture-index.ts';
import { KIND } from '../capture/envelope.ts';
import { AGREEMENT } from '../capture/query.ts';

/** A time in which a replica was known to differ, or asked again: from the record that noticed it to the one that ended it. */
export interface Episode {
  readonly replica: ReplicaIndex;
  readonly detected: number;
  /** -1 where it has not ended in the capture. */
  readonly ended: number;
  /** Nothing was wrong with what it held. */
  readonly isRefusal: boolean;
}

export function episodesOf(index: CaptureIndex, replica: ReplicaIndex): Episode[] {
  const { turns, turnsTo } = replica;
  const episodes: Episode[] = [];
  for (let at = 0; at < turns.length; at++) {
    if (turnsTo.at(at) !== AGREEMENT.differs) continue;
    const ended = at + 1 < turns.length ? repairAfter(index, replica, turns.at(at + 1)) : -1;
    episodes.push({ replica, detected: turns.at(at), ended, isRefusal: false });
  }
  return episodes;
}

/** What only looked like a divergence: it refused a delta that did not fit, and asked again until it got on. */
function refusalsOf(index: CaptureIndex, replica: ReplicaIndex): Episode[] {
  return Array.from({ length: replica.refusals.length }, (_, at): Episode => {
    const detected = replica.refusals.at(at);
    return { replica, detected, ended: endOfRefusal(index, replica, detected), isRefusal: true };
  });
}

/** A hash that is right where it stands says nothing of what it lacks. */
function endOfRefusal(index: CaptureIndex, replica: ReplicaIndex, detected: number): number {
  const { states } = replica;
  for (let at = states.countBelow(detected + 1); at < states.length; at++) {
    const kind = index.columns.kind(states.at(at));
    if (kind !== KIND.hash && kind !== KIND.mismatch) return repairAfter(index, replica, states.at(at));
  }
  return -1;
}

/** The repair record that follows upon the record with which it agreed again; that record where there is none. */
function repairAfter(index: CaptureIndex, { states }: ReplicaIndex, agreed: number): number {
  const next = states.countBelow(agreed + 1);
  const position = next < states.length ? states.at(next) : -1;
  return position >= 0 && index.columns.kind(position) === KIND.repair ? position : agreed;
}

/** The episode that a record belongs to: its own replica's before any other's. */
export function episodeAt(index: CaptureIndex, position: number): Episode | undefined {
  const own = index.replicas[index.columns.replica(position)];
  const others = index.knownReplicas().filter((one) => one !== own);
  for (const replica of own ? [own, ...others] : others) {
    const found = [...episodesOf(index, replica), ...refusalsOf(index, replica)].find(
      (one) => one.detected <= position && (one.ended < 0 || position <= one.ended),
    );
    if (found) return found;
  }
  return undefined;
}

/** The next episodes after a position, one of each sort a replica: a record between cause and detection belongs to one of these. */
export function nextEpisodes(index: CaptureIndex, position: number): Episode[] {
  return index
    .knownReplicas()
    .flatMap((replica) => [
      episodesOf(index, replica).find((one) => one.detected > position),
      refusalsOf(index, replica).find((one) => one.detected > position),
    ])
    .filter((one) => one !== undefined)
    .sort((a, b) => a.detected - b.detected);
}
