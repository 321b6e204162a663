import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseFilter } from './filter.ts';
import { filterCompletions } from './filter-completions.ts';
import { memorySource } from './memory-bytes.ts';
import { openCapture } from './reader.ts';
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

test('completions fit the word at the cursor', async () => {
  const info = await capture.info();
  const texts = (text: string) => filterCompletions(text, text.length, info).options.map((option) => option.text);
  expect(texts('')).toContain('kind:');
  expect(texts('-se')).toEqual(['severity:']);
  expect(texts('kind:app')).toEqual(['apply']);
  expect(texts('kind:apply|com')).toEqual(['commit']);
  expect(texts('kind:apply who:bot-')).toEqual(['bot-1', 'bot-2', 'bot-3']);
  expect(texts('type:AC')).toEqual(['ACK']);
});

test('a scan can be stopped', async () => {
  const controller = new AbortController();
  controller.abort();
  await expect(capture.rows('never seen', 0, 1, controller.signal)).rejects.toMatchObject({ code: 'ABORTED' });
  expect((await capture.rows('never seen', 0, 1)).total).toBe(0);
});
