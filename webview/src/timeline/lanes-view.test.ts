import type { LanesWindow, Marker } from '@syncscope/protocol/capture';
import { replicaId } from '@syncscope/protocol/state';
import { TRACE_KINDS } from '@syncscope/protocol/trace';
import { describe, expect, it } from 'vitest';
import { recordingPen } from './fake-pen.ts';
import { createFrames } from './frame.ts';
import { layoutLanes, NATURAL_ARRANGEMENT } from './lane-layout.ts';
import { createLanesView, type LanesState } from './lanes-view.ts';
import type { Ink, Palette } from './palette.ts';
import { RULER_HEIGHT } from './scene.ts';

const server = replicaId('server');
const bot = replicaId('bot-1');

const INKS = [
  'text',
  'muted',
  'faint',
  'hairline',
  'background',
  'band',
  'message',
  'change',
  'prediction',
  'error',
  'warning',
  'good',
  'accent',
] as const satisfies readonly Ink[];
const palette: Palette = {
  ink: Object.fromEntries(INKS.map((ink) => [ink, ink])) as Record<Ink, string>,
  font: '11px sans-serif',
  smallFont: '10px sans-serif',
  isHighContrast: false,
};

const single: LanesWindow = {
  range: { from: 0, to: 1000 },
  lanes: [
    { replica: server, density: new Uint32Array(10), kinds: new Uint32Array(10), ribbon: new Uint8Array(10).fill(1) },
    {
      replica: bot,
      density: new Uint32Array(10),
      kinds: new Uint32Array(10),
      ribbon: Uint8Array.of(1, 1, 1, 1, 1, 3, 3, 2, 0, 0),
    },
  ],
  arrows: [
    { from: server, to: bot, type: 'DELTA_SYNC', sentAt: 100, sentPosition: 1, receivedAt: 200, receivedPosition: 2 },
    { from: server, to: bot, type: 'DELTA_SYNC', sentAt: 400, sentPosition: 3, lost: true },
  ],
  points: [
    { replica: server, time: 100, position: 1, kind: 'send' },
    { replica: bot, time: 200, position: 2, kind: 'receive' },
    { replica: server, time: 400, position: 3, kind: 'send' },
    { replica: bot, time: 600, position: 5, kind: 'mismatch' },
  ],
};

const marker: Marker = { position: 5, time: 600, kind: 'desync', replica: bot, text: 'bot-1 differs' };

function make(patch: Partial<LanesState> = {}) {
  const { pen, calls } = recordingPen();
  const due: Array<() => void> = [];
  const frames = createFrames((run) => due.push(run));
  const lanes = layoutLanes([server, bot], NATURAL_ARRANGEMENT, 80);
  const surface = { width: 0, height: 0, getContext: () => pen };
  const view = createLanesView(
    surface,
    {
      width: 1000,
      height: RULER_HEIGHT + 80,
      ratio: 2,
      scroll: 0,
      view: { from: 0, to: 1000 },
      bounds: { from: 0, to: 1000 },
      lanes,
      replicas: [
        { id: server, role: 'server', first: 0, last: 1000 },
        { id: bot, role: 'client', first: 0, last: 1000 },
      ],
      window: undefined,
      isLate: false,
      markers: [],
      highlight: undefined,
      palette,
      hovered: undefined,
      focusedLane: undefined,
    },
    frames,
  );
  const frame = (): void => {
    calls.length = 0;
    for (const run of due.splice(0)) run();
  };
  view.update({ window: single, markers: [marker], ...patch });
  return { view, calls, due, frame, surface, lanes };
}

