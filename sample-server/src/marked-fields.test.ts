import { memorySink, memorySource, openCapture } from '@syncscope/protocol/capture';
import { verifyCapture } from '@syncscope/protocol/diagnose';
import { CaptureMaker, redactCapture, redactedHeader } from '@syncscope/protocol/exchange';
import { attach, recordSession } from '@syncscope/protocol/node';
import { object, secret, uint } from '@syncscope/protocol/schema';
import type { TraceRecord } from '@syncscope/protocol/trace';
import { afterEach, expect, test } from 'vitest';
import { startPeers } from './peers/peer-server.ts';
import { craps } from './scenarios/craps.ts';
import { startServer } from './server.ts';
import { startSession } from './session.ts';
import { type Cleanups, temporaryFolder, Watcher } from './testing.ts';

const cleanups: Cleanups = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** Of a table on which nobody may see how much the players have. */
const scenario = { ...craps, recordSchemas: { account: object({ tokens: secret(uint) }) } };

function tokensIn(records: readonly TraceRecord[]): unknown[] {
  return records.flatMap(({ body }) => {
    if (body.kind === 'snapshot')
      return body.records.flatMap(({ key, record }) => (key.startsWith('account/') ? [record.tokens] : []));
    if (body.kind !== 'commit' && body.kind !== 'apply') return [];
    return body.changes.flatMap((change) => {
      const fields = change.op === 'put' ? change.record : change.op === 'patch' ? change.fields : {};
      return change.key.startsWith('account/') && 'tokens' in fields ? [fields.tokens] : [];
    });
  });
}

test('a field that a session marks is in no recording of it, without any rule, nor in what is redacted later', async () => {
  const running = await startPeers({ scenario, seed: 7, sessionsFolder: await temporaryFolder(cleanups) });
  cleanups.unshift(() => running.close());
  const watcher = await Watcher.of(running);
  const [sink, open] = [memorySink(), memorySink()];
  const recordings = [
    recordSession(await attach(running.inspect), sink),
    recordSession(await attach(running.inspect), open, { redaction: false }),
  ];
  await watcher.find(({ body }) => body.kind === 'commit' && body.version >= 8);
  for (const recording of recordings) await recording.stop();
  const read = async (bytes: Uint8Array) => {
    const capture = await openCapture(memorySource(bytes));
    const records: TraceRecord[] = [];
    for await (const { record } of capture.trace()) records.push(record);
    return { capture, records, header: (await capture.info()).header };
  };
  const [shown, told] = [await read(sink.bytes()), await read(open.bytes())];
  expect(tokensIn(told.records).every((one) => typeof one === 'number')).toBe(true);
  expect(tokensIn(shown.records).length).toBeGreaterThan(10);
  expect(tokensIn(shown.records).every((one) => /^redacted-[0-9a-f]{12}$/.test(String(one)))).toBe(true);
  expect(await verifyCapture(shown.capture)).not.toMatchObject({ status: 'diverged' });
  for (const { header } of [shown, told]) expect(header.secrets).toEqual(['account/*.tokens']);
  const later = memorySink();
  const rules = { pseudonym: () => 'redacted-000000000000' };
  const maker = new CaptureMaker(later, redactedHeader(told.header, rules));
  await redactCapture(told.capture, maker, rules);
  await maker.end();
  const { records } = await read(later.bytes());
  expect(new Set(tokensIn(records))).toEqual(new Set(['redacted-000000000000']));
});

test('the guest book of the adventure is in the session, and in no recording of it', async () => {
  const sessionsFolder = await temporaryFolder(cleanups);
  const running = await startServer({ guestBook: true, bots: 2, seed: 7, sessionsFolder });
  cleanups.unshift(() => running.close());
  const watcher = await Watcher.of(running);
  const sink = memorySink();
  const recording = recordSession(await attach(running.inspect), sink);
  const isSigned = (bot: string) =>
    watcher.find(
      ({ body }) => body.kind === 'commit' && body.event.type === 'BOOK_SIGNED' && body.event.player === bot,
    );
  const told = await Promise.all(['bot-1', 'bot-2'].map(isSigned));
  expect(JSON.stringify(told)).toContain('bot-2@guests.example');
  await recording.stop();
  const capture = await openCapture(memorySource(sink.bytes()));
  const { header } = await capture.info();
  expect(header).toMatchObject({ secrets: ['guest/*.email'], redaction: 'names' });
  const addresses: unknown[] = [];
  for await (const { record } of capture.trace()) {
    expect(JSON.stringify(record)).not.toContain('guests.example');
    if (record.wire) expect(Buffer.from(record.wire).toString('latin1')).not.toContain('guests.example');
    if (record.body.kind !== 'commit') continue;
    for (const change of record.body.changes) if (change.op === 'put') addresses.push(change.record.email);
  }
  const shown = addresses.filter((one) => one !== undefined);
  expect(new Set(shown).size).toBe(2);
  for (const one of shown) expect(one).toMatch(/^redacted-[0-9a-f]{12}$/);
  expect(await verifyCapture(capture)).not.toMatchObject({ status: 'diverged' });
});

test('no other scenario has a guest book', async () => {
  const sessionsFolder = await temporaryFolder(cleanups);
  const start = (scenario: string) => startSession({ scenario, guestBook: true, sessionsFolder });
  await expect(start('board')).rejects.toMatchObject({ code: 'GUEST_BOOK_UNKNOWN' });
  await expect(start('craps')).rejects.toMatchObject({
    code: 'OPTION_UNSUPPORTED',
    message: expect.stringContaining('--guest-book'),
  });
});
