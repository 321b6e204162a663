import type { Marker, TimeRange } from '@syncscope/protocol/capture';
import type { ReplicaId } from '@syncscope/protocol/state';
import { getState, goTo, movePlayhead, setZoom, subscribe, update } from '../app/store.ts';
import { goToMarker } from '../app/transport.ts';
import type { RemoteQuery } from '../rpc/index.ts';
import { describeHit, describeView } from './describe.ts';
import type { Frames } from './frame.ts';
import type { Hit } from './hit.ts';
import { type LaneBox, lanesHeight, layoutLanes, orderLanes } from './lane-layout.ts';
import { createLanesView } from './lanes-view.ts';
import { latest } from './latest.ts';
import { createOverviewBrush } from './overview-brush.ts';
import { createOverviewView } from './overview-view.ts';
import { readPalette, watchTheme } from './palette.ts';
import { attachPointer } from './pointer.ts';
import { clampRange, fitRange, focusSpan, followRange, revealTime, zoomRange } from './scale.ts';
import { RULER_HEIGHT } from './scene.ts';
import { createSources, type TimelineData } from './sources.ts';
import { createTooltip } from './tooltip.ts';

/** The elements that the controller draws on and moves. React makes them and then leaves them alone. */
export interface TimelineElements {
  readonly root: HTMLElement;
  readonly overview: HTMLCanvasElement;
  readonly brush: SVGSVGElement;
  readonly overviewPlayhead: HTMLElement;
  readonly lanes: HTMLCanvasElement;
  readonly playhead: HTMLElement;
  readonly tooltip: HTMLElement;
  /** Scrolls where there are more lanes than room. */
  readonly gutter: HTMLElement;
  /** A sentence on what is shown, for screen readers. */
  readonly description: HTMLElement;
}

/** What React shows of the timeline: seldom changes. */
export interface TimelineModel {
  readonly boxes: readonly LaneBox[];
  readonly ordered: readonly ReplicaId[];
  readonly error: unknown;
}

export interface TimelineController {
  readonly data: TimelineData;
  zoomBy(factor: number): void;
  panBy(share: number): void;
  showAll(): void;
  focusLane(step: 1 | -1): ReplicaId | undefined;
  /** The keyboard has gone elsewhere: no lane is focused. */
  leaveLanes(): void;
  /** Goes to the glyph nearest to the playhead on the focused lane. */
  pickOnLane(): void;
  dispose(): void;
}

const OVERVIEW_HEIGHT = 28;
const KEYBOARD_LANE_MARGIN = 4;

/**
 * Connects store, capture and canvases, with nothing of React in between: a change of the store or an answer
 * of the capture marks what it touches, and the next frame draws it.
 *
 * @param show is told the lanes whenever they or their order change.
 * @param showStatus is told, at most once a frame, that `data.status` changed.
 */
