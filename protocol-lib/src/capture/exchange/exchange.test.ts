import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { verifyCapture } from '../../diagnose/index.ts';
import { StateRoot } from '../../merkle/index.ts';
import { isInputs } from '../../replay/batches.ts';
import { type RecordKey, recordKey, replicaId, type SyncRecord } from '../../state/index.ts';
import type { TraceRecord } from '../../trace/index.ts';
import type { OpenCapture } from '../engine.ts';
import { memorySink, memorySource } from '../memory-bytes.ts';
import { openCapture } from '../reader.ts';
import { coinRecording, fileOf } from '../testing.test-helper.ts';
import { fromBase64, toBase64 } from './base64.ts';
import {
  CaptureMaker,
  examine,
  exportCsv,
  exportHar,
  exportJson,
  exportShiViz,
  filterCapture,
  harStart,
  importedHeader,
  importHar,
  importShiViz,
  recoverCapture,
  redactCapture,
  SHIVIZ_PATTERN,
} from './index.ts';
import { made, recording, recordsOf, valuesOf } from './made.test-helper.ts';

const bytes = await fileOf(recording);
const capture = await openCapture(memorySource(bytes));

async function textOf(pieces: AsyncIterable<string>): Promise<string> {
  let text = '';
  for await (const piece of pieces) text += piece;
  return text;
}

