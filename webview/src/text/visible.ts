/**
 * Text from a capture as it may be shown. Control characters and those that reorder text (bidi) or are invisible
 * could make a value look like another one, so each becomes its escape.
 */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu;

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\0': '\\0' };

export function visible(text: string): string {
  return text.replaceAll(HIDDEN, (found) => SHORT[found] ?? `\\u{${found.codePointAt(0)!.toString(16)}}`);
}
