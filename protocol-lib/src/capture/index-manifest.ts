import { packMsgpack, unpackMsgpack } from '../bytes/index.ts';
import { array, bytes, finite, type Infer, object, optional, string, uint } from '../schema/index.ts';
import { PAGE_RECORDS } from './columns.ts';
import { LIST_PAGE } from './integer-list.ts';
import { BlockReader, BlockWriter, damagedIndex, type NumberArray } from './number-block.ts';
import { BLOCK_RECORDS } from './overview-blocks.ts';

export const INDEX_VERSION = 3;
export const INDEX_NAME = 'syncscope.index';
export const INDEX_MEDIA_TYPE = 'application/vnd.syncscope.index';
export const PAGES_NAME = 'syncscope.index.pages';
export const PAGES_MEDIA_TYPE = 'application/vnd.syncscope.index-pages';

const NAMES_MAX = 65_536;

/** What says where the pages of an index lie, and everything of it that is not in pages. Fields in `bytes` are blocks of numbers. */
const manifestSchema = object({
  version: uint,
  /** Records a page, values a list page, records a block. */
  sizes: array(uint, 3),
  records: uint,
  /** Running hash over the chunks, as in `syncscope.totals`. */
  chain: uint,
  replicaNames: array(string(64), NAMES_MAX),
  typeNames: array(string(80), NAMES_MAX),
  lost: uint,
  firstVersion: finite,
  lastVersion: uint,
  maxLatency: uint,
  kinds: bytes(),
  links: bytes(),
  /** Pairs: a position, and its partner that came after its page had been written. */
  latePartners: bytes(),
  /** Six blocks: offset, bytes of data, size unpacked, CRC-32, records, and 1 where zstd. */
  chunks: bytes(),
  /** Six numbers each: replica, position, number of the checkpoint that it builds on (-1: none), offset, length, CRC-32. */
  checkpoints: optional(bytes()),
  /** Three numbers each: offset, length, CRC-32. */
  pages: bytes(),
  lists: array(object({ name: string(80), length: uint, firsts: bytes(), pages: bytes() }), 1_000_000),
  replicas: array(
    object({
      number: uint,
      introducedAt: finite,
      first: uint,
      last: uint,
      records: uint,
      /** Five numbers each: start, version, divergence, snapshot, end. */
      drifts: bytes(),
    }),
    NAMES_MAX,
  ),
});
export type IndexManifest = Infer<typeof manifestSchema>;

export const INDEX_SIZES: readonly number[] = [PAGE_RECORDS, LIST_PAGE, BLOCK_RECORDS];

export function encodeManifest(manifest: IndexManifest): Uint8Array {
  return packMsgpack(manifest);
}

/** @throws SyncError `INDEX_DAMAGED`; also for one of another version, which is built again just the same */
export function decodeManifest(encoded: Uint8Array): IndexManifest {
  let manifest: IndexManifest;
  try {
    manifest = manifestSchema.parse(unpackMsgpack(encoded), 'index');
  } catch {
    throw damagedIndex('has a list of contents that cannot be read');
  }
  if (manifest.version !== INDEX_VERSION || manifest.sizes.join() !== INDEX_SIZES.join()) {
    throw damagedIndex(`is of version ${manifest.version}, this build reads ${INDEX_VERSION}`);
  }
  return manifest;
}

export function numbers(values: ArrayLike<number>): Uint8Array {
  return new BlockWriter(values.length * 8 + 64).numbers(values).take();
}

/** All blocks in `encoded`, each of as many values as the first. */
export function readColumns(encoded: Uint8Array, count: number): Float64Array[] {
  const reader = new BlockReader(encoded);
  return Array.from({ length: count }, () => reader.numbers(whole, 0, Number.MAX_SAFE_INTEGER));
}

/** @throws SyncError `INDEX_DAMAGED` */
export function readNumbers(encoded: Uint8Array, min = 0): NumberArray & ArrayLike<number> {
  return new BlockReader(encoded).numbers(whole, min, Number.MAX_SAFE_INTEGER);
}

function whole(count: number): Float64Array {
  return new Float64Array(count);
}
