import { array, type Infer, object, uint } from '@syncscope/protocol/schema';
import { busDown } from './bus.ts';

/** What the messages of a session in JetStream hold. */

/** Where a session stands beside its entries; one message, replaced as a whole. */
export const headSchema = object({
  base: uint,
  /** Ascending. `sequence` is of the last message all of whose entries are in it, 0 where there is none; `id` is of its parts. */
  snapshots: array(object({ position: uint, sequence: uint, parts: uint, id: uint }), 10_000),
});
export type Head = Infer<typeof headSchema>;

/** Entries of one append, as one message: each behind its length in 4 bytes. */
export function packEntries(entries: readonly Uint8Array[]): Uint8Array {
  const packed = new Uint8Array(entries.reduce((sum, { length }) => sum + 4 + length, 0));
  const view = new DataView(packed.buffer);
  let at = 0;
  for (const bytes of entries) {
    view.setUint32(at, bytes.length);
    packed.set(bytes, at + 4);
    at += 4 + bytes.length;
  }
  return packed;
}

/** @throws SyncError `BUS_DOWN` where they are no entries */
export function unpackEntries(packed: Uint8Array): Uint8Array[] {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const entries: Uint8Array[] = [];
  for (let at = 0; at < packed.length; ) {
    const end = at + 4 <= packed.length ? at + 4 + view.getUint32(at) : Number.POSITIVE_INFINITY;
    if (end > packed.length) throw busDown('a message of the log is no list of entries');
    entries.push(new Uint8Array(packed.subarray(at + 4, end)));
    at = end;
  }
  return entries;
}
