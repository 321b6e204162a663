import { SyncError } from '../../errors/index.ts';
import type { ReplicaId } from '../../state/index.ts';
import type { Message, MessageBody } from '../message.ts';
import { type FormatOptions, formatMessage } from './format.ts';
import { TEXT_LIMITS } from './limits.ts';
import { type ParseOptions, parseMessage } from './parse.ts';

export type TextCodecOptions = FormatOptions & ParseOptions;

/**
 * Encoder and decoder of one end of one link in the text protocol "Adventure Engine State Sync v1.0". A frame is
 * one message in UTF-8. Names are written out, so no frame needs one before it and there is nothing that a bad frame could spoil.
 */
export class TextCodec {
  readonly sender: ReplicaId;
  readonly #options: TextCodecOptions;
  #sequence = 0;

  constructor(sender: ReplicaId, options: TextCodecOptions = {}) {
    this.sender = sender;
    this.#options = options;
  }

  /** Frames made so far. */
  get sequence(): number {
    return this.#sequence;
  }

  /** @throws SyncError as `formatMessage`, `LIMIT_FRAME_LENGTH`; the sequence stays as it was then */
  encode(body: MessageBody): Uint8Array[] {
    const sequence = this.#sequence + 1;
    const frame = utf8.encode(formatMessage({ ...body, sender: this.sender, sequence }, this.#options));
    checkLength(frame, this.#options);
    this.#sequence = sequence;
    return [frame];
  }

  /** @throws SyncError as `parseMessage`; `TEXT_NOT_UTF8`, `LIMIT_FRAME_LENGTH` */
  decode(frame: Uint8Array): Message {
    return decodeText(frame, this.#options);
  }
}

const utf8 = new TextEncoder();
// A byte order mark is no part of the protocol, and must not vanish from a value.
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Decodes a text frame. @throws SyncError as {@link TextCodec.decode} */
export function decodeText(frame: Uint8Array, options: ParseOptions = {}): Message {
  checkLength(frame, options);
  let text: string;
  try {
    text = strictUtf8.decode(frame);
  } catch (error) {
    throw new SyncError('TEXT_NOT_UTF8', `frame of ${frame.length} bytes is not UTF-8 text`, {
      origin: 'bytes',
      cause: error,
      place: { offset: validLength(frame) },
    });
  }
  return parseMessage(text, options);
}

function checkLength(frame: Uint8Array, { limits = TEXT_LIMITS }: ParseOptions): void {
  if (frame.length <= limits.frame) return;
  throw new SyncError('LIMIT_FRAME_LENGTH', `a frame of ${frame.length} bytes, at most ${limits.frame}`, {
    origin: 'protocol',
    place: { offset: limits.frame },
  });
}

const CHUNK = 64 * 1024;

/** The offset of the first byte at which a frame ceases to be UTF-8; its length where a character is cut at the end. */
function validLength(frame: Uint8Array): number {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let start = 0;
  try {
    for (; start < frame.length; start += CHUNK) decoder.decode(frame.subarray(start, start + CHUNK), { stream: true });
    return frame.length;
  } catch {
    return start + goodWithin(frame, start);
  }
}

/** Bytes from `start` on that are UTF-8, of a chunk that is not. What came before is. */
function goodWithin(frame: Uint8Array, start: number): number {
  let boundary = start;
  // A character that began before: a byte 10xxxxxx goes on with it.
  while (boundary > 0 && (frame[boundary]! & 0xc0) === 0x80 && start - boundary < 3) boundary--;
  let [good, bad] = [0, Math.min(CHUNK, frame.length - start)];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (isPrefix(frame.subarray(boundary, start + middle))) good = middle;
    else bad = middle;
  }
  return good;
}

/** Whether these bytes may begin a UTF-8 text; a character may be cut at their end. */
function isPrefix(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}