describe('exports', () => {
  test('as JSON lines hold every record as it is', async () => {
    const [head, ...lines] = (await textOf(exportJson(capture))).trimEnd().split('\n');
    expect(JSON.parse(head!)).toMatchObject({
      format: 'syncscope/records@1',
      header: { sessionId: recording.header.sessionId },
    });
    expect(lines).toHaveLength(recording.records.length);
    lines.forEach((line, position) => {
      const { seq, replica, time, body } = recording.records[position]!;
      expect(JSON.parse(line)).toMatchObject({ position, seq, replica, time, body: { kind: body.kind } });
    });
    const some = (await textOf(exportJson(capture, 'kind:commit'))).trimEnd().split('\n');
    expect(some).toHaveLength(1 + recording.records.filter(({ body }) => body.kind === 'commit').length);
  });

  test('as JSON lines say what each frame says, also where the names that it needs are left out', async () => {
    const [, ...lines] = (await textOf(exportJson(capture, 'kind:send|receive'))).trimEnd().split('\n');
    const frames = lines.map((line) => JSON.parse(line) as Record<'body' | 'message', Record<string, unknown>>);
    expect(frames.length).toBeGreaterThan(100);
    for (const { body, message } of frames) {
      expect(message).toMatchObject({ type: body.type, sender: body.sender, sequence: body.sequence });
    }
    const delta = frames.find(({ message }) => message.type === 'DELTA_SYNC')!;
    expect(delta.message.changes).toEqual(
      expect.arrayContaining([expect.objectContaining({ key: expect.any(String) })]),
    );
  });

  test('as JSON lines tell of a frame that says nothing', async () => {
    const wire = Uint8Array.of(0xc1);
    const one = await made((maker) =>
      maker.add(replicaId('a'), 0, { kind: 'refused', from: replicaId('b'), code: 'X', message: 'y' }, [], wire),
    );
    const [, line] = (await textOf(exportJson(one))).split('\n');
    expect(JSON.parse(line!)).toMatchObject({
      wire: { $bytes: 'c1' },
      messageError: { code: expect.any(String), message: expect.any(String) },
    });
  });

  test('as CSV have a line a record, and no cell that a spreadsheet runs', async () => {
    const lines = (await textOf(exportCsv(capture))).trimEnd().split('\r\n');
    expect(lines).toHaveLength(recording.records.length + 1);
    const one = await made((maker) =>
      maker.add(replicaId('a'), 0, { kind: 'log', level: 'info', text: '=cmd|"x",1\n2' }),
    );
    const [, line] = (await textOf(exportCsv(one))).split(/\r\n/);
    expect(line).toContain(`"'=cmd|""x"",1\n2"`);
  });

  test('for ShiViz count a vector clock that says exactly what happened before what', async () => {
    const events = [...(await textOf(exportShiViz(capture))).matchAll(new RegExp(SHIVIZ_PATTERN, 'g'))];
    expect(events).toHaveLength(recording.records.length);
    const clocks = events.map(({ groups }) => JSON.parse(groups!.clock!) as Record<string, number>);
    expect(events.map(({ groups }) => groups!.host)).toEqual(recording.records.map(({ replica }) => replica));
    for (const at of [50, 200, events.length - 1]) {
      const { seq, replica } = recording.records[at]!;
      const before = new Set((await capture.rows(`before:${seq}`, 0, 10_000)).rows.map(({ position }) => position));
      const own = clocks[at]!;
      clocks.slice(0, at).forEach((clock, position) => {
        const host = recording.records[position]!.replica;
        const isBefore = clock[host]! <= (own[host] ?? 0);
        expect(isBefore, `${position} before ${at} of ${replica}`).toBe(before.has(position));
      });
    }
  });

  test('for ShiViz filtered keep what happened before what, also through what is left out', async () => {
    const filter = 'kind:commit|apply|prediction';
    const events = [...(await textOf(exportShiViz(capture, filter))).matchAll(new RegExp(SHIVIZ_PATTERN, 'g'))];
    const kept = recording.records.filter(({ body }) => ['commit', 'apply', 'prediction'].includes(body.kind));
    expect(events.map(({ groups }) => groups!.host)).toEqual(kept.map(({ replica }) => replica));
    const clocks = events.map(({ groups }) => JSON.parse(groups!.clock!) as Record<string, number>);
    const counts = new Map<string, number>();
    for (const [at, { replica }] of kept.entries()) {
      // ShiViz wants each host to count by one.
      counts.set(replica, (counts.get(replica) ?? 0) + 1);
      expect(clocks[at]![replica]).toBe(counts.get(replica));
    }
    for (const at of [30, 60, kept.length - 1]) {
      const before = new Set((await capture.rows(`before:${kept[at]!.seq}`, 0, 10_000)).rows.map(({ seq }) => seq));
      for (const [other, { seq, replica }] of kept.slice(0, at).entries()) {
        expect(clocks[other]![replica]! <= (clocks[at]![replica] ?? 0), `${seq} before ${kept[at]!.seq}`).toBe(
          before.has(seq),
        );
      }
    }
  });

  test('as an HTTP archive hold the frames of every connection, byte for byte', async () => {
    const { log } = JSON.parse(await textOf(exportHar(capture))) as {
      log: {
        entries: {
          startedDateTime: string;
          time: number;
          request: { url: string };
          _webSocketMessages: { type: string; time: number; data: string }[];
        }[];
      };
    };
    expect(log.entries).toHaveLength(3);
    for (const { startedDateTime, time, _webSocketMessages: messages } of log.entries) {
      // Each connection has its own time, which its messages lie in.
      const begin = Date.parse(startedDateTime);
      expect(messages[0]!.time * 1_000).toBeGreaterThanOrEqual(begin);
      expect(messages.at(-1)!.time * 1_000).toBeLessThanOrEqual(begin + time + 1);
    }
    const bot2 = log.entries.find(({ request }) => request.url.endsWith('/bot-2'))!;
    const expected = recording.records
      .filter(({ replica, body }) => replica === 'bot-2' && (body.kind === 'send' || body.kind === 'receive'))
      .map(({ body, wire }) => [body.kind, [...wire!]]);
    expect(bot2._webSocketMessages.map(({ type, data }) => [type, [...fromBase64(data)!]])).toEqual(expected);
  });

  test('base64 comes back', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (some) => {
        expect([...fromBase64(toBase64(some))!]).toEqual([...some]);
      }),
    );
    expect(toBase64(new TextEncoder().encode('any carnal pleas'))).toBe('YW55IGNhcm5hbCBwbGVhcw==');
    for (const bad of ['a', 'a===', 'a b=', '====']) expect(fromBase64(bad)).toBeUndefined();
  });
});

