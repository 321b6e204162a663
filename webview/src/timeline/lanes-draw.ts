import { AGREEMENT, type MarkerKind } from '@syncscope/protocol/capture';
import type { TraceKind } from '@syncscope/protocol/trace';
import type { ArrowShape } from './arrows.ts';
import type { PointCluster, RibbonRun } from './fold.ts';
import { drawGlyph } from './glyphs.ts';
import { KIND_STYLES, lookOf, lookOfRow, MARKER_STYLES, PROBLEM_WEIGHT } from './kinds.ts';
import type { Ink, Palette } from './palette.ts';
import type { Pen } from './pen.ts';
import type { LaneScene, LanesScene, Mark, PendingBand } from './scene.ts';

/** What the picture depends on besides its scene. */
export interface LanesLook {
  readonly width: number;
  readonly height: number;
  readonly palette: Palette;
  /** Position under the pointer. */
  readonly hovered: number | undefined;
  /** The lane that the keyboard is on. */
  readonly focusedLane: string | undefined;
}

const GLYPH = 4.5;
/** Radius of what is drawn around a marker. */
const RING = GLYPH + 3.5;
const HEAD = 5;
/** What belongs to a healthy session stands back behind what does not. */
const ROUTINE_ALPHA = 0.6;
/** Pixels that a marker's count needs before the next marker. */
const COUNT_ROOM = 26;
/** Beyond this many arrows a head on each is only noise. */
const HEADS_MAX = 900;

/** Messages that carry the work of staying in step, and are drawn fainter. */
const QUIET_TYPES: ReadonlySet<string> = new Set(['ACK', 'HEARTBEAT', 'NAMES']);
/** Messages that are only sent when something went wrong or begins. */
const NOTABLE_TYPES: ReadonlySet<string> = new Set([
  'SYNC_REQUEST',
  'FULL_SYNC',
  'MERKLE_QUERY',
  'MERKLE_ANSWER',
  'REJECT',
  'ERROR',
  'UPGRADE_REQUIRED',
  'BYE',
]);

/** Draws the ruler and the lanes. The pen is in CSS pixels. */
export function drawLanes(pen: Pen, scene: LanesScene, look: LanesLook): void {
  const { ink } = look.palette;
  pen.clearRect(0, 0, look.width, look.height);
  pen.lineCap = 'butt';
  pen.lineJoin = 'miter';
  pen.setLineDash([]);
  drawTicks(pen, scene, look);

  pen.save();
  pen.beginPath();
  pen.rect(0, scene.top, look.width, Math.max(0, look.height - scene.top));
  pen.clip();
  pen.translate(0, scene.top - scene.scroll);
  for (const lane of scene.laneScenes) drawLaneGround(pen, lane, look);
  for (const lane of scene.laneScenes) drawRibbon(pen, lane, look);
  if (!scene.isSingle) for (const lane of scene.laneScenes) drawDensity(pen, lane, scene.peak, look);
  for (const lane of scene.laneScenes) drawPending(pen, lane, scene.pending, look);
  drawArrows(pen, scene, look);
  drawDots(pen, scene, ink.message, scene.highlight ? 0.4 : 0.7);
  drawClusters(pen, scene, look);
  drawHighlight(pen, scene, look);
  pen.restore();

  drawMarkers(pen, scene, look);
}

function drawTicks(pen: Pen, scene: LanesScene, look: LanesLook): void {
  const { ink, smallFont } = look.palette;
  pen.font = smallFont;
  pen.textBaseline = 'middle';
  pen.textAlign = 'left';
  pen.strokeStyle = ink.hairline;
  pen.lineWidth = 1;
  pen.globalAlpha = look.palette.isHighContrast ? 0.35 : 0.45;
  pen.beginPath();
  for (const { time } of scene.ticks) {
    const x = Math.round(scene.scale.x(time)) + 0.5;
    pen.moveTo(x, 0);
    pen.lineTo(x, look.height);
  }
  pen.stroke();
  pen.globalAlpha = 1;
  pen.fillStyle = ink.muted;
  for (const { time, label } of scene.ticks) {
    const x = Math.round(scene.scale.x(time)) + 4;
    // Half a number is read as another one.
    if (x + pen.measureText(label).width <= look.width) pen.fillText(label, x, 8);
  }
  pen.strokeStyle = ink.hairline;
  pen.beginPath();
  pen.moveTo(0, scene.top - 0.5);
  pen.lineTo(look.width, scene.top - 0.5);
  pen.stroke();
}

