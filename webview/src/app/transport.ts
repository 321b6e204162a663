import type { CaptureQuery, Marker } from '@syncscope/protocol/capture';
import { SyncError } from '@syncscope/protocol/errors';
import type { ReplicaId } from '@syncscope/protocol/state';
import { peerToCompare } from '../tabs/same-version.ts';
import { findRows } from './rows.ts';
import {
  follow,
  getState,
  goTo,
  goToFound,
  notify,
  setPair,
  setTab,
  shownRecords,
  streamFilter,
  update,
} from './store.ts';

/** Moving through the capture by what is in it: along a replica, to markers and divergences, to its ends. The player is in `player.ts`. */

export type Direction = 1 | -1;

/** Where a step starts: the playhead is where the user is, whether by selecting or by dragging. */
function here(): number {
  return getState().view.playhead;
}

/** Runs a move and shows what went wrong, if anything; a move that was overtaken is nothing to tell of. */
export async function attempt(move: () => Promise<void>): Promise<void> {
  try {
    await move();
  } catch (error) {
    if (error instanceof SyncError && error.code === 'QUERY_CANCELLED') return;
    notify(error instanceof Error ? error.message : String(error));
  }
}

/** The position of the next row, in a direction, that passes the filter; undefined at either end. */
export async function nextPosition(
  query: CaptureQuery,
  filter: string,
  from: number,
  direction: Direction,
): Promise<number | undefined> {
  const index = direction === 1 ? await query.rowIndex(filter, from + 1) : (await query.rowIndex(filter, from)) - 1;
  if (index < 0) return undefined;
  const [row] = await findRows(query, filter, index, 1);
  return row?.position;
}

/** The filter narrowed to one replica: terms separated by spaces must all pass. */
export function alongReplica(filter: string, replica: ReplicaId): string {
  return `${filter} who:${replica}`.trimStart();
}

/** A step along the replica of the selected record, or of the left replica where none is selected. */
export function stepReplica(query: CaptureQuery, direction: Direction): Promise<void> {
  return attempt(async () => {
    const { selection, left } = getState().view;
    const replica = selection === undefined ? left : (await query.record(selection)).row.replica;
    if (replica === undefined) return;
    const next = await nextPosition(query, alongReplica(streamFilter(getState()), replica), here(), direction);
    if (next !== undefined) goTo(next);
  });
}

/** The next marker. A divergence, or what looked like one, brings its replica onto the left and its cause into view. */
export function stepMarker(query: CaptureQuery, direction: Direction): Promise<void> {
  return attempt(async () => {
    const marker = await query.nextMarker(here(), direction);
    if (!marker) return notify(direction === 1 ? 'There is no marker after this.' : 'There is no marker before this.');
    await goToMarker(query, marker);
  });
}

/** Selects a marker's record, whatever way the user came to it; for a divergence, and for a delta that did not fit, the cause comes into view too. */
export async function goToMarker(query: CaptureQuery, marker: Pick<Marker, 'kind' | 'position'>): Promise<void> {
  if (marker.kind === 'desync' || marker.kind === 'refused-delta') await showDivergence(query, marker.position);
  else goToFound(marker.position);
}

/** Selects a record and shows why a replica differs there: pair and tab go along, unless one has moved on before that is known. */
export async function showDivergence(query: CaptureQuery, position: number): Promise<void> {
  update((draft) => {
    draft.playing = false;
  });
  goToFound(position);
  setTab('cause');
  const explanation = await query.explain(position);
  if (!explanation) return;
  const peer = await peerToCompare(query, explanation, explanation.detected);
  if (getState().view.selection === position) setPair(explanation.replica, peer);
}

export function goToVerdict(query: CaptureQuery, position: number): Promise<void> {
  return attempt(() => showDivergence(query, position));
}

/** To the oldest record that is still there: a long live session lets go of its beginning. */
export function toStart(query: CaptureQuery): Promise<void> {
  return attempt(async () => {
    const [row] = await findRows(query, shownRecords(getState()), 0, 1);
    goTo(row?.position ?? -1);
  });
}

/** To the newest record; a live session is followed from there. */
export function toEnd(query: CaptureQuery): Promise<void> {
  return attempt(async () => {
    const { session } = getState();
    if (session.source === 'live' && session.state === 'open') follow();
    else goTo(await lastShown(query));
  });
}

/** Position of the last record that is no input passed over; -1 where there is none. */
export async function lastShown(query: CaptureQuery): Promise<number> {
  const { records } = getState();
  const filter = shownRecords(getState());
  return filter === '' ? records - 1 : ((await nextPosition(query, filter, records, -1)) ?? -1);
}