describe('imports', () => {
  test('take our own ShiViz log over with the same order', async () => {
    const log = await textOf(exportShiViz(capture));
    const one = await made((maker) => importShiViz(log, maker), importedHeader('log', 0));
    const events = (await recordsOf(one)).filter(({ body }) => body.kind === 'log');
    expect(events).toHaveLength(recording.records.length);
    expect(new Set((await one.info()).replicas.map(({ id }) => id))).toEqual(
      new Set(['server', 'bot-1', 'bot-2', 'bot-3']),
    );
  });

  test('put events in an order that agrees with the clocks, however the lines stand', async () => {
    const log = 'b {"a":1,"b":1}\ngot it\na {"a":2}\nnext\na {"a":1}\nsent it\n';
    const one = await made((maker) => importShiViz(log, maker), importedHeader('log', 0));
    const events = (await recordsOf(one)).filter(({ body }) => body.kind === 'log');
    expect(events.map(({ body }) => 'text' in body && body.text)).toEqual(['sent it', 'got it', 'next']);
    expect(events[1]!.cause).toEqual([events[0]!.seq]);
  });

  test.each([
    ['no event', 'hello', 'no event'],
    ['a clock that is no JSON', 'a {x}\ne', 'not JSON'],
    ['a clock without its host', 'a {"b":1}\ne', 'does not count a'],
    ['a count that is none', 'a {"a":-1}\ne', 'counts -1'],
    ['a number given twice', 'a {"a":1}\ne\na {"a":1}\nf', 'two events numbered 1'],
    ['a circle', 'a {"a":1,"b":1}\ne\nb {"a":1,"b":1}\nf', 'in a circle'],
  ])('refuse %s', async (_, log, message) => {
    await expect(made((maker) => importShiViz(log, maker), importedHeader('log', 0))).rejects.toMatchObject({
      code: 'IMPORT_INVALID',
      message: expect.stringContaining(message),
    });
  });

  test('refuse a pattern without its groups, or that is none', async () => {
    for (const pattern of ['(?<host>.*)', '(']) {
      await expect(
        made((maker) => importShiViz('a {"a":1}\ne', maker, pattern), importedHeader('log', 0)),
      ).rejects.toMatchObject({
        code: 'IMPORT_PATTERN',
      });
    }
  });

  test('take the WebSockets of an archive over, and say what is in them', async () => {
    const messages = [
      { type: 'send', time: 100.5, opcode: 1, data: '{"hello":1}' },
      { type: 'receive', time: 100.75, opcode: 2, data: toBase64(Uint8Array.of(0x93, 1, 2, 3)) },
      { type: 'receive', time: 101, opcode: 2, data: toBase64(Uint8Array.of(0xc1)) },
      { type: 'send', time: 101.5, opcode: 1, data: 'plain' },
    ];
    const har = JSON.stringify({
      log: {
        entries: [{ request: { url: 'ws://x' }, _webSocketMessages: messages }, { request: { url: 'http://x' } }],
      },
    });
    expect(harStart(har)).toBe(100_500);
    const one = await made((maker) => importHar(har, maker), importedHeader('har', harStart(har)));
    const records = await recordsOf(one);
    expect(records.flatMap(({ body }) => (body.kind === 'send' ? [[body.type, body.to]] : []))).toEqual([
      ['JSON', 'server'],
      ['MSGPACK', 'client-1'],
      ['BYTES', 'client-1'],
      ['TEXT', 'server'],
    ]);
    expect(records.flatMap(({ body }) => (body.kind === 'log' ? [body.text] : []))).toEqual([
      '{"hello":1}',
      '[1,2,3]',
      'c1',
      'plain',
    ]);
    expect(records.find(({ body }) => body.kind === 'receive')?.time).toBe(0);
    expect(records.at(-1)!.time).toBe(1e9);
  });

  test('take JSON in binary messages, other makers’ msgpack, and what a connection ended with', async () => {
    const bytes = (...all: number[]): string => toBase64(Uint8Array.of(...all));
    const message = (data: string, opcode = 2, type = 'receive') => ({ type, time: 1, opcode, data, mask: true });
    const payloads = [
      [message(toBase64(new TextEncoder().encode('{"a":[1]}'))), 'JSON', '{"a":[1]}'],
      [message(bytes(0xd6, 0xff, 0, 0, 0, 1)), 'MSGPACK', '{"$time":"1970-01-01T00:00:01.000Z"}'],
      [
        message(bytes(0x81, 7, 0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)),
        'MSGPACK',
        '{"7":18446744073709551615}',
      ],
      [message(bytes(0xd4, 5, 0xab)), 'MSGPACK', '{"$extension":5,"$bytes":"ab"}'],
      [message(bytes(0x92, 1)), 'BYTES', '9201'],
    ] as const;
    const messages = [...payloads.map(([one]) => one), message('net::ERR_FAILED', -1, 'error')];
    const har = `\ufeff${JSON.stringify({
      log: {
        entries: [
          { request: { url: `data:text/plain,${'x'.repeat(100_000)}` } },
          { request: { url: 'wss://ann:pw@a.example/live?token=secret' }, _webSocketMessages: messages },
          { request: { url: 'wss://b.example/' }, _webSocketMessages: [message('hi', 1, 'send')] },
        ],
      },
    })}`;
    const one = await made((maker) => importHar(har, maker), importedHeader('har', harStart(har)));
    const records = await recordsOf(one);
    const received = records.flatMap(({ body, replica }) =>
      body.kind === 'receive' && replica === 'client-1' ? [body.type] : [],
    );
    expect(received).toEqual(payloads.map(([, kind]) => kind));
    const logs = records.flatMap(({ body }) => (body.kind === 'log' ? [[body.level, body.text]] : []));
    expect(logs).toEqual([
      ...payloads.map(([, , text]) => ['info', text]),
      ['error', 'error: net::ERR_FAILED'],
      ['info', 'hi'],
    ]);
    const titles = records.flatMap(({ body, replica }) => (body.kind === 'replica' ? [[replica, body.title]] : []));
    expect(titles).toEqual([
      ['server', 'a.example'],
      ['server-2', 'b.example'],
      ['client-1', 'wss://a.example/live'],
      ['client-2', 'wss://b.example/'],
    ]);
  });

  test('our own archive comes back with every frame', async () => {
    const har = await textOf(exportHar(capture));
    const one = await made((maker) => importHar(har, maker), importedHeader('har', 0));
    const frames = (of: readonly TraceRecord[]) => of.filter(({ body }) => body.kind === 'send').length;
    const seen = recording.records.filter(
      ({ body, replica }) => replica !== 'server' && (body.kind === 'send' || body.kind === 'receive'),
    );
    expect(frames(await recordsOf(one))).toBe(seen.length);
  });

  test.each([
    '',
    'no',
    '{}',
    '{"log":{"entries":[]}}',
    '{"log":{"entries":[{"request":{"url":"x"},"_webSocketMessages":[{"type":1}]}]}}',
  ])('refuse %j as an archive', async (har) => {
    await expect(made((maker) => importHar(har, maker), importedHeader('har', 0))).rejects.toMatchObject({
      code: 'IMPORT_INVALID',
    });
  });
});

