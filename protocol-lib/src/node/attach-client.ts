import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { recordsOfBatch } from '../capture/index.ts';
import { isSyncError, SyncError, unreachable } from '../errors/index.ts';
import type { ReplicaId } from '../state/index.ts';
import {
  ATTACH_SUBPROTOCOL,
  ATTACH_TOKEN_PREFIX,
  type AttachServerMessage,
  decodeServerFrame,
  encodeAttachFrame,
  type FaultSpec,
  SERVER_FRAME_MAX,
  TRACE_VERSION,
  type TraceHeader,
} from '../trace/index.ts';
import { closeSocket } from './close-socket.ts';
import { ATTACH_CLOSE } from './observers.ts';

export interface AttachOptions {
  /** `http://127.0.0.1:PORT`, as in a discovery file. */
  readonly url: string;
  /** 64 hex digits. */
  readonly token: string;
  /** Gives up attaching. Once that is done, it changes nothing. */
  readonly signal?: AbortSignal;
  /** Milliseconds to wait for the session's header; 10 s by default. */
  readonly timeout?: number;
}

export interface AttachClose {
  /** `ended`: the session said so. `left`: we closed. `refused`: it closed us, as being too slow. `lost`: the connection broke. */
  readonly kind: 'ended' | 'left' | 'refused' | 'lost';
  readonly reason: string;
}

/** One attached observer. */
export interface AttachConnection {
  readonly header: TraceHeader;
  readonly mayInject: boolean;
  /** Replicas that faults can be asked for. */
  readonly targets: readonly ReplicaId[];
  /** Settles once, when the connection is over; never rejects. No records come after it. */
  readonly closed: Promise<AttachClose>;
  /**
   * Sets who gets the encoded trace records, in order; those that came before are handed over at once, so
   * none is missed. Decode with `decodeTraceRecord`, or append as they are to a capture.
   */
  onRecords(listener: (records: readonly Uint8Array[]) => void): void;
  /** Asks for a fault. Rejects with the session's code, such as `ATTACH_FORBIDDEN`, or `ATTACH_CLOSED`. */
  inject(spec: FaultSpec): Promise<void>;
  /**
   * Says that it is enough to be told something each so many milliseconds where much happens, which costs the session less. One that cannot be asked, or in which
   * others want to see more, tells more often; it does so ten times a second where nobody asks.
   */
  pace(every: number): void;
  /**
   * Resolves when all that happened up to now is there. Where the session does not answer within `patience` milliseconds, 1 s by default, has ended,
   * or is of a build which cannot be asked, what is there is all there is; never rejects.
   */
  flush(patience?: number): Promise<void>;
  /**
   * Asks for all that happened up to now, and leaves when it is there; `closed` says when that is. A session that does not answer within `patience`
   * milliseconds, 5 s by default, or that is of a build which cannot be asked, is left as by {@link close}.
   */
  end(patience?: number): void;
  /** Leaves at once. What is on its way is lost. */
  close(): void;
}

const REFUSAL_BODY_MAX = 4 * 1024;
const HEADER_TIMEOUT_MS = 10_000;
const END_PATIENCE_MS = 5_000;
const FLUSH_PATIENCE_MS = 1_000;

/**
 * Attaches to a running session.
 * @throws SyncError `ATTACH_URL_INVALID`, `ATTACH_UNREACHABLE`, `ATTACH_NOT_SYNCSCOPE`, `ATTACH_TIMEOUT`,
 * `ATTACH_VERSION_NEWER`, `ATTACH_FRAME_INVALID`, or the session's own refusal: `ATTACH_TOKEN_WRONG`, `ATTACH_TOKEN_MISSING`,
 * `ATTACH_HOST_REJECTED`, `ATTACH_ORIGIN_REJECTED`, `ATTACH_TOO_MANY`
 */
export function attach(options: AttachOptions): Promise<AttachConnection> {
  return new Promise((resolve, reject) => {
    const connection = new Connection(options, (outcome) => {
      if (outcome instanceof SyncError) reject(outcome);
      else resolve(outcome);
    });
    connection.open();
  });
}

