import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { isSyncError, SyncError } from '@syncscope/protocol/errors';
import { argumentText, parseArguments } from '@syncscope/protocol/replay';
import { array, bytes, object, type Schema, string } from '@syncscope/protocol/schema';
import { type Value, valueSchema } from '@syncscope/protocol/state';
import type { StoredContents } from './storage.ts';

/**
 * Where a peer stands, and what it has stored, in the bytes of a recording: deflated JSON as `argumentText` writes it. A peer that has been there for
 * long remembers much that repeats itself.
 */

const CONTENTS_MAX = 256 * 1024 * 1024;

const contentsSchema: Schema<StoredContents> = object({
  values: array(object({ name: string(200), value: valueSchema }), 1_000),
  file: bytes(CONTENTS_MAX),
});
const standingSchema = object({ node: valueSchema, stored: contentsSchema });

export function packContents(contents: StoredContents): Uint8Array {
  return packed(contents as unknown as Value);
}

/** @throws SyncError `REPLAY_INPUT_UNFIT` */
export function unpackContents(from: Uint8Array): StoredContents {
  return unpacked(from, contentsSchema);
}

export function packStanding(node: Value, stored: StoredContents): Uint8Array {
  return packed({ node, stored: stored as unknown as Value });
}

/** @throws SyncError `REPLAY_INPUT_UNFIT` */
export function unpackStanding(from: Uint8Array): { readonly node: Value; readonly stored: StoredContents } {
  return unpacked(from, standingSchema);
}

function packed(value: Value): Uint8Array {
  return deflateRawSync(argumentText(value), { level: 1 });
}

function unpacked<T>(from: Uint8Array, schema: Schema<T>): T {
  try {
    const text = inflateRawSync(from, { maxOutputLength: CONTENTS_MAX }).toString('utf8');
    return schema.parse(parseArguments(text), 'standing');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const text = `where a peer stood cannot be read: ${why}`;
    throw isSyncError(error) ? error : new SyncError('REPLAY_INPUT_UNFIT', text, { origin: 'capture', cause: error });
  }
}
