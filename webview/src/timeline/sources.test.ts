import type { CaptureQuery, Row } from '@syncscope/protocol/capture';
import { replicaId } from '@syncscope/protocol/state';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createSources, type TimelineData } from './sources.ts';

const bot = replicaId('bot-1');
const row = (position: number): Row => ({
  position,
  seq: position + 1,
  time: position * 1e6,
  replica: bot,
  kind: 'send',
  summary: '',
  bytes: 0,
  severity: 'none',
});

function make() {
  const asked: Array<readonly [string, ...unknown[]]> = [];
  const changed: Array<keyof TimelineData> = [];
  const failures: unknown[] = [];
  const note =
    <T>(name: string, answer: (...args: never[]) => T) =>
    async (...args: unknown[]): Promise<T> => {
      asked.push([name, ...args]);
      return answer(...(args as never[]));
    };
  const query = {
    info: note('info', () => ({ replicas: [] })),
    overview: note('overview', (range: unknown) => ({ range })),
    markers: note('markers', () => ({ markers: [], total: 0 })),
    lanes: note('lanes', (range: unknown) => ({ range, lanes: [] })),
    status: note('status', (position: number) => ({ position, replicas: [] })),
    rows: note('rows', (_: string, position: number) => ({
      rows: position < 100 ? [row(position)] : [],
      offset: position,
      total: 100,
    })),
    related: note('related', (position: number) => ({ causes: [position - 1], effects: [position + 1, 1_000] })),
    // Only what the timeline asks of a capture.
  } as unknown as CaptureQuery;
  const sources = createSources(
    query,
    (part) => changed.push(part),
    (error) => failures.push(error),
  );
  const count = (name: string): number => asked.filter((one) => one[0] === name).length;
  return { sources, asked, changed, failures, count };
}

const settle = () => vi.advanceTimersByTimeAsync(0);

describe('what the timeline asks of the capture', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it('is one window, held while it serves, asked again after a zoom and where the capture outgrew it', async () => {
    const { sources, asked, count } = make();
    const bounds = { from: 0, to: 10e9 };
    sources.wantWhole(bounds, 1000, bounds);
    sources.wantLanes({ from: 2e9, to: 4e9 }, 1000);
    await settle();
    expect(count('lanes')).toBe(1);
    const [, range, buckets, limit] = asked.find((one) => one[0] === 'lanes')!;
    expect(range).toMatchObject({ from: expect.any(Number), to: expect.any(Number) });
    expect(buckets).toBeLessThanOrEqual(2 * 1000 + 2);
    // One and a half a pixel of the view, of which two are asked for.
    expect(limit).toBeGreaterThanOrEqual(3000);
    expect(limit).toBeLessThan(3100);
    sources.wantLanes({ from: 2.1e9, to: 4.1e9 }, 1000);
    await settle();
    expect(count('lanes')).toBe(1);
    sources.wantLanes({ from: 2.5e9, to: 3e9 }, 1000);
    await settle();
    expect(count('lanes')).toBe(2);
    sources.wantLanes({ from: 9e9, to: 10.1e9 }, 1000);
    await settle();
    const before = count('lanes');
    sources.wantWhole({ from: 0, to: 10.05e9 }, 1000, { from: 0, to: 10.05e9 });
    sources.wantLanes({ from: 9e9, to: 10.1e9 }, 1000);
    await settle();
    expect(count('lanes')).toBe(before + 1);
    sources.dispose();
  });

  it('asks for the whole at once, and while it grows only four times a second', async () => {
    const { sources, count } = make();
    sources.wantWhole({ from: 0, to: 1e9 }, 800, { from: 0, to: 1e9 });
    await settle();
    expect([count('info'), count('overview'), count('markers')]).toEqual([1, 1, 1]);
    for (let frame = 1; frame <= 60; frame++) {
      const bounds = { from: 0, to: 1e9 + frame * 16e6 };
      sources.wantWhole(bounds, 800, bounds);
      await vi.advanceTimersByTimeAsync(16);
    }
    await vi.advanceTimersByTimeAsync(300);
    expect(count('overview')).toBeGreaterThanOrEqual(4);
    expect(count('overview')).toBeLessThanOrEqual(6);
    expect(sources.data.overview?.range.to).toBe(1e9 + 60 * 16e6);
    sources.dispose();
  });

  it('finds the selection with its causes and effects, and forgets it with the selection', async () => {
    const { sources } = make();
    sources.wantHighlight(50);
    await settle();
    expect(sources.data.highlight).toMatchObject({
      selected: { position: 50, time: 50e6 },
      causes: [{ position: 49 }],
      effects: [{ position: 51 }],
    });
    sources.wantHighlight(undefined);
    await settle();
    expect(sources.data.highlight).toBeUndefined();
    sources.dispose();
  });

  it('reads a row once', async () => {
    const { sources, count } = make();
    sources.wantPlayhead(7);
    await settle();
    expect(sources.data.playheadTime).toBe(7e6);
    await sources.rows.at(7);
    expect(count('rows')).toBe(1);
    expect(await sources.rows.at(-1)).toBeUndefined();
    expect(await sources.rows.at(500)).toBeUndefined();
    sources.dispose();
  });

  it('says nothing after it was disposed', async () => {
    const { sources, changed, failures } = make();
    sources.wantPlayhead(7);
    sources.wantWhole({ from: 0, to: 1e9 }, 800, { from: 0, to: 1e9 });
    sources.dispose();
    await vi.runAllTimersAsync();
    expect(changed).toEqual([]);
    expect(failures).toEqual([]);
  });

  it('says that a window is late only after a while, and until the one for what is shown is there', async () => {
    const answers: Array<() => void> = [];
    const query = {
      lanes: (range: unknown) =>
        new Promise((resolve) => {
          answers.push(() => resolve({ range, lanes: [] }));
        }),
    } as unknown as CaptureQuery;
    const sources = createSources(
      query,
      () => {},
      () => {},
    );
    const answer = async () => {
      answers.shift()?.();
      await settle();
    };
    sources.wantLanes({ from: 0, to: 1e9 }, 1000);
    await vi.advanceTimersByTimeAsync(100);
    await answer();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(sources.data.isLate).toBe(false);

    sources.wantLanes({ from: 0, to: 1e6 }, 1000);
    sources.wantLanes({ from: 0, to: 1e3 }, 1000);
    await vi.advanceTimersByTimeAsync(200);
    expect(sources.data.isLate).toBe(true);
    // That of before, and then that of now.
    await answer();
    expect(sources.data.isLate).toBe(true);
    await answer();
    expect(sources.data.isLate).toBe(false);

    sources.wantLanes({ from: 0, to: 1e6 }, 1000);
    await vi.advanceTimersByTimeAsync(200);
    expect(sources.data.isLate).toBe(true);
    // Back to what is held.
    sources.wantLanes({ from: 0, to: 1e3 }, 1000);
    expect(sources.data.isLate).toBe(false);
    sources.dispose();
  });
});
