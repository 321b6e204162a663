import { MCAP_MAGIC, Opcode } from '@mcap/core';
import { isSyncError } from '../errors/index.ts';
import type { ByteSource } from '../ports/index.ts';
import type { ReplicaId } from '../state/index.ts';
import { MAGIC_BYTES, RECORD_HEADER_BYTES } from './capture-head.ts';
import { CaptureIndex, ReplicaIndex } from './capture-index.ts';
import { CHAIN_MAX } from './checkpoint-writer.ts';
import { type Checkpoint, decodeCheckpoint } from './checkpoints.ts';
import { getUint64 } from './chunk.ts';
import type { ChunkPlace } from './chunk-place.ts';
import { type ColumnPage, PAGE_RECORDS, slotOf } from './columns.ts';
import { CHUNK_MAX_BYTES, type ZstdDecompress } from './compression.ts';
import { crc32, hex8 } from './crc32.ts';
import { FOOTER_BYTES } from './file-scan.ts';
import { type BlobRef, PageCache, refsOf, unpackBlob } from './index-blobs.ts';
import { commonLists, replicaLists } from './index-lists.ts';
import { decodeManifest, INDEX_NAME, type IndexManifest, readColumns, readNumbers } from './index-manifest.ts';
import { decodeColumnPage, decodeListPage } from './index-pages.ts';
import type { IntegerList } from './integer-list.ts';
import { chainHash, METADATA_TOTALS } from './mcap-framing.ts';
import { eachRecord, parseAttachment, parseAttachmentIndex, parseMetadata } from './mcap-parse.ts';
import { damagedIndex } from './number-block.ts';

/** Largest list of contents, or section of the summary, that is read. */
const SECTION_MAX = 64 * 1024 * 1024;
/** Unpacked pages that are kept. */
const PAGES_MAX_BYTES = 24 * 1024 * 1024;

/** An index as a file keeps it, with its chunks. */
export interface FiledIndex {
  readonly index: CaptureIndex;
  readonly chunks: readonly ChunkPlace[];
}

/**
 * The index that a file carries, after its list of contents was held against its checksum, the file's
 * totals and the running hash over the chunks. Pages are checked when they are read, and throw
 * `INDEX_DAMAGED` then. Undefined where the file has none, or none that fits: it is built again from the
 * records.
 */
export async function openFiledIndex(
  source: ByteSource,
  size: number,
  authority: ReplicaId | null,
  zstd: ZstdDecompress,
): Promise<FiledIndex | undefined> {
  try {
    const place = await placeOfIndex(source, size);
    if (!place) return undefined;
    const tail = await source.read(place.offset, place.end - place.offset);
    const manifest = manifestOf(tail);
    const chunks = chunksOf(manifest, place.offset);
    const pages = await pagesOf(source, manifest, zstd, place.offset);
    return { index: restore(manifest, authority, chunks, pages), chunks: chunks.places };
  } catch (error) {
    // Whatever is wrong with it, the records themselves are still there.
    if (isSyncError(error)) return undefined;
    throw error;
  }
}

/** Where the list of contents begins and the summary after it, by the file's footer. */
async function placeOfIndex(source: ByteSource, size: number): Promise<{ offset: number; end: number } | undefined> {
  const footerAt = size - MAGIC_BYTES - FOOTER_BYTES;
  if (footerAt < MAGIC_BYTES) return undefined;
  const footer = await source.read(footerAt, FOOTER_BYTES + MAGIC_BYTES);
  const view = viewOf(footer);
  if (footer[0] !== Opcode.FOOTER || !MCAP_MAGIC.every((byte, at) => footer[FOOTER_BYTES + at] === byte)) {
    return undefined;
  }
  const summaryStart = getUint64(view, 9);
  const offsetsStart = getUint64(view, 17);
  if (!isWithin(offsetsStart, footerAt) || summaryStart > offsetsStart) return undefined;
  const offsets = await source.read(offsetsStart, footerAt - offsetsStart);
  let group: { start: number; length: number } | undefined;
  eachRecord(offsets, (opcode, content) => {
    if (opcode !== Opcode.SUMMARY_OFFSET || content.length < 17 || content[0] !== Opcode.ATTACHMENT_INDEX) return;
    group = { start: getUint64(viewOf(content), 1), length: getUint64(viewOf(content), 9) };
  });
  if (!group || !isWithin(group.start, group.start + group.length) || group.start + group.length > footerAt) {
    return undefined;
  }
  let offset = -1;
  eachRecord(await source.read(group.start, group.length), (opcode, content) => {
    const one = opcode === Opcode.ATTACHMENT_INDEX ? parseAttachmentIndex(content) : undefined;
    if (one?.name === INDEX_NAME) offset = one.offset;
  });
  return offset >= MAGIC_BYTES && isWithin(offset, summaryStart) ? { offset, end: summaryStart } : undefined;
}

