import { isSyncError, SyncError } from '../errors/index.ts';
import { boolean, object, optional, string } from '../schema/index.ts';
import type { ClientTransport, TransportEvents } from './client-transport.ts';
import {
  fromBase64,
  packFrames,
  SSE_BODY_MAX,
  SSE_CONNECTION_HEADER,
  SSE_EVENTS_PATH,
  SSE_KEEP_ALIVE_MS,
  SSE_MESSAGES_PATH,
  type SseEvent,
  type SseOpening,
  SseParser,
} from './sse-format.ts';

export interface SseTransportOptions {
  /** `http://HOST:PORT`, where the gateway is. */
  readonly url: string;
  /** Sent as `Authorization: Bearer`, never in the address. */
  readonly token: string;
  /** Milliseconds from a broken stream to the next try, doubled with each up to `most`. */
  readonly retry?: { readonly first: number; readonly most: number; readonly tries: number };
}

const RETRY = { first: 100, most: 2_000, tries: 6 } as const;
/** Three comments that did not come. */
const SILENCE_MS = 3 * SSE_KEEP_ALIVE_MS;

const openingSchema = object({
  connection: string(64),
  resumed: boolean,
  code: optional(string(60)),
  message: optional(string(2_000)),
});

/**
 * Frames over an event stream and POSTs, for where a WebSocket cannot pass. Needs `fetch` with streams and timers only, so it runs in
 * browsers as in Node. A stream that breaks is taken up again where it broke; where the server cannot do that, it says so, and the
 * connection begins anew.
 */
export class SseTransport implements ClientTransport {
  readonly #options: SseTransportOptions;
  readonly #events: TransportEvents;
  readonly #abort = new AbortController();
  readonly #outgoing: Uint8Array[] = [];
  #connection = '';
  #lastId = '';
  #isPosting = false;
  #whenPosted: (() => void)[] = [];
  #closesWhenPosted = false;
  #isClosed = false;

