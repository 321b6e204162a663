import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TraceRecord } from '../trace/index.ts';
import { filterCompletions } from './filter-completions.ts';
import { parseFilter } from './filter-syntax.ts';
import { LiveCapture } from './live.ts';
import { memorySource } from './memory-bytes.ts';
import { openCapture } from './reader.ts';
import { encodeTraceRecord } from './record-codec.ts';
import { coinRecording, fileOf } from './testing.test-helper.ts';

const recording = coinRecording('corrupt', { length: 4_000 });
const capture = await openCapture(memorySource(await fileOf(recording)));

async function passing(filter: string): Promise<number[]> {
  return (await capture.rows(filter, 0, 10_000)).rows.map((row) => row.position);
}

function expected(passes: (record: (typeof recording.records)[number]) => boolean): number[] {
  return recording.records.flatMap((record, position) => (passes(record) ? [position] : []));
}

describe('a filter passes', () => {
  test('kinds, and not others', async () => {
    expect(await passing('kind:delta')).toEqual(expected(({ body }) => body.kind === 'delta'));
    expect(await passing('kind:hash|apply')).toEqual(
      expected(({ body }) => body.kind === 'hash' || body.kind === 'apply'),
    );
    expect(await passing('-kind:send -kind:receive')).toEqual(
      expected(({ body }) => body.kind !== 'send' && body.kind !== 'receive'),
    );
  });

  test('replicas by either name', async () => {
    const mine = expected(({ replica }) => replica === 'bot-2');
    expect(mine.length).toBeGreaterThan(0);
    expect(await passing('replica:bot-2')).toEqual(mine);
    expect(await passing('who:bot-2')).toEqual(mine);
    expect(await passing('who:nobody')).toEqual([]);
  });

  test('types of messages', async () => {
    expect(await passing('type:ACK')).toEqual(expected(({ body }) => 'type' in body && body.type === 'ACK'));
  });

  test('changes of a key, whole or by its start', async () => {
    const touches = (test: (key: string) => boolean) =>
      expected(({ body }) => {
        if ('changes' in body) return body.changes.some((change) => test(change.key));
        return body.kind === 'divergence' && body.differences.some((difference) => test(difference.key));
      });
    expect(await passing('key:coin/39')).toEqual(touches((key) => key === 'coin/39'));
    expect(await passing('key:note/*')).toEqual(touches((key) => key.startsWith('note/')));
    expect(await passing('-key:coin/39')).toHaveLength(
      recording.records.length - touches((key) => key === 'coin/39').length,
    );
  });

  test('versions, alone and from one to another', async () => {
    const of = (from: number, to: number) =>
      expected(({ body }) => {
        if (body.kind === 'apply') return body.to >= from && body.to <= to;
        if (body.kind === 'delta') return body.from < to + 1 && body.to >= from && body.from + 1 <= to;
        return 'version' in body && body.version >= from && body.version <= to;
      });
    expect(await passing('version:4')).toEqual(of(4, 4));
    expect(await passing('version:v3..6')).toEqual(of(3, 6));
  });

  test('words of the summary, in quotes as they stand, and all terms together', async () => {
    const rows = (await capture.rows('', 0, 10_000)).rows;
    const having = (word: string) =>
      rows.filter((row) => row.summary.toLowerCase().includes(word)).map((row) => row.position);
    expect(await passing('PREDICTED')).toEqual(having('predicted'));
    expect(await passing('"to bot-2"')).toEqual(having('to bot-2'));
    expect(await passing('kind:send "to bot-2"')).toEqual(
      having('to bot-2').filter((position) => recording.records[position]!.body.kind === 'send'),
    );
    expect(await passing('severity:error')).toEqual(
      rows.filter((row) => row.severity === 'error').map((row) => row.position),
    );
  });
});

