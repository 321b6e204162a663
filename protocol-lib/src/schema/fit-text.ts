/**
 * A text as a field of at most `max` UTF-16 units takes it: cut where it is longer, but never through a character, and
 * with U+FFFD for what is none. What a stranger wrote must not make the message that quotes it unsendable.
 */
export function fitText(text: string, max: number): string {
  if (text.length <= max) return text.toWellFormed();
  const isInsideCharacter = /[\ud800-\udbff]/.test(text[max - 1] ?? '') && /[\udc00-\udfff]/.test(text[max] ?? '');
  return text.slice(0, isInsideCharacter ? max - 1 : max).toWellFormed();
}
