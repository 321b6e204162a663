import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { packMsgpack } from '../bytes/index.ts';
import { headerOf, isRedacted } from '../capture/exchange/index.ts';
import { isIn, unpacked } from '../capture/exchange/unpacked.test-helper.ts';
import { encodeTraceRecord, memorySink } from '../capture/index.ts';
import { verifyCapture } from '../diagnose/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { FrameEncoder } from '../messages/index.ts';
import type { ByteSink } from '../ports/index.ts';
import { recordKey, replicaId, type SyncRecord } from '../state/index.ts';
import type { TraceBody } from '../trace/index.ts';
import { type AttachConnection, attach } from './attach-client.ts';
import { zstdCompression } from './compression.ts';
import { recordingSink } from './files.ts';
import { recordSession } from './record-session.ts';
import {
  alice,
  bot,
  inputsWith,
  opened,
  type Recorded,
  recorded as recordedWith,
  root,
  snapshotOf,
  utf8,
} from './recorded.test-helper.ts';
import { header, server, startSession, type TestSession, temporaryFolder } from './testing.ts';

/** Ways in which a secret could get into a recording all the same. */

const cleanups: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const SECRET = 'HUSHhush1234+/? "q"';
const WORD = 'HUSHhush1234567890';
const recorded = (tell: (session: TestSession) => void, marks?: readonly string[]): Promise<Recorded> =>
  recordedWith(cleanups, tell, {}, marks);
const log = ({ hub }: TestSession, text: string): number => hub.emit(server, { kind: 'log', level: 'info', text });
const received: TraceBody = { kind: 'receive', from: bot, type: 'COMMAND', sender: bot, sequence: 1 };

describe('a text', () => {
  test.each([
    `{"password":["${WORD}"]}`,
    `{"secret":{"value":"${WORD}"}}`,
    `body: {\\"user\\":\\"a\\",\\"password\\":\\"${WORD}\\"}`,
    `{ user: 'a', password: '${WORD}' }`,
    `token: "${WORD}"`,
    `TOKEN="${WORD}" npm start`,
    `GET /x?q=%7B%22user%22%3A1%2C%22password%22%3A%22${WORD}%22%7D`,
    `player/password: expected a string of at most 8, got "${WORD}…"`,
    `data: ${Buffer.from(`{"password":"${WORD}"}`).toString('base64')}`,
    `data: ${Buffer.from(`{"password":"${WORD}"}`).toString('base64url')}`,
    `Set-Cookie: sid=${WORD}; Path=/; HttpOnly`,
    `amqp://guest:${WORD}@broker:5672/`,
    `using ghp_${WORD}`,
    `using sk-${WORD}`,
    `-----BEGIN RSA PRIVATE KEY-----\n${WORD}\n-----END RSA PRIVATE KEY-----`,
    `event: hello\ndata: {"apiKey":"${WORD}"}\n\n`,
  ])('does not tell it: %s', async (text) => {
    const { bytes, records } = await recorded((session) => log(session, text));
    expect(isIn(unpacked(bytes), WORD)).toBe(false);
    expect(unpacked(bytes).includes(Buffer.from(`{"password":"${WORD}"}`).toString('base64').slice(0, -4))).toBe(false);
    expect(JSON.stringify(records)).toMatch(/redacted-[0-9a-f]{12}/);
  });

  test('stays what it was around it: JSON stays JSON, and the same secret gets the same pseudonym wherever it stands', async () => {
    const { records } = await recorded((session) => {
      session.hub.emit(server, snapshotOf({ name: 'Alice', token: WORD }));
      log(session, `{"user":"a","token":"${WORD}","n":1}`);
      log(session, `GET /x?token=${WORD}&b=1 with Bearer ${WORD}, said ${WORD}`);
    });
    const [json, get] = records.flatMap(({ body }) => (body.kind === 'log' ? [body.text] : []));
    const { token } = JSON.parse(json!) as { token: string };
    expect(token).toMatch(/^redacted-[0-9a-f]{12}$/);
    expect(get).toBe(`GET /x?token=${token}&b=1 with Bearer ${token}, said ${token}`);
    expect(JSON.stringify(records)).toContain(`"token":"${token}"`);
  });
});

