import { isSyncError } from '../errors/index.ts';
import type { ByteSource } from '../ports/index.ts';
import type { TraceHeader } from '../trace/index.ts';
import { readHead } from './capture-head.ts';
import { type ChunkPlace, loadChunk } from './chunk-place.ts';
import { portableZstd } from './compression.ts';
import { CaptureEngine, type OpenCapture } from './engine.ts';
import { FileScan, type ScanOptions } from './file-scan.ts';
import { openFiledIndex } from './index-file.ts';
import { RebuildingCapture } from './rebuilding.ts';
import { SourceWindow } from './source-window.ts';
import { CachedChunks } from './store.ts';

/** A file up to this size is read whole when it is opened, index or not: that is quick, and finds all damage at once. */
const READ_WHOLE_BYTES = 8 * 1024 * 1024;

export interface OpenCaptureOptions extends ScanOptions {
  /**
   * Whether the index in the file is used: `auto`, the default, for files above 8 MiB. With `never` every
   * chunk is read and checked now; with `always` none is before it is wanted.
   */
  readonly index?: 'auto' | 'always' | 'never';
}

/**
 * Opens a capture file. Where it carries an index, that is read and nothing else, and chunks as they are
 * needed; a chunk that turns out to be damaged then rejects what wants it, and is told in `info().cut`
 * from there on. Without an index, or with one that is damaged, one pass over the file makes it: a file
 * that ends early opens up to its last whole chunk, and a damaged chunk is left out; both are told in
 * `info().cut`.
 *
 * @throws SyncError `CAPTURE_EMPTY` (no bytes), `CAPTURE_NOT_MCAP` (something else), `CAPTURE_NOT_SYNCSCOPE`
 * (another profile), `CAPTURE_TOO_NEW`, `CAPTURE_CUT_TOO_EARLY` (ends inside its header),
 * `CAPTURE_HEADER_DAMAGED`, `CHUNK_TOO_LARGE`, `RATIO_LIMIT`, `ABORTED`, or what the source rejects with
 */
export async function openCapture(source: ByteSource, options: OpenCaptureOptions = {}): Promise<OpenCapture> {
  const size = await source.size();
  const { header, end } = await readHead(new SourceWindow(source, size), size);
  const rebuild = (): Promise<OpenCapture> => openByScan(source, size, header, end, options);
  const { index: use = 'auto', decompressZstd: zstd = portableZstd } = options;
  if (use === 'never' || (use === 'auto' && size <= READ_WHOLE_BYTES)) return rebuild();
  const filed = await openFiledIndex(source, size, header.authority, zstd);
  if (!filed) return rebuild();
  options.onProgress?.(size, size);
  const found: { offset: number; message: string }[] = [];
  const store = new CachedChunks(
    async (chunk) => {
      const place = filed.chunks[chunk]!;
      try {
        return await loadChunk(source, place, zstd);
      } catch (error) {
        if (isSyncError(error)) noteDamage(found, place, error.message);
        throw error;
      }
    },
    () => {},
  );
  const facts = { header, isGrowing: false, size: () => size, cut: () => found[0] };
  const engine = new CaptureEngine(filed.index, store, facts, options.pause ?? (() => Promise.resolve()));
  return new RebuildingCapture(engine, rebuild);
}

function noteDamage(found: { offset: number; message: string }[], place: ChunkPlace, message: string): void {
  if (found.some((one) => one.offset === place.offset)) return;
  found.push({ offset: place.offset, message: `${message}. Its records cannot be read; the others can.` });
}

async function openByScan(
  source: ByteSource,
  size: number,
  header: TraceHeader,
  from: number,
  options: OpenCaptureOptions,
): Promise<OpenCapture> {
  const scan = new FileScan(source, size, header.authority, from, options);
  await scan.run();
  const { index, chunks } = scan;
  const zstd = options.decompressZstd ?? portableZstd;
  const store = new CachedChunks(
    (chunk) => loadChunk(source, chunks[chunk]!, zstd),
    () => {},
  );
  const cut = scan.cut();
  const facts = { header, isGrowing: false, size: () => size, cut: () => cut };
  return new CaptureEngine(index, store, facts, options.pause ?? (() => Promise.resolve()));
}
