import { recordsOfBatch } from '@syncscope/protocol/capture';
import { SyncError, unreachable } from '@syncscope/protocol/errors';
import {
  ATTACH_SUBPROTOCOL,
  ATTACH_TOKEN_PREFIX,
  decodeServerFrame,
  encodeAttachFrame,
  type FaultSpec,
  type TraceHeader,
} from '@syncscope/protocol/trace';

/** What an attached session tells. Exactly one `onEnd` comes last. */
export interface AttachListener {
  onHeader(header: TraceHeader, mayInject: boolean, targets: readonly string[]): void;
  /** Encoded trace records, in order. */
  onRecords(records: readonly Uint8Array[]): void;
  /** The session is over: `error` says why where it was not asked for. */
  onEnd(reason: string, error: SyncError | undefined): void;
}

export interface Attachment {
  /** Resolves once the session has taken the fault, rejects with its refusal. */
  inject(spec: FaultSpec): Promise<void>;
  /** Resolves when all that happened up to now is there; where the session cannot be asked or does not answer, what is there is all there is. */
  flush(): Promise<void>;
  detach(): void;
}

/** What `WebSocket` is used for, so that a test can stand in for it. */
export type SocketMaker = (url: string, protocols: readonly string[]) => WebSocket;

/** A session that is stuck is saved as it was last seen. */
const FLUSH_PATIENCE_MS = 1_000;

const openSocket: SocketMaker = (url, protocols) => new WebSocket(url, [...protocols]);

/** Observes the session at `url` (`ws://…/inspect`). A frame that is not of the protocol ends it with an error. */
export function attach(
  url: string,
  token: string,
  listener: AttachListener,
  makeSocket: SocketMaker = openSocket,
): Attachment {
  const socket = makeSocket(url, [ATTACH_SUBPROTOCOL, ATTACH_TOKEN_PREFIX + token]);
  socket.binaryType = 'arraybuffer';
  const waiting = new Map<number, { resolve(): void; reject(error: SyncError): void }>();
  let nextRequest = 1;
  let hasHeader = false;
  let mayFlush = false;
  let closingReason: string | undefined;
  let hasEnded = false;

  function end(reason: string, error: SyncError | undefined): void {
    if (hasEnded) return;
    hasEnded = true;
    for (const { reject } of waiting.values()) reject(gone(url, reason));
    waiting.clear();
    socket.close();
    listener.onEnd(reason, error);
  }

  function receive(data: unknown): void {
    if (!(data instanceof ArrayBuffer))
      throw new SyncError('ATTACH_FRAME_INVALID', 'a frame of text', { origin: 'attach' });
    const message = decodeServerFrame(new Uint8Array(data));
    switch (message.type) {
      case 'header':
        hasHeader = true;
        mayFlush = message.features?.includes('flush') ?? false;
        listener.onHeader(message.header, message.mayInject, message.targets);
        return;
      case 'records':
        if (!hasHeader) throw new SyncError('ATTACH_FRAME_INVALID', 'records before the header', { origin: 'attach' });
        listener.onRecords(recordsOfBatch(message.batch));
        return;
      case 'answer': {
        const waiter = waiting.get(message.request);
        waiting.delete(message.request);
        if (message.error) {
          waiter?.reject(new SyncError(message.error.code, message.error.message, { origin: 'attach' }));
        } else waiter?.resolve();
        return;
      }
      case 'closing':
        closingReason = message.reason;
        return;
      default:
        unreachable(message);
    }
  }

  socket.addEventListener('message', (event: MessageEvent) => {
    if (hasEnded) return;
    try {
      receive(event.data);
    } catch (error) {
      const cause = error instanceof SyncError ? error : new SyncError('INTERNAL', String(error), { origin: 'attach' });
      end(cause.message, cause);
    }
  });
  socket.addEventListener('close', (event: CloseEvent) => {
    if (!hasHeader) return end('refused', refused(url));
    end(closingReason ?? (event.reason || 'the connection broke off'), undefined);
  });

  return {
    inject(spec) {
      if (hasEnded || socket.readyState !== 1) return Promise.reject(gone(url, 'the session is not connected'));
      const request = nextRequest++;
      return new Promise((resolve, reject) => {
        waiting.set(request, { resolve, reject });
        socket.send(encodeAttachFrame({ type: 'fault', request, spec }));
      });
    },
    flush() {
      if (hasEnded || !mayFlush || socket.readyState !== 1) return Promise.resolve();
      const request = nextRequest++;
      return new Promise((resolve) => {
        const done = () => {
          clearTimeout(timer);
          resolve();
        };
        const timer = setTimeout(done, FLUSH_PATIENCE_MS);
        waiting.set(request, { resolve: done, reject: done });
        socket.send(encodeAttachFrame({ type: 'flush', request }));
      });
    },
    detach: () => end('stopped here', undefined),
  };
}

/** A browser does not say why an upgrade was refused; these are the reasons there are, and the way on. */
function refused(url: string): SyncError {
  return new SyncError(
    'ATTACH_FAILED',
    `${url} did not let the inspector in. The session may have ended, or the token in this page's address may be wrong or missing: open the address again that the session printed.`,
    { origin: 'attach', retry: 'backoff' },
  );
}

function gone(url: string, reason: string): SyncError {
  return new SyncError('ATTACH_CLOSED', `${url}: ${reason}`, { origin: 'attach' });
}