function isWithin(from: number, to: number): boolean {
  return from >= MAGIC_BYTES && from <= to && to - from <= SECTION_MAX;
}

/** The list of contents out of the last attachment, where the totals behind it say the same. */
function manifestOf(tail: Uint8Array): IndexManifest {
  let manifest: IndexManifest | undefined;
  let totals: ReadonlyMap<string, string> | undefined;
  eachRecord(tail, (opcode, content) => {
    if (opcode === Opcode.ATTACHMENT && !manifest) {
      const attachment = parseAttachment(content);
      if (!attachment || crc32(content.subarray(0, content.length - 4)) !== attachment.crc) {
        throw damagedIndex('does not match its checksum');
      }
      manifest = decodeManifest(attachment.data);
    } else if (opcode === Opcode.METADATA) {
      const metadata = parseMetadata(content);
      if (metadata?.name === METADATA_TOTALS) totals = metadata.fields;
    }
  });
  if (!manifest || !totals) throw damagedIndex('is not where the file says');
  if (totals.get('records') !== String(manifest.records) || totals.get('chain') !== hex8(manifest.chain)) {
    throw damagedIndex('is of other records than the file');
  }
  return manifest;
}

/** The chunks, after the running hash over them was made again. */
function chunksOf(manifest: IndexManifest, end: number): { places: ChunkPlace[]; firsts: number[] } {
  const [offsets, lengths, sizes, crcs, records, packed] = readColumns(manifest.chunks, 6);
  const places: ChunkPlace[] = [];
  const firsts: number[] = [];
  let chain = 0;
  let first = 0;
  for (let at = 0; at < offsets!.length; at++) {
    const compression = packed![at] === 1 ? 'zstd' : '';
    const offset = offsets![at]!;
    const dataOffset = offset + RECORD_HEADER_BYTES + CHUNK_HEADER_BYTES + compression.length;
    if (dataOffset + lengths![at]! > end || lengths![at]! > CHUNK_MAX_BYTES)
      throw damagedIndex('places a chunk wrongly');
    places.push({ offset, dataOffset, dataLength: lengths![at]!, compression, size: sizes![at]!, crc: crcs![at]! });
    firsts.push(first);
    chain = chainHash(chain, crcs![at]!, records![at]!);
    first += records![at]!;
  }
  if (chain !== manifest.chain || first !== manifest.records) throw damagedIndex('tells of other chunks than the file');
  return { places, firsts };
}

const CHUNK_HEADER_BYTES = 8 + 8 + 8 + 4 + 4 + 8;

/** Reads and unpacks the bytes of a page, at once. */
type ReadPage = (ref: BlobRef) => Uint8Array;

