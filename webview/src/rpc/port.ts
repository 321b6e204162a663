/**
 * A two-way channel for structured-cloneable messages. Messages are not believed: whoever listens
 * validates. `onMessage` returns the function that stops listening.
 */
export interface Port {
  post(message: unknown): void;
  onMessage(listener: (message: unknown) => void): () => void;
}

/** What `Worker`, `MessagePort` and a worker's global scope have in common. */
interface MessageEnd {
  postMessage(message: unknown): void;
  addEventListener(type: 'message', listener: (event: MessageEvent) => void): void;
  removeEventListener(type: 'message', listener: (event: MessageEvent) => void): void;
}

/** A port over a `Worker`, a worker's own `self`, or a started `MessagePort`. */
export function workerPort(end: MessageEnd): Port {
  return {
    post: (message) => end.postMessage(message),
    onMessage(listener) {
      const handle = (event: MessageEvent) => listener(event.data);
      end.addEventListener('message', handle);
      return () => end.removeEventListener('message', handle);
    },
  };
}

/** Two joined ports in one process; delivery is asynchronous and cloned, as between real ones. */
export function portPair(): [Port, Port] {
  const listeners: [Set<(message: unknown) => void>, Set<(message: unknown) => void>] = [new Set(), new Set()];
  const end = (own: 0 | 1): Port => ({
    post(message) {
      const copy = structuredClone(message);
      queueMicrotask(() => {
        for (const listener of listeners[own === 0 ? 1 : 0]) listener(copy);
      });
    },
    onMessage(listener) {
      listeners[own].add(listener);
      return () => listeners[own].delete(listener);
    },
  });
  return [end(0), end(1)];
}