function drawLaneGround(pen: Pen, { box, from, to, columns }: LaneScene, look: LanesLook): void {
  const { ink } = look.palette;
  if (box.replica === look.focusedLane) {
    pen.fillStyle = ink.band;
    pen.fillRect(0, box.top, look.width, box.height);
  }
  pen.strokeStyle = ink.hairline;
  pen.lineWidth = 1;
  pen.globalAlpha = 0.6;
  pen.beginPath();
  pen.moveTo(0, box.top + box.height - 0.5);
  pen.lineTo(look.width, box.top + box.height - 0.5);
  pen.stroke();
  const left = Math.max(0, from);
  const right = Math.min(look.width, to);
  if (right > left) {
    pen.strokeStyle = ink.muted;
    pen.globalAlpha = look.palette.isHighContrast ? 0.8 : 0.4;
    // Far out the line is the ground that the density stands on.
    const y = columns ? box.ribbonTop - 1.5 : box.centre;
    pen.beginPath();
    pen.moveTo(left, y);
    pen.lineTo(right, y);
    pen.stroke();
  }
  pen.globalAlpha = 1;
}

function drawRibbon(pen: Pen, { box, runs }: LaneScene, look: LanesLook): void {
  for (const run of runs) {
    switch (run.agreement) {
      case 0:
        break;
      case 1:
        pen.fillStyle = look.palette.ink.muted;
        pen.globalAlpha = look.palette.isHighContrast ? 0.7 : 0.32;
        // Thinner than where it differs, so that colour is not the only sign.
        pen.fillRect(run.x, box.ribbonTop + box.ribbonHeight - 2, run.width, 2);
        break;
      case 2:
        hatch(pen, run, box.ribbonTop, box.ribbonHeight, look);
        break;
      case 3:
        pen.fillStyle = look.palette.ink.error;
        pen.globalAlpha = 1;
        pen.fillRect(run.x, box.ribbonTop, run.width, box.ribbonHeight);
        break;
      default:
        throw new TypeError(`no ribbon for the agreement ${String(run.agreement satisfies never)}`);
    }
  }
  pen.globalAlpha = 1;
}

const HATCH = 4;

function hatch(pen: Pen, run: RibbonRun, top: number, height: number, look: LanesLook): void {
  pen.strokeStyle = look.palette.ink.muted;
  pen.globalAlpha = look.palette.isHighContrast ? 1 : 0.6;
  pen.lineWidth = 1;
  pen.beginPath();
  if (run.width < HATCH) {
    pen.moveTo(run.x + 0.5, top + height);
    pen.lineTo(run.x + 0.5, top);
  }
  // On a grid of the screen, so that strokes of neighbouring runs line up.
  for (let x = Math.ceil(run.x / HATCH) * HATCH; x + HATCH <= run.x + run.width; x += HATCH) {
    pen.moveTo(x, top + height);
    pen.lineTo(x + HATCH, top);
  }
  pen.stroke();
}

function drawDensity(pen: Pen, { box, columns }: LaneScene, peak: number, look: LanesLook): void {
  if (!columns || peak <= 0) return;
  const base = box.ribbonTop - 2;
  const room = base - box.top - 3;
  const { value } = columns;
  pen.fillStyle = look.palette.ink.message;
  pen.globalAlpha = look.palette.isHighContrast ? 0.9 : 0.4;
  pen.beginPath();
  pen.moveTo(0, base);
  let last = 0;
  for (let x = 0; x < value.length; x++) {
    // Square root, so that a lone record stays visible next to a burst.
    const height = value[x]! > 0 ? Math.max(1, Math.round(Math.sqrt(value[x]! / peak) * room)) : 0;
    if (height === last) continue;
    pen.lineTo(x, base - last);
    pen.lineTo(x, base - height);
    last = height;
  }
  pen.lineTo(value.length, base - last);
  pen.lineTo(value.length, base);
  pen.closePath();
  pen.fill();
  pen.globalAlpha = 1;
}

