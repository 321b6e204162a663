import { describe, expect, test } from 'vitest';
import { StateRoot } from '../../merkle/index.ts';
import { zstdCompression } from '../../node/compression.ts';
import { BatchBuilder } from '../../replay/compact-inputs.ts';
import { type Change, type RecordKey, recordKey, replicaId, type SyncRecord } from '../../state/index.ts';
import { TRACE_VERSION, type TraceBody, type TraceHeader, type TraceRecord } from '../../trace/index.ts';
import { portableZstd } from '../compression.ts';
import type { OpenCapture } from '../engine.ts';
import { openFiledIndex } from '../index-file.ts';
import { inputTexts } from '../inputs-text.ts';
import { memorySink, memorySource } from '../memory-bytes.ts';
import { openCapture } from '../reader.ts';
import { CaptureMaker, isRedacted, mergedHeader, redactCapture, redactedHeader } from './index.ts';
import { isIn, unpacked, waysOf } from './unpacked.test-helper.ts';

const server = replicaId('server');
const viewer = replicaId('viewer');
const header: TraceHeader = {
  sessionId: 'redacted',
  title: 'Redacted',
  scenario: 'none',
  traceVersion: TRACE_VERSION,
  protocolVersion: 1,
  startedAt: 0,
  authority: server,
  build: 'test',
};
const pseudonym = (secret: string): string => `redacted-${StateRoot.from([[recordKey('a/b'), { secret }]]).hash}`;

async function made(
  fill: (maker: CaptureMaker) => Promise<unknown>,
  of: TraceHeader = header,
): Promise<{ readonly bytes: Uint8Array; readonly capture: OpenCapture }> {
  const sink = memorySink();
  const maker = new CaptureMaker(sink, of, { compression: zstdCompression });
  await fill(maker);
  await maker.end();
  return { bytes: sink.bytes(), capture: await openCapture(memorySource(sink.bytes())) };
}

const CANARY = 'canary-that-nobody-may-see';

/** A session that is long enough for states to be kept beside its records, with a secret in each place that has room for one. */
async function fillWithSecrets(maker: CaptureMaker): Promise<void> {
  const roots = new Map([server, viewer].map((one) => [one, StateRoot.empty]));
  for (const replica of [server, viewer]) {
    await maker.add(replica, 0, { kind: 'replica', role: replica === server ? 'server' : 'client' });
    const { hash } = roots.get(replica)!;
    await maker.add(replica, 0, {
      kind: 'snapshot',
      reason: 'attach',
      version: 0,
      records: [],
      root: hash,
      vector: [],
    });
  }
  await maker.add(viewer, 0, { kind: 'view', view: 'even', version: 0, records: 0, root: StateRoot.empty.hash });
  const inputs = new BatchBuilder();
  const wire = new TextEncoder().encode(`frame ${CANARY}`);
  await maker.add(server, 0, { kind: 'log', level: 'info', text: `told before: ${CANARY}` });
  for (let version = 1; version <= 900; version++) {
    const key = recordKey(`thing/${version % 40}`);
    const record: SyncRecord = {
      x: version,
      password: CANARY,
      deep: { list: [{ token: CANARY }] },
      note: `x ${CANARY}`,
    };
    const changes: Change[] = [{ op: 'put', key, record }];
    const event = { type: 'MOVED', player: 'viewer', detail: `with ${CANARY}` };
    for (const [replica, told] of [
      [server, changes],
      [viewer, version % 2 === 0 ? changes : []],
    ] as const) {
      const root = roots.get(replica)!.apply(told);
      roots.set(replica, root);
      const body: TraceBody =
        replica === server
          ? { kind: 'commit', version, event, changes: told, root: root.hash }
          : { kind: 'apply', from: version - 1, to: version, changes: told, root: root.hash };
      await maker.add(replica, version, body, [], wire);
    }
    inputs.add(
      { op: 'mutate', replica: server, now: version, command: 'move', args: `{"password":"${CANARY}"}` },
      0,
      1,
    );
  }
  for (const text of inputTexts(inputs.take(0))) await maker.add(server, 900, { kind: 'log', level: 'debug', text });
  await maker.add(viewer, 901, {
    kind: 'operation',
    crdt: 'text',
    origin: 'local',
    writer: viewer,
    counter: 1,
    vector: [],
    detail: '',
    data: wire,
  });
}

