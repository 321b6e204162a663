import { closeSync, openSync, readSync } from 'node:fs';

/**
 * SQLite takes a write-ahead log up to its first wrong frame and drops the rest in silence, which is right for a torn tail and hides
 * damage to what was synced. This tells the two apart. Source: "WAL-mode File Format", sqlite.org/walformat.html.
 */

const HEADER = 32;
const FRAME_HEADER = 24;
const MAGIC = 0x377f0682;

/** The first wrong frame of a write-ahead log, counted from 0. */
export interface WalBreak {
  readonly frame: number;
  /** Whether that frame had been synced: a whole transaction comes after its own, which is not begun before. */
  readonly wasSynced: boolean;
}

/** Where the write-ahead log at `path` goes wrong; undefined where it is whole, empty or not there. Nobody may write to it meanwhile. */
export function findWalBreak(path: string): WalBreak | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return undefined;
  }
  try {
    return breakOf((bytes, offset) => readSync(file, bytes, 0, bytes.length, offset));
  } finally {
    closeSync(file);
  }
}

function breakOf(read: (bytes: Uint8Array, offset: number) => number): WalBreak | undefined {
  const header = new Uint8Array(HEADER);
  if (read(header, 0) < HEADER) return undefined;
  const view = viewOf(header);
  const magic = view.getUint32(0);
  const pageSize = view.getUint32(8);
  // A header that was never whole: SQLite begins a new one, and nothing that was synced is behind it unless frames say so.
  if (magic >>> 1 !== MAGIC >>> 1 || pageSize < 512 || pageSize > 65_536) return undefined;
  const sum = new WalSum((magic & 1) === 0);
  sum.add(header.subarray(0, 24));
  if (!sum.is(view, 24)) return undefined;
  const frame = new Uint8Array(FRAME_HEADER + pageSize);
  let broken: number | undefined;
  let commits = 0;
  for (let index = 0; read(frame, HEADER + index * frame.length) === frame.length; index++) {
    const head = viewOf(frame);
    const isOurs = head.getUint32(8) === view.getUint32(16) && head.getUint32(12) === view.getUint32(20);
    if (broken === undefined) {
      sum.add(frame.subarray(0, 8));
      sum.add(frame.subarray(FRAME_HEADER));
      if (isOurs && sum.is(head, 16)) continue;
      // Frames of an earlier round follow, which were written over from the start.
      if (!isOurs && !followsOurs(read, view, index + 1, frame.length)) return undefined;
      broken = index;
    }
    // The sums of later frames build on the broken one's and cannot be checked: the salts, 64 bits, say whose they are.
    if (commits > 0 && isOurs) return { frame: broken, wasSynced: true };
    if ((isOurs || index === broken) && head.getUint32(4) > 0) commits++;
  }
  return broken === undefined ? undefined : { frame: broken, wasSynced: false };
}

/** Whether a frame from `index` on has the salts of this round. */
function followsOurs(
  read: (bytes: Uint8Array, offset: number) => number,
  header: DataView,
  index: number,
  size: number,
): boolean {
  const head = new Uint8Array(FRAME_HEADER);
  for (let at = index; read(head, HEADER + at * size) === FRAME_HEADER; at++) {
    const view = viewOf(head);
    if (view.getUint32(8) === header.getUint32(16) && view.getUint32(12) === header.getUint32(20)) return true;
  }
  return false;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The running checksum of a write-ahead log. */
class WalSum {
  readonly #isLittle: boolean;
  #first = 0;
  #second = 0;

  constructor(isLittle: boolean) {
    this.#isLittle = isLittle;
  }

  add(bytes: Uint8Array): void {
    const view = viewOf(bytes);
    for (let at = 0; at < bytes.length; at += 8) {
      this.#first = (this.#first + view.getUint32(at, this.#isLittle) + this.#second) >>> 0;
      this.#second = (this.#second + view.getUint32(at + 4, this.#isLittle) + this.#first) >>> 0;
    }
  }

  is(view: DataView, at: number): boolean {
    return view.getUint32(at) === this.#first && view.getUint32(at + 4) === this.#second;
  }
}