const PENDING_GAP = 8;

/** Hatched over the whole height of a lane, as nothing else is: what is to be seen there is on its way. */
function drawPending(pen: Pen, { box }: LaneScene, pending: readonly PendingBand[], look: LanesLook): void {
  const height = box.ribbonTop - box.top;
  for (const { x, width } of pending) {
    pen.save();
    pen.beginPath();
    pen.rect(x, box.top, width, height);
    pen.clip();
    pen.fillStyle = look.palette.ink.background;
    pen.globalAlpha = 0.6;
    pen.fillRect(x, box.top, width, height);
    pen.strokeStyle = look.palette.ink.muted;
    pen.globalAlpha = look.palette.isHighContrast ? 0.7 : 0.25;
    pen.lineWidth = 1;
    pen.beginPath();
    for (let at = Math.floor((x - height) / PENDING_GAP) * PENDING_GAP; at < x + width; at += PENDING_GAP) {
      pen.moveTo(at, box.top + height);
      pen.lineTo(at + height, box.top);
    }
    pen.stroke();
    pen.restore();
  }
  pen.globalAlpha = 1;
}

type Tone = 'quiet' | 'plain' | 'notable' | 'lost' | 'lit';

const TONES: Readonly<Record<Tone, { readonly ink: Ink; readonly alpha: number; readonly width: number }>> = {
  quiet: { ink: 'message', alpha: 0.28, width: 1 },
  plain: { ink: 'message', alpha: 0.6, width: 1 },
  notable: { ink: 'message', alpha: 1, width: 1.5 },
  lost: { ink: 'warning', alpha: 1, width: 1.5 },
  lit: { ink: 'accent', alpha: 1, width: 2 },
};

function toneOf(shape: ArrowShape, scene: LanesScene, hovered: number | undefined): Tone {
  const { sentPosition, receivedPosition, type } = shape.arrow;
  const isOneOf = (position: number | undefined): boolean =>
    position !== undefined && (position === hovered || scene.lit.has(position));
  if (isOneOf(sentPosition) || isOneOf(receivedPosition)) return 'lit';
  if (shape.fate === 'lost') return 'lost';
  if (QUIET_TYPES.has(type)) return 'quiet';
  return NOTABLE_TYPES.has(type) ? 'notable' : 'plain';
}

function drawArrows(pen: Pen, scene: LanesScene, look: LanesLook): void {
  const byTone = new Map<Tone, ArrowShape[]>();
  for (const shape of scene.arrows) {
    const tone = toneOf(shape, scene, look.hovered);
    const shapes = byTone.get(tone);
    if (shapes) shapes.push(shape);
    else byTone.set(tone, [shape]);
  }
  for (const tone of Object.keys(TONES) as Tone[]) {
    const shapes = byTone.get(tone);
    if (!shapes) continue;
    const { ink, alpha, width } = TONES[tone];
    const isDimmed = scene.highlight !== undefined && tone !== 'lit' && tone !== 'lost';
    const full = look.palette.isHighContrast ? Math.max(alpha, 0.7) : alpha;
    pen.globalAlpha = isDimmed ? full * 0.65 : full;
    pen.strokeStyle = look.palette.ink[ink];
    pen.fillStyle = look.palette.ink[ink];
    pen.lineWidth = width;
    strokeArrows(pen, shapes, scene.arrows.length <= HEADS_MAX || tone === 'lit');
  }
  pen.globalAlpha = 1;
}