describe('a filtered capture', () => {
  test('has what passes, still shows the states, and says the same of the divergence', async () => {
    const one = await made((maker) => filterCapture(capture, 'who:bot-2', maker));
    const records = await recordsOf(one);
    expect(records.map(({ seq }) => seq)).toEqual(records.map((_, index) => index + 1));
    expect(records.some(({ body, replica }) => body.kind === 'send' && replica !== 'bot-2')).toBe(false);
    const bot2 = replicaId('bot-2');
    const end = records.length - 1;
    const [left, right] = [
      await one.state(bot2, end, '', 100),
      await capture.state(bot2, recording.records.length - 1, '', 100),
    ];
    expect(valuesOf(left)).toEqual(valuesOf(right));
    expect((await verifyCapture(one)).status).toBe('diverged');
  });
});

describe('a damaged capture', () => {
  test('is written anew without what cannot be read, and says where it was', async () => {
    const damaged = bytes.slice();
    const place = Math.floor(damaged.length / 5);
    damaged.fill(0x55, place, place + 40);
    const source = await openCapture(memorySource(damaged)).catch(() => undefined);
    if (!source) throw new Error('the damaged capture does not open');
    let result: Awaited<ReturnType<typeof recoverCapture>> | undefined;
    const one = await made(async (maker) => {
      result = await recoverCapture(source, maker);
    });
    expect(result!.lost.length).toBeGreaterThan(0);
    const records = await recordsOf(one);
    const kept = new Map(
      recording.records.map((record) => [`${record.time} ${record.replica} ${record.body.kind}`, record]),
    );
    for (const { time, replica, body } of records)
      if (body.kind !== 'gap') expect(kept.has(`${time} ${replica} ${body.kind}`)).toBe(true);
    expect(records.filter(({ body }) => body.kind === 'gap')).toHaveLength(result!.lost.length);
    const told = recording.records.length - result!.kept;
    expect(result!.lost.reduce((sum, { from, to }) => sum + to - from + 1, 0)).toBe(told);
    expect(result!.why.join()).toMatch(/checksum/);
    const { symptoms } = await examine(source);
    expect(symptoms.map(({ what }) => what).join()).toMatch(/not whole/);
  });

  test('that is whole has nothing wrong with it', async () => {
    const clean = await openCapture(memorySource(await fileOf(coinRecording())));
    expect((await examine(clean)).symptoms.filter(({ level }) => level === 'warning')).toEqual([]);
  });
});

