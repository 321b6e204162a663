import { type CaptureQuery, encodeTraceRecord, LiveCapture } from '@syncscope/protocol/capture';
import { replicaId, stateHash } from '@syncscope/protocol/state';
import type { TraceBody } from '@syncscope/protocol/trace';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { emptySession, portPair, type QueryServer, remoteQuery, type SessionState, serveQuery } from '../rpc/index.ts';
import type { InspectorHost } from './host.ts';
import { header } from './live-capture.test-helper.ts';
import { runSession } from './session.ts';
import { type AppState, getState, goTo, resetState, subscribe } from './store.ts';

/** A click outside of the page, on a record of a session that runs on: wherever it meets the page, it leads there and the page stays. */

const open: SessionState = { ...emptySession, state: 'open', source: 'live', title: 'Adventure', place: 'here' };
const differs = {
  kind: 'mismatch',
  reason: 'root',
  version: 3,
  from: 3,
  to: 4,
  own: stateHash('1'.repeat(16)),
  expected: stateHash('2'.repeat(16)),
} as const;

function append(capture: LiveCapture, replica: string, body: TraceBody): void {
  const seq = capture.records + 1;
  capture.append(encodeTraceRecord({ seq, time: seq * 1_000_000, replica: replicaId(replica), cause: [], body }));
}

function lines(capture: LiveCapture, count: number): void {
  for (let line = 0; line < count; line++) append(capture, 'bot-1', { kind: 'log', level: 'info', text: `${line}` });
}

/** A server, two bots, and ten lines. Growth is told when the test says so. */
function session(): { readonly live: LiveCapture; tellGrowth(): void } {
  const told: (() => void)[] = [];
  const live = new LiveCapture(header, { schedule: (run) => told.push(run) });
  append(live, 'server', { kind: 'replica', role: 'server' });
  append(live, 'bot-1', { kind: 'replica', role: 'client' });
  append(live, 'bot-2', { kind: 'replica', role: 'client' });
  lines(live, 10);
  return { live, tellGrowth: () => told.splice(0).forEach((tell) => void tell()) };
}

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

describe('a record that is chosen outside of the page', () => {
  let server: QueryServer;
  let stop = () => {};
  /** Loads the page: until then nobody hears what the host posts. */
  let load: () => void;

  function serve(query: CaptureQuery): void {
    const [near, far] = portPair();
    server = serveQuery(query, far, { session: open, onCommand: () => {} });
    load = () => {
      const remote = remoteQuery(near);
      const nothing = async () => {};
      const view = { load: () => undefined, store: () => {}, open: nothing, copy: nothing, openSource: nothing };
      const host: InspectorHost = { name: 'vscode', remote, ...view, start: () => remote.ready() };
      stop = runSession(host);
    };
  }

  beforeEach(resetState);
  afterEach(() => {
    stop();
    server.close();
  });

  it('is gone to by a page that is loaded only then', async () => {
    const { live } = session();
    serve(live);
    server.reveal(5);
    await Promise.resolve();
    load();
    const { view } = await until((one) => one.isReady && one.view.selection === 5);
    expect(view).toMatchObject({ playhead: 5, following: false, tab: 'cause' });
  });

  it('is gone to by a page that listens and is still being set up', async () => {
    const { live } = session();
    const asked = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    const slow = new Proxy(live, {
      get(target, name) {
        if (name !== 'info') {
          const value = Reflect.get(target, name);
          return typeof value === 'function' ? value.bind(target) : value;
        }
        return async () => {
          asked.resolve();
          await answered.promise;
          return target.info();
        };
      },
    });
    serve(slow);
    load();
    await asked.promise;
    server.reveal(5);
    // Later than the reveal, by the same way.
    server.announce({ ...open, note: 'told' });
    await until((one) => one.session.note === 'told');
    answered.resolve();
    const { view } = await until((one) => one.isReady && one.view.selection !== undefined);
    expect(view).toMatchObject({ selection: 5, playhead: 5, following: false });
  });

  it('is gone to before the page has heard that there are so many records, and stays when it hears', async () => {
    const { live, tellGrowth } = session();
    serve(live);
    load();
    await until((one) => one.view.following && one.view.playhead === 12);
    append(live, 'bot-2', differs);
    // What the page hears of late: as it was before, and then all.
    tellGrowth();
    lines(live, 5);
    append(live, 'bot-2', differs);
    server.reveal(19);
    const { view } = await until((one) => one.view.selection !== undefined);
    expect(view).toMatchObject({ selection: 19, playhead: 19, following: false });
    lines(live, 20);
    tellGrowth();
    const grown = await until((one) => one.records === live.records);
    expect(grown.view).toMatchObject({ selection: 19, playhead: 19, following: false });
  });

  it('stays, whatever comes in right behind it', async () => {
    const { live, tellGrowth } = session();
    append(live, 'bot-2', differs);
    serve(live);
    load();
    await until((one) => one.view.following);
    server.reveal(13);
    lines(live, 50);
    tellGrowth();
    await until((one) => one.records === live.records);
    lines(live, 50);
    tellGrowth();
    const { view } = await until((one) => one.records === live.records);
    expect(view).toMatchObject({ selection: 13, playhead: 13, following: false, left: 'bot-2', right: 'server' });
  });

  it('is the last of two, and so is the pair, though the first is explained later', async () => {
    const { live } = session();
    append(live, 'bot-1', differs);
    append(live, 'bot-2', differs);
    const first = Promise.withResolvers<void>();
    const explained = Promise.withResolvers<void>();
    const asked = new Proxy(live, {
      get(target, name) {
        const value = Reflect.get(target, name);
        if (name !== 'explain') return typeof value === 'function' ? value.bind(target) : value;
        return async (position: number) => {
          const answer = await target.explain(position);
          if (position === 13) await first.promise;
          else void Promise.resolve().then(explained.resolve);
          return answer;
        };
      },
    });
    serve(asked);
    load();
    await until((one) => one.view.following);
    server.reveal(13);
    server.reveal(14);
    await explained.promise;
    await until((one) => one.view.selection === 14 && one.view.left === 'bot-2');
    first.resolve();
    // Comes by the same way behind the late answer.
    await Promise.resolve();
    server.announce({ ...open, note: 'told' });
    const { view } = await until((one) => one.session.note === 'told');
    expect(view).toMatchObject({ selection: 14, left: 'bot-2' });
  });

  it('is gone to once: the user who has moved on is not brought back when the page says that it is ready', async () => {
    const { live } = session();
    serve(live);
    load();
    await until((one) => one.view.following);
    server.reveal(5);
    await until((one) => one.view.selection === 5);
    goTo(2);
    stop();
    load();
    server.announce({ ...open, note: 'told' });
    const { view } = await until((one) => one.session.note === 'told');
    expect(view).toMatchObject({ selection: 2, playhead: 2 });
  });
});
