import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { milliseconds } from '@syncscope/protocol/ports';
import { SSE_KEEP_ALIVE_MS, type SseOpening } from '@syncscope/protocol/sse';
import type { ClientWire, EndingKind, Entrance, WireSink } from './gateway-wire.ts';

/** Bytes of frames that are kept of one stream, so that it can be taken up again where it broke. */
export const SSE_RETAINED_BYTES = 256 * 1024;
/** How long a client may be without its stream before its connection is over. */
export const SSE_RESUME_NS = milliseconds(10_000);
/** How long a stream that was ended may take to be read to its end, as a WebSocket may to be closed. */
const CLOSE_PATIENCE_MS = 2_000;
const KEEP_ALIVE_NS = milliseconds(SSE_KEEP_ALIVE_MS);

/** No proxy may hold, cut or rewrite what goes through it, and none may keep it. */
const STREAM_HEADERS = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-store, no-transform',
  'X-Accel-Buffering': 'no',
  Connection: 'keep-alive',
} as const;

/** Of the bytes of a stream. */
const FRAME_SHARE = 3 / 4;

/** Why a stream is not carried on with: told in the opening of the one that begins instead. */
type ResumeFailure = 'SSE_RESUME_UNKNOWN' | 'SSE_RESUME_COMPACTED' | 'SSE_RESUME_AHEAD';

const FAILURES: Readonly<Record<ResumeFailure, string>> = {
  SSE_RESUME_UNKNOWN: 'no such stream is known here, or no longer',
  SSE_RESUME_COMPACTED: 'what follows that id is not kept any more',
  SSE_RESUME_AHEAD: 'that id was never sent',
};

const ID = /^([0-9a-f]{32}):(\d{1,15})$/;

/** All event streams of a gateway, by the name that only their client was told. */
export class EventStreams {
  readonly #entrance: Entrance;
  readonly #now: () => number;
  readonly #streams = new Map<string, EventStream>();

  /** `now` in nanoseconds. */
  constructor(entrance: Entrance, now: () => number) {
    this.#entrance = entrance;
    this.#now = now;
  }

  /** Answers with an event stream: the one that broke after `lastId` where that is possible, a new one where not. */
  open(response: ServerResponse, address: string, lastId: string | undefined): void {
    response.writeHead(200, STREAM_HEADERS);
    const [, name = '', number = ''] = ID.exec(lastId ?? '') ?? [];
    const before = this.#streams.get(name);
    const failure = before ? before.failure(Number(number)) : 'SSE_RESUME_UNKNOWN';
    if (before && failure === undefined) {
      before.resume(response, Number(number));
      return;
    }
    // What cannot be carried on is over: its client begins anew.
    before?.end('the event stream could not be carried on');
    this.#begin(response, address, lastId === undefined ? undefined : failure);
  }

  /** Hands on what a client has posted. False where there is no such stream. */
  post(name: string, frames: readonly Uint8Array[]): boolean {
    const stream = this.#streams.get(name);
    if (!stream) return false;
    for (const frame of frames) stream.receive(frame);
    return true;
  }

  #begin(response: ServerResponse, address: string, failure: ResumeFailure | undefined): void {
    const name = randomBytes(16).toString('hex');
    const stream = new EventStream(name, this.#now, () => this.#streams.delete(name));
    this.#streams.set(name, stream);
    stream.begin(
      response,
      () => this.#entrance.open(stream, address),
      failure && { code: failure, message: FAILURES[failure] },
    );
  }
}

/** One client's stream, over as many HTTP answers as it takes. */
class EventStream implements ClientWire {
  readonly transport = 'sse';
  readonly #name: string;
  readonly #now: () => number;
  readonly #onEnd: () => void;
  #sink: WireSink | undefined;
  #response: ServerResponse | undefined;
  /** The last frames, the first of them with the number `#last - length + 1`. */
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #last = 0;
  #withoutSince = 0;
  /** Bytes that were sent while there was no stream. */
  #missed = 0;
  #wroteAt: number;
  #isEnded = false;

  constructor(name: string, now: () => number, onEnd: () => void) {
    this.#name = name;
    this.#now = now;
    this.#onEnd = onEnd;
    this.#wroteAt = now();
  }

  get isOpen(): boolean {
    return !this.#isEnded;
  }

