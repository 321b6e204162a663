import { type CaptureQuery, encodeTraceRecord, LiveCapture } from '@syncscope/protocol/capture';
import { SyncError } from '@syncscope/protocol/errors';
import { replicaId, stateHash } from '@syncscope/protocol/state';
import { TRACE_VERSION, type TraceBody, type TraceHeader } from '@syncscope/protocol/trace';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { emptySession, portPair, type QueryServer, remoteQuery, type SessionState, serveQuery } from '../rpc/index.ts';
import type { InspectorHost } from './host.ts';
import { runSession } from './session.ts';
import {
  type AppState,
  getState,
  goTo,
  initialView,
  resetState,
  setTab,
  streamFilter,
  subscribe,
  update,
} from './store.ts';

const header: TraceHeader = {
  sessionId: 'session-1',
  title: 'Adventure',
  scenario: 'adventure',
  traceVersion: TRACE_VERSION,
  protocolVersion: 1,
  startedAt: 0,
  authority: replicaId('server'),
  build: 'test',
};

function append(capture: LiveCapture, seq: number, replica: string, body: TraceBody): void {
  capture.append(encodeTraceRecord({ seq, time: seq * 1_000_000, replica: replicaId(replica), cause: [], body }));
}

/** Server and two bots, and some lines. */
function capture(records = 10): LiveCapture {
  const live = new LiveCapture(header);
  append(live, 1, 'server', { kind: 'replica', role: 'server' });
  append(live, 2, 'bot-1', { kind: 'replica', role: 'client' });
  append(live, 3, 'bot-2', { kind: 'replica', role: 'client' });
  for (let seq = 4; seq <= records; seq++)
    append(live, seq, 'bot-1', { kind: 'log', level: 'info', text: `line ${seq}` });
  return live;
}

