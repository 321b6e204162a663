import type { TimeRange } from '@syncscope/protocol/capture';
import { brushX, type D3BrushEvent, select } from 'd3';
import { timeScale } from './scale.ts';

export interface OverviewBrush {
  /** Shows `shown` within `whole`; nothing is outlined where all is shown. */
  show(whole: TimeRange, shown: TimeRange, isWhole: boolean, width: number, height: number): void;
  dispose(): void;
}

/** Narrower than this a drag is taken for a click. */
const LEAST = 3;

/**
 * The window on the overview: drag a new one, drag it or its edges, double-click for all.
 *
 * @param choose gets the range that the user asks for, undefined for the whole capture.
 * @param centre gets the instant of a click beside the window.
 */
export function createOverviewBrush(
  svg: SVGSVGElement,
  choose: (range: TimeRange | undefined) => void,
  centre: (time: number) => void,
): OverviewBrush {
  const root = select(svg).append('g').attr('class', 'tl-brush');
  let whole: TimeRange = { from: 0, to: 1 };
  let width = 0;
  let height = 0;
  let isMoving = false;
  let pressedAt = 0;

  const brush = brushX<unknown>()
    .handleSize(8)
    .on('start', (event: D3BrushEvent<unknown>) => {
      if (!event.sourceEvent) return;
      isMoving = true;
      pressedAt = pointerX(event.sourceEvent);
    })
    .on('brush', (event: D3BrushEvent<unknown>) => {
      if (event.sourceEvent) take(event.selection);
    })
    .on('end', (event: D3BrushEvent<unknown>) => {
      if (!event.sourceEvent) return;
      isMoving = false;
      if (!event.selection) centre(timeScale(whole, width).time(pressedAt));
      else take(event.selection);
    });

  function pointerX(event: MouseEvent | TouchEvent): number {
    const point = 'touches' in event ? event.touches[0] : event;
    return (point?.clientX ?? 0) - svg.getBoundingClientRect().left;
  }

  function take(selection: D3BrushEvent<unknown>['selection']): void {
    if (!selection) return;
    const [x1, x2] = selection as [number, number];
    if (x2 - x1 < LEAST) return;
    const scale = timeScale(whole, width);
    choose({ from: scale.time(x1), to: scale.time(x2) });
  }

  root.on('dblclick', () => choose(undefined));

  return {
    show(nextWhole, shown, isWhole, nextWidth, nextHeight) {
      whole = nextWhole;
      if (nextWidth !== width || nextHeight !== height) {
        width = nextWidth;
        height = nextHeight;
        brush.extent([
          [0, 0],
          [width, height],
        ]);
        root.call(brush);
      }
      // While the user drags, the brush is where the pointer has it.
      if (isMoving || width <= 0) return;
      if (isWhole) {
        root.call(brush.move, null);
        return;
      }
      const scale = timeScale(whole, width);
      const x1 = Math.min(Math.max(0, scale.x(shown.from)), width - LEAST);
      const x2 = Math.max(Math.min(width, scale.x(shown.to)), x1 + LEAST);
      root.call(brush.move, [x1, x2]);
    },
    dispose() {
      root.on('.brush', null).on('dblclick', null).remove();
    },
  };
}