describe('T18: the whole file of a redacted capture', () => {
  test('holds a secret nowhere: not in records, inputs, operations, checkpoints, pages or names, however it is packed', async () => {
    const before = await made(fillWithSecrets);
    const kept = await openFiledIndex(memorySource(before.bytes), before.bytes.length, server, portableZstd);
    expect(kept!.index.checkpoints.size).toBeGreaterThan(2);
    expect(isIn(unpacked(before.bytes), CANARY)).toBe(true);
    const after = await made((maker) => redactCapture(before.capture, maker, { pseudonym }));
    const indexed = await openFiledIndex(memorySource(after.bytes), after.bytes.length, server, portableZstd);
    expect(indexed!.index.checkpoints.size).toBeGreaterThan(2);
    expect(isIn(unpacked(after.bytes), CANARY)).toBe(false);
    const { entries } = await after.capture.state(viewer, 1_800, '', 100);
    expect(entries.length).toBe(20);
  });

  test('what shows how they are found would find them', () => {
    for (const way of waysOf(CANARY).slice(0, 4)) expect(isIn(Buffer.from(`..${way}..`), CANARY)).toBe(true);
    for (const before of ['', 'a', 'ab', 'abc']) {
      const packed = Buffer.from(`${before}${CANARY}${before}`).toString('base64');
      expect(isIn(Buffer.from(packed), CANARY)).toBe(true);
    }
  });
});

/** What a redacted capture says in the place of one log line and one record. */
async function redactedOf(text: string, record: SyncRecord, patterns: readonly string[] = []): Promise<TraceRecord[]> {
  const key = recordKey('player/a') as RecordKey;
  const { capture } = await made(async (maker) => {
    await maker.add(server, 0, { kind: 'log', level: 'info', text });
    const root = StateRoot.from([[key, record]]).hash;
    await maker.add(server, 1, {
      kind: 'snapshot',
      reason: 'attach',
      version: 1,
      records: [{ key, record }],
      root,
      vector: [],
    });
  });
  const after = await made((maker) => redactCapture(capture, maker, { pseudonym, patterns }));
  const records: TraceRecord[] = [];
  for await (const { record } of after.capture.trace()) records.push(record);
  return records;
}

const textOf = (records: readonly TraceRecord[]): string => JSON.stringify(records.map(({ body }) => body));