/** The same as a file: everything but growth. */
function asFile(live: LiveCapture): CaptureQuery {
  return new Proxy(live, {
    get(target, name) {
      if (name === 'onGrow') return undefined;
      if (name === 'info') return async () => ({ ...(await target.info()), isGrowing: false });
      const value = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
    has: (target, name) => name !== 'onGrow' && Reflect.has(target, name),
  });
}

/** Resolves when the state is as wanted. */
function until(isIt: (state: AppState) => boolean): Promise<AppState> {
  return new Promise((resolve) => {
    const look = () => {
      if (!isIt(getState())) return;
      stop();
      resolve(getState());
    };
    const stop = subscribe(look);
    look();
  });
}

const open: SessionState = { ...emptySession, state: 'open', title: 'Adventure', place: 'a.mcap' };

describe('a session in the inspector', () => {
  let server: QueryServer;
  let stop: () => void;
  let stored: unknown;

  function start(query: CaptureQuery | undefined, session: SessionState, saved?: unknown): void {
    const [near, far] = portPair();
    server = serveQuery(query, far, { session, onCommand: () => {} });
    const remote = remoteQuery(near);
    const host: InspectorHost = {
      name: 'vscode',
      remote,
      load: () => saved,
      store: (value) => {
        stored = value;
      },
      open: async () => {},
      copy: async () => {},
      openSource: async () => {},
      start: () => remote.ready(),
    };
    stop = runSession(host);
  }

  beforeEach(resetState);
  afterEach(() => {
    stop();
    server.close();
  });

  it('opens a file at its end where nothing diverged, with a pair chosen', async () => {
    start(asFile(capture()), open);
    const state = await until((one) => one.view.playhead >= 0);
    expect(state).toMatchObject({
      isReady: true,
      records: 10,
      view: { sessionId: 'session-1', playhead: 9, selection: 9, left: 'bot-1', right: 'server', following: false },
    });
  });

  it('opens a long file at its first divergence, near enough to see it', async () => {
    const long = capture(20_000);
    const own = stateHash('1'.repeat(16));
    const expected = stateHash('2'.repeat(16));
    append(long, 20_001, 'bot-2', { kind: 'mismatch', reason: 'root', version: 3, from: 3, to: 4, own, expected });
    for (let seq = 20_002; seq <= 40_000; seq++) append(long, seq, 'bot-1', { kind: 'log', level: 'info', text: '' });
    start(asFile(long), open);
    const { view, range } = await until((one) => one.view.zoom !== undefined);
    expect(view).toMatchObject({ playhead: 20_000, left: 'bot-2', right: 'server' });
    const { from, to } = view.zoom!;
    expect([from < 20_001e6, to > 20_001e6]).toEqual([true, true]);
    expect(to - from).toBeLessThan((range.to - range.from) / 2);
  });

  it('moves on from a mark that turns out to be no divergence', async () => {
    const live = capture(40);
    const own = stateHash('1'.repeat(16));
    const expected = stateHash('2'.repeat(16));
    const differs: TraceBody = { kind: 'mismatch', reason: 'root', version: 3, from: 3, to: 4, own, expected };
    append(live, 41, 'bot-1', differs);
    append(live, 42, 'bot-2', differs);
    let judge = () => {};
    const asked = new Promise<void>((resolve) => {
      judge = resolve;
    });
    const explained: CaptureQuery['explain'] = async (position) => {
      await asked;
      const at = { firstDifference: position, detected: position, sinceVersion: 3, time: 0 };
      const told = { sentence: '', reason: '', confirm: '', evidence: [], differences: [] };
      const who = { replica: replicaId('bot-1'), against: replicaId('server') };
      return position > 40
        ? undefined
        : { ...at, ...told, ...who, class: 'lost', confidence: 'high', verdict: 'refused-delta' };
    };
    const file = new Proxy(asFile(live), {
      get: (target, name) => (name === 'explain' ? explained : Reflect.get(target, name)),
      has: (target, name) => Reflect.has(target, name),
    });
    start(file, open);
    await until((one) => one.view.playhead === 40);
    judge();
    const { view } = await until((one) => one.view.left === 'bot-2');
    expect(view).toMatchObject({ playhead: 41, selection: 41, right: 'server' });
  });

  it('restores where the user was in the same session', async () => {
    const saved = {
      ...initialView,
      sessionId: 'session-1',
      playhead: 4,
      selection: 3,
      left: 'bot-2',
      right: 'server',
      tab: 'diff',
    };
    start(asFile(capture()), open, saved);
    const { view } = await until((one) => one.isReady && one.view.right !== undefined);
    expect(view).toMatchObject({ playhead: 4, selection: 3, left: 'bot-2', right: 'server', tab: 'diff' });
  });

  it('stores the view, and nothing that the capture says', async () => {
    start(asFile(capture()), open);
    await until((one) => one.view.playhead === 9);
    goTo(5);
    setTab('state');
    await expect.poll(() => stored).toMatchObject({ sessionId: 'session-1', playhead: 5, tab: 'state' });
    expect(Object.keys(stored as object).sort()).toEqual(Object.keys(initialView).sort());
  });

  it('passes over inputs as soon as there are some, and shows them where they are wanted', async () => {
    const live = capture();
    start(live, { ...open, source: 'live' });
    expect(streamFilter(await until((one) => one.view.following))).toBe('');
    append(live, 11, 'server', { kind: 'log', level: 'debug', text: `inputs= ${'A'.repeat(60)}` });
    await until((one) => one.hasInputs);
    expect(streamFilter(getState())).toBe('-kind:inputs');
    update((draft) => {
      draft.view.showsInputs = true;
    });
    expect(streamFilter(getState())).toBe('');
  });

  it('follows a live session as it grows', async () => {
    const live = capture();
    start(live, { ...open, source: 'live' });
    await until((one) => one.view.following && one.view.playhead === 9);
    for (let seq = 11; seq <= 30; seq++) append(live, seq, 'bot-2', { kind: 'log', level: 'info', text: 'more' });
    const state = await until((one) => one.records === 30);
    expect(state.view.playhead).toBe(29);
  });

  it('shows a session that is attached to anew from where it is now', async () => {
    const saved = {
      ...initialView,
      sessionId: 'session-1',
      playhead: 900,
      following: true,
      zoom: { from: 5e9, to: 9e9 },
    };
    start(new LiveCapture(header), { ...open, source: 'live' }, saved);
    const { view, notice } = await until((one) => one.notice !== undefined);
    expect([view.following, view.zoom]).toEqual([true, undefined]);
    expect(notice).toContain('begins anew');
  });

  it('chooses the pair as soon as there are replicas', async () => {
    const live = new LiveCapture(header);
    start(live, { ...open, source: 'live' });
    await until((one) => one.isReady);
    append(live, 1, 'server', { kind: 'replica', role: 'server' });
    append(live, 2, 'bot-7', { kind: 'replica', role: 'client' });
    const { view } = await until((one) => one.view.left === 'bot-7');
    expect(view.right).toBe('server');
  });

  it('starts afresh for another capture, with the same layout', async () => {
    start(asFile(capture()), open);
    await until((one) => one.view.playhead === 9);
    setTab('merkle');
    const { epoch } = getState();
    const other = new LiveCapture({ ...header, sessionId: 'session-2' });
    append(other, 1, 'server', { kind: 'replica', role: 'server' });
    server.replace(asFile(other), { ...open, title: 'Other', place: 'b.mcap' });
    const state = await until((one) => one.view.sessionId === 'session-2' && one.view.playhead >= 0);
    expect(state).toMatchObject({ records: 1, view: { playhead: 0, tab: 'merkle' } });
    expect(state.epoch).toBeGreaterThan(epoch);
  });

  it('keeps what is there when a live session ends', async () => {
    start(capture(), { ...open, source: 'live' });
    await until((one) => one.view.following);
    goTo(4);
    server.announce({ ...open, source: 'live', state: 'closed', note: 'the server ended' });
    const state = await until((one) => one.session.state === 'closed');
    expect(state).toMatchObject({ isReady: true, view: { playhead: 4 } });
  });

  it('goes where the host leads, and shows what the host says is wrong', async () => {
    start(asFile(capture()), open);
    await until((one) => one.view.playhead === 9);
    server.reveal(2);
    await until((one) => one.view.selection === 2);
    server.fail(new SyncError('CAPTURE_CUT', 'cut', { origin: 'capture', place: { offset: 7 } }));
    const state = await until((one) => one.error !== undefined);
    expect(state.error).toMatchObject({ code: 'CAPTURE_CUT', place: { offset: 7 } });
  });
});