describe('bytes', () => {
  test.each([
    ['text', utf8.encode(`{"password":"${WORD}"}`)],
    ['msgpack', packMsgpack({ user: 'a', password: WORD })],
    ['msgpack in msgpack', packMsgpack([{ at: packMsgpack({ list: [{ token: WORD }] }) }])],
  ])('of a record do not tell it: %s', async (_, data) => {
    const { bytes, records } = await recorded((session) => {
      session.hub.emit(server, snapshotOf({ data, other: packMsgpack({ name: 'a' }) }));
      log(session, `said ${WORD}`);
    });
    expect(isIn(unpacked(bytes), WORD)).toBe(false);
    const { body } = records.find((one) => one.body.kind === 'snapshot')!;
    const { record } = (body as TraceBody & { kind: 'snapshot' }).records[0]!;
    expect(record).toEqual({ data: expect.stringMatching(/^redacted-/), other: packMsgpack({ name: 'a' }) });
  });
});

describe('what is known to be secret', () => {
  test.each([
    ['in base64', Buffer.from(`user:${SECRET}!`).toString('base64')],
    ['in base64 for addresses', Buffer.from(`??${SECRET}`).toString('base64url')],
    ['in hex', Buffer.from(SECRET).toString('hex')],
    ['as part of an address', `/x/${encodeURIComponent(SECRET)}/y`],
    ['in JSON', JSON.stringify([SECRET])],
    ['in JSON in JSON', JSON.stringify(JSON.stringify([SECRET]))],
  ])('is not told %s', async (_, text) => {
    const { bytes } = await recorded((session) => {
      session.hub.emit(server, snapshotOf({ password: SECRET }));
      log(session, `then ${text}`);
    });
    expect(unpacked(bytes).includes(text)).toBe(false);
    expect(isIn(unpacked(bytes), SECRET)).toBe(false);
  });

  test('is learnt from headers and texts, from frames and from inputs, and found where nothing says that it is one', async () => {
    const told = ['Aaaa1111bbbb', 'Cccc2222dddd', 'Eeee3333ffff', 'Gggg4444hhhh'];
    const { bytes } = await recorded((session) => {
      log(session, `Cookie: sid=${told[0]}; theme=dark`);
      log(session, `{"refreshToken":"${told[1]}"}`);
      const frame = packMsgpack([12, 'bot', 1, 'login', { user: 'a', password: told[2]! }]);
      session.hub.emit(server, received, [], frame);
      for (const body of inputsWith(`a","password":"${told[3]}","b":"`)) session.hub.emit(server, body);
      for (const one of told) log(session, `failed for ${one}`);
    });
    for (const one of told) expect(isIn(unpacked(bytes), one)).toBe(false);
  });
});

