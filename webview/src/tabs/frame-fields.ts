import type { FrameField } from '@syncscope/protocol/capture';

/** One field of a frame as a row: parents before their children. */
export interface FieldRow {
  readonly field: FrameField;
  readonly depth: number;
}

/** All fields of a frame, parents first; the frame itself is left out, since it is all of the bytes. */
export function flattenFields(frame: FrameField): FieldRow[] {
  const rows: FieldRow[] = [];
  // A stack and not recursion: how deep a frame nests is up to who sent it.
  const waiting: FieldRow[] = frame.children.map((field) => ({ field, depth: 0 })).reverse();
  for (let row = waiting.pop(); row; row = waiting.pop()) {
    rows.push(row);
    for (const child of row.field.children.toReversed()) waiting.push({ field: child, depth: row.depth + 1 });
  }
  return rows;
}

/** Index of the innermost field that contains a byte; -1 where none does. */
export function fieldAt(rows: readonly FieldRow[], offset: number): number {
  let found = -1;
  for (const [index, { field, depth }] of rows.entries()) {
    if (offset < field.offset || offset >= field.offset + field.length) continue;
    if (found < 0 || depth >= rows[found]!.depth) found = index;
  }
  return found;
}

/** Bytes that fit a row of this width, CSS pixels: 16, 8 or 4. */
export function bytesPerRow(width: number, charWidth: number): number {
  const fits = (count: number) => (7 + count * 3 + 2 + count) * charWidth <= width;
  return fits(16) ? 16 : fits(8) ? 8 : 4;
}

/** A byte as one character: itself where it is printable ASCII, else a dot. */
export function printable(byte: number): string {
  return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '·';
}
