import { SyncError } from '@syncscope/protocol/errors';
import { cancelled, fromWireError, toWireError } from '../rpc/index.ts';

/** What a view knows of something it asked for. */
export interface QueryState<T> {
  /** The newest answer. Stays while the next one is awaited, so that nothing flickers. */
  readonly data: T | undefined;
  /** Why there is no newer answer. Cleared by the next one. */
  readonly error: SyncError | undefined;
  readonly isLoading: boolean;
  /** Has been loading for over 300 ms: show that something is happening, and a way to stop it. */
  readonly isSlow: boolean;
}

export interface Runner<T> {
  get(): QueryState<T>;
  subscribe(listener: () => void): () => void;
  /**
   * Runs `run` and takes its answer. What is under way is aborted, or with `gentle` allowed to finish first:
   * where requests come faster than answers (following live), aborting each would never show any.
   */
  request(run: (signal: AbortSignal) => Promise<T>, gentle: boolean): void;
  /** Stops waiting; what is shown stays. */
  cancel(): void;
  /** Asks the same again. */
  retry(): void;
  /** Forgets everything, the shown answer too. */
  reset(): void;
}

export const SLOW_AFTER_MS = 300;

/** One question at a time and its newest answer, outside of React. */
export function createRunner<T>(): Runner<T> {
  const idle: QueryState<T> = { data: undefined, error: undefined, isLoading: false, isSlow: false };
  const listeners = new Set<() => void>();
  let state = idle;
  let active: AbortController | undefined;
  let queued: ((signal: AbortSignal) => Promise<T>) | undefined;
  let last: ((signal: AbortSignal) => Promise<T>) | undefined;
  let slowTimer: ReturnType<typeof setTimeout> | undefined;

  function set(next: QueryState<T>): void {
    state = next;
    for (const listener of [...listeners]) listener();
  }

  function stop(): void {
    clearTimeout(slowTimer);
    active?.abort();
    active = undefined;
  }

  function finish(controller: AbortController, next: QueryState<T>): void {
    if (active !== controller) return;
    clearTimeout(slowTimer);
    active = undefined;
    const following = queued;
    queued = undefined;
    set(following ? { ...next, isLoading: true } : next);
    if (following) start(following);
  }

  function start(run: (signal: AbortSignal) => Promise<T>): void {
    const controller = new AbortController();
    active = controller;
    last = run;
    if (!state.isLoading) set({ ...state, isLoading: true, isSlow: false });
    slowTimer = setTimeout(() => set({ ...state, isSlow: true }), SLOW_AFTER_MS);
    run(controller.signal).then(
      (data) => finish(controller, { data, error: undefined, isLoading: false, isSlow: false }),
      (error: unknown) => finish(controller, { ...state, error: asSyncError(error), isLoading: false, isSlow: false }),
    );
  }

  return {
    get: () => state,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    request(run, gentle) {
      if (active && gentle) {
        queued = run;
        return;
      }
      queued = undefined;
      stop();
      start(run);
    },
    cancel() {
      queued = undefined;
      if (!active) return;
      stop();
      set({ ...state, error: cancelled(), isLoading: false, isSlow: false });
    },
    retry() {
      if (last) this.request(last, false);
    },
    reset() {
      queued = undefined;
      last = undefined;
      stop();
      if (state !== idle) set(idle);
    },
  };
}

function asSyncError(error: unknown): SyncError {
  return error instanceof SyncError ? error : fromWireError(toWireError(error));
}