describe('what was told before it was known to be secret', () => {
  const before = (session: TestSession, record: SyncRecord): void => {
    session.hub.emit(server, snapshotOf(record));
    log(session, `hello ${WORD}`);
    log(session, Buffer.from(`x${WORD}`).toString('base64'));
    session.hub.emit(server, received, [], utf8.encode(`frame with ${WORD}`));
    for (const body of inputsWith(WORD)) session.hub.emit(server, body);
  };
  const known = ({ hub }: TestSession, record: SyncRecord): void => {
    const changes = [{ op: 'put' as const, key: alice, record }];
    const event = { type: 'SET', player: 'alice', detail: '' };
    hub.emit(server, { kind: 'commit', version: 2, event, changes, root: root(record) });
    hub.emit(server, { kind: 'hash', version: 2, own: root(record) });
  };

  test('is gone from the file when it is closed: from texts, states, frames and inputs; and states fit their hashes', async () => {
    const { bytes, capture, records, result } = await recorded((session) => {
      before(session, { note: `so ${WORD}` });
      known(session, { note: 'x', password: WORD });
    });
    expect(isIn(unpacked(bytes), WORD)).toBe(false);
    expect(records.map(({ seq }) => seq)).toEqual(records.map((_, at) => records[0]!.seq + at));
    expect(records.some(({ wire }) => wire)).toBe(false);
    expect(result).toMatchObject({ records: records.length, size: bytes.length });
    expect((await capture.info()).cut).toBeUndefined();
    expect(await verifyCapture(capture)).toMatchObject({ status: 'agrees' });
    const snapshot = records.find(({ body }) => body.kind === 'snapshot')!.body;
    const { record } = (snapshot as TraceBody & { kind: 'snapshot' }).records[0]!;
    expect(snapshot).toMatchObject({ root: root(record as SyncRecord) });
    const [, put] = /"password":"(redacted-[0-9a-f]{12})"/.exec(JSON.stringify(records)) ?? [];
    expect(record).toEqual({ note: `so ${put}` });
  });

  test('and what had no secret before that stays the bytes that it was', async () => {
    const frame = utf8.encode('a frame of no interest');
    const { records } = await recorded((session) => {
      session.hub.emit(server, received, [], frame);
      for (const body of inputsWith('word')) session.hub.emit(server, body);
      log(session, `hello ${WORD}`);
      session.hub.emit(server, received, [], frame);
      known(session, { password: WORD });
    });
    expect(records.flatMap(({ wire }) => (wire ? [wire] : []))).toEqual([frame]);
    expect(records.filter(({ body }) => body.kind === 'log' && body.text.startsWith('inputs')).length).toBeGreaterThan(
      0,
    );
  });

  test('is gone from what stands over the records, too', async () => {
    const { capture } = await recorded((session) => known(session, { password: 'a test' }));
    expect((await capture.info()).header.title).toMatch(/^redacted-[0-9a-f]{12}$/);
  });

  test('where the file cannot be written again, is not taken for redacted', async () => {
    const session = await startSession(cleanups);
    const memory = memorySink();
    const sink = { ...memory, rewrite: () => Promise.reject(new Error('no room')) };
    const recording = recordSession(await attach(session), sink);
    before(session, {});
    known(session, { password: WORD });
    await session.close('enough');
    await expect(recording.done).rejects.toMatchObject({ code: 'CAPTURE_WRITE_FAILED' });
    const { capture } = await opened(memory.bytes());
    const info = await capture.info();
    expect(info).toMatchObject({ header: { redaction: 'names' }, cut: expect.anything() });
    expect(isRedacted(headerOf(info))).toBe(false);
  });

  test('is gone from a file on a disk, which is packed, and from its folder', async () => {
    const folder = await temporaryFolder(cleanups);
    const path = join(folder, 'session.mcap');
    const session = await startSession(cleanups);
    const options = { compression: zstdCompression };
    const recording = recordSession(await attach(session), await recordingSink(path), options);
    before(session, { note: WORD });
    known(session, { password: WORD });
    await session.close('enough');
    const { size, records } = await recording.done;
    expect(await readdir(folder)).toEqual(['session.mcap']);
    const bytes = new Uint8Array(await readFile(path));
    expect(bytes).toHaveLength(size);
    expect(isIn(unpacked(bytes), WORD)).toBe(false);
    const read = await opened(bytes);
    expect(read.records).toHaveLength(records);
    expect(await verifyCapture(read.capture)).toMatchObject({ status: 'agrees' });
  });

  test('what is not told before is not written twice', async () => {
    const session = await startSession(cleanups);
    const memory = memorySink();
    let asked = 0;
    const sink: ByteSink = {
      ...memory,
      rewrite: (write) =>
        memory.rewrite!((written, instead) =>
          write(written, () => {
            asked++;
            return instead();
          }),
        ),
    };
    const recording = recordSession(await attach(session), sink);
    session.hub.emit(server, received, [], utf8.encode('a frame'));
    known(session, { password: WORD, list: [{ token: 5 }] });
    for (const text of [WORD, `Bearer ${WORD}`, `{"pin-secret":["${WORD}"]}`, `Cookie: a=${WORD}; b=c`])
      log(session, text);
    session.hub.emit(bot, { kind: 'hash', version: 9, own: '00000000000000aa' as never });
    await session.close('enough');
    await recording.done;
    expect(asked).toBe(0);
  });
});

