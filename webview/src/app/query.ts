import type { CaptureQuery } from '@syncscope/protocol/capture';
import { createContext, useContext, useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import type { RemoteQuery } from '../rpc/index.ts';
import { createRunner, type QueryState } from './runner.ts';
import { getState, useApp } from './store.ts';

export type { QueryState } from './runner.ts';

/** What a key is made of. Two keys are the same where their parts are. */
export type KeyPart = string | number | boolean | null | undefined;

export interface QueryHandle<T> extends QueryState<T> {
  /** Stops waiting; an earlier answer stays on screen. */
  cancel(): void;
  /** Asks again, after an error or a cancel. */
  retry(): void;
}

/** The capture and its host, for everything below. */
export const RemoteContext = createContext<RemoteQuery | undefined>(undefined);

/** The capture and its host. For commands and one-off questions in event handlers; to show something, {@link useQuery}. */
export function useRemote(): RemoteQuery {
  const remote = useContext(RemoteContext);
  if (!remote) throw new TypeError('useRemote outside of the inspector');
  return remote;
}

/**
 * Asks the capture something and keeps the newest answer.
 *
 * `key` names the question: `ask` runs again when a part of it changes, and with every capture that is opened.
 * An answer stays until the next one is there. The `query` handed to `ask` is bound to the question: its
 * requests are cancelled when the key changes or the view goes away. With `enabled` false nothing is asked and
 * what was there is dropped. Before a capture is open nothing is asked.
 *
 * `freshness` is for what changes by itself, such as the count of records while live: `ask` runs again when it
 * changes, but only after what is under way has answered, so that a fast session never starves a slow question.
 */
export function useQuery<T>(
  key: readonly KeyPart[],
  ask: (query: CaptureQuery, signal: AbortSignal) => Promise<T>,
  enabled = true,
  freshness: KeyPart = undefined,
): QueryHandle<T> {
  const remote = useRemote();
  const epoch = useApp((state) => state.epoch);
  const isReady = useApp((state) => state.isReady);
  const runner = useMemo(() => createRunner<T>(), []);
  const state = useSyncExternalStore(runner.subscribe, runner.get);
  const latest = useRef(ask);
  latest.current = ask;

  // A new capture: nothing of the old one may stay on screen, not even while waiting.
  const shownEpoch = useRef(epoch);
  const askedKey = useRef('');
  const runs = enabled && isReady;
  const keyText = JSON.stringify([epoch, ...key.map((part) => (part === undefined ? ['undefined'] : part))]);
  useEffect(() => {
    if (!runs || shownEpoch.current !== epoch) runner.reset();
    shownEpoch.current = epoch;
    const isSameQuestion = askedKey.current === keyText;
    askedKey.current = keyText;
    if (!runs) return;
    const { view, playing } = getState();
    runner.request(
      (signal) => latest.current(remote.until(signal), signal),
      isSameQuestion || view.following || playing,
    );
  }, [runner, remote, keyText, runs, freshness]);
  useEffect(() => () => runner.reset(), [runner]);

  return useMemo(() => ({ ...state, cancel: () => runner.cancel(), retry: () => runner.retry() }), [state, runner]);
}
