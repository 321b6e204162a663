import type { OfflineClient } from '../offline/index.ts';

export interface DriveOptions {
  /** Milliseconds between two looks at the queue, for what other tabs have written. */
  readonly interval?: number;
  /** Milliseconds between two looks at the authority where nothing is to be sent; never where absent. */
  readonly pull?: number;
  /** What the storage refused. */
  readonly onError: (error: unknown) => void;
}

const INTERVAL = 1_000;

/**
 * Keeps a device in step in a page: sends soon after each mutation, at once when the network is back or the page is seen
 * again, and as the backoff says when it failed. Returns the function that ends it.
 */
export function driveOffline(client: OfflineClient, options: DriveOptions): () => void {
  const { interval = INTERVAL, pull, onError } = options;
  let isOver = false;
  let pulled = Date.now();
  const step = async (): Promise<void> => {
    if (isOver || !navigator.onLine) return;
    await client.refresh();
    const isPull = pull !== undefined && Date.now() - pulled >= pull;
    if (isPull) pulled = Date.now();
    if (isPull || client.due === 0) await client.sync({ pull: isPull });
  };
  const run = (): void => void step().catch(onError);
  const wake = (): void => {
    client.wake();
    run();
  };
  const seen = (): void => {
    if (document.visibilityState === 'visible') wake();
  };
  const timer = setInterval(run, interval);
  const unsubscribe = client.subscribe(run);
  addEventListener('online', wake);
  document.addEventListener('visibilitychange', seen);
  run();
  return () => {
    isOver = true;
    clearInterval(timer);
    unsubscribe();
    removeEventListener('online', wake);
    document.removeEventListener('visibilitychange', seen);
  };
}