describe('a frame', () => {
  test('of a HELLO keeps its place without its token, and is no reason to leave anything out', async () => {
    const hello = new FrameEncoder(bot).encode({
      type: 'HELLO',
      protocolMin: 1,
      protocolMax: 1,
      session: 'main',
      replica: bot,
      token: WORD,
      features: [],
      next: 1,
    })[0]!.frame;
    const other = utf8.encode('another frame');
    const { bytes, records } = await recorded((session) => {
      const body: TraceBody = { kind: 'receive', from: bot, type: 'HELLO', sender: bot, sequence: 1 };
      session.hub.emit(server, body, [], hello);
      session.hub.emit(server, { kind: 'refused', from: bot, code: 'TOKEN_WRONG', message: 'wrong' }, [], hello);
      session.hub.emit(server, received, [], other);
      for (const inputs of inputsWith('word')) session.hub.emit(server, inputs);
    });
    expect(isIn(unpacked(bytes), WORD)).toBe(false);
    expect(records.flatMap(({ wire }) => (wire ? [wire.length] : []))).toEqual([
      hello.length,
      hello.length,
      other.length,
    ]);
    expect(records.some(({ body }) => body.kind === 'log' && body.text.startsWith('inputs'))).toBe(true);
  });

  test('of a HELLO that cannot be read is left out', async () => {
    const broken = Uint8Array.of(0x99, 1, ...utf8.encode(WORD));
    const { bytes } = await recorded(({ hub }) => {
      hub.emit(server, { kind: 'refused', from: bot, code: 'MSGPACK_INVALID', message: 'no' }, [], broken);
    });
    expect(isIn(unpacked(bytes), WORD)).toBe(false);
  });
});

describe('a field that the app marked', () => {
  const marks = ['player/*.nick', 'player/*.x'];
  const tell = (session: TestSession): void => {
    const first = { name: 'Alice', at: 5 };
    session.hub.emit(server, snapshotOf(first));
    session.hub.emit(server, received, [], utf8.encode('a frame'));
    const record: SyncRecord = { name: 'Alice', nick: WORD, x: 1234567, more: { x: ['two'] } };
    const changes = [{ op: 'put' as const, key: alice, record }];
    session.hub.emit(server, { kind: 'names', sender: server, first: 0, names: ['nick'] });
    session.hub.emit(server, received, [], utf8.encode(`\xa4nick${WORD}`));
    const event = { type: 'SET', player: 'alice', detail: `x=1234567, {"nick":"${WORD}"}` };
    session.hub.emit(server, { kind: 'commit', version: 2, event, changes, root: root(record) });
    log(session, `alice is ${WORD}`);
  };

  test('is redacted in any recording without a rule, lists and numbers included; frames before it stay', async () => {
    const { bytes, capture, records } = await recorded(tell, marks);
    for (const one of [WORD, '1234567', 'two']) expect(unpacked(bytes).includes(one)).toBe(false);
    const { header } = await capture.info();
    expect(header).toMatchObject({ redaction: 'names', secrets: marks });
    expect(records.flatMap(({ wire }) => (wire ? [wire.length] : []))).toEqual(['a frame'.length]);
    expect(await verifyCapture(capture)).toMatchObject({ status: 'agrees' });
  });

  test('is no secret in records of other collections', async () => {
    const { records } = await recorded(({ hub }) => {
      const value: SyncRecord = { nick: 'open to all' };
      hub.emit(server, { ...snapshotOf({}), records: [{ key: 'room/hall', record: value }] } as TraceBody);
    }, marks);
    expect(JSON.stringify(records)).toContain('open to all');
  });
});

