import { hashBytes } from '../bytes/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import { decodeEntry, decodeSnapshot } from './entry.ts';
import { LogIndex } from './log-index.ts';

/**
 * A log as bytes: eight bytes `SYNCLOG` and the format's version, then frames without gaps:
 *
 *     checksum   8   the fast 64-bit hash, big-endian, over everything of the frame after it
 *     length     4   of the body, little-endian
 *     kind       1   1 entry, 2 snapshot, 3 end of a backup
 *     known      8   float 64, big-endian: how many positions were durable when this was written
 *     body           canonical bytes of the entry or snapshot
 *
 * A change within any four bytes is found for certain, any other but for one in 2^64. The first frame that does not
 * check out, and all after it, is a torn tail: it was never durable, and is cut. Where a later frame says that it was
 * durable, the file is damaged, and nothing of it is believed.
 */
const MAGIC = [...'SYNCLOG'].map((letter) => letter.charCodeAt(0));
export const LOG_FORMAT_VERSION = 1;
const MAGIC_LENGTH = 8;
const HEADER_LENGTH = 21;
const HASHED_FROM = 8;

export const FRAME_KINDS = { entry: 1, snapshot: 2, end: 3 } as const;
export type FrameKind = (typeof FRAME_KINDS)[keyof typeof FRAME_KINDS];

export interface Frame {
  readonly kind: FrameKind;
  readonly known: number;
  readonly body: Uint8Array;
  /** Offset after it. */
  readonly end: number;
}

/** The first bytes of a log. */
export function logHeader(): Uint8Array {
  return Uint8Array.of(...MAGIC, LOG_FORMAT_VERSION);
}

/** One frame. `known` counts the positions that are durable: the last of them plus one. */
export function encodeFrame(kind: FrameKind, known: number, body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(HEADER_LENGTH + body.length);
  const view = new DataView(frame.buffer);
  view.setUint32(8, body.length, true);
  view.setUint8(12, kind);
  view.setFloat64(13, known);
  frame.set(body, HEADER_LENGTH);
  view.setBigUint64(0, checksum(frame));
  return frame;
}

function checksum(frame: Uint8Array): bigint {
  return BigInt(`0x${hashBytes(frame.subarray(HASHED_FROM))}`);
}

/** The frame at an offset, or undefined where there is no whole and sound one. */
export function readFrame(bytes: Uint8Array, view: DataView, offset: number): Frame | undefined {
  const left = bytes.length - offset - HEADER_LENGTH;
  if (left < 0) return undefined;
  const length = view.getUint32(offset + 8, true);
  const kind = view.getUint8(offset + 12);
  if (length > left || kind < FRAME_KINDS.entry || kind > FRAME_KINDS.end) return undefined;
  const end = offset + HEADER_LENGTH + length;
  if (view.getBigUint64(offset) !== checksum(bytes.subarray(offset, end))) return undefined;
  const body = bytes.subarray(offset + HEADER_LENGTH, end);
  return { kind: kind as FrameKind, known: view.getFloat64(offset + 13), body, end };
}

/** What a log's bytes hold. */
export interface LogContents {
  readonly index: LogIndex;
  /** Bytes of the torn tail, 0 where there is none. */
  readonly cut: number;
  /** Whether the end of a backup was read; nothing may follow it. */
  readonly isEnded: boolean;
}

/**
 * Reads a log up to its torn tail. No bytes at all are a log that has not begun.
 * @throws SyncError `LOG_UNREADABLE` these are not the bytes of a log; `LOG_FORMAT_NEWER` a later version's;
 * `LOG_DAMAGED` something that was durable is no longer sound, with the offset
 */
export function readLogFile(bytes: Uint8Array): LogContents {
  const index = new LogIndex();
  if (bytes.length === 0) return { index, cut: 0, isEnded: false };
  checkHeader(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let offset = MAGIC_LENGTH;
  let isEnded = false;
  while (offset < bytes.length && !isEnded) {
    const frame = readFrame(bytes, view, offset);
    if (!frame) break;
    take(index, frame, offset);
    isEnded = frame.kind === FRAME_KINDS.end;
    offset = frame.end;
  }
  if (offset < bytes.length) checkTail(bytes, view, offset, index.last);
  return { index, cut: bytes.length - offset, isEnded };
}

function checkHeader(bytes: Uint8Array): void {
  if (bytes.length < MAGIC_LENGTH || MAGIC.some((byte, index) => bytes[index] !== byte)) {
    throw fileError('LOG_UNREADABLE', 'these are not the bytes of an event log', 0);
  }
  const version = bytes[MAGIC_LENGTH - 1]!;
  if (version === LOG_FORMAT_VERSION) return;
  const text = `the log has format ${version}, this build reads ${LOG_FORMAT_VERSION}`;
  throw fileError(version > LOG_FORMAT_VERSION ? 'LOG_FORMAT_NEWER' : 'LOG_UNREADABLE', text, MAGIC_LENGTH - 1);
}

function take(index: LogIndex, { kind, body }: Frame, offset: number): void {
  try {
    if (kind === FRAME_KINDS.entry) index.append(index.last, [decodeEntry(body)]);
    else if (kind === FRAME_KINDS.snapshot) index.putSnapshot(decodeSnapshot(body));
  } catch (error) {
    if (!isSyncError(error)) throw error;
    throw fileError('LOG_DAMAGED', `a sound frame holds what cannot be there: ${error.message}`, offset, error);
  }
}

/** A torn tail was never durable. A sound frame behind the break that knew better tells that this is damage instead. */
function checkTail(bytes: Uint8Array, view: DataView, offset: number, last: number): void {
  for (let at = offset + 1; at + HEADER_LENGTH <= bytes.length; at++) {
    const frame = readFrame(bytes, view, at);
    if (!frame) continue;
    if (frame.known > last + 1) {
      const text = `position ${last + 1} was durable and is not sound: restore the log from a backup`;
      throw fileError('LOG_DAMAGED', text, offset);
    }
    at = frame.end - 1;
  }
}

function fileError(code: string, text: string, offset: number, cause?: unknown): SyncError {
  return new SyncError(code, `byte ${offset}: ${text}`, { origin: 'bytes', place: { offset }, cause });
}

/**
 * A log as the bytes of a file that becomes durable as a whole: each snapshot behind the entries that it comes from.
 * The end of a backup is marked, so that one that was cut short is known.
 */
export function writeLogFile(index: LogIndex, isBackup = false): Uint8Array {
  const known = index.last + 1;
  const parts = [logHeader()];
  let position = index.base;
  for (const [at, snapshot] of index.snapshots) {
    for (const entry of index.entryBytes(position, at - position))
      parts.push(encodeFrame(FRAME_KINDS.entry, known, entry));
    parts.push(encodeFrame(FRAME_KINDS.snapshot, known, snapshot));
    position = at;
  }
  if (index.base >= 0) {
    for (const entry of index.entryBytes(position)) parts.push(encodeFrame(FRAME_KINDS.entry, known, entry));
  }
  if (isBackup) parts.push(encodeFrame(FRAME_KINDS.end, known, new Uint8Array(0)));
  return joinBytes(parts);
}

export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