describe('the language', () => {
  const all = recording.records.map((_, position) => position);
  const not = (some: readonly number[]) => all.filter((position) => !some.includes(position));

  test('joins by and, or, not and parentheses', async () => {
    const [send, error] = [await passing('kind:send'), await passing('severity:error')];
    const either = all.filter((position) => send.includes(position) || error.includes(position));
    expect(await passing('kind:send or severity:error')).toEqual(either);
    expect(await passing('not (kind:send or severity:error)')).toEqual(not(either));
    expect(await passing('kind:send and who:bot-1 or severity:error')).toEqual(
      all.filter(
        (position) =>
          (send.includes(position) && recording.records[position]!.replica === 'bot-1') || error.includes(position),
      ),
    );
    expect(await passing('kind:send and (who:bot-1 or who:bot-2)')).toEqual(await passing('kind:send who:bot-1|bot-2'));
    expect(await passing('"and"')).toEqual(
      (await capture.rows('', 0, 10_000)).rows.filter(({ summary }) => /and/i.test(summary)).map((row) => row.position),
    );
  });

  test('compares numbers of the index', async () => {
    expect(await passing('bytes>100')).toEqual(expected(({ wire }) => (wire?.length ?? 0) > 100));
    expect(await passing('time>=1.5s time<2000ms')).toEqual(expected(({ time }) => time >= 1.5e9 && time < 2e9));
    expect(await passing('seq<=7')).toEqual(expected(({ seq }) => seq <= 7));
    expect(await passing('position=3')).toEqual([3]);
    expect(await passing('version>=3 version<=6')).toEqual(await passing('version:3..6'));
  });

  test('looks into what a record says', async () => {
    expect(await passing('body.event.type=TAKEN')).toEqual(
      expected(({ body }) => body.kind === 'commit' && body.event.type === 'TAKEN'),
    );
    expect(await passing('body.changes.*.key="coin/39"')).toEqual(
      expected(({ body }) => 'changes' in body && body.changes.some(({ key }) => key === 'coin/39')),
    );
    expect(await passing('body.mutation.counter>3 body.kind=prediction')).toEqual(
      expected(({ body }) => body.kind === 'prediction' && body.mutation.counter > 3),
    );
    expect(await passing('body.to!=server kind:send')).toEqual(
      expected(({ body }) => body.kind === 'send' && body.to !== 'server'),
    );
    expect(await passing('body.agrees=false')).toEqual(
      expected(({ body }) => body.kind === 'hash' && body.agrees === false),
    );
    for (const nothing of ['body.constructor=1', 'body.__proto__.x=1', 'body.wire.length>0', 'body.nothing!=1']) {
      expect(await passing(nothing)).toEqual([]);
    }
  });

  test('takes regular expressions over fields and summaries', async () => {
    expect(await passing('body.to~/^bot-[12]$/')).toEqual(
      expected(({ body }) => body.kind === 'send' && /^bot-[12]$/.test(body.to)),
    );
    const { rows } = await capture.rows('', 0, 10_000);
    expect(await passing('/v\\d+ .*by/')).toEqual(
      rows.filter(({ summary }) => /v\d+ .*by/.test(summary)).map(({ position }) => position),
    );
    expect(await passing('body.to!~/bot/ kind:send')).toEqual(
      expected(({ body }) => body.kind === 'send' && !body.to.includes('bot')),
    );
  });

  test('T17: no regular expression can blow up', async () => {
    expect(await passing('/^(a+)+$/')).toEqual([]);
    expect(await passing('body.kind~/^(([a-z])+.)+[A-Z]([a-z])+$/')).toEqual([]);
    await expect(capture.rows('/(a)\\1/', 0, 1)).rejects.toMatchObject({ code: 'FILTER_SYNTAX' });
  });

  test('asks for the value that a replica has', async () => {
    const passed = await passing('state.coin/39.worth=1000');
    expect(passed.length).toBeGreaterThan(0);
    for (const replica of ['server', 'bot-1', 'bot-2']) {
      for (const position of all.filter((one) => recording.records[one]!.replica === replica).slice(0, 400)) {
        const page = await capture.state(replica as never, position, 'coin/39', 1);
        expect(passed.includes(position), `${replica} at ${position}`).toBe(page.entries[0]?.record.worth === 1_000);
      }
    }
  });

  test('asks for changes of a field', async () => {
    const changed = expected(({ body }) => {
      if (body.kind === 'divergence') return body.differences.some(({ key }) => key === 'coin/39');
      if (!('changes' in body)) return false;
      return body.changes.some(
        (change) =>
          change.key === 'coin/39' &&
          (change.op === 'remove' || 'worth' in (change.op === 'put' ? change.record : change.fields)),
      );
    });
    expect(await passing('changes:coin/39.worth')).toEqual(changed);
    expect(await passing('changes:coin/39')).toEqual(await passing('key:coin/39'));
  });

  test('knows what happened before, after and beside a record', async () => {
    const { records } = recording;
    const bySeq = new Map(records.map(({ seq }, position) => [seq, position]));
    const sends = new Map<string, number>();
    const parents = records.map(({ body, cause, replica }, position) => {
      const found = cause.map((seq) => bySeq.get(seq)!);
      const last = records.findLastIndex((one, at) => at < position && one.replica === replica);
      if (last >= 0) found.push(last);
      if (body.kind === 'send') sends.set(`${body.sender} ${body.sequence} ${body.to}`, position);
      const sent = body.kind === 'receive' && sends.get(`${body.sender} ${body.sequence} ${replica}`);
      return typeof sent === 'number' ? [...found, sent] : found;
    });
    const ancestors = (of: number): Set<number> => {
      const seen = new Set<number>();
      const waiting = [...parents[of]!];
      for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
        if (seen.has(at)) continue;
        seen.add(at);
        waiting.push(...parents[at]!);
      }
      return seen;
    };
    for (const at of [0, 60, 333, records.length - 1]) {
      const { seq } = records[at]!;
      const before = ancestors(at);
      const after = all.filter((position) => position > at && ancestors(position).has(at));
      expect(await passing(`before:${seq}`)).toEqual([...before].sort((a, b) => a - b));
      expect(await passing(`after:${seq}`)).toEqual(after);
      expect(await passing(`concurrent:${seq}`)).toEqual(
        all.filter((position) => position !== at && !before.has(position) && !after.includes(position)),
      );
    }
    expect(await passing('before:999999')).toEqual([]);
  });

  test('obeys the laws of logic, whatever the terms', async () => {
    const term = fc.constantFrom(
      'kind:send',
      'who:bot-1',
      'severity:error',
      'bytes>80',
      'body.event.type=TAKEN',
      'key:coin/*',
      '"to bot"',
      '/v[0-9]/',
      'version>3',
      'state.coin/39.worth=1000',
      'before:300',
    );
    await fc.assert(
      fc.asyncProperty(term, term, term, async (a, b, c) => {
        const same = async (left: string, right: string) => expect(await passing(left)).toEqual(await passing(right));
        await same(`not (${a} or ${b})`, `not ${a} and not ${b}`);
        await same(`${a} and (${b} or ${c})`, `${a} ${b} or ${a} ${c}`);
        await same(`not not ${a}`, a);
        expect(await passing(`not ${a}`)).toEqual(not(await passing(a)));
      }),
      { numRuns: 25 },
    );
  });
});