describe('around the records', () => {
  test('the reason for which a session was lost does not tell it', async () => {
    const lost: AttachConnection = {
      header: header(),
      mayInject: false,
      targets: [],
      closed: Promise.resolve({ kind: 'lost', reason: `the broker said: Bearer ${WORD}` }),
      onRecords(listener) {
        const body: TraceBody = { kind: 'log', level: 'info', text: 'x' };
        listener([encodeTraceRecord({ seq: 1, time: 0, replica: server, cause: [], body })]);
      },
      inject: () => Promise.resolve(),
      pace() {},
      flush: () => Promise.resolve(),
      end() {},
      close() {},
    };
    const sink = memorySink();
    await recordSession(lost, sink).done;
    expect(unpacked(sink.bytes()).includes('the broker said')).toBe(true);
    expect(isIn(unpacked(sink.bytes()), WORD)).toBe(false);
  });

  test('nobody is renamed because a secret is called like them', async () => {
    const { records } = await recorded((session) => {
      session.hub.emit(replicaId('server'), snapshotOf({ password: 'server' }));
      log(session, 'on server');
    });
    expect(records.every(({ replica }) => replica === 'server')).toBe(true);
  });
});

describe('names of replicas and keys', () => {
  const token = 'tok-4f9c1122334455';
  const tell = (session: TestSession): void => {
    const { hub } = session;
    const user = replicaId(token);
    const key = recordKey(`session/${token}`);
    const first: SyncRecord = { open: true };
    const begun = StateRoot.from([[key, first]]);
    hub.emit(user, { kind: 'replica', role: 'client' });
    for (const replica of [server, user]) {
      const records = [{ key, record: first }];
      hub.emit(replica, { kind: 'snapshot', reason: 'attach', version: 1, records, root: begun.hash, vector: [] });
    }
    const changes = [{ op: 'patch' as const, key, fields: { token, last: user }, removed: [] }];
    const after = begun.apply(changes);
    hub.emit(server, {
      kind: 'commit',
      version: 2,
      event: { type: 'SET', player: user, detail: '' },
      changes,
      root: after.hash,
    });
    hub.emit(user, { kind: 'apply', from: 1, to: 2, changes, root: after.hash });
    hub.emit(user, { kind: 'hash', version: 2, own: after.hash, reference: after.hash, agrees: true });
    hub.emit(server, {
      kind: 'vector',
      vector: [
        { replica: server, counter: 1 },
        { replica: user, counter: 2 },
      ],
    });
  };

  test('give way where a token is one, everywhere to the same, and states still fit', async () => {
    const { bytes, capture, records } = await recorded(tell);
    expect(isIn(unpacked(bytes), token)).toBe(false);
    const replicas = [...new Set(records.map(({ replica }) => replica))];
    expect(replicas).toEqual(['server', expect.stringMatching(/^redacted-[0-9a-f]{12}$/)]);
    const user = replicas[1]!;
    const { entries, unknown } = await capture.state(user, records.length - 1, '', 10);
    expect(unknown).toBeUndefined();
    expect(entries).toMatchObject([{ key: `session/${user}`, record: { open: true, token: user, last: user } }]);
    const vector = records
      .flatMap(({ body }) => (body.kind === 'vector' ? body.vector : []))
      .map(({ replica }) => replica);
    expect(vector).toEqual([user, server].toSorted());
    expect(await verifyCapture(capture)).toMatchObject({ status: 'agrees' });
  });
});
