import type { Marker, MarkerKind, Point } from '@syncscope/protocol/capture';
import { replicaId } from '@syncscope/protocol/state';
import { TRACE_KINDS, type TraceKind } from '@syncscope/protocol/trace';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { foldBuckets, foldMarkers, foldPoints, problemClusters, ribbonRuns } from './fold.ts';
import { timeScale } from './scale.ts';

const bot = replicaId('bot-1');
const bitOf = (kind: TraceKind): number => 2 ** TRACE_KINDS.indexOf(kind);

describe('foldBuckets', () => {
  it('loses neither a record nor a kind, however many buckets share a pixel', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ count: fc.nat(9), kind: fc.constantFrom(...TRACE_KINDS) }), {
          minLength: 1,
          maxLength: 300,
        }),
        fc.integer({ min: 1, max: 400 }),
        (buckets, width) => {
          const counts = buckets.map((bucket) => bucket.count);
          const kinds = buckets.map((bucket) => (bucket.count > 0 ? bitOf(bucket.kind) : 0));
          const range = { from: 0, to: buckets.length * 1000 };
          const { value, mask } = foldBuckets(range, counts, kinds, timeScale(range, width));
          const sum = value.reduce((total, part) => total + part, 0);
          expect(sum).toBeCloseTo(
            counts.reduce((a, b) => a + b, 0),
            2,
          );
          expect(mask.reduce((all, bits) => (all | bits) >>> 0, 0)).toBe(
            kinds.reduce((all, bits) => (all | bits) >>> 0, 0),
          );
        },
      ),
    );
  });

  it('leaves out what is outside of the view', () => {
    const { value } = foldBuckets(
      { from: 0, to: 100 },
      [1, 1, 1, 1],
      [1, 1, 1, 1],
      timeScale({ from: 50, to: 100 }, 2),
    );
    expect([...value]).toEqual([1, 1]);
  });
});

describe('ribbonRuns', () => {
  it('joins what is alike and leaves the unknown empty', () => {
    const range = { from: 0, to: 60 };
    expect(ribbonRuns(range, [0, 1, 1, 3, 2, 2], timeScale(range, 60))).toEqual([
      { x: 10, width: 20, agreement: 1 },
      { x: 30, width: 10, agreement: 3 },
      { x: 40, width: 20, agreement: 2 },
    ]);
  });

  it('shows one differing bucket among thousands on one pixel at least', () => {
    const range = { from: 0, to: 10_000 };
    const ribbon = new Uint8Array(10_000).fill(1);
    ribbon[7_777] = 3;
    const runs = ribbonRuns(range, ribbon, timeScale(range, 100));
    expect(runs.filter((run) => run.agreement === 3)).toEqual([{ x: 77, width: 1, agreement: 3 }]);
  });
});

const point = (time: number, kind: TraceKind, position: number): Point => ({ replica: bot, time, kind, position });

describe('foldPoints', () => {
  const scale = timeScale({ from: 0, to: 1000 }, 1000);

  it('shows the weightiest of those too close to tell apart, with their count', () => {
    const clusters = foldPoints(
      [point(100, 'apply', 1), point(102, 'mismatch', 2), point(104, 'commit', 3)],
      scale,
      9,
      new Set(),
    );
    expect(clusters).toMatchObject([{ kind: 'mismatch', position: 2, count: 3, x: 102 }]);
  });

  it('keeps what is selected single, and leaves mere ticks to others', () => {
    const clusters = foldPoints(
      [point(100, 'apply', 1), point(101, 'hash', 2), point(102, 'apply', 3)],
      scale,
      9,
      new Set([3]),
    );
    expect(clusters.map((cluster) => cluster.position)).toEqual([1, 3]);
  });

  it('never lets a problem vanish under something harmless', () => {
    const kinds = fc.array(fc.tuple(fc.nat(999), fc.constantFrom(...TRACE_KINDS)), { maxLength: 80 });
    fc.assert(
      fc.property(kinds, (entries) => {
        const points = entries.sort((a, b) => a[0] - b[0]).map(([time, kind], index) => point(time, kind, index));
        const clusters = foldPoints(points, scale, 9, new Set());
        for (const { kind, time } of points) {
          if (kind !== 'divergence') continue;
          expect(
            clusters.some((cluster) => cluster.kind === 'divergence' && Math.abs(cluster.x - scale.x(time)) < 9),
          ).toBe(true);
        }
      }),
    );
  });
});

describe('problemClusters', () => {
  it('finds a single problem in the density', () => {
    const scale = timeScale({ from: 0, to: 1e9 }, 800);
    const kinds = new Uint32Array(800).fill(bitOf('send'));
    kinds[401] = bitOf('send') | bitOf('divergence');
    const columns = foldBuckets({ from: 0, to: 1e9 }, new Uint32Array(800).fill(50), kinds, scale);
    expect(problemClusters(bot, columns, scale, 9)).toMatchObject([{ kind: 'divergence', x: 401.5, count: 1 }]);
  });
});

describe('foldMarkers', () => {
  it('puts each marker of the view into exactly one cluster, and shows the most severe', () => {
    const kinds: MarkerKind[] = ['desync', 'conflict', 'rollback', 'fault', 'repair'];
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(1000), fc.constantFrom(...kinds)), { maxLength: 60 }), (entries) => {
        const markers: Marker[] = entries.map(([time, kind], position) => ({
          time,
          kind,
          position,
          replica: bot,
          text: kind,
        }));
        const clusters = foldMarkers(markers, timeScale({ from: 0, to: 1000 }, 700), 12);
        const members = clusters.flatMap((cluster) => cluster.members.map((marker) => marker.position));
        expect(members.sort((a, b) => a - b)).toEqual(markers.map((marker) => marker.position));
        for (const cluster of clusters) {
          if (cluster.members.some((marker) => marker.kind === 'desync')) expect(cluster.kind).toBe('desync');
        }
      }),
    );
  });
});