test('an error says where and what was expected', async () => {
  const cases: [string, number, RegExp][] = [
    ['kind:nothing', 5, /a kind: replica, /],
    ['colour:red', 0, /one of kind, replica/],
    ['kind:', 5, /a value for kind/],
    ['kind:apply|', 11, /a value for kind/],
    ['a -', 3, /a term after -/],
    ['"open', 5, /a closing quote/],
    ['version:new', 8, /a version such as/],
    ['severity:awful', 9, /a severity: none/],
    ['"a"b', 3, /a space between/],
    ['(kind:send', 10, /a closing parenthesis/],
    ['kind:send)', 9, /an opening parenthesis/],
    ['kind:send or', 12, /a term after or/],
    ['and kind:send', 4, /a term before and/],
    ['not', 3, /a term after not/],
    ['bytes>many', 6, /a number/],
    ['time>3m', 5, /a time such as/],
    ['kind>3', 0, /a field of numbers/],
    ['kind.x:3', 4, /only body and state/],
    ['body=3', 4, /a path such as body/],
    ['state.coin=3', 6, /the key of a record/],
    ['body.kind~/(/', 11, /a regular expression/],
    ['before:x', 7, /the number of a record/],
    ['changes:coin', 8, /a key/],
    [`${'('.repeat(60)}a`, 51, /at most 50 parentheses/],
  ];
  for (const [filter, offset, message] of cases) {
    await expect(capture.rows(filter, 0, 1)).rejects.toMatchObject({
      code: 'FILTER_SYNTAX',
      place: { offset },
      message: expect.stringMatching(message),
    });
  }
});