describe('T18: a redacted capture', () => {
  const canaries = [
    'CANARY-password-1',
    'Bearer CANARYbearer22',
    'eyJhbGciOiJI.CANARYjwt333.sig',
    '?token=CANARYquery44',
    'canary5@example.org',
    'CANARY6',
  ];
  const pseudonym = (secret: string): string => {
    let hash = 7;
    for (const character of secret) hash = (Math.imul(hash, 31) + character.codePointAt(0)!) >>> 0;
    return `redacted-${hash.toString(16)}`;
  };
  const alice = recordKey('player/alice');
  const before: SyncRecord = {
    name: 'Alice',
    password: canaries[0]!,
    note: `call with ${canaries[1]}`,
    link: `https://x.example/a${canaries[3]}&b=1`,
    email: canaries[4]!,
    deep: { list: [{ authToken: canaries[5]! }, canaries[2]!] },
  };
  const after = { ...before, name: 'Bob' };
  const root = (record: SyncRecord) => StateRoot.from([[alice as RecordKey, record]]).hash;

  async function redacted(): Promise<{ one: OpenCapture; raw: string }> {
    const source = await made(async (maker) => {
      const [server, bot] = [replicaId('server'), replicaId('bot')];
      for (const replica of [server, bot]) {
        await maker.add(replica, 0, {
          kind: 'snapshot',
          reason: 'attach',
          version: 1,
          records: [{ key: alice, record: before }],
          root: root(before),
          vector: [],
        });
      }
      const change = { op: 'patch' as const, key: alice, fields: { name: 'Bob', password: canaries[0]! }, removed: [] };
      const event = { type: 'NAMED', player: 'alice', detail: `with ${canaries[1]}` };
      await maker.add(server, 1, { kind: 'commit', version: 2, event, changes: [change], root: root(after) });
      await maker.add(
        bot,
        2,
        { kind: 'apply', from: 1, to: 2, changes: [change], root: root(after) },
        [],
        new TextEncoder().encode(canaries[0]!),
      );
      await maker.add(bot, 3, { kind: 'hash', version: 2, own: root(after), reference: root(after), agrees: true });
      await maker.add(bot, 4, { kind: 'log', level: 'error', text: `failed: ${canaries[2]} and ${canaries[3]}` });
      await maker.add(bot, 5, {
        kind: 'hash',
        version: 2,
        own: '00000000000000aa' as never,
        reference: root(after),
        agrees: false,
      });
    });
    const sink = memorySink();
    const maker = new CaptureMaker(sink, recording.header);
    await redactCapture(source, maker, { paths: ['player/*.email'], patterns: ['CANARY\\d'], pseudonym });
    await maker.end();
    return { one: await openCapture(memorySource(sink.bytes())), raw: new TextDecoder('latin1').decode(sink.bytes()) };
  }

  test('holds none of the secrets, in values, texts, nested fields or frames', async () => {
    const { one, raw } = await redacted();
    const text = await textOf(exportJson(one));
    for (const canary of ['CANARY', 'canary5']) {
      expect(raw).not.toContain(canary);
      expect(text).not.toContain(canary);
    }
    expect(text).toContain('Alice');
    expect(text).toContain('https://x.example/a');
  });

  test('keeps what was equal equal: states, hashes, and that nothing diverged', async () => {
    const { one } = await redacted();
    const records = await recordsOf(one);
    const [server, bot] = records.flatMap(({ body }) => (body.kind === 'snapshot' ? [body] : []));
    expect(server).toEqual(bot);
    const roots = records.flatMap(({ body }) => (body.kind === 'commit' || body.kind === 'apply' ? [body.root] : []));
    const hash = records.find(({ body }) => body.kind === 'hash')!.body;
    expect(hash).toMatchObject({ own: roots[0], reference: roots[1], agrees: true });
    expect(roots[0]).not.toBe(root(after));
    const state = await one.state(replicaId('bot'), 3, '', 10);
    expect(StateRoot.from(state.entries.map(({ key, record }) => [key, record])).hash).toBe(roots[1]);
    expect(state.unknown).toBeUndefined();
  });

  test('leaves out the inputs by which a session can be run again', async () => {
    const server = replicaId('server');
    const source = await made(async (maker) => {
      for (const text of ['inputs+ 81', 'inputs a0']) await maker.add(server, 0, { kind: 'log', level: 'debug', text });
      await maker.add(server, 1, { kind: 'log', level: 'info', text: 'stays' });
    });
    expect((await recordsOf(source)).map(isInputs)).toEqual([true, true, false]);
    const one = await made((maker) => redactCapture(source, maker, { pseudonym }));
    expect((await recordsOf(one)).map(({ body }) => 'text' in body && body.text)).toEqual(['stays']);
  });

  test('of a real session still tells of the same divergence', async () => {
    const one = await made((maker) => redactCapture(capture, maker, { pseudonym }));
    const [own, theirs] = [await verifyCapture(one), await verifyCapture(capture)];
    expect(own.status).toBe(theirs.status);
    expect(own.divergence).toMatchObject({
      replica: 'bot-2',
      key: 'coin/39',
      field: 'worth',
      class: theirs.divergence!.class,
    });
  });

  test.each([{ paths: ['email'] }, { paths: ['.email'] }, { patterns: ['('] }])(
    'refuses the rule %j',
    async (rules) => {
      await expect(made((maker) => redactCapture(capture, maker, { ...rules, pseudonym }))).rejects.toMatchObject({
        code: 'REDACT_RULE',
      });
    },
  );
});
