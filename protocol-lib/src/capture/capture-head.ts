import { MCAP_MAGIC, Opcode } from '@mcap/core';
import { SyncError } from '../errors/index.ts';
import { TRACE_VERSION, type TraceHeader, traceHeaderSchema } from '../trace/index.ts';
import { getUint64 } from './chunk.ts';
import { crc32, hex8 } from './crc32.ts';
import { METADATA_HEADER, PROFILE } from './mcap-framing.ts';
import { parseMetadata, parseStrings } from './mcap-parse.ts';
import type { SourceWindow } from './source-window.ts';

export const RECORD_HEADER_BYTES = 9;
export const MAGIC_BYTES = 8;
export const SMALL_RECORD_MAX = 16 * 1024 * 1024;

/**
 * Reads a capture's magic, header and description, and tells where they end.
 * @throws SyncError `CAPTURE_EMPTY`, `CAPTURE_NOT_MCAP`, `CAPTURE_NOT_SYNCSCOPE`, `CAPTURE_TOO_NEW`,
 * `CAPTURE_CUT_TOO_EARLY` or `CAPTURE_HEADER_DAMAGED`
 */
export async function readHead(window: SourceWindow, size: number): Promise<{ header: TraceHeader; end: number }> {
  if (size === 0) throw refuse('CAPTURE_EMPTY', 'the file is empty: zero bytes', 0);
  const start = await window.bytes(0, Math.min(size, MAGIC_BYTES));
  const magic = Uint8Array.from(MCAP_MAGIC);
  if (!start.every((byte, at) => byte === magic[at])) {
    const found = describeBytes(await window.bytes(0, Math.min(size, 16)));
    throw refuse('CAPTURE_NOT_MCAP', `not an MCAP file: found ${found}`, 0);
  }
  const head = await headRecord(window, size, MAGIC_BYTES, Opcode.HEADER, 'header');
  const [profile] = parseStrings(head.content, 2);
  if (profile !== PROFILE) {
    throw refuse(
      'CAPTURE_NOT_SYNCSCOPE',
      `an MCAP file of profile ${JSON.stringify((profile ?? '').slice(0, 60))}, expected ${JSON.stringify(PROFILE)}`,
      MAGIC_BYTES,
    );
  }
  const metadata = await headRecord(window, size, head.end, Opcode.METADATA, 'description');
  return { header: readHeader(metadata.content, head.end), end: metadata.end };
}

async function headRecord(
  window: SourceWindow,
  size: number,
  offset: number,
  opcode: number,
  what: string,
): Promise<{ content: Uint8Array; end: number }> {
  const record = await recordHead(window, size, offset);
  if (record.opcode !== opcode && record.isWhole) {
    throw refuse('CAPTURE_HEADER_DAMAGED', `the capture's ${what} is not at offset ${offset}`, offset);
  }
  if (!record.isWhole || record.length > SMALL_RECORD_MAX) {
    throw refuse('CAPTURE_CUT_TOO_EARLY', `the file ends inside its ${what}, before any record`, offset);
  }
  const content = await window.bytes(offset + RECORD_HEADER_BYTES, record.length);
  return { content, end: offset + RECORD_HEADER_BYTES + record.length };
}

/** Opcode and length of the MCAP record at an offset, and whether all of it is in the file. */
export async function recordHead(
  window: SourceWindow,
  size: number,
  offset: number,
): Promise<{ opcode: number; length: number; isWhole: boolean }> {
  if (offset + RECORD_HEADER_BYTES > size) return { opcode: -1, length: 0, isWhole: false };
  const bytes = await window.bytes(offset, RECORD_HEADER_BYTES);
  const length = getUint64(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 1);
  return { opcode: bytes[0]!, length, isWhole: length <= size - offset - RECORD_HEADER_BYTES };
}

export function refuse(code: string, message: string, offset: number): SyncError {
  return new SyncError(code, message, { origin: 'capture', place: { offset } });
}

function readHeader(bytes: Uint8Array, offset: number): TraceHeader {
  const metadata = parseMetadata(bytes);
  const text = metadata?.name === METADATA_HEADER ? metadata.fields.get('header') : undefined;
  const isWhole = text !== undefined && metadata?.fields.get('crc') === hex8(crc32(new TextEncoder().encode(text)));
  if (!isWhole)
    throw refuse('CAPTURE_HEADER_DAMAGED', `the capture's description at offset ${offset} is damaged`, offset);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SyncError('CAPTURE_HEADER_DAMAGED', `the capture's description at offset ${offset} is not JSON`, {
      origin: 'capture',
      place: { offset },
      cause,
    });
  }
  const version =
    typeof value === 'object' && value !== null && 'traceVersion' in value ? value.traceVersion : undefined;
  if (typeof version === 'number' && version > TRACE_VERSION) {
    throw refuse(
      'CAPTURE_TOO_NEW',
      `the capture has trace version ${version}, this build reads up to ${TRACE_VERSION}: open it with a newer one`,
      offset,
    );
  }
  return traceHeaderSchema.parse(value, 'header');
}

const KNOWN_STARTS: ReadonlyArray<readonly [name: string, bytes: readonly number[]]> = [
  ['a JPEG image', [0xff, 0xd8, 0xff]],
  ['a PNG image', [0x89, 0x50, 0x4e, 0x47]],
  ['a GIF image', [0x47, 0x49, 0x46, 0x38]],
  ['a PDF document', [0x25, 0x50, 0x44, 0x46]],
  ['a ZIP archive', [0x50, 0x4b, 0x03, 0x04]],
  ['gzip data', [0x1f, 0x8b]],
  ['zstd data', [0x28, 0xb5, 0x2f, 0xfd]],
  ['an SQLite database', [0x53, 0x51, 0x4c, 0x69, 0x74, 0x65]],
  ['a program', [0x7f, 0x45, 0x4c, 0x46]],
  ['a pcapng capture', [0x0a, 0x0d, 0x0d, 0x0a]],
];

function describeBytes(bytes: Uint8Array): string {
  const known = KNOWN_STARTS.find(([, start]) => start.every((byte, at) => bytes[at] === byte));
  if (known) return known[0];
  const isText = bytes.every((byte) => byte === 9 || byte === 10 || byte === 13 || (byte >= 32 && byte < 127));
  if (isText) return `text that begins with ${JSON.stringify(String.fromCharCode(...bytes))}`;
  return `bytes ${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ')}`;
}
