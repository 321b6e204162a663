import type { ByteSource } from '../ports/index.ts';

/** Read at once where reading goes on from place to place. */
const AHEAD_BYTES = 2 * 1024 * 1024;
/** What may be left out between two reads of one way through a file: chunks and pages of the index lie between each other. */
const GAP_BYTES = 512 * 1024;
/** Ways through a file that are gone at the same time. */
const WINDOWS = 4;

interface Window {
  readonly offset: number;
  readonly end: number;
  /** Empty before the second read of a way. */
  readonly bytes: Uint8Array;
}

/**
 * The same bytes from a source of which each read takes long, such as one of a network: where reads follow each other, what comes next is
 * read with them. A read that stands alone reads no more than itself.
 */
export function readAhead(source: ByteSource): ByteSource {
  let windows: readonly Window[] = [];
  let size: number | undefined;

  function inWindow(offset: number, length: number): Uint8Array | undefined {
    const found = windows.find((one) => offset >= one.offset && offset + length <= one.offset + one.bytes.length);
    if (!found) return undefined;
    keep(found, found);
    // A copy, since what is kept of it must not keep all that was read ahead.
    return found.bytes.slice(offset - found.offset, offset - found.offset + length);
  }

  /** How much to read from there, and the window that this goes on from. */
  function plan(offset: number, length: number): { readonly before: Window | undefined; readonly wanted: number } {
    const before = windows.find((one) => offset >= one.offset && offset - one.end < GAP_BYTES);
    const ahead = before && size !== undefined ? Math.min(AHEAD_BYTES, size - offset) : 0;
    return { before, wanted: Math.max(length, ahead) };
  }

  function keep(window: Window, instead: Window | undefined): void {
    windows = [window, ...windows.filter((one) => one !== instead)].slice(0, WINDOWS);
  }

  function take(bytes: Uint8Array, offset: number, length: number, before: Window | undefined): Uint8Array {
    const isAhead = bytes.length > length;
    keep({ offset, end: offset + bytes.length, bytes: isAhead ? bytes : new Uint8Array(0) }, before);
    return isAhead ? bytes.slice(0, length) : bytes;
  }

  const ahead: ByteSource = {
    async size() {
      size = await source.size();
      return size;
    },
    async read(offset, length) {
      const there = inWindow(offset, length);
      if (there) return there;
      const { before, wanted } = plan(offset, length);
      return take(await source.read(offset, wanted), offset, length, before);
    },
  };
  const { readNow } = source;
  if (!readNow) return ahead;
  return {
    ...ahead,
    readNow(offset, length) {
      const there = inWindow(offset, length);
      if (there) return there;
      const { before, wanted } = plan(offset, length);
      return take(readNow.call(source, offset, wanted), offset, length, before);
    },
  };
}
