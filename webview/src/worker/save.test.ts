import { encodeTraceRecord, LiveCapture, memorySource, openCapture } from '@syncscope/protocol/capture';
import { isRedacted } from '@syncscope/protocol/exchange';
import { replicaId } from '@syncscope/protocol/state';
import type { TraceBody, TraceHeader } from '@syncscope/protocol/trace';
import { expect, test } from 'vitest';
import { redactedSave, unredactedSave } from './save.ts';

const server = replicaId('server');
const header: TraceHeader = {
  ...{ sessionId: 'main', title: 'Main', scenario: 'none', traceVersion: 1, protocolVersion: 1 },
  ...{ startedAt: 0, authority: server, build: 'test' },
};

test('what the page saves of a live session has no secret, also where it was told before it was known as one', async () => {
  const live = new LiveCapture({ ...header, redaction: 'names' });
  const told: TraceBody[] = [
    { kind: 'log', level: 'info', text: 'hello HUSHhush12' },
    { kind: 'log', level: 'info', text: '{"password":"HUSHhush12"}' },
  ];
  for (const [at, body] of told.entries())
    live.append(encodeTraceRecord({ seq: at + 1, time: at, replica: server, cause: [], body }));
  let pauses = 0;
  const bytes = await redactedSave(live, async () => {
    pauses++;
  });
  const capture = await openCapture(memorySource(bytes));
  const texts: string[] = [];
  for await (const { record } of capture.trace()) if (record.body.kind === 'log') texts.push(record.body.text);
  expect(texts.join('\n')).toMatch(/^hello (redacted-[0-9a-f]{12})\n\{"password":"\1"\}$/);
  expect(isRedacted((await capture.info()).header)).toBe(true);
  expect(pauses).toBeGreaterThan(0);
});

test('what is saved as it is does not pass for redacted, whatever was told of the session', async () => {
  const live = new LiveCapture({ ...header, redaction: 'names' });
  const body: TraceBody = { kind: 'log', level: 'info', text: '{"password":"HUSHhush12"}' };
  live.append(encodeTraceRecord({ seq: 1, time: 0, replica: server, cause: [], body }));
  const capture = await openCapture(memorySource(unredactedSave(live)));
  expect(isRedacted((await capture.info()).header)).toBe(false);
  expect((await capture.record(0)).record.body).toEqual(body);
});

test('rules that are none are refused', async () => {
  const save = redactedSave(new LiveCapture(header), async () => undefined, { patterns: ['(['] });
  await expect(save).rejects.toMatchObject({ code: 'REDACT_RULE' });
});
