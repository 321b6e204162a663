import { MemoryEventLog } from '@syncscope/protocol/events';
import { writeJson } from '@syncscope/protocol/messages';
import { monotonicClock } from '@syncscope/protocol/node';
import { MemoryStorage, OfflineClient, type ReconcileRequest } from '@syncscope/protocol/offline';
import { seededRandom } from '@syncscope/protocol/ports';
import { RECONCILE_PATH, reconcileOverHttp } from '@syncscope/protocol/sse';
import { recordKey, replicaId, stateHash } from '@syncscope/protocol/state';
import { afterEach, describe, expect, test } from 'vitest';
import { type Cleanups, connect, type GatewayUnderTest, pages, startGateway, TOKEN } from './gateway-testing.ts';

const cleanups: Cleanups = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const PAGE = recordKey('page/1');

function ask(host: string, path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`http://${host}${path}`, init);
}

async function metricsOf(host: string): Promise<Map<string, number>> {
  const text = await (await ask(host, '/metrics')).text();
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

describe('health', () => {
  test('says that the process lives and that clients may come', async () => {
    const { host } = await startGateway(cleanups);
    expect((await ask(host, '/healthz')).status).toBe(200);
    const ready = await ask(host, '/readyz');
    expect([ready.status, await ready.json()]).toEqual([
      200,
      { status: 'ready', parts: { gateway: 'ok', session: 'ok' } },
    ]);
  });

  test('says that nobody should come while another part is down, and which', async () => {
    const { host } = await startGateway(cleanups, {}, { parts: () => ({ bus: 'BUS_UNREACHABLE' }) });
    const ready = await ask(host, '/readyz');
    expect([ready.status, await ready.json()]).toEqual([
      503,
      { status: 'not ready', parts: { gateway: 'ok', session: 'ok', bus: 'BUS_UNREACHABLE' } },
    ]);
    expect((await ask(host, '/healthz')).status).toBe(200);
  });

  test('says that nobody should come once the log takes nothing any more', async () => {
    const log = new MemoryEventLog();
    const { host, manager } = await startGateway(cleanups, { log });
    log.append(log.last, [
      {
        position: log.last + 1,
        version: 1,
        root: manager.root.hash,
        time: 0,
        seen: 1,
        mutation: { writer: replicaId('somebody-else'), counter: 1 },
        outcome: 'adopted',
      },
    ]);
    expect(() => manager.mutate('write', 'too late', monotonicClock.now())).toThrow();
    const ready = await ask(host, '/readyz');
    expect([ready.status, await ready.json()]).toMatchObject([503, { parts: { session: 'LOG_CONFLICT' } }]);
  });
});

describe('metrics', () => {
  test('count what went through, by transport, direction and type', async () => {
    const gateway = await startGateway(cleanups);
    const [anna, ben] = [connect(cleanups, gateway, 'websocket', 'anna'), connect(cleanups, gateway, 'sse', 'ben')];
    await Promise.all([anna.synced, ben.synced]);
    anna.predict('one');
    await expect.poll(() => gateway.manager.version).toBe(2);
    await Promise.all([anna, ben].map((client) => client.reaches(() => gateway.manager.root.hash)));
    await expect.poll(() => gateway.manager.clients.map(({ version }) => version)).toEqual([2, 2]);
    const metrics = await metricsOf(gateway.host);
    expect(Object.fromEntries(metrics)).toMatchObject({
      'sync_connections{transport="websocket"}': 1,
      'sync_connections{transport="sse"}': 1,
      'sync_messages_total{direction="in",type="HELLO"}': 2,
      'sync_messages_total{direction="in",type="COMMAND"}': 1,
      'sync_messages_total{direction="out",type="FULL_SYNC"}': 2,
      'sync_messages_total{direction="out",type="DELTA_SYNC"}': 2,
      sync_commits_total: 1,
      sync_deltas_total: 2,
      sync_full_syncs_total: 2,
      sync_version: 2,
      sync_clients: 2,
      'sync_backlog{client="anna"}': 0,
      'sync_backlog{client="ben"}': 0,
      sync_reconciliation_failure_rate: 0,
      sync_reconciliation_alert: 0,
      sync_log_append_count: 1,
    });
    // A state that was followed by another before its acknowledgement came is not measured.
    for (const client of ['anna', 'ben']) {
      expect(metrics.get(`sync_latency_count{client="${client}"}`)).toBeGreaterThanOrEqual(1);
    }
    const bytes = [...metrics].find(([name]) => name.startsWith('sync_message_size_total{direction="out"'));
    expect(bytes?.[1]).toBeGreaterThan(0);
  });

  test('on a port for other machines want an inspecting token; a client one is not enough', async () => {
    const { host } = await startGateway(cleanups, {}, { mayInspect: (token) => token === 'inspecting' });
    const codes = [];
    for (const authorization of ['', `Bearer ${TOKEN}`, 'Bearer inspecting']) {
      codes.push((await ask(host, '/metrics', { headers: { authorization } })).status);
    }
    expect(codes).toEqual([401, 401, 200]);
  });
});

test('other paths and other methods are answered with a code', async () => {
  const { host } = await startGateway(cleanups);
  const answers = [
    await ask(host, '/'),
    await ask(host, '/sync'),
    await ask(host, '/sync/events', { method: 'DELETE' }),
    await ask(host, '/metrics', { headers: { origin: 'https://evil.example' } }),
  ];
  const found = [];
  for (const answer of answers) found.push([answer.status, JSON.parse(await answer.text()).error.code]);
  expect(found).toEqual([
    [404, 'PATH_UNKNOWN'],
    [426, 'UPGRADE_WANTED'],
    [404, 'PATH_UNKNOWN'],
    [403, 'ORIGIN_REJECTED'],
  ]);
});

describe('reconciling', () => {
  const nowhere = { version: 0, progress: 0, root: stateHash('0'.repeat(16)) };
  const write = (counter: number, text: string): ReconcileRequest['mutations'][number] => ({
    counter,
    command: 'write',
    args: text,
    creates: [],
    madeAt: 1_000,
    madeOn: 1,
    base: [{ key: PAGE, record: { text: '' } }],
    mine: [{ key: PAGE, record: { text } }],
  });
  const request = (changes: Partial<ReconcileRequest> = {}): ReconcileRequest => ({
    session: 'pages',
    device: replicaId('phone'),
    settled: 0,
    acknowledged: nowhere,
    mutations: [write(1, 'from the train')],
    ...changes,
  });

  function post({ host }: GatewayUnderTest, body: string, token = TOKEN): Promise<Response> {
    return ask(host, RECONCILE_PATH, { method: 'POST', body, headers: { authorization: `Bearer ${token}` } });
  }

  async function refusalOf(gateway: GatewayUnderTest, body: string, token = TOKEN): Promise<unknown> {
    const answer = await post(gateway, body, token);
    return [answer.status, JSON.parse(await answer.text()).error?.code];
  }

  test('a device that was away has its mutations settled once, and everyone hears of them', async () => {
    const gateway = await startGateway(cleanups);
    const anna = connect(cleanups, gateway, 'websocket', 'anna');
    await anna.synced;
    const connection = reconcileOverHttp({ url: `http://${gateway.host}`, token: TOKEN });
    const phone = await OfflineClient.open({
      definition: pages,
      storage: new MemoryStorage(),
      session: 'pages',
      device: replicaId('phone'),
      connection,
      clock: { now: () => 1_000 },
      random: seededRandom(1),
      owner: 'test',
    });
    expect(await phone.sync({ pull: true })).toBe('done');
    for (const text of ['one', 'two']) await phone.mutate(() => ({ command: 'write', args: text }));
    expect(await phone.sync()).toBe('done');
    expect(phone.committed.hash).toBe(gateway.manager.root.hash);
    expect(gateway.manager.root.get(PAGE)).toEqual({ text: 'two' });
    await anna.reaches(() => gateway.manager.root.hash);
    expect((await metricsOf(gateway.host)).get('sync_reconciled_total{outcome="applied"}')).toBe(2);
  });

  test('what is posted twice counts once; what comes again with another body is told apart', async () => {
    const gateway = await startGateway(cleanups);
    const first = JSON.parse(await (await post(gateway, writeJson(request()))).text());
    expect(first).toMatchObject({ settled: 1, applied: [{ counter: 1, isRepeated: false }], rejected: [] });
    const again = JSON.parse(await (await post(gateway, writeJson(request()))).text());
    expect(again).toMatchObject({ settled: 1, applied: [{ counter: 1, isRepeated: true }] });
    const other = writeJson(request({ mutations: [write(1, 'something else')] }));
    const told = JSON.parse(await (await post(gateway, other)).text());
    expect(told).toMatchObject({ applied: [], rejected: [{ counter: 1, code: 'key-reused' }] });
    expect(gateway.manager.root.get(PAGE)).toEqual({ text: 'from the train' });
    expect(gateway.manager.stats.commits).toBe(1);
  });

  test('waits for the log, and answers when what it asked for is durable', async () => {
    const log = new SlowLog();
    const gateway = await startGateway(cleanups, { log });
    let isAnswered = false;
    const posted = post(gateway, writeJson(request())).then((answer) => {
      isAnswered = true;
      return answer.json();
    });
    await expect.poll(() => log.waiting).toBe(1);
    gateway.gateway.tick();
    expect([isAnswered, gateway.manager.version]).toEqual([false, 1]);
    log.flush();
    expect(await posted).toMatchObject({ settled: 1, applied: [{ counter: 1 }], checkpoint: { version: 2 } });
  });

  test.each<[string, string, unknown]>([
    ['no JSON', '{"session":', [400, 'TEXT_SYNTAX']],
    ['a depth bomb', '['.repeat(500_000), [400, 'LIMIT_DEPTH']],
    ['nothing that is asked for', '{}', [400, 'SCHEMA_MISMATCH']],
    ['a body without end', 'x'.repeat(3_000_000), [413, 'BODY_TOO_LARGE']],
    ['another session', writeJson(request({ session: 'others' })), [404, 'SESSION_UNKNOWN']],
    ["the authority's name", writeJson(request({ device: replicaId('server') })), [409, 'REPLICA_TAKEN']],
    [
      'a checkpoint from the future',
      writeJson(request({ acknowledged: { ...nowhere, version: 99 } })),
      [409, 'CHECKPOINT_FROM_FUTURE'],
    ],
    ['a gap', writeJson(request({ mutations: [write(2, 'x')] })), [409, 'RECONCILE_GAP']],
  ])('%s is refused with its code, and nothing changes', async (_, body, refusal) => {
    const gateway = await startGateway(cleanups);
    const before = gateway.manager.root.hash;
    expect(await refusalOf(gateway, body)).toEqual(refusal);
    expect([gateway.manager.root.hash, gateway.manager.version]).toEqual([before, 1]);
    expect((await metricsOf(gateway.host)).get('sync_reconciled_total{outcome="applied"}')).toBe(0);
  });

  test('a wrong token is refused, and after ten of them any other for a minute', async () => {
    let ahead = 0;
    const clock = { now: () => monotonicClock.now() + ahead };
    const gateway = await startGateway(cleanups, {}, { clock });
    const refusals = [];
    for (let count = 0; count < 12; count++) refusals.push(await refusalOf(gateway, writeJson(request()), 'guess'));
    expect(refusals).toEqual([
      ...Array.from({ length: 10 }, () => [401, 'TOKEN_REJECTED']),
      [429, 'TOKEN_ATTEMPTS'],
      [429, 'TOKEN_ATTEMPTS'],
    ]);
    // Whoever shows the right one is not shut out with it.
    expect((await post(gateway, writeJson(request()))).status).toBe(200);
    ahead = 61e9;
    expect(await refusalOf(gateway, writeJson(request()), 'guess')).toEqual([401, 'TOKEN_REJECTED']);
  });

  test('too many requests are refused until there is room again', async () => {
    let ahead = 0;
    const clock = { now: () => ahead };
    const limits = { reconciles: { burst: 2, perSecond: 1 } };
    const gateway = await startGateway(cleanups, {}, { clock, limits });
    const statuses = [];
    for (let count = 0; count < 3; count++) statuses.push((await post(gateway, writeJson(request()))).status);
    ahead = 1e9;
    statuses.push((await post(gateway, writeJson(request()))).status);
    expect(statuses).toEqual([200, 200, 429, 200]);
  });
});

/** A log whose entries become durable when told so. */
class SlowLog extends MemoryEventLog {
  #durable = -1;

  override get durable(): number {
    return this.#durable < 0 ? super.durable : this.#durable;
  }

  get waiting(): number {
    return this.last - this.durable;
  }

  override append(...entries: Parameters<MemoryEventLog['append']>): void {
    if (this.#durable < 0) this.#durable = super.durable;
    super.append(...entries);
  }

  flush(): void {
    this.#durable = this.last;
  }
}
