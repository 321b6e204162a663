import type { Shape } from './kinds.ts';
import type { Pen } from './pen.ts';

/** Draws a glyph of about `2 * r` pixels around a point in the pen's fill and stroke colour, which must be the same. */
export function drawGlyph(pen: Pen, shape: Shape, x: number, y: number, r: number): void {
  pen.beginPath();
  switch (shape) {
    case 'dot':
      pen.arc(x, y, r * 0.7, 0, TURN);
      pen.fill();
      return;
    case 'ring':
      pen.arc(x, y, r * 0.75, 0, TURN);
      pen.stroke();
      return;
    case 'square':
      pen.rect(x - r * 0.7, y - r * 0.7, r * 1.4, r * 1.4);
      pen.fill();
      return;
    case 'diamond':
      line(pen, x, y, r, [0, -1, 1, 0, 0, 1, -1, 0], true);
      pen.fill();
      return;
    case 'triangle':
      line(pen, x, y, r, [0, -0.9, 0.9, 0.7, -0.9, 0.7], true);
      pen.stroke();
      return;
    case 'check':
      line(pen, x, y, r, [-0.9, 0, -0.2, 0.7, 0.9, -0.7], false);
      pen.stroke();
      return;
    case 'cross':
      line(pen, x, y, r, [-0.8, -0.8, 0.8, 0.8], false);
      line(pen, x, y, r, [-0.8, 0.8, 0.8, -0.8], false);
      pen.stroke();
      return;
    case 'bolt':
      line(pen, x, y, r, [0.3, -1.1, -0.8, 0.2, -0.1, 0.2, -0.3, 1.1, 0.8, -0.2, 0.1, -0.2], true);
      pen.fill();
      return;
    case 'bar':
      pen.rect(x - 1, y - r, 2, r * 2);
      pen.fill();
      return;
    case 'plus':
      line(pen, x, y, r, [-0.9, 0, 0.9, 0], false);
      line(pen, x, y, r, [0, -0.9, 0, 0.9], false);
      pen.stroke();
      return;
    case 'undo':
      line(pen, x, y, r, [0.9, -0.9, -0.8, 0, 0.9, 0.9], true);
      pen.fill();
      return;
    case 'gap':
      line(pen, x, y, r, [-0.2, -1, -0.9, -1, -0.9, 1, -0.2, 1], false);
      line(pen, x, y, r, [0.2, -1, 0.9, -1, 0.9, 1, 0.2, 1], false);
      pen.stroke();
      return;
    case 'stop':
      pen.arc(x, y, r * 0.9, 0, TURN);
      line(pen, x, y, r, [-0.55, 0, 0.55, 0], false);
      pen.stroke();
      return;
    case 'split':
      // Not equal: two bars and a stroke through them.
      line(pen, x, y, r, [-0.95, -0.4, 0.95, -0.4], false);
      line(pen, x, y, r, [-0.95, 0.4, 0.95, 0.4], false);
      line(pen, x, y, r, [0.55, -1.05, -0.55, 1.05], false);
      pen.stroke();
      return;
    case 'fork':
      // One history, and the two that came of it.
      line(pen, x, y, r, [0, 1, 0, 0.1, -0.8, -0.9], false);
      line(pen, x, y, r, [0, 0.1, 0.8, -0.9], false);
      pen.stroke();
      return;
    case 'cut':
      // Two ends that do not meet.
      line(pen, x, y, r, [-1.1, 0, -0.4, 0], false);
      line(pen, x, y, r, [-0.4, -0.9, -0.4, 0.9], false);
      line(pen, x, y, r, [0.4, -0.9, 0.4, 0.9], false);
      line(pen, x, y, r, [0.4, 0, 1.1, 0], false);
      pen.stroke();
      return;
    default:
      unknownShape(shape);
  }
}

const TURN = Math.PI * 2;

function line(pen: Pen, x: number, y: number, r: number, points: readonly number[], isClosed: boolean): void {
  for (let index = 0; index + 1 < points.length; index += 2) {
    const px = x + points[index]! * r;
    const py = y + points[index + 1]! * r;
    if (index === 0) pen.moveTo(px, py);
    else pen.lineTo(px, py);
  }
  if (isClosed) pen.closePath();
}

function unknownShape(shape: never): never {
  throw new TypeError(`no glyph for the shape ${String(shape)}`);
}
