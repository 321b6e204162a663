import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CaptureWriter, encodeTraceRecord } from '@syncscope/protocol/capture';
import { StateRoot } from '@syncscope/protocol/merkle';
import { fileSink } from '@syncscope/protocol/node';
import { recordKey, replicaId, type SyncRecord } from '@syncscope/protocol/state';
import { TRACE_VERSION, type TraceBody, type TraceHeader, TraceHub } from '@syncscope/protocol/trace';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startCli } from '../cli/cli.ts';
import { keepPicture, launchChromium, openPage } from '../support/browser.ts';
import { startSampleServer } from '../support/sample-server.ts';
import { Inspector } from './inspector.ts';

const folder = mkdtempSync(join(tmpdir(), 'syncscope-hostile-'));
const env = { SYNCSCOPE_SESSIONS_DIR: join(folder, 'sessions') };
let browser: Browser;

beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(async () => {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Each would do something if it were ever taken for more than text. */
const NAUGHTY = [
  '<script>window.pwned=1</script>',
  '<img src=x onerror=window.pwned=1>',
  '"><svg onload=window.pwned=1>',
  "javascript:window.pwned=1//'",
  '<iframe srcdoc="<script>parent.pwned=1</script>">',
  '<style>*{display:none}</style>',
  '{{constructor.constructor("window.pwned=1")()}}',
  '$' + '{window.pwned=1}',
  '[x](command:workbench.action.quit)',
  '__proto__',
  'constructor',
  '\u202egnp.exe\u2066',
  '%s%n%d \u0007',
];

/** A capture that says these strings everywhere that one can be said. */
async function naughtyCapture(path: string): Promise<void> {
  const server = replicaId('server');
  const bot = replicaId('bot-1');
  const header: TraceHeader = {
    sessionId: NAUGHTY[0]!,
    title: NAUGHTY[1]!,
    scenario: NAUGHTY[2]!,
    traceVersion: TRACE_VERSION,
    protocolVersion: 1,
    startedAt: 1_700_000_000_000,
    authority: server,
    build: NAUGHTY[4]!,
  };
  const entries = NAUGHTY.map((text, index) => {
    const id = text.replaceAll(/\p{Cc}/gu, '');
    const record: SyncRecord = Object.fromEntries([
      // Refused by the protocol as a field's name, before it gets here.
      [text === '__proto__' ? 'field' : text, text],
      ['nested', { list: [text] }],
    ]);
    return { key: recordKey(`n${index}/${id.replaceAll(/^\/+|\/+$/g, '').replaceAll(/\/{2,}/g, '/')}`), record };
  });
  const root = StateRoot.from(entries.map(({ key, record }) => [key, record]));
  const drifted = entries.map(({ key }) => ({ key, record: { drifted: NAUGHTY[1]! } }));
  const driftedRoot = StateRoot.from(drifted.map(({ key, record }) => [key, record]));

  let now = 0;
  const hub = new TraceHub({ now: () => (now += 1_000_000) });
  const writer = new CaptureWriter(await fileSink(path), header);
  hub.listen((record) => writer.append(encodeTraceRecord(record)));
  const emit = (replica: typeof server, body: TraceBody, wire?: Uint8Array) => hub.emit(replica, body, [], wire);
  emit(server, { kind: 'replica', role: 'server', title: NAUGHTY[0]! });
  emit(bot, { kind: 'replica', role: 'client', title: NAUGHTY[1]! });
  for (const [replica, records, state] of [
    [server, entries, root],
    [bot, drifted, driftedRoot],
  ] as const) {
    emit(replica, {
      kind: 'snapshot',
      reason: 'attach',
      version: 1,
      records: [...records],
      root: state.hash,
      vector: [],
    });
    emit(replica, { kind: 'hash', version: 1, own: state.hash, reference: root.hash, agrees: state === root });
  }
  emit(bot, {
    kind: 'mismatch',
    reason: 'heartbeat',
    version: 1,
    from: 1,
    to: 1,
    own: driftedRoot.hash,
    expected: root.hash,
  });
  emit(bot, {
    kind: 'divergence',
    against: server,
    version: 1,
    differences: entries.map(({ key, record }, index) => ({ key, own: drifted[index]!.record, theirs: record })),
    rounds: 1,
    hashes: 1,
    bytes: 1,
  });
  for (const text of NAUGHTY) {
    emit(server, {
      kind: 'commit',
      version: 2,
      event: { type: text, player: text, detail: text },
      changes: [],
      root: root.hash,
    });
    emit(bot, { kind: 'refused', from: server, code: text, message: text }, new TextEncoder().encode(text));
    emit(bot, { kind: 'fault', fault: text.slice(0, 40), phase: 'struck', target: bot, detail: text });
    emit(bot, { kind: 'rollback', mutation: { writer: bot, counter: 1 }, reason: text, version: 1 });
    emit(server, { kind: 'log', level: 'error', text });
    emit(bot, { kind: 'gone', reason: text });
  }
  await writer.end();
}

it('shows what a capture says as text and never as more (T7)', async () => {
  const path = join(folder, '<img src=x onerror=window.pwned=1>.mcap');
  await naughtyCapture(path);
  const host = startCli(['inspect', path], env);
  const [url] = await host.printed(/http:\/\/127\.0\.0\.1:\d+\/#\S+/);
  const { page, problems, close } = await openPage(browser);
  const inspector = new Inspector(page);
  await inspector.open(url);
  const scripts = await page.locator('script').count();
  await page.getByText('<img src=x onerror=window.pwned=1>').first().waitFor();
  await inspector.goToDivergence();
  for (const tab of ['Cause', 'State', 'Diff', 'Vectors', 'Merkle', 'Bytes']) {
    await inspector.tab(tab);
    await inspector.panel.waitFor();
    await keepPicture(page, `hostile-${tab.toLowerCase()}`);
  }
  await inspector.tab('Cause');
  const rows = await inspector.rows.count();
  for (let row = 0; row < rows; row++) await inspector.rows.nth(row).click();
  expect(await page.evaluate(() => 'pwned' in window)).toBe(false);
  expect(await page.locator('script').count()).toBe(scripts);
  expect(await page.locator('iframe, img, object, embed, a[href^="javascript:"]').count()).toBe(0);
  expect(problems).toEqual([]);
  await close();
  await host.stop();
});

it('gives a page of another origin nothing, even where it knows the token (T1, T6)', async () => {
  const server = await startSampleServer(['--bots', '1'], env);
  const elsewhere = createServer((_, response) => {
    response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>elsewhere</title>');
  });
  await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/`);
  const outcome = await page.evaluate(
    async ({ url, token }) => {
      const socket = new WebSocket(`${url.replace('http', 'ws')}/inspect`, ['syncscope.v1', `token.${token}`]);
      const opened = await new Promise((resolve) => {
        socket.onopen = () => resolve('opened');
        socket.onclose = () => resolve('refused');
      });
      const read = await fetch(`${url}/`).then(
        () => 'read',
        () => 'refused',
      );
      return [opened, read];
    },
    { url: server.url, token: server.token },
  );
  expect(outcome).toEqual(['refused', 'refused']);
  await context.close();
  elsewhere.close();
  await server.program.stop();
});

it('says in words that the token is wrong or missing', async () => {
  const server = await startSampleServer(['--bots', '1'], env);
  const { page, close } = await openPage(browser);
  await page.goto(`${server.url}/#token=${'0'.repeat(64)}`);
  await page.getByText(/token/).first().waitFor();
  await page.goto('about:blank');
  await page.goto(server.url);
  await page.getByText('No capture is open').waitFor();
  await close();
  await server.program.stop();
});
