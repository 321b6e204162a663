import type { CaptureQuery, GrowingCapture, RowsPage, TimeRange } from '@syncscope/protocol/capture';
import { SyncError } from '@syncscope/protocol/errors';
import { replicaId } from '@syncscope/protocol/state';
import { describe, expect, it } from 'vitest';
import { emptySession, type HostEvent, jsonSafePort, type Port, portPair, remoteQuery, serveQuery } from './index.ts';
import { pack } from './json-safe.ts';

/** A capture that answers what a test gives it; every other method refuses. */
function captureOf(methods: Partial<CaptureQuery>): CaptureQuery {
  return new Proxy(methods, {
    get: (target, name) =>
      Reflect.get(target, name) ?? (() => Promise.reject(new SyncError('NOT_HERE', String(name), { origin: 'query' }))),
    has: (target, name) => Reflect.has(target, name),
  }) as CaptureQuery;
}

function nextEvent(remote: ReturnType<typeof remoteQuery>): Promise<HostEvent> {
  return new Promise((resolve) => {
    const stop = remote.onEvent((event) => {
      stop();
      resolve(event);
    });
  });
}

const page: RowsPage = { rows: [], offset: 0, total: 7 };
const range: TimeRange = { from: 0, to: 10 };

describe('the channel between inspector and capture', () => {
  it('answers a query with what the capture says, typed arrays as they are', async () => {
    const [near, far] = portPair();
    const group = new Uint32Array([1, 2, 3]);
    const counts = { message: group, change: group, hash: group, prediction: group, problem: group, other: group };
    serveQuery(captureOf({ overview: async () => ({ range, counts, kinds: new Uint32Array(3) }) }), far);
    const remote = remoteQuery(near);
    const overview = await remote.overview(range, 3);
    expect(overview.counts.message).toEqual(group);
    expect(overview.kinds).toBeInstanceOf(Uint32Array);
    expect(remote.pendingCount).toBe(0);
  });

  it('carries a SyncError whole', async () => {
    const [near, far] = portPair();
    const error = new SyncError('CAPTURE_CUT', 'ends in the middle', {
      origin: 'capture',
      retry: 'now',
      place: { offset: 812, file: 'a.mcap' },
    });
    serveQuery(captureOf({ positionAt: () => Promise.reject(error) }), far);
    await expect(remoteQuery(near).positionAt(3)).rejects.toMatchObject({
      code: 'CAPTURE_CUT',
      origin: 'capture',
      retry: 'now',
      place: { offset: 812, file: 'a.mcap' },
    });
  });

  it('keeps undefined arguments and results', async () => {
    const [near, far] = portPair();
    const seen: unknown[] = [];
    const capture = captureOf({
      nextMarker: async (...args) => {
        seen.push(...args);
        return undefined;
      },
    });
    serveQuery(capture, far);
    expect(await remoteQuery(near).nextMarker(-1, 1)).toBeUndefined();
    expect(seen).toEqual([-1, 1, undefined]);
  });

  it('cancels at both ends when a signal aborts', async () => {
    const [near, far] = portPair();
    const stopped = Promise.withResolvers<void>();
    const capture = captureOf({
      rows: (_filter, _offset, _limit, signal) => {
        signal?.addEventListener('abort', () => stopped.resolve());
        return new Promise<RowsPage>(() => {});
      },
    });
    serveQuery(capture, far);
    const remote = remoteQuery(near);
    const controller = new AbortController();
    const answer = remote.rows('', 0, 10, controller.signal);
    controller.abort();
    await expect(answer).rejects.toMatchObject({ code: 'QUERY_CANCELLED' });
    await stopped.promise;
    expect(remote.pendingCount).toBe(0);
  });

  it('binds every request of a view to one signal', async () => {
    const [near, far] = portPair();
    serveQuery(captureOf({ status: () => new Promise(() => {}) }), far);
    const remote = remoteQuery(near);
    const controller = new AbortController();
    const answers = [remote.until(controller.signal).status(1), remote.until(controller.signal).status(2)];
    controller.abort();
    for (const answer of answers) await expect(answer).rejects.toMatchObject({ code: 'QUERY_CANCELLED' });
    await expect(remote.until(controller.signal).status(3)).rejects.toMatchObject({ code: 'QUERY_CANCELLED' });
  });

  it('refuses arguments and results that are not what the contract says', async () => {
    const [near, far] = portPair();
    const capture = captureOf({
      rows: async () => page,
      rowIndex: async () => 'three' as unknown as number,
    });
    serveQuery(capture, far);
    const remote = remoteQuery(near);
    await expect(remote.rows(5 as unknown as string, 0, 10)).rejects.toMatchObject({ code: 'SCHEMA_MISMATCH' });
    await expect(remote.rowIndex('', 0)).rejects.toMatchObject({ code: 'SCHEMA_MISMATCH' });
    expect(await remote.rows('', 0, 10)).toEqual(page);
  });

  it.each([[null], ['x'], [{ type: 'query', id: -1, method: 'rows', args: [] }], [{ type: 'run' }], [[1, 2]]])(
    'reports %j as an error and goes on',
    async (message) => {
      const [near, far] = portPair();
      serveQuery(captureOf({ rows: async () => page }), far);
      const remote = remoteQuery(near);
      const event = nextEvent(remote);
      near.post(message);
      expect(await event).toMatchObject({ event: 'error', error: { code: 'SCHEMA_MISMATCH' } });
      expect(await remote.rows('', 0, 1)).toEqual(page);
    },
  );

  it.each([['constructor'], ['__proto__'], ['onGrow'], ['drop']])('has no query called %s', async (method) => {
    const [near, far] = portPair();
    serveQuery(captureOf({}), far);
    const answer = new Promise((resolve) => near.onMessage(resolve));
    near.post({ type: 'query', id: 1, method, args: [] });
    expect(await answer).toMatchObject({ type: 'failure', id: 1, error: { code: 'QUERY_UNKNOWN' } });
  });

  it('an answer to nobody and an event of an unknown kind change nothing', async () => {
    const [near, far] = portPair();
    const remote = remoteQuery(near);
    const event = nextEvent(remote);
    far.post({ type: 'result', id: 99, value: 1 });
    far.post({ type: 'event', event: { event: 'explode' } });
    expect(await event).toMatchObject({ event: 'error', error: { code: 'SCHEMA_MISMATCH' } });
    expect(remote.pendingCount).toBe(0);
  });

  it('tells an inspector that comes late what is the case now', async () => {
    const [near, far] = portPair();
    let grow: Parameters<GrowingCapture['onGrow']>[0] | undefined;
    let stopped = false;
    const capture = {
      ...captureOf({}),
      onGrow(listener: NonNullable<typeof grow>) {
        grow = listener;
        return () => {
          stopped = true;
        };
      },
    } as GrowingCapture;
    const server = serveQuery(undefined, far);
    server.replace(capture, { ...emptySession, state: 'open', source: 'live', title: 'adventure' });
    grow?.({ records: 12, range });
    server.fail(new SyncError('CAPTURE_CUT', 'cut', { origin: 'capture' }));
    const remote = remoteQuery(near);
    const events: HostEvent[] = [];
    const three = new Promise<void>((resolve) => {
      remote.onEvent((event) => {
        events.push(event);
        if (events.length === 6) resolve();
      });
    });
    remote.ready();
    await three;
    // The first three were posted before `ready`, and a real webview would have missed them.
    expect(events.slice(3)).toMatchObject([
      { event: 'session', session: { title: 'adventure' } },
      { event: 'grow', records: 12 },
      { event: 'error', error: { code: 'CAPTURE_CUT' } },
    ]);
    server.close();
    expect(stopped).toBe(true);
  });

  it('tells of a record to go to until that was heard, and passes it on once', async () => {
    const [near, far] = portPair();
    const server = serveQuery(captureOf({}), far);
    server.reveal(3);
    server.reveal(8);
    // Nobody listened.
    await Promise.resolve();
    const remote = remoteQuery(near);
    const events: HostEvent[] = [];
    remote.onEvent((event) => events.push(event));
    const ready = async () => {
      remote.ready();
      // Answered after whatever was told before it.
      await remote.info().catch(() => {});
      return events.splice(0).filter(({ event }) => event === 'reveal');
    };
    expect(await ready()).toEqual([{ event: 'reveal', id: 2, position: 8 }]);
    expect(await ready()).toEqual([]);
    server.reveal(8);
    expect(await ready()).toEqual([{ event: 'reveal', id: 3, position: 8 }]);
    server.reveal(9);
    server.replace(captureOf({}), emptySession);
    await ready();
    expect(await ready()).toEqual([]);
  });

  it('shortens what a session is called to what the inspector takes', async () => {
    const [near, far] = portPair();
    const long = 'x'.repeat(5_000);
    const server = serveQuery(undefined, far, { session: { ...emptySession, title: long, place: long, note: long } });
    const remote = remoteQuery(near);
    const first = nextEvent(remote);
    remote.ready();
    const session = { title: `${long.slice(0, 199)}…`, place: expect.stringMatching(/^x{3999}…$/) };
    expect(await first).toMatchObject({ event: 'session', session });
    const second = nextEvent(remote);
    server.announce({ ...emptySession, title: long, note: 'short' });
    expect(await second).toMatchObject({ event: 'session', session: { title: session.title, note: 'short' } });
  });

  it('ends requests on a capture that was replaced', async () => {
    const [near, far] = portPair();
    const server = serveQuery(captureOf({ status: () => new Promise(() => {}) }), far);
    const remote = remoteQuery(near);
    const answer = remote.status(4);
    await Promise.resolve();
    await Promise.resolve();
    server.replace(captureOf({ positionAt: async () => 8 }), emptySession);
    await expect(answer).rejects.toMatchObject({ code: 'QUERY_CANCELLED' });
    expect(await remote.positionAt(1)).toBe(8);
  });

  it('says so where no capture is open', async () => {
    const [near, far] = portPair();
    serveQuery(undefined, far);
    await expect(remoteQuery(near).info()).rejects.toMatchObject({ code: 'NO_CAPTURE' });
  });

  it('hands commands to the host and its refusal back', async () => {
    const [near, far] = portPair();
    const seen: unknown[] = [];
    serveQuery(undefined, far, {
      onCommand(command) {
        if (command.command === 'save') throw new SyncError('SAVE_FAILED', 'disk full', { origin: 'capture' });
        seen.push(command);
      },
    });
    const remote = remoteQuery(near);
    const spec = { fault: 'corrupt', target: replicaId('bot-2') } as const;
    await remote.command({ command: 'fault', spec });
    expect(seen).toEqual([{ command: 'fault', spec }]);
    await expect(remote.command({ command: 'save' })).rejects.toMatchObject({ code: 'SAVE_FAILED' });
  });

  it('rejects everything under way when it is closed', async () => {
    const [near, far] = portPair();
    serveQuery(captureOf({ status: () => new Promise(() => {}) }), far);
    const remote = remoteQuery(near);
    const answer = remote.status(1);
    remote.close();
    await expect(answer).rejects.toMatchObject({ code: 'PORT_CLOSED' });
    await expect(remote.status(2)).rejects.toMatchObject({ code: 'PORT_CLOSED' });
  });
});

describe('jsonSafePort', () => {
  /** What VS Code does between extension host and webview, apart from binary. */
  function jsonPorts(): [Port, Port] {
    const [near, far] = portPair();
    const through = (port: Port): Port => ({
      ...port,
      post: (message) => port.post(JSON.parse(JSON.stringify(message))),
    });
    return [jsonSafePort(through(near)), jsonSafePort(through(far))];
  }

  it('keeps the numbers that JSON loses, and names that look like its own mark', async () => {
    const [near, far] = jsonPorts();
    const message = {
      a: [Number.NaN, -0, 0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1.5],
      $number: { $number: -0, $$number: 'x' },
      b: { $number: 'NaN' },
    };
    const arrived = new Promise((resolve) => far.onMessage(resolve));
    near.post(message);
    expect(await arrived).toStrictEqual(message);
  });

  it('does not copy what needs no change', () => {
    const message = { rows: [{ a: 1 }], bytes: new Uint8Array(2) };
    expect(pack(message)).toBe(message);
  });
});
