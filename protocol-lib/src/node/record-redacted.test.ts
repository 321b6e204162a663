import { afterEach, describe, expect, test } from 'vitest';
import { isRedacted } from '../capture/exchange/index.ts';
import { isIn, unpacked } from '../capture/exchange/unpacked.test-helper.ts';
import { encodeTraceRecord, memorySink } from '../capture/index.ts';
import { verifyCapture } from '../diagnose/index.ts';
import type { SyncRecord } from '../state/index.ts';
import type { TraceBody } from '../trace/index.ts';
import { attach } from './attach-client.ts';
import { type RecordingOptions, recordSession } from './record-session.ts';
import {
  alice,
  bot,
  canary,
  inputsWith,
  type Recorded,
  recorded as recordedWith,
  root,
  utf8,
} from './recorded.test-helper.ts';
import { server, startSession, type TestSession } from './testing.ts';

const cleanups: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const recorded = (tell: (session: TestSession) => void, options?: RecordingOptions): Promise<Recorded> =>
  recordedWith(cleanups, tell, options);

/** Twelve secrets, each in a place of its own, in a session whose states change before and behind the first of them. */
function tellSecrets({ hub }: TestSession): void {
  const log = (text: string, level: 'info' | 'error' = 'info') => hub.emit(server, { kind: 'log', level, text });
  const first: SyncRecord = { name: 'Alice' };
  for (const replica of [server, bot]) {
    const snapshot = { version: 1, records: [{ key: alice, record: first }], root: root(first), vector: [] };
    hub.emit(replica, { kind: 'snapshot', reason: 'attach', ...snapshot });
  }
  const second: SyncRecord = { name: 'Alice', password: canary(1), deep: { list: [{ apiKey: canary(2) }] } };
  const change = { op: 'put' as const, key: alice, record: second };
  const event = { type: 'NAMED', player: 'alice', detail: `?access_token=${canary(3)}` };
  hub.emit(
    server,
    { kind: 'commit', version: 2, event, changes: [change], root: root(second) },
    [],
    utf8.encode(`frame with ${canary(1)} and ${canary(4)}`),
  );
  hub.emit(bot, { kind: 'apply', from: 1, to: 2, changes: [change], root: root(second) });
  hub.emit(bot, { kind: 'hash', version: 2, own: root(second), reference: root(second), agrees: true });
  log(`authorization: Bearer ${canary(5)}`);
  log(`cookie: sid=${canary(6)}`);
  log(`GET /x?token=${canary(7)}&b=1`);
  log(`{"refreshToken":"${canary(8)}"}`, 'error');
  log(`opening https://me:${canary(9)}@example.org/`);
  log(`later told: ${canary(1)}`);
  const data = utf8.encode(`"secret":"${canary(10)}"`);
  hub.emit(bot, {
    kind: 'operation',
    crdt: 'text',
    origin: 'local',
    writer: bot,
    counter: 1,
    vector: [],
    detail: '',
    data,
  });
  hub.emit(bot, {
    kind: 'rollback',
    mutation: { writer: bot, counter: 1 },
    reason: `password: ${canary(11)}`,
    version: 2,
  });
  for (const body of inputsWith(canary(12))) hub.emit(server, body);
}

