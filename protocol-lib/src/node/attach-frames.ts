import { packMsgpack, unpackMsgpack } from '../bytes/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import type { Schema } from '../schema/index.ts';
import {
  type AttachClientMessage,
  type AttachServerMessage,
  attachClientMessageSchema,
  attachServerMessageSchema,
} from '../trace/index.ts';

/** Frames of the attach protocol: one msgpack map each, as `trace/attach.ts` describes them. */

/** The largest frame that an observer may send. */
export const OBSERVER_FRAME_MAX = 64 * 1024;
/** The largest frame that an observer accepts. */
export const SERVER_FRAME_MAX = 64 * 1024 * 1024;

export function encodeAttachFrame(message: AttachServerMessage | AttachClientMessage): Uint8Array {
  return packMsgpack(message);
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
    return schema.parse(unpackMsgpack(frame), '');
  } catch (error) {
    throw new SyncError(
      'ATTACH_FRAME_INVALID',
      `a frame of ${frame.length} bytes is not an attach message: ${error instanceof Error ? error.message : String(error)}`,
      { origin: 'attach', cause: error, ...(isSyncError(error) ? { place: error.place } : {}) },
    );
  }
}
