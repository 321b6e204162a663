import type { ReplicaId } from '../state/index.ts';
import type { Mutation } from './mutation.ts';

/** A stretch of a history: from one moment that all later mutations had seen whole to the next. Ends are exclusive. */
export interface Divergence {
  readonly start: number;
  readonly end: number;
}

/**
 * Cuts a history, in the order of `compareMutations`, at its agreed points: places where whatever comes after had seen whatever comes before.
 * The state at such a point is the base of everything concurrent after it. It follows from the mutations alone, so that every replica
 * cuts alike. `from` is itself an agreed point.
 */
export function divergencesOf(ordered: readonly Mutation[], from = 0): Divergence[] {
  const needs = neededBefore(ordered, from);
  const found: Divergence[] = [];
  let start = from;
  for (let index = from + 1; index <= ordered.length; index++) {
    if (index < ordered.length && needs[index - from]! < index) continue;
    found.push({ start, end: index });
    start = index;
  }
  return found;
}

/** For each place from `from` on the first mutation that some mutation from that place on had not seen; the place itself where there is none before it. */
function neededBefore(ordered: readonly Mutation[], from: number): number[] {
  // Where each writer's mutations stand, ascending; `first` is the counter of the first of them.
  const places = new Map<ReplicaId, { first: number; at: number[] }>();
  ordered.forEach(({ writer, counter }, index) => {
    if (index < from) return;
    const known = places.get(writer);
    if (known) known.at.push(index);
    else places.set(writer, { first: counter, at: [index] });
  });
  const needs: number[] = new Array<number>(ordered.length - from);
  let least = Number.POSITIVE_INFINITY;
  for (let index = ordered.length - 1; index >= from; index--) {
    least = Math.min(least, firstUnseen(ordered[index]!, index, places));
    needs[index - from] = Math.min(least, index);
  }
  return needs;
}

function firstUnseen(
  mutation: Mutation,
  index: number,
  places: ReadonlyMap<ReplicaId, { readonly first: number; readonly at: readonly number[] }>,
): number {
  let least = index;
  for (const [writer, { first, at }] of places) {
    if (writer === mutation.writer) continue;
    const seen = mutation.seen.find(({ replica }) => replica === writer)?.counter ?? 0;
    const place = at[Math.max(0, seen - first + 1)];
    if (place !== undefined && place < least) least = place;
  }
  return least;
}
