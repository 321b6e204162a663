import type { Frames } from './frame.ts';
import type { Pen } from './pen.ts';

/** The part of a canvas element that a view needs; a test gives its own. */
export interface Surface {
  width: number;
  height: number;
  getContext(type: '2d'): Pen | null;
}

/** Sizes a surface for the screen's pixels and gives its pen in CSS pixels; undefined where there is nothing to draw on. */
export function preparePen(surface: Surface, width: number, height: number, ratio: number): Pen | undefined {
  const pixelWidth = Math.round(width * ratio);
  const pixelHeight = Math.round(height * ratio);
  if (pixelWidth <= 0 || pixelHeight <= 0) return undefined;
  // Setting a size clears and reallocates even where it is the same.
  if (surface.width !== pixelWidth) surface.width = pixelWidth;
  if (surface.height !== pixelHeight) surface.height = pixelHeight;
  const pen = surface.getContext('2d');
  pen?.setTransform(ratio, 0, 0, ratio, 0, 0);
  return pen ?? undefined;
}

/** A view that draws itself at most once a frame, after any number of changes. */
export interface View<State> {
  readonly state: State;
  update(patch: Partial<State>): void;
  dispose(): void;
}

export function createView<State>(
  initial: State,
  frames: Frames,
  draw: (state: State, changed: ReadonlySet<keyof State>) => void,
): View<State> {
  let state = initial;
  let changed = new Set<keyof State>();
  const paint = (): void => {
    const since = changed;
    changed = new Set();
    draw(state, since);
  };
  return {
    get state() {
      return state;
    },
    update(patch) {
      let isDifferent = false;
      for (const key of Object.keys(patch) as Array<keyof State>) {
        if (Object.is(state[key], patch[key])) continue;
        changed.add(key);
        isDifferent = true;
      }
      if (!isDifferent) return;
      state = { ...state, ...patch };
      frames.request(paint);
    },
    dispose() {
      frames.cancel(paint);
    },
  };
}
