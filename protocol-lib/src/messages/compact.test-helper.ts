import { CompactWriter } from '../bytes/index.ts';

/** The bytes of a compact field: numbers as they lie there, text behind its length, and bytes as they are. */
export function compact(...items: readonly (number | string | Uint8Array)[]): Uint8Array {
  const writer = new CompactWriter();
  for (const item of items) {
    if (typeof item === 'number') writer.uint(item);
    else if (typeof item === 'string') writer.text(item);
    else writer.bytes(item);
  }
  return writer.written();
}

/** A run's head: rows and operation. */
export function head(rows: number, op: number): number {
  return rows * 4 + op;
}
