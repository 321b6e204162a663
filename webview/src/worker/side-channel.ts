import { SyncError } from '@syncscope/protocol/errors';
import { type Infer, object, type Schema, string, variant } from '@syncscope/protocol/schema';
import type { Port } from '../rpc/index.ts';

/**
 * Between the browser page and its worker there is more to say than a webview and its host can: a `File` that the
 * user chose goes in, a finished download comes out. Both share the worker's one channel with the rpc messages.
 */

const blob: Schema<Blob> = {
  parse(value, path) {
    if (value instanceof Blob) return value;
    throw new SyncError('SCHEMA_MISMATCH', `${path}: expected a file`, { origin: 'query', place: { path } });
  },
};

/** From the page to the worker: what to open. */
export const pageMessageSchema = variant('page', {
  openFile: object({ file: blob, name: string(1_000) }),
  /** A capture that the page's own origin serves, read by ranges. */
  openUrl: object({ url: string(4_000), name: string(1_000), token: string(200) }),
  attach: object({ url: string(4_000), token: string(200) }),
  /** Let go of what is being opened. */
  leave: object({}),
});
export type PageMessage = Infer<typeof pageMessageSchema>;

/** From the worker to the page: bytes that the user asked to keep. */
export const workerMessageSchema = variant('worker', {
  download: object({ name: string(300), blob }),
});
export type WorkerMessage = Infer<typeof workerMessageSchema>;

/** The same channel seen as two: `main` for rpc, `side` for what is above. */
export function splitPort(
  port: Port,
  isSide: (message: object) => boolean,
): { readonly main: Port; readonly side: Port } {
  const matches = (message: unknown) => typeof message === 'object' && message !== null && isSide(message);
  return {
    main: {
      post: port.post,
      onMessage: (listener) => port.onMessage((message) => !matches(message) && listener(message)),
    },
    side: {
      post: port.post,
      onMessage: (listener) => port.onMessage((message) => matches(message) && listener(message)),
    },
  };
}