  constructor(options: SseTransportOptions, events: TransportEvents) {
    this.#options = options;
    this.#events = events;
    this.#run().then(
      (reason) => this.#end(reason),
      (error) => this.#end(textOf(error)),
    );
  }

  get isOpen(): boolean {
    return !this.#isClosed && this.#connection !== '';
  }

  send(frames: readonly Uint8Array[]): void {
    if (!this.isOpen || frames.length === 0) return;
    // A copy: whoever encoded them may use the memory again.
    for (const frame of frames) this.#outgoing.push(frame.slice());
    if (!this.#isPosting) this.#post().catch((error) => this.#end(textOf(error)));
  }

  arrived(done: () => void): void {
    if (!this.isOpen) return;
    if (this.#isPosting) this.#whenPosted.push(done);
    else done();
  }

  close(): void {
    // What was said last, such as a goodbye, is still posted.
    if (this.#isPosting) this.#closesWhenPosted = true;
    else this.#end('closed here');
  }

  #end(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#abort.abort();
    this.#events.closed(reason);
  }

  // — the stream —

  /** Reads stream after stream; answers why there is none any more. */
  async #run(): Promise<string> {
    const { tries } = this.#options.retry ?? RETRY;
    let failures = 0;
    let why = '';
    while (failures < tries) {
      try {
        const ended = await this.#read(() => {
          failures = 0;
        });
        if (ended !== undefined) return ended;
        why = 'the event stream broke';
      } catch (error) {
        // Only a network that fails may be tried again; what the server refuses is refused.
        if (this.#isClosed || isSyncError(error)) throw error;
        why = textOf(error);
      }
      if (this.#connection === '') return why;
      await this.#wait(failures++);
    }
    return why;
  }

  /** Reads one stream to its end. Answers the reason where the server says that it is the last. */
  async #read(opened: () => void): Promise<string | undefined> {
    const silence = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const heard = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
    };
    heard();
    try {
      const signal = AbortSignal.any([this.#abort.signal, silence.signal]);
      const response = await fetch(`${this.#options.url}${SSE_EVENTS_PATH}`, {
        headers: {
          ...this.#authorization,
          accept: 'text/event-stream',
          ...(this.#lastId === '' ? {} : { 'last-event-id': this.#lastId }),
        },
        cache: 'no-store',
        signal,
      });
      if (!response.ok || !response.body) throw await refusedBy(response);
      const parser = new SseParser();
      const decoder = new TextDecoder();
      const reader = response.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return undefined;
        heard();
        for (const event of parser.push(decoder.decode(value, { stream: true }))) {
          if (event.name === 'close') return event.data;
          if (event.name === 'open') opened();
          this.#take(event);
        }
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #take(event: SseEvent): void {
    if (event.id !== '') this.#lastId = event.id;
    if (event.name === 'open') this.#onOpen(readOpening(event.data));
    else if (event.name === '' && !this.#isClosed) this.#events.frame(fromBase64(event.data));
    // Events of other names are a later version's.
  }

  #onOpen({ connection, resumed, code, message }: SseOpening): void {
    const isFirst = this.#connection === '';
    if (resumed && connection === this.#connection) return;
    this.#connection = connection;
    this.#outgoing.length = 0;
    if (!isFirst) this.#events.interrupted(`${code ?? 'SSE_RESUME_UNKNOWN'}: ${message ?? 'a new stream began'}`);
    this.#events.opened();
  }

  // — the way back —

  /** Posts what waits, one body after the other, so that the order is kept. */
  async #post(): Promise<void> {
    this.#isPosting = true;
    try {
      while (this.#outgoing.length > 0 && !this.#isClosed) {
        const connection = this.#connection;
        const body = packFrames(takeBody(this.#outgoing));
        let failures = 0;
        // What may have arrived is posted again all the same: frames are numbered, and one that comes twice is passed over.
        while (connection === this.#connection && !this.#isClosed && !(await this.#posted(connection, body))) {
          await this.#wait(failures++);
        }
      }
    } finally {
      this.#isPosting = false;
    }
    for (const done of this.#whenPosted.splice(0)) done();
    if (this.#closesWhenPosted) this.#end('closed here');
  }

  /** False where the network failed. @throws SyncError where the server will not take it */
  async #posted(connection: string, body: Uint8Array<ArrayBuffer>): Promise<boolean> {
    let response: Response;
    try {
      response = await fetch(`${this.#options.url}${SSE_MESSAGES_PATH}`, {
        method: 'POST',
        headers: {
          ...this.#authorization,
          'content-type': 'application/octet-stream',
          [SSE_CONNECTION_HEADER]: connection,
        },
        body,
        signal: this.#abort.signal,
      });
      if (response.ok) await response.arrayBuffer();
    } catch {
      // Not for ever: a stream that does not come back ends both.
      return false;
    }
    if (response.ok) return true;
    const refusal = await refusedBy(response);
    // The stream says what is to follow: another one, or nothing.
    if (refusal.code === 'SSE_CONNECTION_UNKNOWN') return true;
    throw refusal;
  }

  get #authorization(): { readonly authorization: string } {
    return { authorization: `Bearer ${this.#options.token}` };
  }

  /** Longer with each failure; ends early where this is closed. */
  #wait(failures: number): Promise<void> {
    const { first, most } = this.#options.retry ?? RETRY;
    const delay = Math.min(most, first * 2 ** failures);
    return new Promise((resolve) => {
      const { signal } = this.#abort;
      const timer = setTimeout(done, delay);
      function done(): void {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      }
      signal.addEventListener('abort', done);
    });
  }
}

/** As many frames as one body holds, and one at least. */
function takeBody(waiting: Uint8Array[]): Uint8Array[] {
  let size = 0;
  let count = 0;
  for (const frame of waiting) {
    size += frame.length + 4;
    if (count > 0 && size > SSE_BODY_MAX) break;
    count++;
  }
  return waiting.splice(0, count);
}

function readOpening(data: string): SseOpening {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch (cause) {
    throw new SyncError('SSE_OPENING_INVALID', 'the first event is no JSON', { origin: 'protocol', cause });
  }
  return openingSchema.parse(value, 'open');
}

async function refusedBy(response: Response): Promise<SyncError> {
  const text = await response.text();
  const code = /"code":"([A-Z_]{1,60})"/.exec(text)?.[1] ?? 'SSE_REFUSED';
  return new SyncError(code, `the server answered ${response.status}`, { origin: 'protocol' });
}

function textOf(error: unknown): string {
  if (isSyncError(error)) return `${error.code}: ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}
