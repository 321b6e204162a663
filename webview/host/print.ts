import type { SyncRecord, Value } from '@syncscope/protocol/state';

/**
 * How the command line prints what a capture says. A capture is a stranger's text: nothing of it reaches a terminal
 * that could move the cursor, change colours or reorder what is read.
 */

// C0 and C1 controls, bidirectional marks, embeddings and isolates, zero-width and invisible characters, line separators.
const UNPRINTABLE =
  /[\p{Cc}\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\u206a-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Cs}/gu;
const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\0': '\\0' };

/** Text with every character that does not simply show itself written as `\n` or `\u{202e}`. */
export function escapeText(text: string): string {
  return text.replace(UNPRINTABLE, (char) => NAMED[char] ?? `\\u{${char.codePointAt(0)!.toString(16)}}`);
}

/** JSON whose text is as harmless in a terminal and means the same. */
export function escapeJson(json: string): string {
  return json.replace(UNPRINTABLE, (char) =>
    char === '\n'
      ? char
      : Array.from({ length: char.length }, (_, at) => `\\u${char.charCodeAt(at).toString(16).padStart(4, '0')}`).join(
          '',
        ),
  );
}

/** Columns two blanks apart, each as wide as its widest cell. `right` names the columns that align right. Cells are escaped. */
export function table(
  head: readonly string[],
  rows: ReadonlyArray<readonly string[]>,
  right: readonly string[] = [],
): string {
  const lines = [head, ...rows].map((row) => row.map(escapeText));
  const widths = head.map((_, column) => lines.reduce((most, line) => Math.max(most, line[column]?.length ?? 0), 0));
  return lines
    .map((line) =>
      line
        .map((cell, column) =>
          right.includes(head[column]!) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Pairs of a name and what it is, values aligned. */
export function facts(pairs: ReadonlyArray<readonly [string, string]>): string {
  const width = pairs.reduce((most, [name]) => Math.max(most, name.length), 0);
  return pairs.map(([name, value]) => `${name.padEnd(width)}  ${escapeText(value)}`).join('\n');
}

/** `12.480 s` for nanoseconds. */
export function seconds(nanoseconds: number): string {
  return `${(nanoseconds / 1e9).toFixed(3)} s`;
}

/** `512 B`, `12.3 KiB`, `4.0 MiB`. */
export function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const units = ['KiB', 'MiB', 'GiB'];
  let value = bytes / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}

/** `1 record`, `3 records`. */
export function count(amount: number, noun: string): string {
  return `${amount.toLocaleString('en-US')} ${noun}${amount === 1 ? '' : 's'}`;
}

/** A value as it would be written in code; `-` where there is none. Bytes as hex. */
export function value(given: Value | undefined): string {
  if (given === undefined) return '-';
  if (given instanceof Uint8Array) return `0x${Buffer.from(given).toString('hex')}`;
  if (typeof given === 'number') return Object.is(given, -0) ? '-0' : String(given);
  if (Array.isArray(given)) return `[${given.map(value).join(', ')}]`;
  if (typeof given === 'object' && given !== null) {
    return `{${Object.entries(given as SyncRecord)
      .map(([name, inner]) => `${name}: ${value(inner)}`)
      .join(', ')}}`;
  }
  return JSON.stringify(given);
}
