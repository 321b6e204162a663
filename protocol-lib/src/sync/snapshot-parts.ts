import { SyncError } from '../errors/index.ts';
import type { BodyOf, MessageOf, SnapshotEntry } from '../messages/index.ts';
import type { Value, Version } from '../state/index.ts';

/** Parts of one snapshot, at most: a receiver keeps them all until the last is there. */
export const MAX_SNAPSHOT_PARTS = 4_096;

/**
 * A snapshot as the messages that carry it: itself where it is small, else parts of about `partBytes` bytes each (text beyond ASCII takes up
 * to three times as many), a larger record alone in one; larger parts where there would be more than {@link MAX_SNAPSHOT_PARTS}. What was
 * settled comes with the last.
 */
export function splitSnapshot(full: BodyOf<'FULL_SYNC'>, partBytes: number): BodyOf<'FULL_SYNC'>[] {
  let parts = partsOf(full.records, partBytes);
  if (parts.length <= 1) return [full];
  if (parts.length > MAX_SNAPSHOT_PARTS) {
    const bytes = full.records.reduce((sum, entry) => sum + entryBytes(entry), 0);
    // Of two parts that follow upon each other, the second began where the first had no room for it: both are more than one may be.
    parts = partsOf(full.records, Math.ceil((2 * bytes) / (MAX_SNAPSHOT_PARTS - 1)));
  }
  const last = parts.length - 1;
  return parts.map((records, index) => {
    const settled = index === last ? {} : { vector: [], rejected: [] };
    return { ...full, records, ...settled, part: { index, of: parts.length } };
  });
}

/** Records in their order, each part full or the last. */
function partsOf(records: readonly SnapshotEntry[], partBytes: number): SnapshotEntry[][] {
  const parts: SnapshotEntry[][] = [];
  let part: SnapshotEntry[] = [];
  let bytes = 0;
  for (const entry of records) {
    const more = entryBytes(entry);
    if (part.length > 0 && bytes + more > partBytes) {
      parts.push(part);
      part = [];
      bytes = 0;
    }
    part.push(entry);
    bytes += more;
  }
  return [...parts, part];
}

function entryBytes({ key, record }: SnapshotEntry): number {
  return key.length + bytesOf(record);
}

/** About as many bytes as a value takes on the wire, or more; text counted as ASCII. */
function bytesOf(value: Value): number {
  if (typeof value === 'string') return value.length + 2;
  if (typeof value === 'number') return 9;
  if (typeof value !== 'object' || value === null) return 1;
  if (value instanceof Uint8Array) return value.length + 5;
  let bytes = 3;
  if (Array.isArray(value)) for (const item of value) bytes += bytesOf(item);
  // Names too, although most frames say them once for many records.
  else for (const [name, item] of Object.entries(value)) bytes += name.length + bytesOf(item);
  return bytes;
}

/**
 * Puts the parts of a snapshot together. They come in order on a link, so one that is not the next of its snapshot says that others are
 * lost: then what was gathered is dropped. Nothing is ever half there.
 */
export class SnapshotAssembly {
  #parts: MessageOf<'FULL_SYNC'>[] = [];

  /** Whether parts are waiting for the others. */
  get isOpen(): boolean {
    return this.#parts.length > 0;
  }

  /** The version of the snapshot of which parts are waiting. */
  get version(): Version | undefined {
    return this.#parts[0]?.version;
  }

  /**
   * The whole snapshot where this was all or the last of it, else undefined.
   * @throws SyncError `SNAPSHOT_PART_MISSING` where parts before this one are not there, `SNAPSHOT_TOO_LARGE`; what was gathered is dropped
   */
  take(full: MessageOf<'FULL_SYNC'>): MessageOf<'FULL_SYNC'> | undefined {
    const before = this.#parts;
    this.#parts = [];
    const { part } = full;
    if (part === undefined) return full;
    if (part.of > MAX_SNAPSHOT_PARTS) {
      const text = `a snapshot of ${part.of} parts, at most ${MAX_SNAPSHOT_PARTS}`;
      throw new SyncError('SNAPSHOT_TOO_LARGE', text, { origin: 'protocol', place: { path: 'FULL_SYNC/part' } });
    }
    const [first] = part.index === 0 ? [full] : before;
    const isNext = first !== undefined && (part.index === 0 || (part.index === before.length && isOfOne(first, full)));
    if (!isNext || part.index >= part.of) {
      const text = `part ${part.index} of ${part.of} of the snapshot of ${full.version} came where ${before.length} were there`;
      throw new SyncError('SNAPSHOT_PART_MISSING', text, {
        origin: 'protocol',
        retry: 'now',
        place: { path: 'FULL_SYNC/part', version: full.version },
      });
    }
    const parts = part.index === 0 ? [full] : before;
    if (part.index > 0) parts.push(full);
    if (parts.length === part.of) return { ...full, records: parts.flatMap(({ records }) => records) };
    this.#parts = parts;
    return undefined;
  }

  /** The link has ended, and what would have come on it; or nobody needs it any more. */
  drop(): void {
    this.#parts = [];
  }
}

function isOfOne(first: MessageOf<'FULL_SYNC'>, next: MessageOf<'FULL_SYNC'>): boolean {
  return (
    first.version === next.version &&
    first.progress === next.progress &&
    first.root === next.root &&
    first.part?.of === next.part?.of
  );
}
