import { monotonicClock } from '@syncscope/protocol/node';
import { seededRandom } from '@syncscope/protocol/ports';
import { recordKey, replicaId } from '@syncscope/protocol/state';
import { ClientState, type SessionDefinition, SyncManager } from '@syncscope/protocol/sync';
import { TraceHub, type TraceRecord } from '@syncscope/protocol/trace';
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { FaultBoard } from './faults/fault-board.ts';
import { Gateway, SYNC_PATH } from './gateway.ts';

const AUTHORITY = replicaId('server');
const PAGE_BYTES = 256 * 1024;

/** A record that is large, and another one each time. */
const pages: SessionDefinition = {
  name: 'pages',
  initialRecords: () => [[recordKey('page/1'), { text: '' }]],
  commands: {
    write: (_state, args, writer) => ({
      accepted: true,
      events: [{ type: 'WRITTEN', player: writer, detail: '', data: args }],
    }),
  },
  reduce: (_state, event) => [
    { op: 'patch', key: recordKey('page/1'), fields: { text: event.data ?? null }, removed: [] },
  ],
};

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function started() {
  const hub = new TraceHub(monotonicClock);
  const manager = new SyncManager({
    definition: pages,
    replica: AUTHORITY,
    session: 'pages',
    random: seededRandom(1),
    now: monotonicClock.now(),
    tap: hub,
    syncInterval: 5_000_000,
    slowTimeout: 500_000_000,
  });
  const faults = new FaultBoard({
    tap: hub,
    authority: AUTHORITY,
    random: seededRandom(2),
    targets: () => [],
    corrupt: () => '',
  });
  const gateway = new Gateway({ manager, faults, tap: hub, clock: monotonicClock });
  cleanups.push(() => gateway.close('test over'));
  const port = await gateway.listen('127.0.0.1', 0);
  return { hub, manager, url: `ws://127.0.0.1:${port}${SYNC_PATH}` };
}

function client(url: string, name: string) {
  const state = new ClientState({ definition: pages, replica: replicaId(name), session: 'pages', token: '' });
  const socket = new WebSocket(url, { perMessageDeflate: false });
  cleanups.push(() => socket.terminate());
  const send = (frames: readonly Uint8Array[]) => {
    for (const frame of frames) if (socket.readyState === WebSocket.OPEN) socket.send(frame);
  };
  socket.on('open', () => send(state.open(monotonicClock.now())));
  socket.on('message', (data) => send(state.receive(new Uint8Array(data as Buffer), monotonicClock.now())));
  const synced = new Promise<void>((resolve) => {
    const stop = state.on((event) => {
      if (event.type !== 'committed') return;
      stop();
      resolve();
    });
  });
  return { state, socket, synced };
}

function found(hub: TraceHub, isIt: (record: TraceRecord) => boolean): Promise<TraceRecord> {
  return new Promise((resolve) => {
    const stop = hub.listen((record) => {
      if (!isIt(record)) return;
      stop();
      resolve(record);
    });
  });
}

test('a client that has ceased to read is dropped with the reason, and the others go on', async () => {
  const { hub, manager, url } = await started();
  const deaf = client(url, 'deaf');
  const keen = client(url, 'keen');
  await Promise.all([deaf.synced, keen.synced]);
  deaf.socket.pause();
  const gone = found(hub, ({ replica, body }) => replica === 'deaf' && body.kind === 'gone');
  const dropped = found(hub, ({ body }) => body.kind === 'pressure' && body.state === 'dropped');
  let count = 0;
  const writing = setInterval(
    () => manager.mutate('write', `${count++}`.padEnd(PAGE_BYTES, '·'), monotonicClock.now()),
    5,
  );
  cleanups.push(() => clearInterval(writing));
  expect((await dropped).body).toMatchObject({ target: 'deaf' });
  expect((await gone).body).toMatchObject({ reason: expect.stringMatching(/^LINK_TOO_SLOW: /) });
  clearInterval(writing);
  expect(manager.stats.tooSlow).toBe(1);
  const last = manager.root.hash;
  while (keen.state.committed.hash !== last) {
    await new Promise<void>((resolve) => {
      const stop = keen.state.on((event) => {
        if (event.type !== 'committed') return;
        stop();
        resolve();
      });
    });
  }
  expect(manager.clients.map(({ replica }) => replica)).toEqual(['keen']);
});
