import { KIND_GROUPS, type KindGroup, type Marker, type Overview } from '@syncscope/protocol/capture';
import { replicaId } from '@syncscope/protocol/state';
import { TRACE_KINDS } from '@syncscope/protocol/trace';
import { describe, expect, it } from 'vitest';
import { recordingPen } from './fake-pen.ts';
import { drawOverview, type OverviewState } from './overview-view.ts';
import type { Ink } from './palette.ts';

const palette: OverviewState['palette'] = {
  // Each ink is its own name, so that calls can be told apart.
  ink: new Proxy({}, { get: (_, name) => name }) as Record<Ink, string>,
  font: '',
  smallFont: '',
  isHighContrast: false,
};

function overviewOf(buckets: number, problemAt: number): Overview {
  const counts = Object.fromEntries(KIND_GROUPS.map((group) => [group, new Uint32Array(buckets)])) as Record<
    KindGroup,
    Uint32Array
  >;
  counts.message.fill(30);
  counts.change.fill(10);
  counts.problem[problemAt] = 1;
  const kinds = new Uint32Array(buckets).fill(2 ** TRACE_KINDS.indexOf('send'));
  kinds[problemAt] = (kinds[problemAt]! | (2 ** TRACE_KINDS.indexOf('divergence'))) >>> 0;
  return { range: { from: 0, to: 1e9 }, counts, kinds };
}

const state = (patch: Partial<OverviewState>): OverviewState => ({
  width: 500,
  height: 28,
  ratio: 1,
  whole: { from: 0, to: 1e9 },
  overview: undefined,
  markers: [],
  palette,
  ...patch,
});

describe('the overview', () => {
  it('stacks the kinds from the ground up', () => {
    const { pen, calls } = recordingPen();
    drawOverview(pen, state({ overview: overviewOf(500, 250) }));
    const rects = calls.filter((call) => call.name === 'rect' && call.args[0] === 10);
    expect(rects.map((call) => call.fillStyle)).toEqual(['message', 'change']);
    const [message, change] = rects.map((call) => call.args as [number, number, number, number]);
    expect(message![1] + message![3]).toBeCloseTo(28, 3);
    expect(change![1] + change![3]).toBeCloseTo(message![1], 3);
    expect(message![3] / change![3]).toBeCloseTo(3, 3);
  });

  it('shows one problem among many buckets, at full height in its own colour', () => {
    const { pen, calls } = recordingPen();
    drawOverview(pen, state({ overview: overviewOf(20_000, 12_345) }));
    const strokes = calls.filter((call) => call.name === 'fillRect' && call.fillStyle === 'error');
    expect(strokes.map((call) => call.args[0])).toEqual([308, 307.5]);
  });

  it('puts every marker on top, the most severe above the others and none beyond the edges', () => {
    const { pen, calls } = recordingPen();
    const marker = (time: number, kind: Marker['kind']): Marker => ({
      time,
      kind,
      position: 0,
      replica: replicaId('bot-1'),
      text: '',
    });
    drawOverview(pen, state({ markers: [marker(0, 'desync'), marker(0, 'repair'), marker(1e9, 'fault')] }));
    const fills = calls.filter((call) => call.name === 'fill').map((call) => call.fillStyle);
    expect(fills).toEqual(['good', 'warning', 'error']);
    const tips = calls.filter((call) => call.name === 'lineTo').map((call) => call.args[0] as number);
    expect(tips.every((x) => x >= -2 && x <= 502)).toBe(true);
  });
});
