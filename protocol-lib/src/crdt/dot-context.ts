import { SyncError } from '../errors/index.ts';
import type { ReplicaId } from '../state/index.ts';

/** One addition: the writer and its count of additions, from 1. */
export interface Dot {
  readonly replica: ReplicaId;
  readonly counter: number;
}

/** Additions of one writer that were seen: all up to `upTo`, and single ones above it, ascending. */
export interface SeenDots {
  readonly upTo: number;
  readonly beyond: readonly number[];
}

const NONE: SeenDots = { upTo: 0, beyond: [] };

/** What a liar may make a replica remember of dots that follow a gap. */
const MAX_BEYOND = 65_535;

/** Which dots were seen of every writer. */
export type DotContext = ReadonlyMap<ReplicaId, SeenDots>;

export function hasSeen(context: DotContext, dot: Dot): boolean {
  const seen = context.get(dot.replica) ?? NONE;
  return dot.counter <= seen.upTo || seen.beyond.includes(dot.counter);
}

/** What was seen of one writer on either side. @throws SyncError `CRDT_TOO_MANY_GAPS` above 65,535 dots beyond a gap */
export function joinSeen(left: SeenDots, right: SeenDots): SeenDots {
  let upTo = Math.max(left.upTo, right.upTo);
  const beyond: number[] = [];
  for (const counter of [...new Set([...left.beyond, ...right.beyond])].sort((a, b) => a - b)) {
    if (counter <= upTo) continue;
    if (counter === upTo + 1) upTo = counter;
    else beyond.push(counter);
  }
  if (beyond.length > MAX_BEYOND) {
    throw new SyncError(
      'CRDT_TOO_MANY_GAPS',
      `${beyond.length} additions are known beyond a gap, at most ${MAX_BEYOND}`,
      {
        origin: 'protocol',
        retry: 'backoff',
      },
    );
  }
  return upTo === left.upTo && beyond.length === left.beyond.length ? left : { upTo, beyond };
}

/** The context that has also seen `dots`; the same one where it has. @throws SyncError as {@link joinSeen} */
export function seeDots(context: DotContext, dots: readonly Dot[]): DotContext {
  let after: Map<ReplicaId, SeenDots> | undefined;
  for (const dot of dots) {
    const before = (after ?? context).get(dot.replica) ?? NONE;
    const seen = joinSeen(before, { upTo: 0, beyond: [dot.counter] });
    if (seen === before) continue;
    after ??= new Map(context);
    after.set(dot.replica, seen);
  }
  return after ?? context;
}

export function joinContexts(left: DotContext, right: DotContext): DotContext {
  const joined = new Map(left);
  for (const [replica, seen] of right) joined.set(replica, joinSeen(left.get(replica) ?? NONE, seen));
  return joined;
}

/** By writer, then counter. */
export function compareDots(left: Dot, right: Dot): number {
  if (left.replica !== right.replica) return left.replica < right.replica ? -1 : 1;
  return left.counter - right.counter;
}