function strokeArrows(pen: Pen, shapes: readonly ArrowShape[], hasHeads: boolean): void {
  pen.beginPath();
  for (const { x1, y1, x2, y2, fate } of shapes) {
    if (fate === 'open') continue;
    pen.moveTo(x1, y1);
    pen.lineTo(x2, y2);
    if (fate === 'lost') cross(pen, x2, y2);
  }
  pen.stroke();
  const open = shapes.filter((shape) => shape.fate === 'open');
  if (open.length > 0) {
    pen.setLineDash([2, 3]);
    pen.beginPath();
    for (const { x1, y1, x2, y2 } of open) {
      pen.moveTo(x1, y1);
      pen.lineTo(x2, y2);
    }
    pen.stroke();
    pen.setLineDash([]);
  }
  if (!hasHeads) return;
  pen.beginPath();
  for (const { x1, y1, x2, y2, fate } of shapes) if (fate === 'received') head(pen, x1, y1, x2, y2);
  pen.fill();
}

function cross(pen: Pen, x: number, y: number): void {
  const r = 3.5;
  pen.moveTo(x - r, y - r);
  pen.lineTo(x + r, y + r);
  pen.moveTo(x - r, y + r);
  pen.lineTo(x + r, y - r);
}

function head(pen: Pen, x1: number, y1: number, x2: number, y2: number): void {
  const length = Math.hypot(x2 - x1, y2 - y1);
  if (length < HEAD * 1.5) return;
  const ux = (x2 - x1) / length;
  const uy = (y2 - y1) / length;
  const bx = x2 - ux * HEAD;
  const by = y2 - uy * HEAD;
  pen.moveTo(x2, y2);
  pen.lineTo(bx - uy * HEAD * 0.45, by + ux * HEAD * 0.45);
  pen.lineTo(bx + uy * HEAD * 0.45, by - ux * HEAD * 0.45);
  pen.closePath();
}

function drawDots(pen: Pen, scene: LanesScene, colour: string, alpha: number): void {
  if (scene.dots.length === 0) return;
  pen.fillStyle = colour;
  pen.globalAlpha = alpha;
  pen.beginPath();
  for (const { x, y } of scene.dots) pen.rect(x - 0.5, y - 2.5, 1, 5);
  pen.fill();
  pen.globalAlpha = 1;
}

function drawClusters(pen: Pen, scene: LanesScene, look: LanesLook): void {
  // Problems last, so that nothing covers them.
  const byWeight = [...scene.clusters].sort((a, b) => KIND_STYLES[a.kind].weight - KIND_STYLES[b.kind].weight);
  for (const cluster of byWeight) {
    const lane = scene.laneOf.get(cluster.replica);
    if (!lane) continue;
    const style = lookOf(cluster.kind, differsAt(scene, cluster));
    const isProblem = style.weight >= PROBLEM_WEIGHT;
    const isDimmed = scene.highlight !== undefined && !isProblem && !isLit(scene, cluster.position);
    pen.globalAlpha = isDimmed ? 0.55 : isRoutine(cluster, look) ? ROUTINE_ALPHA : 1;
    const size = isProblem ? GLYPH * 1.15 : GLYPH * 0.85;
    const r = lane.isCollapsed ? size * 0.75 : size;
    if (isProblem) halo(pen, cluster.x, lane.centre, r + 2, look.palette.ink.background);
    glyph(pen, style.shape, look.palette.ink[style.ink], cluster.x, lane.centre, r);
    if (cluster.position !== undefined && cluster.position === look.hovered) {
      ring(pen, cluster.x, lane.centre, r + 3, look.palette.ink.text, 1);
    }
  }
  pen.globalAlpha = 1;
}

/** Whether the ribbon under a cluster says that its replica differs there. */
function differsAt(scene: LanesScene, { replica, x }: PointCluster): boolean {
  const runs = scene.laneScenes.find(({ box }) => box.replica === replica)?.runs ?? [];
  const at = Math.floor(x);
  return runs.some((run) => run.agreement === AGREEMENT.differs && at >= run.x && at < run.x + run.width);
}

/** A prediction rolled back is the protocol at work, not something wrong with it. */
function isRoutine({ kind }: { readonly kind: TraceKind | MarkerKind }, look: LanesLook): boolean {
  return kind === 'rollback' && !look.palette.isHighContrast;
}