class Connection {
  readonly #options: AttachOptions;
  readonly #settle: (outcome: AttachConnection | SyncError) => void;
  readonly #asked = new Map<number, (error: SyncError | undefined) => void>();
  #socket: WebSocket | undefined;
  #isSettled = false;
  #waiting: Uint8Array[][] = [];
  #listener: ((records: readonly Uint8Array[]) => void) | undefined;
  #requests = 0;
  #close: AttachClose | undefined;
  #resolveClosed: (close: AttachClose) => void = () => undefined;
  readonly #closed = new Promise<AttachClose>((resolve) => {
    this.#resolveClosed = resolve;
  });
  #timer: NodeJS.Timeout | undefined;
  #features: readonly string[] = [];
  #ending: NodeJS.Timeout | undefined;

  constructor(options: AttachOptions, settle: (outcome: AttachConnection | SyncError) => void) {
    this.#options = options;
    this.#settle = settle;
  }

  open(): void {
    const address = inspectAddress(this.#options.url);
    if (address instanceof SyncError) {
      this.#fail(address);
      return;
    }
    if (!/^[0-9a-f]{1,128}$/i.test(this.#options.token)) {
      this.#fail(attachError('ATTACH_TOKEN_WRONG', 'a token is hex digits only; copy it whole'));
      return;
    }
    const { signal, token, timeout = HEADER_TIMEOUT_MS } = this.#options;
    if (signal?.aborted) {
      this.#fail(attachError('ATTACH_CLOSED', 'attaching was cancelled'));
      return;
    }
    const socket = new WebSocket(address, [ATTACH_SUBPROTOCOL, ATTACH_TOKEN_PREFIX + token], {
      maxPayload: SERVER_FRAME_MAX,
      perMessageDeflate: false,
    });
    this.#socket = socket;
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    this.#timer = setTimeout(() => {
      this.#fail(attachError('ATTACH_TIMEOUT', `${this.#options.url} did not answer within ${timeout} ms`, 'backoff'));
      socket.terminate();
    }, timeout);
    socket.on('unexpected-response', (_request, response) => {
      readRefusal(response, this.#options.url).then((error) => {
        this.#fail(error);
        socket.terminate();
      });
    });
    socket.on('error', (error) => this.#onError(error));
    socket.on('message', (data: Buffer, isBinary) => this.#onFrame(data, isBinary));
    socket.on('close', (code, reason) => {
      this.#onClose(code, reason.toString());
    });
  }

  readonly #onAbort = (): void => {
    this.#fail(attachError('ATTACH_CLOSED', 'attaching was cancelled'));
    this.close();
  };

  #onError(error: Error): void {
    this.#close ??= { kind: 'lost', reason: error.message };
    this.#fail(
      'code' in error && typeof error.code === 'string' && error.code.startsWith('E')
        ? attachError(
            'ATTACH_UNREACHABLE',
            `nothing answers at ${this.#options.url} (${error.code}); the session has probably ended`,
            'backoff',
            error,
          )
        : attachError(
            'ATTACH_NOT_SYNCSCOPE',
            `${this.#options.url} is not a session: ${error.message}`,
            'never',
            error,
          ),
    );
  }

  #onFrame(data: Uint8Array, isBinary: boolean): void {
    // Nothing is heard of a session that was left, or that said what cannot be read.
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    try {
      if (!isBinary) throw attachError('ATTACH_FRAME_INVALID', 'the session sent text; frames are msgpack');
      this.#receive(decodeServerFrame(data));
    } catch (error) {
      if (!isSyncError(error)) throw error;
      this.#close ??= { kind: 'lost', reason: error.message };
      this.#fail(error);
      if (this.#socket) closeSocket(this.#socket, ATTACH_CLOSE.invalid, error.code);
    }
  }

  #receive(message: AttachServerMessage): void {
    switch (message.type) {
      case 'header':
        this.#onHeader(message);
        return;
      case 'records': {
        const records = recordsOfBatch(message.batch);
        if (this.#listener) this.#listener(records);
        else this.#waiting.push(records);
        return;
      }
      case 'answer': {
        const { error } = message;
        this.#asked.get(message.request)?.(error && attachError(error.code, error.message));
        this.#asked.delete(message.request);
        return;
      }
      case 'closing':
        this.#close ??= { kind: 'ended', reason: message.reason };
        return;
      default:
        unreachable(message);
    }
  }

  #onHeader(message: Extract<AttachServerMessage, { type: 'header' }>): void {
    if (message.header.traceVersion > TRACE_VERSION) {
      throw attachError(
        'ATTACH_VERSION_NEWER',
        `the session traces in version ${message.header.traceVersion}, this build knows up to ${TRACE_VERSION}; update it`,
      );
    }
    const { header, mayInject, targets, features = [] } = message;
    this.#features = features;
    this.#settleOnce({
      header,
      mayInject,
      targets,
      closed: this.#closed,
      onRecords: (listener) => {
        const waiting = this.#waiting;
        this.#waiting = [];
        this.#listener = listener;
        for (const records of waiting) listener(records);
      },
      inject: (spec) => this.#inject(spec),
      pace: (every) => this.#pace(every),
      flush: (patience) => this.#flush(patience),
      end: (patience) => this.#end(patience),
      close: () => this.close(),
    });
  }

  #pace(every: number): void {
    if (this.#socket?.readyState !== WebSocket.OPEN || !this.#features.includes('pace')) return;
    this.#socket.send(encodeAttachFrame({ type: 'pace', every }));
  }

  #flush(patience = FLUSH_PATIENCE_MS): Promise<void> {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN || !this.#features.includes('flush')) return Promise.resolve();
    const request = ++this.#requests;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, patience);
      this.#asked.set(request, () => {
        clearTimeout(timer);
        resolve();
      });
      socket.send(encodeAttachFrame({ type: 'flush', request }));
    });
  }

  #end(patience = END_PATIENCE_MS): void {
    if (this.#ending) return;
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN || !this.#features.includes('end')) {
      this.close();
      return;
    }
    this.#ending = setTimeout(() => this.close(), patience);
    const request = ++this.#requests;
    this.#asked.set(request, () => this.close());
    socket.send(encodeAttachFrame({ type: 'end', request }));
  }

  #inject(spec: FaultSpec): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#socket?.readyState !== WebSocket.OPEN) {
        reject(attachError('ATTACH_CLOSED', 'the session is no longer attached; attach again', 'backoff'));
        return;
      }
      const request = ++this.#requests;
      this.#asked.set(request, (error) => (error ? reject(error) : resolve()));
      this.#socket.send(encodeAttachFrame({ type: 'fault', request, spec }));
    });
  }

  close(): void {
    this.#close ??= { kind: 'left', reason: 'the observer left' };
    if (this.#socket?.readyState === WebSocket.CONNECTING) this.#socket.terminate();
    else if (this.#socket) closeSocket(this.#socket, 1000, '');
  }

  #onClose(code: number, reason: string): void {
    clearTimeout(this.#ending);
    const byCode: AttachClose =
      code === ATTACH_CLOSE.ended
        ? { kind: 'ended', reason }
        : code === ATTACH_CLOSE.tooSlow || code === ATTACH_CLOSE.invalid
          ? { kind: 'refused', reason }
          : { kind: 'lost', reason: reason || `the connection broke (${code})` };
    const close = this.#close ?? byCode;
    for (const settle of this.#asked.values()) settle(attachError('ATTACH_CLOSED', close.reason, 'backoff'));
    this.#asked.clear();
    this.#resolveClosed(close);
    this.#fail(attachError('ATTACH_CLOSED', `closed before it began: ${close.reason}`, 'backoff'));
  }

  #fail(error: SyncError): void {
    this.#settleOnce(error);
  }

  #settleOnce(outcome: AttachConnection | SyncError): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    clearTimeout(this.#timer);
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#settle(outcome);
  }
}

