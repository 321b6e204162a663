import type { TimeRange } from '@syncscope/protocol/capture';
import type { StepUnit } from '@syncscope/protocol/cursor';
import type { ReplicaId } from '@syncscope/protocol/state';
import { produce } from 'immer';
import { useSyncExternalStore } from 'react';
import { emptySession, type SessionState, type WireError } from '../rpc/index.ts';
import { withoutInputs } from './filter-text.ts';

/**
 * Everything that the views share: where in time, which replicas, what differs, and how it is laid out.
 * Never data of the capture itself; that is asked for through `useQuery`.
 */

export const TABS = ['cause', 'state', 'diff', 'vectors', 'merkle', 'bytes'] as const;
export type TabName = (typeof TABS)[number];

export const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4, 10, 100] as const;

/** What is remembered: navigation and layout, and nothing that the capture says. */
export interface ViewState {
  /** The session this belongs to; another capture starts afresh. */
  readonly sessionId: string;
  /** Position; -1 is before everything. The state shown anywhere is the state after this record. */
  readonly playhead: number;
  /** Position of the selected record. */
  readonly selection: number | undefined;
  readonly left: ReplicaId | undefined;
  readonly right: ReplicaId | undefined;
  readonly tab: TabName;
  /** As the stream applies it; what is still being typed stays in the box. */
  readonly filter: string;
  /** What the timeline shows; the whole capture where undefined. */
  readonly zoom: TimeRange | undefined;
  /** The playhead goes along with the newest record. */
  readonly following: boolean;
  /** The position that Diff compares the left replica with, instead of the right replica. */
  readonly diffMoment: number | undefined;
  /** Two replicas are compared at one version, and not as they are at the playhead. */
  readonly sameVersion: boolean;
  readonly stateSearch: string;
  /** Whether the stream shows inputs, too: every second row of some recordings, and nothing that happened. */
  readonly showsInputs: boolean;
  readonly speed: number;
  /** What one step of the player goes over. */
  readonly unit: StepUnit;
  readonly lanes: {
    /** Replicas in the order the user dragged them into; the others follow in the capture's order. */
    readonly order: readonly ReplicaId[];
    readonly collapsed: readonly ReplicaId[];
    readonly pinned: readonly ReplicaId[];
  };
  readonly sizes: {
    /** Height of the timeline, CSS pixels. */
    readonly timeline: number;
    /** Share of the stream table in the width below it, 0 to 1. */
    readonly stream: number;
  };
}

export interface AppState {
  readonly view: ViewState;
  readonly session: SessionState;
  /** Records in the capture and the time they span. Grows while live. */
  readonly records: number;
  readonly range: TimeRange;
  /** Whether inputs for running it again are among the records. */
  readonly hasInputs: boolean;
  /** How many of them were saved, the first ones, since the session was attached to. */
  readonly saved: number;
  /** Counts captures opened: part of every query's key, so that nothing of the one before is shown. */
  readonly epoch: number;
  /** Set once the capture's `info` is known and the view was restored or set up for it. */
  readonly isReady: boolean;
  readonly playing: boolean;
  /** Playing goes backwards. */
  readonly isBackwards: boolean;
  /** Time of the playhead where it stands behind its record and before the next, as it does while playing. */
  readonly moment: number | undefined;
  /** An error that no view asked for; shown until dismissed. */
  readonly error: WireError | undefined;
  /** Failure of something the user asked the host for, and its outcome in words. */
  readonly notice: string | undefined;
  readonly keysOpen: boolean;
  /** Whether it is being asked how to save. */
  readonly saveOpen: boolean;
}

/** What a recipe may write to. */
export type Draft<T> = T extends ReplicaId | string | number | boolean | undefined
  ? T
  : { -readonly [K in keyof T]: Draft<T[K]> };

export const initialView: ViewState = {
  sessionId: '',
  playhead: -1,
  selection: undefined,
  left: undefined,
  right: undefined,
  tab: 'cause',
  filter: '',
  zoom: undefined,
  following: false,
  diffMoment: undefined,
  sameVersion: false,
  stateSearch: '',
  showsInputs: false,
  speed: 1,
  unit: 'record',
  lanes: { order: [], collapsed: [], pinned: [] },
  sizes: { timeline: 216, stream: 0.54 },
};

