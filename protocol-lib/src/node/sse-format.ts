import { SyncError } from '../errors/index.ts';

/**
 * The wire of the event stream (server-sent events, as the HTML standard defines them) and of the POST for the way back. Frames are
 * the same binary ones as on a WebSocket: base64 in `data`, so that one encoding serves clients of both; raw, each behind its length
 * as four bytes, in a POST.
 */

/** Where the stream is asked for, and where frames are posted. */
export const SSE_EVENTS_PATH = '/sync/events';
export const SSE_MESSAGES_PATH = '/sync/messages';
/** Names the stream to which posted frames belong. */
export const SSE_CONNECTION_HEADER = 'sync-connection';
/** The server writes a comment at least this often. */
export const SSE_KEEP_ALIVE_MS = 15_000;
/** Bytes of one POST. */
export const SSE_BODY_MAX = 256 * 1024;

/** Events beside the frames, which have no name. */
export const SSE_EVENTS = ['open', 'close'] as const;

/** The first event of every answer: which stream this is, and whether an earlier one is carried on from. */
export interface SseOpening {
  readonly connection: string;
  /** True only where every frame after the one that was named follows. */
  readonly resumed: boolean;
  /** Why an id that was named could not be carried on from. */
  readonly code?: string;
  readonly message?: string;
}

export interface SseEvent {
  /** Empty for a frame. */
  readonly name: string;
  readonly data: string;
  /** The last id that the stream has said. */
  readonly id: string;
}

/** Reads a stream of server-sent events, cut anywhere. */
export class SseParser {
  readonly #max: number;
  #rest = '';
  #name = '';
  #data: string[] = [];
  #size = 0;
  #id = '';

  /** `max`: characters of one event. */
  constructor(max = 32 * 1024 * 1024) {
    this.#max = max;
  }

  /**
   * The events that are whole with this text. Comments are passed over.
   * @throws SyncError `SSE_EVENT_TOO_LARGE`
   */
  push(text: string): SseEvent[] {
    // A CR at the end may be half of a CR LF: it waits for what follows.
    const all = this.#rest + text;
    const end = all.endsWith('\r') ? all.length - 1 : all.length;
    const lines = all.slice(0, end).split(/\r\n|\n|\r/);
    this.#rest = (lines.pop() ?? '') + all.slice(end);
    const events: SseEvent[] = [];
    for (const line of lines) {
      const event = this.#line(line);
      if (event) events.push(event);
    }
    if (this.#size + this.#rest.length > this.#max) {
      throw new SyncError('SSE_EVENT_TOO_LARGE', `an event of more than ${this.#max} characters`, {
        origin: 'protocol',
      });
    }
    return events;
  }

  #line(line: string): SseEvent | undefined {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return undefined;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'data') {
      this.#data.push(value);
      this.#size += value.length;
    } else if (field === 'event') this.#name = value;
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
    return undefined;
  }

  #dispatch(): SseEvent | undefined {
    const event = { name: this.#name, data: this.#data.join('\n'), id: this.#id };
    const isEmpty = this.#data.length === 0;
    this.#name = '';
    this.#data = [];
    this.#size = 0;
    return isEmpty ? undefined : event;
  }
}

const LENGTH_BYTES = 4;

/** Frames as the body of one POST. */
export function packFrames(frames: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const size = frames.reduce((sum, frame) => sum + LENGTH_BYTES + frame.length, 0);
  const body = new Uint8Array(size);
  const view = new DataView(body.buffer);
  let at = 0;
  for (const frame of frames) {
    view.setUint32(at, frame.length);
    body.set(frame, at + LENGTH_BYTES);
    at += LENGTH_BYTES + frame.length;
  }
  return body;
}

/** The frames of a POST. @throws SyncError `SSE_BODY_INVALID` */
export function unpackFrames(body: Uint8Array): Uint8Array[] {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const frames: Uint8Array[] = [];
  let at = 0;
  while (at < body.length) {
    const left = body.length - at - LENGTH_BYTES;
    const length = left < 0 ? 0 : view.getUint32(at);
    if (left < 0 || length > left) {
      throw new SyncError('SSE_BODY_INVALID', `the body ends within a frame, at byte ${at} of ${body.length}`, {
        origin: 'protocol',
        place: { offset: at },
      });
    }
    frames.push(body.slice(at + LENGTH_BYTES, at + LENGTH_BYTES + length));
    at += LENGTH_BYTES + length;
  }
  return frames;
}

/** The bytes of a base64 text. @throws SyncError `SSE_FRAME_INVALID` */
export function fromBase64(text: string): Uint8Array {
  let binary: string;
  try {
    binary = atob(text);
  } catch (cause) {
    throw new SyncError('SSE_FRAME_INVALID', 'an event carries no base64', { origin: 'protocol', cause });
  }
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}