describe('the lanes on their canvas', () => {
  it('are drawn once a frame after any number of changes, and not for a change of nothing', () => {
    const { view, due, frame } = make();
    view.update({ hovered: 2 });
    view.update({ hovered: 3 });
    expect(due).toHaveLength(1);
    frame();
    view.update({ hovered: 3 });
    expect(due).toHaveLength(0);
  });

  it('have as many pixels as the screen', () => {
    const { frame, surface, calls } = make();
    frame();
    expect([surface.width, surface.height]).toEqual([2000, (RULER_HEIGHT + 80) * 2]);
    expect(calls.find((call) => call.name === 'setTransform')?.args).toEqual([2, 0, 0, 2, 0, 0]);
  });

  it('show a ribbon: thin and neutral where it agrees, thick in the error colour where it differs, hatched where predicted', () => {
    const { frame, calls, lanes } = make();
    frame();
    const rects = calls.filter((call) => call.name === 'fillRect');
    const { ribbonTop, ribbonHeight } = lanes[1]!;
    expect(rects.filter((call) => call.fillStyle === 'error').map((call) => call.args)).toEqual([
      [500, ribbonTop, 200, ribbonHeight],
    ]);
    expect(rects.some((call) => call.fillStyle === 'muted' && call.args[0] === 0 && call.args[3] === 2)).toBe(true);
    const strokes = calls.filter((call) => call.name === 'lineTo' && call.args[1] === ribbonTop);
    expect(strokes.every((call) => (call.args[0] as number) >= 700 && (call.args[0] as number) <= 800)).toBe(true);
    expect(strokes).toHaveLength(25);
  });

  it('draw a message from sending to receipt, and a lost one in its own colour with a cross', () => {
    const { frame, calls, lanes } = make();
    frame();
    const [from, to] = lanes.map((lane) => lane.centre) as [number, number];
    const has = (name: string, ...args: number[]): boolean =>
      calls.some((call) => call.name === name && args.every((arg, index) => call.args[index] === arg));
    expect(has('moveTo', 100, from) && has('lineTo', 200, to)).toBe(true);
    const lost = calls.filter((call) => call.name === 'lineTo' && call.strokeStyle === 'warning');
    // Its line, and the two strokes of the cross at its end.
    expect(lost.slice(0, 3).map((call) => call.args[0])).toEqual([460, 463.5, 463.5]);
  });

  it('dim what does not belong to the selection, but no problem', () => {
    const mark = (position: number, time: number, replica: typeof bot, kind: 'send' | 'receive') => ({
      position,
      time,
      replica,
      kind,
      severity: 'none' as const,
    });
    const { frame, calls } = make({
      highlight: { selected: mark(3, 400, server, 'send'), causes: [], effects: [] },
    });
    frame();
    expect(
      calls.some((call) => call.name === 'stroke' && call.strokeStyle === 'message' && call.globalAlpha < 0.5),
    ).toBe(true);
    expect(
      calls
        .filter((call) => call.name === 'stroke' && call.strokeStyle === 'error')
        .every((call) => call.globalAlpha === 1),
    ).toBe(true);
    expect(calls.some((call) => call.name === 'stroke' && call.strokeStyle === 'accent' && call.lineWidth === 2)).toBe(
      true,
    );
  });

  it('show a mismatch like a divergence where its lane differs, and else like what is asked for again', () => {
    const at = (time: number) => {
      const points = [{ replica: bot, time, position: 5, kind: 'mismatch' as const }];
      const { frame, calls } = make({ markers: [], window: { ...single, arrows: [], points } });
      frame();
      const strokes = calls.filter((call) => call.name === 'stroke');
      return ['error', 'warning'].filter((ink) => strokes.some((call) => call.strokeStyle === ink));
    };
    expect(at(600)).toEqual(['error']);
    expect(at(300)).toEqual(['warning']);
  });

  it('hatch what is long in coming: what lies outside of the window, and all that it knows too coarsely', () => {
    const lanes = [
      { replica: bot, density: new Uint32Array(10), kinds: new Uint32Array(10), ribbon: new Uint8Array(10) },
    ];
    const pending = (patch: Partial<LanesState>) => {
      const { view, frame } = make({ isLate: true, ...patch });
      frame();
      return view.scene?.pending;
    };
    const all = [{ x: 0, width: 1000 }];
    expect(pending({ window: undefined })).toEqual(all);
    // A bucket of a hundred pixels.
    expect(pending({ window: { range: { from: 0, to: 1000 }, lanes } })).toEqual(all);
    expect(pending({ window: { ...single, range: { from: 250, to: 1500 } } })).toEqual([{ x: 0, width: 250 }]);
    const fine = lanes.map((lane) => ({ ...lane, density: new Uint32Array(1_000) }));
    const inside = { range: { from: 100, to: 800 }, lanes: fine };
    expect(pending({ window: inside })).toEqual([
      { x: 0, width: 100 },
      { x: 800, width: 200 },
    ]);
    expect(pending({ window: inside, isLate: false })).toEqual([]);
  });

  it('keep a single problem visible in the density far out', () => {
    const kinds = new Uint32Array(5000).fill(2 ** TRACE_KINDS.indexOf('send'));
    kinds[3210] = (kinds[3210]! | (2 ** TRACE_KINDS.indexOf('divergence'))) >>> 0;
    const { view, frame, calls } = make({
      markers: [],
      window: {
        range: { from: 0, to: 1000 },
        lanes: [{ replica: bot, density: new Uint32Array(5000).fill(200), kinds, ribbon: new Uint8Array(5000) }],
      },
    });
    frame();
    expect(calls.some((call) => call.name === 'fill' && call.fillStyle === 'message')).toBe(true);
    expect(calls.some((call) => call.name === 'stroke' && call.strokeStyle === 'error')).toBe(true);
    expect(view.scene?.clusters).toMatchObject([{ kind: 'divergence', position: undefined }]);
  });

  it('find what is under the pointer as it was drawn', () => {
    const { view, frame, lanes } = make();
    frame();
    const y = (index: number): number => RULER_HEIGHT + lanes[index]!.centre;
    expect(view.hit(600, 26)).toMatchObject({ type: 'marker', position: 5 });
    expect(view.hit(602, y(1) + 2)).toMatchObject({ type: 'point', position: 5 });
    expect(view.hit(148, (y(0) + y(1)) / 2)).toMatchObject({ type: 'arrow', position: 1 });
    expect(view.hit(190, y(1) - 3)).toMatchObject({ type: 'arrow', position: 2 });
    expect(view.hit(900, y(0))).toMatchObject({ type: 'lane', lane: { replica: server } });
    expect(view.hit(300, 5)).toEqual({ type: 'ruler' });
    expect(view.hit(300, 5000)).toBeUndefined();
  });

  it('hit what scrolled into view', () => {
    const { view, frame, lanes } = make({ scroll: lanes0Height() });
    frame();
    expect(view.hit(600, RULER_HEIGHT + lanes[1]!.centre - lanes0Height())).toMatchObject({
      type: 'point',
      position: 5,
    });
  });
});

function lanes0Height(): number {
  return layoutLanes([server, bot], NATURAL_ARRANGEMENT, 80)[0]!.height;
}
