import type { CaptureInfo, Marker, TimeRange } from '@syncscope/protocol/capture';
import { unreachable } from '@syncscope/protocol/errors';
import type { HostEvent, SessionState } from '../rpc/index.ts';
import { toWireError } from '../rpc/index.ts';
import { focusSpan } from '../timeline/scale.ts';
import type { InspectorHost } from './host.ts';
import { firstDivergence } from './last-divergence.ts';
import { readSavedView, viewFor } from './persist.ts';
import { follow, getState, goTo, grow, notify, setPair, setZoom, subscribe, update, type ViewState } from './store.ts';
import { goToVerdict, lastShown } from './transport.ts';

const GROW_EVERY_MS = 100;
const SAVE_AFTER_MS = 250;
/** Of the lanes, CSS pixels, before they are there to be measured. */
const TYPICAL_WIDTH = 1_000;

/** The host, and what it has told that could not be shown yet. */
interface Joined {
  readonly host: InspectorHost;
  /** The view as it was remembered. */
  readonly saved: ViewState | undefined;
  growth: { readonly records: number; readonly range: TimeRange } | undefined;
  growthTimer: ReturnType<typeof setTimeout> | undefined;
  /** Record that was chosen outside, while there is no capture to go to it in. */
  wanted: number | undefined;
}

/** Joins the shared state to the host: its events come in, the view goes out to be remembered. Returns what ends it. */
export function runSession(host: InspectorHost): () => void {
  const saved = readSavedView(host.load());
  const joined: Joined = { host, saved, growth: undefined, growthTimer: undefined, wanted: undefined };
  const stopEvents = host.remote.onEvent((event) => void take(joined, event));
  const stopSaving = remember(host);
  host.start();
  return () => {
    clearTimeout(joined.growthTimer);
    stopEvents();
    stopSaving();
  };
}

async function take(joined: Joined, event: HostEvent): Promise<void> {
  switch (event.event) {
    case 'session':
      return takeSession(joined, event.session);
    case 'grow':
      joined.growth = { records: event.records, range: event.range };
      joined.growthTimer ??= setTimeout(() => {
        joined.growthTimer = undefined;
        growNow(joined);
      }, GROW_EVERY_MS);
      return;
    case 'reveal':
      joined.wanted = event.position;
      return goWhereWanted(joined);
    case 'error':
      return update((draft) => {
        draft.error = event.error;
      });
    default:
      unreachable(event);
  }
}

/** Growth comes with every frame; views that ask again at that pace would show nothing but flicker. */
function growNow(joined: Joined): void {
  const { growth, host } = joined;
  if (!growth || !getState().isReady) return;
  joined.growth = undefined;
  grow(growth.records, growth.range);
  void completePair(host);
  void noticeInputs(host);
}

/** To the record that was chosen outside; not before the view is set up, which would put it back to where it was. */
async function goWhereWanted(joined: Joined): Promise<void> {
  const { wanted, host } = joined;
  if (wanted === undefined || !getState().isReady) return;
  joined.wanted = undefined;
  await goToVerdict(host.remote, wanted);
}

/** A live session may be attached to before any replica has been seen. */
async function completePair(host: InspectorHost): Promise<void> {
  const { view, epoch } = getState();
  if (view.left !== undefined && view.right !== undefined && view.left !== view.right) return;
  try {
    const info = await host.remote.info();
    if (getState().epoch === epoch) choosePair(info, info.header.authority);
  } catch {
    // Asked again with the next growth, and by then it may be there.
  }
}

/** Whether there are inputs among the records: where there are any, they begin near the first, and one look is enough. */
async function findInputs(host: InspectorHost): Promise<boolean> {
  const { total } = await host.remote.rowsSoFar('kind:inputs', 0, 1);
  return total > 0;
}

/** A live session may write down its inputs from later on. */
async function noticeInputs(host: InspectorHost): Promise<void> {
  const { hasInputs, epoch } = getState();
  if (hasInputs) return;
  try {
    const found = await findInputs(host);
    if (!found || getState().epoch !== epoch) return;
    update((draft) => {
      draft.hasInputs = true;
    });
  } catch {
    // Asked again with the next growth.
  }
}

function isOpen({ state }: SessionState): boolean {
  return state === 'open' || state === 'closed';
}

function isNewCapture(before: SessionState, next: SessionState): boolean {
  return next.state === 'open' && (!isOpen(before) || before.place !== next.place || before.title !== next.title);
}