/** Pages are read when they are wanted, where the source can do that at once; else all of them are read now. */
async function pagesOf(
  source: ByteSource,
  manifest: IndexManifest,
  zstd: ZstdDecompress,
  end: number,
): Promise<ReadPage> {
  const check = (ref: BlobRef): BlobRef => {
    if (ref.offset + ref.length > end) throw damagedIndex('places a page wrongly');
    return ref;
  };
  const { readNow } = source;
  if (readNow) return (ref) => unpackBlob(readNow.call(source, check(ref).offset, ref.length), ref, zstd);
  const refs = [manifest.pages, ...manifest.lists.map((one) => one.pages)].flatMap((one) => refsOf(readNumbers(one)));
  refs.push(...checkpointsOf(manifest).map((one) => one.ref));
  const blobs = new Map<number, Uint8Array>();
  for (const run of runsOf(refs.map(check))) {
    const bytes = await source.read(run.from, run.to - run.from);
    for (const ref of run.refs)
      blobs.set(ref.offset, bytes.slice(ref.offset - run.from, ref.offset - run.from + ref.length));
  }
  return (ref) => unpackBlob(blobs.get(ref.offset) ?? new Uint8Array(0), ref, zstd);
}

/** Pages that lie side by side, so that each run is one read. */
function runsOf(refs: readonly BlobRef[]): { from: number; to: number; refs: BlobRef[] }[] {
  const runs: { from: number; to: number; refs: BlobRef[] }[] = [];
  for (const ref of refs.toSorted((a, b) => a.offset - b.offset)) {
    const last = runs.at(-1);
    if (last && last.to === ref.offset && last.to - last.from < CHUNK_MAX_BYTES) {
      last.refs.push(ref);
      last.to += ref.length;
    } else runs.push({ from: ref.offset, to: ref.offset + ref.length, refs: [ref] });
  }
  return runs;
}

function restore(
  manifest: IndexManifest,
  authority: ReplicaId | null,
  chunks: { readonly firsts: readonly number[] },
  read: ReadPage,
): CaptureIndex {
  const index = new CaptureIndex(authority);
  const cache = new PageCache(PAGES_MAX_BYTES);
  for (const name of manifest.replicaNames) index.replicaNames.internText(name);
  for (const name of manifest.typeNames) index.typeNames.internText(name);
  if (index.replicaNames.texts.length !== manifest.replicaNames.length) throw damagedIndex('has a name twice');
  Object.assign(index, {
    lost: manifest.lost,
    firstVersion: manifest.firstVersion,
    lastVersion: manifest.lastVersion,
    maxLatency: manifest.maxLatency,
  });
  const kinds = readNumbers(manifest.kinds);
  for (let kind = 0; kind < Math.min(kinds.length, index.kindCounts.length); kind++)
    index.kindCounts[kind] = kinds[kind]!;
  index.links.restore(Array.from(readNumbers(manifest.links, -1)));
  for (const first of chunks.firsts) index.chunks.push(first);
  restoreReplicas(index, manifest);
  restoreColumns(index, manifest, read, cache);
  restoreLists(index, manifest, read, cache);
  restoreCheckpoints(index, manifest, read);
  return index;
}

function restoreReplicas(index: CaptureIndex, manifest: IndexManifest): void {
  for (const { number, introducedAt, first, last, records, drifts } of manifest.replicas) {
    if (number >= index.replicaNames.texts.length || index.replicas[number]) throw damagedIndex('has a replica twice');
    const replica = new ReplicaIndex(index.nameOf(number));
    if (number === index.authority) replica.role = 'server';
    Object.assign(replica, { introducedAt, first, last, records });
    const flat = readNumbers(drifts, -1);
    for (let at = 0; at + 4 < flat.length; at += 5) {
      const [start, version, divergence, snapshot, end] = Array.from({ length: 5 }, (_, part) => flat[at + part]!);
      replica.drifts.push({
        start: start!,
        version: version!,
        divergence: divergence!,
        snapshot: snapshot!,
        end: end!,
      });
    }
    index.replicas[number] = replica;
  }
}