describe('T18: a recording', () => {
  test('has none of twelve secrets in any part of its file, raw or unpacked, and is known as redacted', async () => {
    const open = await recorded(tellSecrets, { redaction: false });
    // Those in inputs are packed twice there.
    for (let one = 1; one <= 11; one++) expect(isIn(unpacked(open.bytes), canary(one))).toBe(true);
    expect(isRedacted((await open.capture.info()).header)).toBe(false);
    const { bytes, capture, result, records } = await recorded(tellSecrets);
    for (let one = 1; one <= 12; one++) expect(isIn(unpacked(bytes), canary(one))).toBe(false);
    expect(result.redacted).toBeGreaterThan(9);
    expect(records).toHaveLength(open.records.length);
    expect(records.map(({ seq }) => seq)).toEqual(open.records.map(({ seq }) => seq));
    const { header } = await capture.info();
    expect(header).toMatchObject({ redaction: 'names' });
    expect(isRedacted(header)).toBe(true);
  });

  test('keeps what was equal equal, and its states and hashes fit', async () => {
    const { capture, records } = await recorded(tellSecrets);
    const told = records.flatMap(({ body }) => (body.kind === 'commit' || body.kind === 'apply' ? [body] : []));
    const [commit, apply] = told;
    expect(commit?.changes).toEqual(apply?.changes);
    const [change] = commit!.changes;
    if (change?.op !== 'put') throw new Error('nothing was put');
    expect(change.record).toMatchObject({ name: 'Alice', password: expect.stringMatching(/^redacted-[0-9a-f]{12}$/) });
    expect(records.flatMap(({ body }) => (body.kind === 'log' ? [body.text] : []))).toContain(
      `later told: ${change.record.password as string}`,
    );
    expect([commit!.root, apply!.root]).toEqual([root(change.record), root(change.record)]);
    expect(await verifyCapture(capture)).toMatchObject({ status: 'agrees' });
  });

  test('leaves out inputs and frames in which the first secret stands', async () => {
    const inInputs = await recorded(({ hub }) => {
      for (const body of inputsWith(`a","password":"${canary(1)}`)) hub.emit(server, body);
    });
    expect(inInputs.records.some(({ body }) => body.kind === 'log' && body.text.startsWith('inputs'))).toBe(false);
    const inFrame = await recorded(({ hub }) => {
      const body: TraceBody = { kind: 'receive', from: bot, type: 'MOVE', sender: bot, sequence: 1 };
      hub.emit(server, body, [], utf8.encode(`{"password":"${canary(1)}"}`));
    });
    expect(isIn(unpacked(inFrame.bytes), canary(1))).toBe(false);
    const named = await recorded(({ hub }) => {
      hub.emit(server, { kind: 'names', sender: server, first: 0, names: ['name', 'password'] });
      const body: TraceBody = { kind: 'send', to: bot, type: 'MOVE', sender: server, sequence: 1 };
      hub.emit(server, body, [], utf8.encode(canary(1)));
    });
    expect(isIn(unpacked(named.bytes), canary(1))).toBe(false);
  });

  test('with rules of its own has neither what they name nor any frame', async () => {
    const { bytes, capture } = await recorded(
      ({ hub }) => {
        const record = { email: canary(1), note: `call ${canary(2)}` };
        const snapshot = { version: 1, records: [{ key: alice, record }], root: root(record), vector: [] };
        const wire = utf8.encode(canary(1));
        hub.emit(server, { kind: 'snapshot', reason: 'attach', ...snapshot }, [], wire);
      },
      { redaction: { paths: ['player/*.email'], patterns: ['canary2\\w+'] } },
    );
    for (const one of [1, 2]) expect(isIn(unpacked(bytes), canary(one))).toBe(false);
    expect((await capture.info()).header.redaction).toBe('rules');
  });

  test('of what has no secret has the very records, with their frames, inputs and hashes', async () => {
    const tell = ({ hub }: TestSession): void => {
      const record = { name: 'Alice', tokens: 100 };
      const snapshot = { version: 1, records: [{ key: alice, record }], root: root(record), vector: [] };
      hub.emit(server, { kind: 'snapshot', reason: 'attach', ...snapshot }, [], utf8.encode('frame'));
      hub.emit(server, { kind: 'log', level: 'info', text: `eyJ and ${'0123456789abcdef'.repeat(4)}` });
      for (const body of inputsWith('word')) hub.emit(server, body);
      hub.emit(bot, { kind: 'hash', version: 1, own: '00000000000000aa' as never });
    };
    const [open, redacted] = [await recorded(tell, { redaction: false }), await recorded(tell)];
    const told = ({ records }: Recorded) => records.map((record) => encodeTraceRecord({ ...record, time: 0 }));
    expect(told(redacted)).toEqual(told(open));
    expect(redacted.result.redacted).toBe(0);
  });

  test('refuses a rule that is none before anything is written', async () => {
    const session = await startSession(cleanups);
    const sink = memorySink();
    const connection = await attach(session);
    expect(() => recordSession(connection, sink, { redaction: { patterns: ['('] } })).toThrow(
      expect.objectContaining({ code: 'REDACT_RULE' }),
    );
    connection.close();
    expect(sink.bytes()).toHaveLength(0);
  });
});
