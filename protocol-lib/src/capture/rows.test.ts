import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TraceRecord } from '../trace/index.ts';
import { LiveCapture } from './live.ts';
import { memorySource } from './memory-bytes.ts';
import type { RowsSoFar } from './query.ts';
import { openCapture } from './reader.ts';
import { coinRecording, fileOf } from './testing.test-helper.ts';

const recording = coinRecording('corrupt', { length: 30_000 });
const file = await fileOf(recording);

/** Filters, each with the plain test that it stands for. The columns settle some, the records others, one finds nothing. */
const FILTERS: readonly (readonly [string, (record: TraceRecord) => boolean])[] = [
  ['kind:apply', ({ body }) => body.kind === 'apply'],
  ['kind:commit who:server', ({ body, replica }) => body.kind === 'commit' && replica === 'server'],
  ['body.reason="attach"', ({ body }) => 'reason' in body && body.reason === 'attach'],
  ['kind:apply body.to>40 body.to<60', ({ body }) => body.kind === 'apply' && body.to > 40 && body.to < 60],
  ['bot-3 kind:log never said', () => false],
];

/** Every record, asked one by one. */
function passingPositions(test: (record: TraceRecord) => boolean): number[] {
  return recording.records.flatMap((record, position) => (test(record) ? [position] : []));
}

describe('rows of what was found so far', () => {
  test('are those of the whole search, as far as it has come, in any order of asking', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('always' as const, 'never' as const),
        fc.array(fc.tuple(fc.nat(FILTERS.length - 1), fc.nat(300), fc.nat(50)), { minLength: 1, maxLength: 4 }),
        async (index, asked) => {
          const capture = await openCapture(memorySource(file), { index });
          await Promise.all(
            asked.map(async ([filter, offset, limit]) => {
              const [text, passes] = FILTERS[filter]!;
              const expected = passingPositions(passes);
              let last: RowsSoFar | undefined;
              do {
                const answer: RowsSoFar = await capture.rowsSoFar(text, offset, limit);
                expect(answer.rows.map((row) => row.position)).toEqual(
                  expected.slice(offset, Math.min(offset + limit, answer.total)),
                );
                expect(answer.total).toBeGreaterThanOrEqual(last?.total ?? 0);
                expect(answer.looked).toBeGreaterThan(last?.looked ?? 0);
                // What passes among those looked through, and nothing beyond.
                expect(answer.total).toBe(expected.filter((position) => position < answer.looked).length);
                last = answer;
              } while (last.looked < last.of);
              expect(last.total).toBe(expected.length);
            }),
          );
        },
      ),
    );
  });

  test('come before the rest is looked through', async () => {
    const capture = await openCapture(memorySource(file), { index: 'always' });
    const first = await capture.rowsSoFar('kind:apply', 0, 10);
    expect(first.rows).toHaveLength(10);
    expect(first.looked).toBeLessThan(first.of);
    const { rows } = await capture.rows('kind:apply', 0, 10);
    expect(first.rows).toEqual(rows);
  });

  test('tell how far the working out of states has come, and are those of the states there', async () => {
    const capture = await openCapture(memorySource(file), { index: 'always' });
    const filter = 'state.coin/39.worth>=500';
    const looked: number[] = [];
    let answer: RowsSoFar;
    do {
      answer = await capture.rowsSoFar(filter, 0, 10_000);
      looked.push(answer.looked);
    } while (answer.looked < answer.of);
    expect(looked.length).toBeGreaterThan(1);
    expect(looked).toEqual([...new Set(looked)].sort((a, b) => a - b));
    const passed = new Set<number>();
    for (let offset = 0; offset < answer.total; offset += 10_000) {
      for (const { position } of (await capture.rowsSoFar(filter, offset, 10_000)).rows) passed.add(position);
    }
    expect(passed.size).toBe(answer.total);
    // Around where each part ends, and here and there between.
    const near = looked.flatMap((end) => [-2, -1, 0, 1].map((by) => end + by));
    const sampled = Array.from({ length: 60 }, (_, at) => Math.floor((at * recording.records.length) / 60));
    for (const position of [...near, ...sampled].filter((one) => one < recording.records.length)) {
      const { replica } = recording.records[position]!;
      const { entries } = await capture.state(replica, position, 'coin/39', 1);
      const worth = entries[0]?.record.worth;
      expect(passed.has(position), `${replica} at ${position}`).toBe(typeof worth === 'number' && worth >= 500);
    }
    const whole = await openCapture(memorySource(file), { index: 'never' });
    expect((await whole.rows(filter, 0, 1)).total).toBe(answer.total);
  });

  test('an index of a row needs no more than what lies before it', async () => {
    const expected = passingPositions(FILTERS[0]![1]);
    await fc.assert(
      fc.asyncProperty(fc.nat(recording.records.length + 10), async (position) => {
        const capture = await openCapture(memorySource(file), { index: 'always' });
        expect(await capture.rowIndex('kind:apply', position)).toBe(expected.filter((one) => one < position).length);
        const { looked } = await capture.rowsSoFar('kind:apply', 0, 0);
        expect(looked).toBeGreaterThanOrEqual(Math.min(position, recording.records.length));
      }),
      { numRuns: 20 },
    );
  });

  test('a search that is stopped harms nobody, and goes on where it was', async () => {
    const capture = await openCapture(memorySource(file), { index: 'always' });
    const stopped = new AbortController();
    await capture.rowsSoFar('kind:apply', 0, 5, stopped.signal);
    stopped.abort();
    await expect(capture.rowsSoFar('kind:apply', 0, 5, stopped.signal)).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(capture.rows('kind:apply', 0, 5, stopped.signal)).rejects.toMatchObject({ code: 'ABORTED' });
    const { rows, total } = await capture.rows('kind:apply', 0, 1_000_000);
    expect(rows.map((row) => row.position)).toEqual(passingPositions(FILTERS[0]![1]));
    expect(total).toBe(rows.length);
  });

  test('count on in a capture that grows, and leave out what was dropped', async () => {
    const capture = new LiveCapture(recording.header, { maxBytes: 300_000 });
    const seen: number[] = [];
    for (const [at, record] of recording.encoded.entries()) {
      capture.append(record);
      if (at % 100 === 99) seen.push((await capture.rowsSoFar('kind:apply', 0, 20)).total);
    }
    let answer = await capture.rowsSoFar('kind:apply', 0, 20);
    while (answer.looked < answer.of) answer = await capture.rowsSoFar('kind:apply', 0, 20);
    const oldest = (await capture.rows('', 0, 1)).rows[0]!.position;
    expect(oldest).toBeGreaterThan(0);
    const expected = passingPositions(FILTERS[0]![1]).filter((position) => position >= oldest);
    expect(answer.total).toBe(expected.length);
    expect(answer.rows.map((row) => row.position)).toEqual(expected.slice(0, 20));
    expect(seen.length).toBeGreaterThan(3);
  });
});