export function createTimeline(
  elements: TimelineElements,
  remote: RemoteQuery,
  frames: Frames,
  show: (model: TimelineModel) => void,
  showStatus: (data: TimelineData) => void,
): TimelineController {
  const abort = new AbortController();
  let boxes: readonly LaneBox[] = [];
  let ordered: readonly ReplicaId[] = [];
  let error: unknown;
  let focusedLane: ReplicaId | undefined;
  let isNarrowedOnce = false;
  let wasFollowing = getState().view.following;
  let shown: TimeRange = { from: 0, to: 1 };
  let revealedPlayhead: number | undefined;
  /** While the playhead is dragged it is where the pointer is, and the records follow. */
  let dragTime: number | undefined;

  const palette = readPalette(elements.root);
  const ratio = window.devicePixelRatio || 1;
  const lanesView = createLanesView(
    elements.lanes,
    {
      width: 0,
      height: 0,
      ratio,
      scroll: 0,
      view: shown,
      bounds: { from: 0, to: 1 },
      lanes: [],
      replicas: [],
      window: undefined,
      isLate: false,
      markers: [],
      highlight: undefined,
      palette,
      hovered: undefined,
      focusedLane: undefined,
    },
    frames,
  );
  const overviewView = createOverviewView(
    elements.overview,
    {
      width: 0,
      height: OVERVIEW_HEIGHT,
      ratio,
      whole: { from: 0, to: 1 },
      overview: undefined,
      markers: [],
      palette,
    },
    frames,
  );
  const brush = createOverviewBrush(elements.brush, chooseZoom, (time) => {
    const span = shown.to - shown.from;
    chooseZoom({ from: time - span / 2, to: time + span / 2 });
  });

  const tooltip = createTooltip(elements.tooltip);

  const sources = createSources(
    remote.until(abort.signal),
    (part) => {
      switch (part) {
        case 'info':
          layout();
          break;
        case 'window':
          lanesView.update({ window: sources.data.window });
          break;
        case 'isLate':
          lanesView.update({ isLate: sources.data.isLate });
          break;
        case 'overview':
          overviewView.update({ overview: sources.data.overview });
          break;
        case 'markers':
          lanesView.update({ markers: sources.data.markers });
          overviewView.update({ markers: sources.data.markers });
          break;
        case 'highlight':
          lanesView.update({ highlight: sources.data.highlight });
          break;
        case 'status':
          frames.request(tellStatus);
          break;
        case 'playheadTime':
          frames.request(placePlayhead);
          break;
        default:
          part satisfies never;
      }
      if (error !== undefined) setError(undefined);
    },
    setError,
  );

  function setError(next: unknown): void {
    error = next;
    show({ boxes, ordered, error });
  }

  /** The part of the capture on screen: all of it, what was zoomed to, or the newest end of that span. */
  function shownRange(): TimeRange {
    const { view, range } = getState();
    if (!view.zoom) return fitRange(range);
    return view.following ? followRange(view.zoom, range) : clampRange(view.zoom, range);
  }

  function sync(): void {
    const { view, range, session, records } = getState();
    if (wasFollowing && !view.following && view.zoom) {
      // What was followed to stays on screen; the remembered window is from before.
      wasFollowing = false;
      setZoom(shown);
      return;
    }
    wasFollowing = view.following;
    if (session.source === 'live' && view.following && !view.zoom && !isNarrowedOnce && lanesView.state.width > 0) {
      const span = focusSpan(range, records, lanesView.state.width);
      if (range.to - range.from > span) {
        isNarrowedOnce = true;
        setZoom({ from: range.to - span, to: range.to });
        return;
      }
    }
    shown = shownRange();
    lanesView.update({ view: shown, bounds: range });
    overviewView.update({ whole: fitRange(range) });
    sources.wantPlayhead(view.playhead);
    sources.wantHighlight(view.selection);
    if (records > 0) frames.request(ask);
    frames.request(placePlayhead);
    frames.request(placeBrush);
    if (arrangement !== view.lanes) layout();
  }

  let arrangement = getState().view.lanes;
  function layout(): void {
    arrangement = getState().view.lanes;
    const replicas = sources.data.info?.replicas ?? [];
    const next = orderLanes(replicas, arrangement);
    const isSameOrder = next.length === ordered.length && next.every((replica, index) => replica === ordered[index]);
    const room = lanesView.state.height - RULER_HEIGHT;
    const nextBoxes = layoutLanes(next, arrangement, room);
    lanesView.update({ replicas });
    if (isSameOrder && JSON.stringify(nextBoxes) === JSON.stringify(boxes)) return;
    ordered = next;
    boxes = nextBoxes;
    lanesView.update({ lanes: boxes });
    show({ boxes, ordered, error });
    frames.request(tellStatus);
  }

  const ask = (): void => {
    const { range } = getState();
    const { width } = lanesView.state;
    sources.wantWhole(fitRange(range), overviewView.state.width, range);
    sources.wantLanes(shown, width);
  };

  const tellStatus = (): void => {
    showStatus(sources.data);
    describe();
  };

  function describe(): void {
    const { view } = getState();
    const text = describeView(shown, view.zoom === undefined, sources.data.playheadTime, sources.data.status);
    if (elements.description.textContent !== text) elements.description.textContent = text;
  }

  const placePlayhead = (): void => {
    const { view, range } = getState();
    const time = dragTime ?? (view.following ? range.to : view.playhead < 0 ? range.from : sources.data.playheadTime);
    if (time === undefined) return;
    // The row's own time: `time` may still be that of the record before, until the answer for this one is here.
    const row = view.playhead === revealedPlayhead ? undefined : sources.rows.peek(view.playhead);
    if (row && dragTime === undefined) {
      revealedPlayhead = view.playhead;
      const next = view.zoom && !view.following ? revealTime(shown, row.time, range) : shown;
      if (next !== shown) setZoom(next);
    }
    const { width } = lanesView.state;
    place(elements.playhead, time, shown, width);
    place(elements.overviewPlayhead, time, overviewView.state.whole, overviewView.state.width);
  };

  function place(element: HTMLElement, time: number, range: TimeRange, width: number): void {
    const x = ((time - range.from) / Math.max(1, range.to - range.from)) * width;
    element.hidden = !(x >= -1 && x <= width + 1);
    element.style.transform = `translateX(${Math.round(x)}px)`;
  }

  const placeBrush = (): void => {
    const { whole, width, height } = overviewView.state;
    brush.show(whole, shown, getState().view.zoom === undefined, width, height);
  };

  /** Takes a window that the user asked for. Everything is the same as no window at all. */
  function chooseZoom(next: TimeRange | undefined): void {
    const { range, view } = getState();
    isNarrowedOnce = true;
    if (!next) {
      setZoom(undefined);
      return;
    }
    const clamped = clampRange(next, range);
    const whole = fitRange(range);
    const isWhole = clamped.from <= whole.from && clamped.to >= whole.to;
    // A window away from the newest record cannot follow it.
    if (view.following && !isWhole && clamped.to < range.to) stopFollowing();
    setZoom(isWhole ? undefined : clamped);
  }

  function stopFollowing(): void {
    wasFollowing = false;
    update((draft) => {
      draft.view.following = false;
    });
  }

  function zoomAt(time: number, factor: number): void {
    const { range, view } = getState();
    const anchor = view.following ? shown.to : time;
    const next = zoomRange(shown, anchor, factor, range);
    if (view.following && view.zoom) {
      isNarrowedOnce = true;
      const whole = fitRange(range);
      setZoom(next.to - next.from >= whole.to - whole.from ? undefined : next);
      return;
    }
    chooseZoom(next);
  }

  const seek = latest(
    async (time: number) => remote.until(abort.signal).positionAt(Math.round(time)),
    (position) => movePlayhead(position),
    setError,
  );

  /** Far out a problem is known by kind and time only: the marker or record there is looked up. */
  async function goToProblem(time: number): Promise<void> {
    try {
      const query = remote.until(abort.signal);
      const before = await query.positionAt(Math.floor(time) - 1);
      const marker = await query.nextMarker(before, 1);
      if (marker) await goToMarker(query, marker);
      else goTo(before);
    } catch (cause) {
      if (!abort.signal.aborted) setError(cause);
    }
  }

  async function open(marker: Marker): Promise<void> {
    try {
      await goToMarker(remote.until(abort.signal), marker);
    } catch (cause) {
      if (!abort.signal.aborted) setError(cause);
    }
  }

  function choose(hit: Hit | undefined, time: number): void {
    if (hit?.type === 'marker') {
      void open(hit.cluster.marker);
      return;
    }
    if (hit && 'position' in hit) {
      if (hit.position !== undefined) goTo(hit.position);
      else if (hit.type === 'point') void goToProblem(hit.cluster.time);
      return;
    }
    seek.want(time);
  }

  function hover(hit: Hit | undefined, x: number, y: number): void {
    const position = hit && 'position' in hit ? hit.position : undefined;
    lanesView.update({ hovered: position });
    const { scene } = lanesView;
    const lines = hit && scene ? describeHit(hit, scene, x, y) : [];
    tooltip.show(lines, x, y, lanesView.state);
    // A marker tells of itself what there is to tell, but for what is too frequent to be read beforehand.
    if (position === undefined || (hit?.type === 'marker' && hit.cluster.kind !== 'rollback')) return;
    const known = sources.rows.peek(position);
    const tell = (summary: string): void =>
      tooltip.show([...lines.slice(0, 1), summary, ...lines.slice(1)], x, y, lanesView.state);
    if (known) tell(known.summary);
    else {
      sources.rows.at(position).then(
        (row) => {
          if (row && lanesView.state.hovered === position) tell(row.summary);
        },
        () => undefined, // The tooltip then says what is known without it.
      );
    }
  }

  const pointer = attachPointer(elements.lanes, frames, {
    hit: (x, y) => lanesView.hit(x, y),
    isPlayhead: (x) => !elements.playhead.hidden && Math.abs(x - playheadX()) <= 4,
    range: () => shown,
    width: () => lanesView.state.width,
    hover,
    choose,
    pan(range) {
      if (getState().view.zoom) chooseZoom(range);
    },
    zoom: zoomAt,
    drag(time) {
      dragTime = Math.min(Math.max(time, getState().range.from), getState().range.to);
      seek.want(dragTime);
      frames.request(placePlayhead);
    },
    drop() {
      dragTime = undefined;
      revealedPlayhead = getState().view.playhead;
      frames.request(placePlayhead);
    },
    scroll(by) {
      elements.gutter.scrollTop += by;
    },
  });

  function playheadX(): number {
    const time = dragTime ?? (getState().view.following ? getState().range.to : sources.data.playheadTime);
    return time === undefined ? Number.NaN : ((time - shown.from) / (shown.to - shown.from)) * lanesView.state.width;
  }

  const onScroll = (): void => lanesView.update({ scroll: elements.gutter.scrollTop });
  elements.gutter.addEventListener('scroll', onScroll, { passive: true });

  const resize = new ResizeObserver(() => {
    const plot = elements.lanes.parentElement?.getBoundingClientRect();
    const strip = elements.overview.parentElement?.getBoundingClientRect();
    const nextRatio = window.devicePixelRatio || 1;
    if (plot) lanesView.update({ width: Math.floor(plot.width), height: Math.floor(plot.height), ratio: nextRatio });
    if (strip) overviewView.update({ width: Math.floor(strip.width), ratio: nextRatio });
    layout();
    sync();
  });
  for (const element of [elements.lanes.parentElement, elements.overview.parentElement]) {
    if (element) resize.observe(element);
  }
  const unwatch = watchTheme(() => {
    const next = readPalette(elements.root);
    lanesView.update({ palette: next });
    overviewView.update({ palette: next });
  });
  const unsubscribe = subscribe(sync);
  sync();

  return {
    get data() {
      return sources.data;
    },
    zoomBy(factor) {
      const time = sources.data.playheadTime;
      const isSeen = time !== undefined && time >= shown.from && time <= shown.to;
      zoomAt(isSeen ? time : (shown.from + shown.to) / 2, factor);
    },
    panBy(share) {
      const by = (shown.to - shown.from) * share;
      chooseZoom({ from: shown.from + by, to: shown.to + by });
    },
    showAll: () => chooseZoom(undefined),
    focusLane(step) {
      const index = focusedLane ? ordered.indexOf(focusedLane) : step > 0 ? -1 : ordered.length;
      focusedLane = ordered[Math.min(Math.max(index + step, 0), ordered.length - 1)];
      lanesView.update({ focusedLane });
      const box = boxes.find((one) => one.replica === focusedLane);
      if (box) keepInView(box);
      return focusedLane;
    },
    leaveLanes() {
      focusedLane = undefined;
      lanesView.update({ focusedLane });
    },
    pickOnLane() {
      const near = lanesView.scene?.clusters
        .filter((cluster) => cluster.replica === focusedLane)
        .sort((a, b) => Math.abs(a.x - playheadX()) - Math.abs(b.x - playheadX()))[0];
      if (near?.position !== undefined) goTo(near.position);
      else if (near) void goToProblem(near.time);
    },
    dispose() {
      abort.abort();
      unsubscribe();
      unwatch();
      resize.disconnect();
      elements.gutter.removeEventListener('scroll', onScroll);
      pointer.dispose();
      brush.dispose();
      seek.dispose();
      sources.dispose();
      lanesView.dispose();
      overviewView.dispose();
      for (const task of [ask, tellStatus, placePlayhead, placeBrush]) frames.cancel(task);
    },
  };

  function keepInView(box: LaneBox): void {
    const { gutter } = elements;
    const room = lanesView.state.height - RULER_HEIGHT;
    if (box.top < gutter.scrollTop) gutter.scrollTop = box.top - KEYBOARD_LANE_MARGIN;
    else if (box.top + box.height > gutter.scrollTop + room) {
      gutter.scrollTop = Math.min(box.top + box.height - room + KEYBOARD_LANE_MARGIN, lanesHeight(boxes) - room);
    }
  }
}
