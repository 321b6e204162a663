import type {
  CaptureInfo,
  CaptureQuery,
  CaptureStatus,
  LanesWindow,
  Marker,
  Overview,
  Row,
  TimeRange,
} from '@syncscope/protocol/capture';
import { type CaptureRows, captureRows, markOf } from './capture-rows.ts';
import { latest } from './latest.ts';
import { covers, type WindowRequest, windowFor } from './scale.ts';
import type { Highlight } from './scene.ts';

/** What the timeline knows of the capture. All of it for the range and the resolution that is shown. */
export interface TimelineData {
  readonly info?: CaptureInfo;
  readonly overview?: Overview;
  readonly window?: LanesWindow;
  /** The window for what is on screen is long in coming. */
  readonly isLate: boolean;
  readonly markers: readonly Marker[];
  readonly status?: CaptureStatus;
  readonly highlight?: Highlight;
  readonly playheadTime?: number;
}

export interface TimelineSources {
  readonly data: TimelineData;
  readonly rows: CaptureRows;
  /** Asks for lanes where what is held does not show `view` or has been outgrown. */
  wantLanes(view: TimeRange, width: number): void;
  /** The capture now has this extent: what spans it all is asked for again. */
  wantWhole(whole: TimeRange, width: number, bounds: TimeRange): void;
  wantPlayhead(position: number): void;
  wantHighlight(selection: number | undefined): void;
  dispose(): void;
}

/** Most markers that are asked for; the most severe come first where there are more. */
const MARKERS_MAX = 20_000;
/** Records drawn singly for each pixel, beyond which there is density. */
const SINGLES_PER_PIXEL = 1.5;
/** Most causes, and effects, that are highlighted. */
const RELATED_MAX = 24;
/** A window that comes sooner is not worth a sign, milliseconds. */
const LATE_AFTER = 150;
/** While the capture grows, what spans all of it is asked for this seldom, milliseconds. */
const WHOLE_EVERY = 250;

interface WholeQuestion {
  readonly whole: TimeRange;
  readonly width: number;
}

/** Asks for all that the timeline shows, one question of a sort at a time. `changed` is called after each answer. */
export function createSources(
  query: CaptureQuery,
  changed: (part: keyof TimelineData) => void,
  fail: (error: unknown) => void,
): TimelineSources {
  let data: TimelineData = { markers: [], isLate: false };
  let held: (WindowRequest & { readonly knownTo: number }) | undefined;
  let bounds: TimeRange = { from: 0, to: 0 };
  let wanted: WholeQuestion = { whole: { from: 0, to: 0 }, width: 0 };
  let nextWhole: ReturnType<typeof setTimeout> | undefined;
  const rows = captureRows(query);

  const put = (part: Partial<TimelineData>): void => {
    data = { ...data, ...part };
    for (const key of Object.keys(part) as Array<keyof TimelineData>) changed(key);
  };

  const lanes = latest(
    async ({ request, limit }: { request: WindowRequest; limit: number }) => {
      const knownTo = bounds.to;
      return { window: await query.lanes(request.range, request.buckets, limit), knownTo };
    },
    ({ window, knownTo }, { request }) => {
      held = { ...request, knownTo };
      const isThere = shown !== undefined && covers(held, shown.view, shown.width);
      if (isThere) awaitNothing();
      put({ window, ...(isThere && data.isLate ? { isLate: false } : {}) });
    },
    (error) => {
      awaitNothing();
      if (data.isLate) put({ isLate: false });
      fail(error);
    },
  );

  /** What is on screen, where it was asked for and is not there yet. */
  let shown: { readonly view: TimeRange; readonly width: number } | undefined;
  let lateTimer: ReturnType<typeof setTimeout> | undefined;
  const awaitNothing = (): void => {
    clearTimeout(lateTimer);
    lateTimer = undefined;
    shown = undefined;
  };

  const whole = latest(
    async ({ whole: range, width }: WholeQuestion) => {
      const [info, overview] = await Promise.all([query.info(), query.overview(range, Math.max(1, Math.round(width)))]);
      return { info, overview };
    },
    (answer, { whole: range }) => {
      put(answer);
      // After the lanes are there: markers are told in words, which takes reading them.
      markers.want(range);
    },
    fail,
  );

  const markers = latest(
    async (range: TimeRange) => (await query.markers(range, MARKERS_MAX)).markers,
    (answer) => put({ markers: answer }),
    fail,
  );

  const askWhole = (): void => {
    clearTimeout(nextWhole);
    nextWhole = undefined;
    if (wanted.width > 0) whole.want(wanted);
  };

  const playhead = latest(
    async (position: number) => {
      const [status, row] = await Promise.all([query.status(position), rows.at(position)]);
      return { status, playheadTime: row?.time };
    },
    ({ status, playheadTime }) => put({ status, ...(playheadTime === undefined ? {} : { playheadTime }) }),
    fail,
  );

  const highlight = latest(
    async (position: number | undefined): Promise<Highlight | undefined> => {
      if (position === undefined || position < 0) return undefined;
      const [selected, related] = await Promise.all([rows.at(position), query.related(position)]);
      if (!selected) return undefined;
      const marks = async (positions: readonly number[]) =>
        (await Promise.all(positions.slice(0, RELATED_MAX).map((other) => rows.at(other))))
          .filter((row): row is Row => row !== undefined)
          .map(markOf);
      const [causes, effects] = await Promise.all([marks(related.causes), marks(related.effects)]);
      return { selected: markOf(selected), causes, effects };
    },
    (answer) => {
      const { highlight: _, ...rest } = data;
      data = answer ? { ...rest, highlight: answer } : rest;
      changed('highlight');
    },
    fail,
  );

  let wantedPosition: number | undefined;
  let wantedSelection: number | undefined | null = null;
  return {
    get data() {
      return data;
    },
    rows,
    wantLanes(view, width) {
      if (width <= 0) return;
      const isOutgrown = held !== undefined && bounds.to > held.knownTo && view.to > held.knownTo;
      const isThere = held !== undefined && covers(held, view, width);
      if (isThere) {
        awaitNothing();
        if (data.isLate) put({ isLate: false });
      }
      if (isThere && !isOutgrown) return;
      if (!isThere) {
        shown = { view, width };
        lateTimer ??= setTimeout(() => put({ isLate: true }), LATE_AFTER);
      }
      const request = windowFor(view, width);
      // More is asked for than is seen, so that panning finds it there.
      const views = (request.range.to - request.range.from) / Math.max(view.to - view.from, 1);
      lanes.want({ request, limit: Math.ceil(width * SINGLES_PER_PIXEL * views) });
    },
    wantWhole(range, width, nextBounds) {
      bounds = nextBounds;
      const isResized = wanted.width !== width;
      if (!isResized && wanted.whole.from === range.from && wanted.whole.to === range.to) return;
      wanted = { whole: range, width };
      if (isResized) askWhole();
      else nextWhole ??= setTimeout(askWhole, WHOLE_EVERY);
    },
    wantPlayhead(position) {
      if (position === wantedPosition) return;
      wantedPosition = position;
      playhead.want(position);
    },
    wantHighlight(selection) {
      if (selection === wantedSelection) return;
      wantedSelection = selection;
      highlight.want(selection);
    },
    dispose() {
      clearTimeout(nextWhole);
      clearTimeout(lateTimer);
      for (const source of [lanes, whole, markers, playhead, highlight]) source.dispose();
    },
  };
}
