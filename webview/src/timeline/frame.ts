/** Runs each requested task once in the next animation frame, in the order of the first request. */
export interface Frames {
  request(task: () => void): void;
  cancel(task: () => void): void;
}

/** One scheduler for all that draws, so that a burst of changes costs one frame. */
export function createFrames(schedule: (run: () => void) => unknown): Frames {
  let tasks = new Set<() => void>();
  let isScheduled = false;
  const run = (): void => {
    isScheduled = false;
    const due = tasks;
    tasks = new Set();
    for (const task of due) task();
  };
  return {
    request(task) {
      tasks.add(task);
      if (isScheduled) return;
      isScheduled = true;
      schedule(run);
    },
    cancel(task) {
      tasks.delete(task);
    },
  };
}

/** The page's scheduler. */
export const frames: Frames = createFrames((run) => requestAnimationFrame(run));
