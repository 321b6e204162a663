import type { CaptureQuery } from '@syncscope/protocol/capture';
import { ReplayCursor, type StepUnit } from '@syncscope/protocol/cursor';
import { isSyncError } from '@syncscope/protocol/errors';
import { getState, goTo, movePlayhead, notify, SPEEDS, streamFilter, update } from './store.ts';
import { attempt, type Direction, stepMarker } from './transport.ts';

/** The player: steps of every unit in both directions, and playing forwards and backwards at any speed, all by one {@link ReplayCursor}. */

/** What a step of each unit is called, and the keys for it, backwards and forwards. */
export const UNITS: Readonly<Record<StepUnit, { readonly label: string; readonly keys: readonly [string, string] }>> = {
  record: { label: 'record', keys: ['←', '→'] },
  message: { label: 'message', keys: ['Shift M', 'M'] },
  version: { label: 'version', keys: ['Shift V', 'V'] },
  tick: { label: 'tick', keys: ['Shift T', 'T'] },
  marker: { label: 'marker', keys: ['Alt ←', 'Alt →'] },
};

const cursors = new WeakMap<CaptureQuery, ReplayCursor>();

/** The cursor of a capture, where the playhead is: whoever moved that last, by whatever means. */
async function cursorHere(query: CaptureQuery): Promise<ReplayCursor> {
  const known = cursors.get(query) ?? new ReplayCursor(query);
  cursors.set(query, known);
  const { view, moment, range } = getState();
  if (moment !== undefined && known.position === view.playhead && known.time === moment) return known;
  try {
    await known.seek(view.playhead);
  } catch (error) {
    // A long live session lets go of its beginning, and the playhead may be there.
    if (!isSyncError(error) || error.code === 'QUERY_CANCELLED') throw error;
    await known.seekTime(range.from);
  }
  return known;
}

/** One step. Over records, messages and versions it passes over what the filter hides. */
export function step(query: CaptureQuery, direction: Direction, unit: StepUnit = 'record'): Promise<void> {
  if (unit === 'marker') return stepMarker(query, direction);
  return attempt(async () => {
    const { view } = getState();
    const cursor = await cursorHere(query);
    const position = await cursor.step(unit, direction, { filter: streamFilter(getState()) });
    if (getState().view.playhead !== view.playhead) return;
    if (unit === 'tick') movePlayhead(position, cursor.time);
    else if (position !== view.playhead) goTo(position);
    else if (unit !== 'record') notify(`There is no ${UNITS[unit].label} after this.`);
  });
}

export function setUnit(unit: StepUnit): void {
  update((draft) => {
    draft.view.unit = unit;
  });
}

export function setSpeed(speed: number): void {
  update((draft) => {
    draft.view.speed = speed;
  });
}

/** The next speed of those there are. */
export function changeSpeed(direction: Direction): void {
  const at = SPEEDS.findIndex((speed) => speed >= getState().view.speed);
  const next = SPEEDS[Math.min(Math.max(at + direction, 0), SPEEDS.length - 1)];
  if (next !== undefined) setSpeed(next);
}

/** Plays in a direction, from the other end where it is at the end of that; pauses where it does so already. */
export function togglePlay(isBackwards = false): void {
  update((draft) => {
    const isOn = !(draft.playing && draft.isBackwards === isBackwards);
    draft.playing = isOn;
    draft.isBackwards = isBackwards;
    if (!isOn) return;
    draft.view.following = false;
    const last = draft.records - 1;
    if (!isBackwards && draft.view.playhead >= last) draft.view.playhead = -1;
    if (isBackwards && draft.view.playhead <= 0) draft.view.playhead = last;
  });
}

/** Nothing is worth waiting for longer than this, wall clock: a silence in the capture is skipped. */
const LONGEST_SILENCE_MS = 1_000;

/** Moves the playhead through the capture's own time while `playing`. Returns what stops it. */
export function runPlayback(query: CaptureQuery, schedule: FrameScheduler): () => void {
  /** When the last frame was, and when the playhead last came to another record; milliseconds. */
  let clock: { at: number; movedAt: number } | undefined;
  let isAsking = false;
  let isStopped = false;

  async function advance(now: number): Promise<void> {
    const { view, isBackwards } = getState();
    const direction = isBackwards ? -1 : 1;
    clock ??= { at: now, movedAt: now };
    const elapsed = (now - clock.at) * 1_000_000;
    clock.at = now;
    if (isAtEnd(direction)) {
      update((draft) => {
        draft.playing = false;
      });
      return;
    }
    const cursor = await cursorHere(query);
    await cursor.advance(elapsed, view.speed * direction);
    const isSilent = cursor.position === view.playhead && now - clock.movedAt > LONGEST_SILENCE_MS;
    if (isSilent) await cursor.step('record', direction);
    // Somebody else has moved it, or has paused, while this was being asked for.
    if (getState().view.playhead !== view.playhead || !getState().playing) return;
    if (cursor.position !== view.playhead) clock.movedAt = now;
    // Before the first record there is nothing to be seen.
    if (cursor.position < 0) movePlayhead(0);
    else movePlayhead(cursor.position, cursor.time);
  }

  const stop = schedule((now) => {
    if (isAsking || isStopped) return undefined;
    if (!getState().playing) {
      clock = undefined;
      return undefined;
    }
    isAsking = true;
    return attempt(() => advance(now)).finally(() => {
      isAsking = false;
    });
  });
  return () => {
    isStopped = true;
    stop();
  };
}

/** Whether there is nothing left to play in a direction. */
function isAtEnd(direction: Direction): boolean {
  const { view, records } = getState();
  return direction === 1 ? view.playhead >= records - 1 : view.playhead <= 0;
}

/** Calls back once a frame, with milliseconds, until the returned function is called. What a frame asks for may end later. */
export type FrameScheduler = (frame: (now: number) => Promise<void> | undefined) => () => void;

export const everyFrame: FrameScheduler = (frame) => {
  let request = requestAnimationFrame(function loop(now) {
    void frame(now);
    request = requestAnimationFrame(loop);
  });
  return () => cancelAnimationFrame(request);
};
