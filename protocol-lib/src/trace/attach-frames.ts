import { Packr, Unpackr } from 'msgpackr';
import { checkMsgpack } from '../bytes/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import type { Schema } from '../schema/index.ts';
import {
  type AttachClientMessage,
  type AttachServerMessage,
  attachClientMessageSchema,
  attachServerMessageSchema,
} from './attach.ts';

/**
 * Frames of the attach protocol: one msgpack map each, as `attach.ts` describes them. They carry trace
 * records as opaque bytes and no state of a session, so msgpackr serves; what has a hash goes through
 * `bytes/`, whose msgpack keeps -0 and refuses what is not canonical.
 */

/** The largest frame that an observer may send. */
export const OBSERVER_FRAME_MAX = 64 * 1024;
/** The largest frame that an observer accepts. */
export const SERVER_FRAME_MAX = 64 * 1024 * 1024;

const FORMAT = { useRecords: false, mapsAsObjects: true } as const;
const packr = new Packr({ ...FORMAT, variableMapSize: true });
const unpackr = new Unpackr(FORMAT);

/** A frame in memory of its own, so that it may be kept or transferred. */
export function encodeAttachFrame(message: AttachServerMessage | AttachClientMessage): Uint8Array<ArrayBuffer> {
  return new Uint8Array(packr.pack(message));
}

const RECORDS_HEAD = packr.pack({ type: 'records', batch: new Uint8Array(0) }).slice(0, -2);
const BIN_8 = 0xc4;

/** What stands before the bytes of a batch in the frame that {@link encodeAttachFrame} makes of it, for one who puts it there itself. */
export function recordsHead(batchLength: number): Uint8Array {
  const width = batchLength < 0x100 ? 0 : batchLength < 0x10000 ? 1 : 2;
  const head = new Uint8Array(RECORDS_HEAD.length + 1 + (1 << width));
  head.set(RECORDS_HEAD);
  head[RECORDS_HEAD.length] = BIN_8 + width;
  for (let at = head.length - 1, rest = batchLength; at > RECORDS_HEAD.length; at--, rest >>>= 8) head[at] = rest;
  return head;
}

/** @throws SyncError `ATTACH_FRAME_INVALID` */
export function decodeServerFrame(frame: Uint8Array): AttachServerMessage {
  return decode(frame, attachServerMessageSchema);
}

/** @throws SyncError `ATTACH_FRAME_INVALID` */
export function decodeObserverFrame(frame: Uint8Array): AttachClientMessage {
  return decode(frame, attachClientMessageSchema);
}

function decode<T>(frame: Uint8Array, schema: Schema<T>): T {
  try {
    // Depth, lengths and names are checked before msgpackr sees them.
    checkMsgpack(frame);
    return schema.parse(unpackr.unpack(frame), '');
  } catch (error) {
    throw new SyncError(
      'ATTACH_FRAME_INVALID',
      `a frame of ${frame.length} bytes is not an attach message: ${error instanceof Error ? error.message : String(error)}`,
      { origin: 'attach', cause: error, ...(isSyncError(error) ? { place: error.place } : {}) },
    );
  }
}