const initialState: AppState = {
  view: initialView,
  session: emptySession,
  records: 0,
  range: { from: 0, to: 0 },
  hasInputs: false,
  saved: 0,
  epoch: 0,
  isReady: false,
  playing: false,
  isBackwards: false,
  moment: undefined,
  error: undefined,
  notice: undefined,
  keysOpen: false,
  saveOpen: false,
};

/** What passes over inputs where they are not wanted, and over nothing else. */
export function shownRecords({ view, hasInputs }: AppState): string {
  return hasInputs && !view.showsInputs ? withoutInputs('') : '';
}

/** The filter that rows and steps go by: that of the user, without inputs unless they are wanted. */
export function streamFilter({ view, hasInputs }: AppState): string {
  return hasInputs && !view.showsInputs ? withoutInputs(view.filter) : view.filter;
}

let state = initialState;
const listeners = new Set<() => void>();

export function getState(): AppState {
  return state;
}

export function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Changes the state; a recipe that changes nothing wakes nobody. */
export function update(recipe: (draft: Draft<AppState>) => void): void {
  const next = produce(state, (draft: unknown) => recipe(draft as Draft<AppState>));
  if (next === state) return;
  state = next;
  for (const listener of [...listeners]) listener();
}

/** As it was at load; for tests and for a host that goes away. */
export function resetState(): void {
  state = initialState;
  for (const listener of [...listeners]) listener();
}

/** Reads a part of the state. `select` must return something stable: a part of the state, or a primitive. */
export function useApp<T>(select: (state: AppState) => T): T {
  return useSyncExternalStore(subscribe, () => select(state));
}

/** Reads a part of what the views share. `select` as in {@link useApp}. */
export function useView<T>(select: (view: ViewState) => T): T {
  return useSyncExternalStore(subscribe, () => select(state.view));
}

// What can be done to it

function clamp(position: number): number {
  return Math.max(-1, Math.min(position, state.records - 1));
}

/** Selects a record and moves the playhead there. Following live ends, unless this is the newest record being followed. */
export function goTo(position: number): void {
  update((draft) => {
    const target = clamp(position);
    draft.view.playhead = target;
    draft.view.selection = target >= 0 ? target : undefined;
    draft.view.following = false;
    draft.moment = undefined;
  });
}

/** To a record that the capture has told of, which may be newer than the growth that was heard of so far. */
export function goToFound(position: number): void {
  update((draft) => {
    draft.records = Math.max(draft.records, position + 1);
  });
  goTo(position);
}

/** Moves only the playhead, as a drag on the timeline does; the selection stays. `moment` where it stands behind its record. */
export function movePlayhead(position: number, moment?: number): void {
  update((draft) => {
    draft.view.playhead = clamp(position);
    draft.view.following = false;
    draft.moment = moment;
  });
}

/** Selects a record without moving the playhead. */
export function select(position: number | undefined): void {
  update((draft) => {
    draft.view.selection = position === undefined ? undefined : clamp(position);
  });
}

/** Keeps the playhead at the newest record from now on. */
export function follow(following = true): void {
  update((draft) => {
    draft.view.following = following;
    if (following) {
      draft.view.playhead = draft.records - 1;
      draft.playing = false;
      draft.moment = undefined;
    }
  });
}

export function setPair(left: ReplicaId | undefined, right: ReplicaId | undefined): void {
  update((draft) => {
    draft.view.left = left;
    draft.view.right = right;
  });
}

export function setTab(tab: TabName): void {
  update((draft) => {
    draft.view.tab = tab;
  });
}

/** The time window of the timeline, clamped to the capture; undefined shows all of it. */
export function setZoom(zoom: TimeRange | undefined): void {
  update((draft) => {
    draft.view.zoom = zoom && { from: zoom.from, to: zoom.to };
  });
}

export function setFilter(filter: string): void {
  update((draft) => {
    draft.view.filter = filter;
  });
}

/** The capture has grown: the playhead goes along where it follows. */
export function grow(records: number, range: TimeRange): void {
  update((draft) => {
    // What was found in it may be newer than the last growth that was told.
    draft.records = Math.max(draft.records, records);
    draft.range.from = range.from;
    draft.range.to = range.to;
    if (draft.view.following) draft.view.playhead = draft.records - 1;
  });
}

/** Shows a sentence about something that was just done or has failed; undefined takes it away. */
export function notify(notice: string | undefined): void {
  update((draft) => {
    draft.notice = notice;
  });
}