/** The WebSocket address behind a session's URL. */
export function inspectAddress(url: string): URL | SyncError {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')) {
    return attachError(
      'ATTACH_URL_INVALID',
      `${JSON.stringify(url)} is not a session's URL, such as http://127.0.0.1:4000`,
    );
  }
  const address = new URL('/inspect', parsed);
  address.protocol = parsed.protocol === 'http:' ? 'ws:' : 'wss:';
  return address;
}

/** What a server answered instead of a WebSocket, as an error. */
export async function readRefusal(response: IncomingMessage, url: string): Promise<SyncError> {
  let text = '';
  try {
    for await (const part of response) {
      text += String(part);
      if (text.length > REFUSAL_BODY_MAX) break;
    }
    const body: unknown = JSON.parse(text);
    const error = field(body, 'error');
    const [code, message, fix] = ['code', 'message', 'fix'].map((name) => field(error, name));
    if (typeof code === 'string' && /^[A-Z_]{1,60}$/.test(code) && typeof message === 'string') {
      const retry = response.statusCode === 429 || response.statusCode === 503 ? 'backoff' : 'never';
      return attachError(code, typeof fix === 'string' ? `${message}. ${fix}` : message, retry);
    }
  } catch {
    // Not one of ours; said below.
  }
  return attachError(
    'ATTACH_NOT_SYNCSCOPE',
    `${url} is not a session: it answered ${response.statusCode ?? 'nothing'}`,
  );
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;
}

function attachError(code: string, message: string, retry: 'never' | 'backoff' = 'never', cause?: unknown): SyncError {
  return new SyncError(code, message, { origin: 'attach', retry, cause });
}
