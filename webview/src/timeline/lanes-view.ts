import { createView, preparePen, type Surface } from './canvas-view.ts';
import type { Frames } from './frame.ts';
import { type Hit, hitTest } from './hit.ts';
import { drawLanes, type LanesLook } from './lanes-draw.ts';
import { buildScene, type LanesScene, type SceneInput } from './scene.ts';

export interface LanesState extends SceneInput {
  readonly palette: LanesLook['palette'];
  readonly hovered: LanesLook['hovered'];
  readonly focusedLane: LanesLook['focusedLane'];
  /** Screen pixels a CSS pixel. */
  readonly ratio: number;
}

/** The lanes on their canvas. Holds the last picture, so that what is hit is what is seen. */
export interface LanesView {
  readonly state: LanesState;
  readonly scene: LanesScene | undefined;
  update(patch: Partial<LanesState>): void;
  hit(x: number, y: number): Hit | undefined;
  dispose(): void;
}

/** Changes of these alone need no new layout. */
const LOOK_ONLY: ReadonlySet<keyof LanesState> = new Set(['palette', 'hovered', 'focusedLane', 'ratio']);

export function createLanesView(surface: Surface, initial: LanesState, frames: Frames): LanesView {
  let scene: LanesScene | undefined;
  const view = createView<LanesState>(initial, frames, (state, changed) => {
    if (!scene || [...changed].some((key) => !LOOK_ONLY.has(key))) scene = buildScene(state);
    const pen = preparePen(surface, state.width, state.height, state.ratio);
    if (pen) drawLanes(pen, scene, state);
  });
  return {
    get state() {
      return view.state;
    },
    get scene() {
      return scene;
    },
    update: view.update,
    hit: (x, y) => (scene ? hitTest(scene, x, y) : undefined),
    dispose: view.dispose,
  };
}