function restoreColumns(index: CaptureIndex, manifest: IndexManifest, read: ReadPage, cache: PageCache): void {
  const { records } = manifest;
  const refs = refsOf(readNumbers(manifest.pages));
  if (refs.length !== Math.ceil(records / PAGE_RECORDS)) throw damagedIndex(`has ${refs.length} pages`);
  const late = latePartners(manifest);
  index.columns.loadFrom(records, (number) => {
    const ref = refs[number];
    if (!ref) throw damagedIndex(`has no page ${number}`);
    const first = number * PAGE_RECORDS;
    const count = Math.min(PAGE_RECORDS, records - first);
    const page: ColumnPage = decodeColumnPage(read(ref), count, first, records, index.replicaNames.texts.length);
    for (const { position, partner } of late.get(number) ?? []) page.partner[slotOf(position)] = partner;
    cache.add(page.bytes, () => index.columns.release(number));
    return page;
  });
}

function latePartners(manifest: IndexManifest): Map<number, { position: number; partner: number }[]> {
  const flat = readNumbers(manifest.latePartners);
  const byPage = new Map<number, { position: number; partner: number }[]>();
  for (let at = 0; at + 1 < flat.length; at += 2) {
    const [position, partner] = [flat[at]!, flat[at + 1]!];
    if (Math.max(position, partner) >= manifest.records) throw damagedIndex('has a partner that is no record');
    const page = Math.floor(position / PAGE_RECORDS);
    const there = byPage.get(page);
    if (there) there.push({ position, partner });
    else byPage.set(page, [{ position, partner }]);
  }
  return byPage;
}

function restoreLists(index: CaptureIndex, manifest: IndexManifest, read: ReadPage, cache: PageCache): void {
  const byName = new Map<string, IntegerList>(commonLists(index));
  for (const [number, replica] of index.replicas.entries()) {
    if (replica) for (const [name, list] of replicaLists(number, replica)) byName.set(name, list);
  }
  for (const { name, length, firsts, pages } of manifest.lists) {
    const list = byName.get(name);
    // A list that is not known is one of a newer build, which nothing here asks for.
    if (!list) continue;
    byName.delete(name);
    const refs = refsOf(readNumbers(pages));
    const starts = Array.from(readNumbers(firsts, -Number.MAX_SAFE_INTEGER));
    list.loadFrom(length, starts, refs.length, (number, count) => {
      const ref = refs[number];
      if (!ref) throw damagedIndex(`has no page ${number} of ${name}`);
      const page = decodeListPage(read(ref), count, list.isWide);
      cache.add(page.byteLength, () => list.release(number));
      return page;
    });
  }
}

/** Each is read when it is wanted, after the one that it builds on. */
function restoreCheckpoints(index: CaptureIndex, manifest: IndexManifest, read: ReadPage): void {
  const loads: (() => Checkpoint)[] = [];
  /** On how many others each builds. */
  const chains: number[] = [];
  for (const { replica, position, since, ref } of checkpointsOf(manifest)) {
    if (position >= manifest.records || replica >= manifest.replicaNames.length || since >= loads.length) {
      throw damagedIndex('places a checkpoint wrongly');
    }
    const chain = since < 0 ? 0 : chains[since]! + 1;
    if (!(chain <= CHAIN_MAX)) throw damagedIndex('has a checkpoint that builds on too many others');
    chains.push(chain);
    const base = loads[since];
    const load = (): Checkpoint => decodeCheckpoint(read(ref), base && (() => base().root));
    loads.push(load);
    index.checkpoints.add(replica, position, load);
  }
}

interface FiledCheckpoint {
  readonly replica: number;
  readonly position: number;
  readonly since: number;
  readonly ref: BlobRef;
}

function checkpointsOf({ checkpoints }: IndexManifest): FiledCheckpoint[] {
  const flat = checkpoints ? readNumbers(checkpoints, -1) : [];
  const found: FiledCheckpoint[] = [];
  for (let at = 0; at + 5 < flat.length; at += 6) {
    const [replica, position, since, offset, length, crc] = Array.from({ length: 6 }, (_, part) => flat[at + part]!);
    found.push({
      replica: replica!,
      position: position!,
      since: since!,
      ref: { offset: offset!, length: length!, crc: crc! },
    });
  }
  return found;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