  /** In bytes of frames, which base64 makes longer. */
  get queued(): number {
    return this.#response ? Math.floor(this.#response.writableLength * FRAME_SHARE) : this.#missed;
  }

  begin(
    response: ServerResponse,
    open: () => WireSink,
    failure: Pick<SseOpening, 'code' | 'message'> | undefined,
  ): void {
    this.#attach(response);
    this.#open({ connection: this.#name, resumed: false, ...failure });
    this.#sink = open();
    // Sent away before it was let in.
    if (this.#isEnded) this.#sink.closed('refused');
  }

  /** Why the frames after a number cannot be sent again; undefined where they can. */
  failure(after: number): ResumeFailure | undefined {
    if (this.#isEnded) return 'SSE_RESUME_UNKNOWN';
    if (after > this.#last) return 'SSE_RESUME_AHEAD';
    return after < this.#last - this.#kept.length ? 'SSE_RESUME_COMPACTED' : undefined;
  }

  resume(response: ServerResponse, after: number): void {
    const older = this.#response;
    this.#attach(response);
    // The older one may be dead without knowing.
    older?.destroy();
    this.#missed = 0;
    this.#open({ connection: this.#name, resumed: true });
    const from = this.#kept.length - (this.#last - after);
    for (const [index, frame] of this.#kept.slice(from).entries()) this.#write(frame, after + index + 1);
  }

  receive(frame: Uint8Array): void {
    if (!this.#isEnded) this.#sink?.receive(frame);
  }

  send(frames: readonly Uint8Array[]): void {
    if (this.#isEnded) return;
    for (const frame of frames) {
      this.#last++;
      this.#keep(frame);
      if (this.#response) this.#write(frame, this.#last);
      else this.#missed += frame.length;
    }
  }

  async close(_kind: EndingKind, reason: string): Promise<void> {
    const response = this.#response;
    if (!response || response.destroyed) {
      this.end(reason);
      return;
    }
    const gone = new Promise<void>((resolve) => {
      response.once('close', resolve);
    });
    // One line: what a reason holds comes from many places.
    response.end(`event: close\ndata: ${reason.replace(/[\r\n]+/g, ' ')}\n\n`);
    // Who reads nothing, or a little now and then, would never let it go.
    const cut = setTimeout(() => response.destroy(), CLOSE_PATIENCE_MS);
    this.end(reason);
    await gone;
    clearTimeout(cut);
  }

  tick(now: number): void {
    if (this.#isEnded) return;
    if (!this.#response) {
      if (now - this.#withoutSince >= SSE_RESUME_NS) this.end('the event stream did not come back');
      return;
    }
    if (now - this.#wroteAt < KEEP_ALIVE_NS) return;
    this.#wroteAt = now;
    this.#response.write(':\n\n');
  }

  end(reason: string): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#onEnd();
    const response = this.#response;
    this.#response = undefined;
    if (response && !response.writableEnded) response.destroy();
    this.#kept = [];
    this.#sink?.closed(reason);
  }

  #attach(response: ServerResponse): void {
    this.#response = response;
    response.on('error', () => response.destroy());
    response.on('close', () => {
      if (this.#response !== response) return;
      this.#response = undefined;
      this.#withoutSince = this.#now();
    });
  }

  #open(opening: SseOpening): void {
    this.#response?.write(`event: open\ndata: ${JSON.stringify(opening)}\n\n`);
  }

  #write(frame: Uint8Array, number: number): void {
    this.#wroteAt = this.#now();
    this.#response?.write(`id: ${this.#name}:${number}\ndata: ${base64(frame)}\n\n`);
  }

  #keep(frame: Uint8Array): void {
    this.#kept.push(frame);
    this.#keptBytes += frame.length;
    let gone = 0;
    // The last one stays however large it is: a client that has all but that can go on.
    while (this.#keptBytes > SSE_RETAINED_BYTES && gone < this.#kept.length - 1) {
      this.#keptBytes -= this.#kept[gone]!.length;
      gone++;
    }
    if (gone > 0) this.#kept.splice(0, gone);
  }
}

let lastFrame: Uint8Array | undefined;
let lastText = '';

/** In one step the same frame goes to many: the last one's text is kept. */
function base64(frame: Uint8Array): string {
  if (frame !== lastFrame) {
    lastText = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength).toString('base64');
    lastFrame = frame;
  }
  return lastText;
}
