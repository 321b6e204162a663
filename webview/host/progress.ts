import type { ByteSource } from '@syncscope/protocol/ports';
import { count, escapeText, size } from './print.ts';

/** How far long work is, in one line on standard error, where that is a terminal; gone before the answer is printed. */

const EVERY_MS = 100;

let shownAt = performance.now();
let isShown = false;
/** Somebody knows how much there is to do; how much was read says less. */
let isCounted = false;

let isQuiet = false;

/** Shows none: the answer itself goes to the terminal bit by bit. */
export function withoutProgress(): void {
  isQuiet = true;
}

/** Shows a line in place of the one before, ten times a second at most. */
export function showProgress(text: () => string): void {
  const now = performance.now();
  if (isQuiet || !process.stderr.isTTY || now - shownAt < EVERY_MS) return;
  shownAt = now;
  isShown = true;
  process.stderr.write(`\r${escapeText(text())}\u001b[K`);
}

export function clearProgress(): void {
  if (isShown) process.stderr.write('\r\u001b[K');
  isShown = false;
}

/** Told how much is done, of how much. Undefined where nobody looks on. */
export function progress(): ((done: number, total: number) => void) | undefined {
  if (!process.stderr.isTTY) return undefined;
  isCounted = true;
  return (done, total) => showProgress(() => `${Math.floor((100 * done) / Math.max(1, total))} %`);
}

/** Told how many were tried, and how much of the smallest is left. Undefined where nobody looks on. */
export function triedProgress(): ((tried: number, left: number) => void) | undefined {
  if (!process.stderr.isTTY) return undefined;
  isCounted = true;
  return (tried, left) =>
    showProgress(() => `${count(tried, 'smaller one')} tried${Number.isFinite(left) ? `, ${left} left` : ''}`);
}

/** A source that shows how much was read of it. */
export function watched<T extends ByteSource>(source: T, name: string): T {
  if (!process.stderr.isTTY) return source;
  let bytes = 0;
  const add = (length: number): void => {
    bytes += length;
    if (!isCounted) showProgress(() => `${name}: ${size(bytes)} read`);
  };
  const { readNow } = source;
  return {
    ...source,
    read: (offset, length) => {
      add(length);
      return source.read(offset, length);
    },
    ...(readNow
      ? {
          readNow: (offset: number, length: number) => {
            add(length);
            return readNow.call(source, offset, length);
          },
        }
      : {}),
  };
}