test('whatever is typed is a filter or a typed error, and has completions', async () => {
  const info = await capture.info();
  fc.assert(
    fc.property(fc.string({ maxLength: 40, unit: 'binary' }), fc.nat(40), (text, offset) => {
      const { from, to } = filterCompletions(text, offset, info);
      expect(from >= 0 && from <= to && to <= text.length).toBe(true);
      try {
        parseFilter(text);
      } catch (error) {
        expect(error).toMatchObject({ code: 'FILTER_SYNTAX' });
      }
    }),
  );
});

test('inputs are told from other logs, live and in a file, and are no points of a lane', async () => {
  const some = coinRecording(undefined, { length: 500 });
  const texts = [`inputs= ${'A'.repeat(60)}`, 'inputs were late', 'left out: inputs, which may hold a secret'];
  const last = some.records.at(-1)!;
  const logs = texts.map((text, at): TraceRecord => {
    const body = { kind: 'log', level: 'debug', text } as const;
    return { seq: last.seq + 1 + at, time: last.time + 1 + at, replica: last.replica, cause: [], body };
  });
  const encoded = [...some.encoded, ...logs.map(encodeTraceRecord)];
  const first = some.records.length;
  const live = new LiveCapture(some.header);
  for (const record of encoded) live.append(record);
  for (const query of [live, await openCapture(memorySource(await fileOf({ ...some, encoded })))]) {
    const found = async (filter: string) => (await query.rows(filter, 0, 10_000)).rows.map((row) => row.position);
    expect(await found('kind:inputs')).toEqual([first, first + 2]);
    expect((await found('kind:log')).slice(-3)).toEqual([first, first + 1, first + 2]);
    expect(await found('kind:inputs|log')).toEqual(await found('kind:log'));
    expect(await found('-kind:inputs')).toHaveLength(encoded.length - 2);
    const { points } = await query.lanes({ from: last.time + 1, to: last.time + 10 }, 10, 100);
    expect(points?.map(({ position }) => position)).toEqual([first + 1]);
  }
});

test('completions fit the word at the cursor', async () => {
  const info = await capture.info();
  const texts = (text: string) => filterCompletions(text, text.length, info).options.map((option) => option.text);
  expect(texts('')).toContain('kind:');
  expect(texts('-se')).toEqual(['severity:', 'seq:']);
  expect(texts('kind:app')).toEqual(['apply']);
  expect(texts('kind:apply|com')).toEqual(['commit']);
  expect(texts('kind:inp')).toEqual(['inputs']);
  expect(texts('kind:apply who:bot-')).toEqual(['bot-1', 'bot-2', 'bot-3']);
  expect(texts('type:AC')).toEqual(['ACK', 'ACCEPT']);
  expect(texts('type:PEER_CH')).toEqual(['PEER_CHANGES']);
});

test('a scan can be stopped', async () => {
  const controller = new AbortController();
  controller.abort();
  await expect(capture.rows('never seen', 0, 1, controller.signal)).rejects.toMatchObject({ code: 'ABORTED' });
  expect((await capture.rows('never seen', 0, 1)).total).toBe(0);
});