async function takeSession(joined: Joined, session: SessionState): Promise<void> {
  const { host } = joined;
  const before = getState().session;
  const isNew = isNewCapture(before, session);
  if (isNew) {
    joined.growth = undefined;
    // What was chosen before anything was open is in what opens now.
    if (isOpen(before)) joined.wanted = undefined;
  }
  update((draft) => {
    draft.session = { ...session, targets: [...session.targets] };
    if (session.state === 'opening') {
      draft.isReady = false;
      draft.error = undefined;
    }
    if (isNew) {
      draft.isReady = false;
      draft.saved = 0;
      draft.epoch++;
    }
  });
  if (!isNew) return;
  const { epoch } = getState();
  try {
    const [info, hasInputs] = await Promise.all([host.remote.info(), findInputs(host)]);
    if (getState().epoch !== epoch) return;
    update((draft) => {
      draft.hasInputs = hasInputs;
    });
    await openView(joined, info);
  } catch (error) {
    if (getState().epoch !== epoch) return;
    update((draft) => {
      draft.error = toWireError(error);
    });
  }
}

/** Restores the view for this capture, or sets one up: live follows, a file starts at its first divergence. */
async function openView(joined: Joined, info: CaptureInfo): Promise<void> {
  const { host, saved } = joined;
  const { sessionId, authority } = info.header;
  const current = getState().view;
  const remembered = current.sessionId === '' ? saved : current;
  const view = viewFor(sessionId, remembered, info.records);
  // A session that is attached to anew begins where it is now: what was looked at before is not in it.
  const isAnew = info.isGrowing && (remembered?.playhead ?? -1) >= info.records;
  const isKnown = !isAnew && view.sessionId === sessionId && (view.playhead >= 0 || view.selection !== undefined);
  update((draft) => {
    Object.assign(draft.view, view);
    if (isAnew) Object.assign(draft.view, { zoom: undefined, selection: undefined, diffMoment: undefined });
    draft.records = info.records;
    draft.range = { ...info.range };
    draft.isReady = true;
  });
  choosePair(info, authority);
  if (isAnew) notify('This capture begins anew: what was shown before is gone, unless it was saved.');
  growNow(joined);
  if (joined.wanted !== undefined) return goWhereWanted(joined);
  if (info.isGrowing) {
    if (!isKnown || view.following) follow();
    return;
  }
  if (isKnown) return;
  const mark = await host.remote.nextMarker(-1, 1, 'desync');
  const { sessionId: present, selection } = getState().view;
  if (present !== sessionId || selection !== undefined) return;
  if (!mark) return goTo(await lastShown(host.remote));
  showMark(info, mark);
  // Shown at once, whatever it is; where it turns out to be no divergence and nobody has moved on, the first that is one.
  const first = await firstDivergence(host.remote);
  const { view: now } = getState();
  if (first && first.position !== mark.position && now.sessionId === sessionId && now.playhead === mark.position)
    showMark(info, first);
}

/** Selects a divergence of a file, with its pair, and near enough to see it. */
function showMark({ header, range, records }: CaptureInfo, { position, replica, time }: Marker): void {
  goTo(position);
  if (header.authority !== null) setPair(replica, header.authority);
  const span = focusSpan(range, records, TYPICAL_WIDTH);
  if (range.to - range.from > 2 * span) setZoom({ from: time - span / 2, to: time + span / 2 });
}

/** Until the user chooses: the first client against the authority, or the first two replicas. */
export function choosePair(info: CaptureInfo, authority: CaptureInfo['header']['authority']): void {
  const { left, right } = getState().view;
  const ids = info.replicas.map((replica) => replica.id);
  const reference = authority !== null && ids.includes(authority) ? authority : ids[0];
  const other = ids.find((id) => id !== reference);
  const isHere = (id: typeof left) => id !== undefined && ids.includes(id);
  setPair(isHere(left) ? left : (other ?? reference), isHere(right) ? right : reference);
}

function remember(host: InspectorHost): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let told = '';
  let stored = getState().view;
  const stop = subscribe(() => {
    const { view, isReady } = getState();
    if (!isReady || view === stored || timer !== undefined) return;
    timer = setTimeout(() => {
      timer = undefined;
      const now = getState().view;
      stored = now;
      host.store(now);
      const { playhead, selection, left, right } = now;
      const place = JSON.stringify([playhead, selection, left, right]);
      if (place === told || now.following) return;
      told = place;
      host.remote
        .command({
          command: 'setViewState',
          playhead,
          ...(selection === undefined ? {} : { selection }),
          ...(left === undefined ? {} : { left }),
          ...(right === undefined ? {} : { right }),
        })
        // Only a courtesy to hosts that show it elsewhere.
        .catch(() => {});
    }, SAVE_AFTER_MS);
  });
  return () => {
    stop();
    clearTimeout(timer);
  };
}
