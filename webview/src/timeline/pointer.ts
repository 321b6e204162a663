import type { TimeRange } from '@syncscope/protocol/capture';
import type { Frames } from './frame.ts';
import type { Hit } from './hit.ts';
import { timeScale } from './scale.ts';

/** What the pointer can do to the lanes. Places are CSS pixels on the canvas, times nanoseconds. */
export interface PointerTarget {
  hit(x: number, y: number): Hit | undefined;
  isPlayhead(x: number): boolean;
  range(): TimeRange;
  width(): number;
  hover(hit: Hit | undefined, x: number, y: number): void;
  choose(hit: Hit | undefined, time: number): void;
  pan(range: TimeRange): void;
  zoom(time: number, factor: number): void;
  drag(time: number): void;
  drop(): void;
  /** Moves the lanes up by this many pixels. */
  scroll(by: number): void;
}

/** A press that moves no further than this is a click. */
const CLICK_SLOP = 3;
/** How much a notch of a wheel zooms: about 15 %. */
const WHEEL_RATE = 0.0015;
const LINE = 16;

type Press =
  | { readonly mode: 'playhead' }
  | {
      readonly mode: 'pan';
      readonly x: number;
      readonly y: number;
      readonly range: TimeRange;
      readonly isMoved: boolean;
    };

/** Mouse, pen, touch and wheel on the lanes: hover, click, drag the playhead, drag to pan, wheel to zoom. */
export function attachPointer(element: HTMLElement, frames: Frames, target: PointerTarget): { dispose(): void } {
  const abort = new AbortController();
  const options = { signal: abort.signal };
  let press: Press | undefined;
  let last = { x: 0, y: 0 };
  let isInside = false;

  const place = (event: MouseEvent): { x: number; y: number } => {
    const box = element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const timeAt = (x: number): number => timeScale(target.range(), target.width()).time(x);

  const hoverNow = (): void => {
    if (press || !isInside) return;
    const hit = target.hit(last.x, last.y);
    const isOnPlayhead = target.isPlayhead(last.x);
    element.style.cursor = isOnPlayhead ? 'ew-resize' : hit && 'position' in hit ? 'pointer' : 'default';
    target.hover(hit, last.x, last.y);
  };

  element.addEventListener(
    'pointerdown',
    (event) => {
      if (event.button !== 0) return;
      const { x, y } = place(event);
      const hit = target.hit(x, y);
      element.setPointerCapture(event.pointerId);
      target.hover(undefined, x, y);
      if (hit?.type === 'ruler' || (target.isPlayhead(x) && !(hit && 'position' in hit))) {
        press = { mode: 'playhead' };
        target.drag(timeAt(x));
      } else press = { mode: 'pan', x, y, range: target.range(), isMoved: false };
    },
    options,
  );

  element.addEventListener(
    'pointermove',
    (event) => {
      last = place(event);
      isInside = true;
      if (!press) {
        frames.request(hoverNow);
        return;
      }
      if (press.mode === 'playhead') {
        target.drag(timeAt(last.x));
        return;
      }
      if (!press.isMoved && Math.hypot(last.x - press.x, last.y - press.y) <= CLICK_SLOP) return;
      press = { ...press, isMoved: true };
      element.style.cursor = 'grabbing';
      const by = ((press.x - last.x) * (press.range.to - press.range.from)) / Math.max(1, target.width());
      target.pan({ from: press.range.from + by, to: press.range.to + by });
    },
    options,
  );

  const release = (event: PointerEvent): void => {
    const was = press;
    press = undefined;
    if (was?.mode === 'playhead') target.drop();
    else if (was && !was.isMoved && event.type === 'pointerup') {
      target.choose(target.hit(was.x, was.y), timeAt(was.x));
    }
    frames.request(hoverNow);
  };
  element.addEventListener('pointerup', release, options);
  element.addEventListener('pointercancel', release, options);
  element.addEventListener(
    'pointerleave',
    () => {
      isInside = false;
      if (!press) target.hover(undefined, 0, 0);
    },
    options,
  );

  element.addEventListener(
    'wheel',
    (event) => {
      event.preventDefault();
      const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE : 1;
      const dx = (event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX) * unit;
      const dy = (event.shiftKey ? 0 : event.deltaY) * unit;
      const range = target.range();
      if (event.altKey) {
        target.scroll(dy);
        return;
      }
      if (Math.abs(dx) > Math.abs(dy)) {
        const by = (dx * (range.to - range.from)) / Math.max(1, target.width());
        target.pan({ from: range.from + by, to: range.to + by });
      } else if (dy !== 0) target.zoom(timeAt(place(event).x), Math.exp(dy * WHEEL_RATE));
      frames.request(hoverNow);
    },
    { ...options, passive: false },
  );

  return {
    dispose() {
      abort.abort();
      frames.cancel(hoverNow);
    },
  };
}
