import type { CaptureQuery, Marker } from '@syncscope/protocol/capture';
import { useQuery } from './query.ts';

/** So many marks back a divergence is looked for. */
const MARKS_LOOKED_AT = 32;
const FIRST_MARKS_LOOKED_AT = 4;
/** Marks this close upon each other tell one story, of which the first may be the only one that is explained. */
const RECORDS_OF_ONE = 1_000;
/** What is recorded behind a mark may tell what it was: it is judged again this many times, after so many records each. */
const JUDGED_AGAIN = 4;
const RECORDS_BETWEEN = 500;

/**
 * The last divergence before a position. A mark is set as soon as a replica seems to differ; what turned out to be
 * something else, such as a delta that did not fit and was asked for again, is passed over; so is one of which the cause
 * is not known, where that of one shortly before it is: others may notice long after the first has been repaired.
 */
export async function lastDivergence(
  query: Pick<CaptureQuery, 'nextMarker' | 'explain'>,
  before: number,
): Promise<Marker | undefined> {
  /** The newest one of which nothing, or not the cause, is known, and the oldest of its story so far. */
  let unknown: Marker | undefined;
  let earliest = Number.POSITIVE_INFINITY;
  let marker = await query.nextMarker(before, -1, 'desync');
  for (let left = MARKS_LOOKED_AT; marker && left > 0; left--) {
    if (unknown && earliest - marker.position > RECORDS_OF_ONE) return unknown;
    const explanation = await query.explain(marker.position);
    if (explanation?.verdict === undefined) {
      if (explanation && explanation.class !== 'unknown') return marker;
      unknown ??= marker;
      earliest = marker.position;
    }
    marker = await query.nextMarker(marker.position, -1, 'desync');
  }
  return unknown;
}

/** The first divergence of a capture; its first mark, where none of the first ones is one. */
export async function firstDivergence(
  query: Pick<CaptureQuery, 'nextMarker' | 'explain'>,
): Promise<Marker | undefined> {
  const first = await query.nextMarker(-1, 1, 'desync');
  let marker = first;
  for (let left = FIRST_MARKS_LOOKED_AT; marker && left > 0; left--) {
    if ((await query.explain(marker.position))?.verdict === undefined) return marker;
    marker = await query.nextMarker(marker.position, 1, 'desync');
  }
  return first;
}

/** {@link lastDivergence}, asked for a mark once and not for each record that a session grows by. */
export function useLastDivergence(before: number): Marker | undefined {
  const mark = useQuery(['last-mark', before], (query) => query.nextMarker(before, -1, 'desync')).data;
  const at = mark?.position ?? -1;
  const judged = Math.min(JUDGED_AGAIN, Math.floor((before - at) / RECORDS_BETWEEN));
  const found = useQuery(['last-divergence', at], (query) => lastDivergence(query, at + 1), at >= 0, judged);
  return found.data;
}