describe('what is redacted', () => {
  test.each([
    'GET /a?access_token=HUSHhush12&b=1',
    'GET /a?client_secret=HUSHhush12',
    'GET /a?x-api-key=HUSHhush12',
    'Cookie: sid=HUSHhush12; other=HUSHhush12',
    'proxy-authorization: Digest HUSHhush12',
    '{"user":"a","password":"HUSHhush12"}',
    '{"refreshToken" : "with \\" HUSHhush12"}',
    '{"pin-secret":12345678.5, "x": "password: HUSHhush12"}',
    'opening https://me:HUSHhush12@example.org/',
    'login failed, password: HUSHhush12',
  ])('as text: %s', async (text) => {
    expect(textOf(await redactedOf(text, {}))).not.toMatch(/HUSHhush12|12345678/);
  });

  test('in bytes, in names of nested fields, and where a secret field’s value stands elsewhere', async () => {
    const told = await redactedOf('logged in with HUSHhush12 before', {
      bytes: new TextEncoder().encode('Bearer WHISTwhist34'),
      plain: Uint8Array.of(1, 2, 3),
      sessions: { 'Bearer WHISTwhist34': 'open', open: 1 },
      password: 'HUSHhush12',
      note: 'my word is HUSHhush12!',
    });
    expect(textOf(told)).not.toMatch(/HUSHhush12|WHISTwhist34/);
    const [, { body }] = told as [TraceRecord, TraceRecord];
    if (body.kind !== 'snapshot') throw new Error('there is no snapshot');
    const { record } = body.records[0]!;
    expect(record.plain).toEqual(Uint8Array.of(1, 2, 3));
    expect(record.sessions).toMatchObject({ open: 1 });
    expect(record.note).toMatch(/^my word is redacted-[0-9a-f]+!$/);
    expect(`my word is ${record.password}!`).toBe(record.note);
    expect(JSON.stringify(Object.values(record.bytes as object))).not.toContain('87,72,73,83,84');
  });

  test('can be read again, however much longer pseudonyms are', async () => {
    const [log] = await redactedOf('a '.repeat(5_000), { x: 'a '.repeat(100) }, ['a']);
    if (log?.body.kind !== 'log') throw new Error('there is no log line');
    expect(log.body.text).toHaveLength(10_000);
    expect(log.body.text).not.toMatch(/\ba\b/);
  });

  test('never so much that a record could not be read: its own words, names of replicas and keys stay', async () => {
    const told: TraceBody[] = [
      { kind: 'replica', role: 'server' },
      { kind: 'mismatch', reason: 'heartbeat', version: 1, from: 1, to: 2, own: StateRoot.empty.hash },
      {
        kind: 'health',
        target: viewer,
        state: 'stalled',
        stalls: ['behind'],
        version: 1,
        lag: 0,
        oldestPending: 0,
        verified: 0,
      },
      { kind: 'partition', state: 'split', reachable: [viewer], members: [server, viewer], version: 1, detail: '' },
      { kind: 'repair', version: 1, method: 'merkle', root: StateRoot.empty.hash, bytes: 1 },
      { kind: 'fault', fault: 'corrupt', phase: 'armed', target: viewer, detail: '' },
    ];
    const { capture } = await made(async (maker) => {
      for (const body of told) await maker.add(server, 0, body);
    });
    const after = await made((maker) => redactCapture(capture, maker, { pseudonym, patterns: ['[a-z]{4,}'] }));
    const read: TraceBody[] = [];
    for await (const { record } of after.capture.trace()) read.push(record.body);
    const redactedFault = { ...told[5], fault: expect.stringMatching(/^redacted-/) };
    expect(read.map((body) => ('own' in body || 'root' in body ? body.kind : body))).toEqual(
      [...told.slice(0, 5), redactedFault].map((body) => ('own' in body || 'root' in body ? body.kind : body)),
    );
  });

  test('in what stands over a capture, and it is known as redacted once', () => {
    const options = { pseudonym, patterns: ['hush'] };
    const once = redactedHeader({ ...header, title: 'of hush', build: 'hush 1', sessionId: 'hush' }, options);
    expect(JSON.stringify(once)).not.toContain('hush');
    expect([isRedacted(header), isRedacted(once)]).toEqual([false, true]);
    expect(redactedHeader(once, options)).toEqual(once);
    expect(redactedHeader({ ...header, title: 'x'.repeat(200) }, options).title).toHaveLength(200);
  });
});

test('captures of which one was not redacted are not taken for redacted together', async () => {
  const fill = (maker: CaptureMaker): Promise<number> =>
    maker.add(server, 0, { kind: 'log', level: 'info', text: 'x' });
  const clean = { name: 'clean', capture: (await made(fill, redactedHeader(header, { pseudonym }))).capture };
  const other = { name: 'other', capture: (await made(fill)).capture };
  expect(isRedacted(await mergedHeader([clean, clean]))).toBe(true);
  expect(isRedacted(await mergedHeader([clean, other]))).toBe(false);
  expect(isRedacted(await mergedHeader([other, clean]))).toBe(false);
});

test('captures that are merged keep the marks of all', async () => {
  const fill = (maker: CaptureMaker): Promise<number> =>
    maker.add(server, 0, { kind: 'log', level: 'info', text: 'x' });
  const parts = [['a/*.b'], ['c/*.d', 'a/*.b'], undefined].map(async (secrets, at) => ({
    name: `${at}`,
    capture: (await made(fill, secrets ? { ...header, secrets } : header)).capture,
  }));
  expect(await mergedHeader(await Promise.all(parts))).toMatchObject({ secrets: ['a/*.b', 'c/*.d'] });
});

test.each(['email', 'a.', ''])('a mark that is no path of a field, %j, is refused', async (mark) => {
  await expect(made(async () => undefined, { ...header, secrets: [mark] })).rejects.toMatchObject({
    code: 'SCHEMA_MISMATCH',
    place: { path: 'header/secrets/0' },
  });
});