function isLit(scene: LanesScene, position: number | undefined): boolean {
  return position !== undefined && scene.lit.has(position);
}

function drawHighlight(pen: Pen, scene: LanesScene, look: LanesLook): void {
  const { highlight } = scene;
  if (!highlight) return;
  const { ink } = look.palette;
  const place = (mark: Mark): { x: number; y: number } | undefined => {
    const lane = scene.laneOf.get(mark.replica);
    return lane ? { x: scene.scale.x(mark.time), y: lane.centre } : undefined;
  };
  const selected = place(highlight.selected);
  const related = [...highlight.causes, ...highlight.effects];
  // Lines to what is on other lanes, also far out, where the arrows themselves are folded into density.
  pen.strokeStyle = ink.accent;
  pen.lineWidth = 1.5;
  pen.beginPath();
  for (const mark of related) {
    const other = place(mark);
    if (!selected || !other || other.y === selected.y) continue;
    pen.moveTo(selected.x, selected.y);
    pen.lineTo(other.x, other.y);
  }
  pen.stroke();
  for (const mark of related) {
    const at = place(mark);
    if (!at) continue;
    halo(pen, at.x, at.y, GLYPH + 1.5, ink.background);
    const style = lookOfRow(mark);
    glyph(pen, style.shape, ink[style.ink], at.x, at.y, GLYPH);
    ring(pen, at.x, at.y, GLYPH + 2.5, ink.accent, 1);
  }
  if (!selected) return;
  const style = lookOfRow(highlight.selected);
  halo(pen, selected.x, selected.y, GLYPH + 3, ink.background);
  glyph(pen, style.shape, ink[style.ink], selected.x, selected.y, GLYPH * 1.1);
  ring(pen, selected.x, selected.y, GLYPH + 4, ink.accent, 2);
}

function drawMarkers(pen: Pen, scene: LanesScene, look: LanesLook): void {
  const { ink, smallFont } = look.palette;
  pen.font = smallFont;
  pen.textBaseline = 'middle';
  pen.textAlign = 'left';
  const y = scene.markerCentre;
  scene.markers.forEach((cluster, index) => {
    const style = MARKER_STYLES[cluster.kind];
    pen.globalAlpha = isRoutine(cluster, look) ? ROUTINE_ALPHA : 1;
    glyph(pen, style.shape, ink[style.ink], cluster.x, y, cluster.kind === 'rollback' ? GLYPH * 0.85 : GLYPH * 1.1);
    pen.globalAlpha = 1;
    const room = (scene.markers[index + 1]?.x ?? look.width) - cluster.x;
    if (cluster.members.length > 1 && room >= COUNT_ROOM) {
      pen.fillStyle = ink.muted;
      pen.fillText(String(cluster.members.length), cluster.x + RING + 3, y + 0.5);
    }
    const isOneOf = (position: number | undefined): boolean =>
      cluster.members.some((member) => member.position === position);
    if (isOneOf(look.hovered)) ring(pen, cluster.x, y, RING, ink.text, 1);
    if (isOneOf(scene.highlight?.selected.position)) ring(pen, cluster.x, y, RING, ink.accent, 2);
  });
}

function glyph(
  pen: Pen,
  shape: Parameters<typeof drawGlyph>[1],
  colour: string,
  x: number,
  y: number,
  r: number,
): void {
  pen.fillStyle = colour;
  pen.strokeStyle = colour;
  pen.lineWidth = 1.5;
  drawGlyph(pen, shape, x, y, r);
}

/** Clears the ground behind a glyph, so that it is legible on arrows and life lines. */
function halo(pen: Pen, x: number, y: number, r: number, colour: string): void {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.arc(x, y, r, 0, Math.PI * 2);
  pen.fill();
}

function ring(pen: Pen, x: number, y: number, r: number, colour: string, width: number): void {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.beginPath();
  pen.arc(x, y, r, 0, Math.PI * 2);
  pen.stroke();
}
