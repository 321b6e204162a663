const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const VALUES = new Map([...DIGITS].map((digit, value) => [digit, value]));

const CODES = Array.from(DIGITS, (digit) => digit.charCodeAt(0));
/** Text grows by so many bytes of digits: to append each digit takes an engine twice as long. */
const STRETCH = 12;

/** RFC 4648, with padding. */
export function toBase64(bytes: Uint8Array): string {
  let text = '';
  let at = 0;
  for (; at + STRETCH <= bytes.length; at += STRETCH) {
    text += sixteen(wordAt(bytes, at), wordAt(bytes, at + 3), wordAt(bytes, at + 6), wordAt(bytes, at + 9));
  }
  for (; at < bytes.length; at += 3) {
    const left = bytes.length - at;
    const word = wordAt(bytes, at);
    text += DIGITS[word >>> 18]! + DIGITS[(word >>> 12) & 63]!;
    text += left > 1 ? DIGITS[(word >>> 6) & 63]! : '=';
    text += left > 2 ? DIGITS[word & 63]! : '=';
  }
  return text;
}

/** Three bytes; those that there are not are 0. */
function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
}

/** The digits of four words. */
function sixteen(a: number, b: number, c: number, d: number): string {
  return String.fromCharCode(
    CODES[a >>> 18]!,
    CODES[(a >>> 12) & 63]!,
    CODES[(a >>> 6) & 63]!,
    CODES[a & 63]!,
    CODES[b >>> 18]!,
    CODES[(b >>> 12) & 63]!,
    CODES[(b >>> 6) & 63]!,
    CODES[b & 63]!,
    CODES[c >>> 18]!,
    CODES[(c >>> 12) & 63]!,
    CODES[(c >>> 6) & 63]!,
    CODES[c & 63]!,
    CODES[d >>> 18]!,
    CODES[(d >>> 12) & 63]!,
    CODES[(d >>> 6) & 63]!,
    CODES[d & 63]!,
  );
}

/** Undefined where it is none. */
export function fromBase64(text: string): Uint8Array | undefined {
  const digits = text.replace(/=+$/, '');
  if (text.length % 4 !== 0 || text.length - digits.length > 2) return undefined;
  const bytes = new Uint8Array(Math.floor((digits.length * 3) / 4));
  let word = 0;
  let at = 0;
  for (let index = 0; index < digits.length; index++) {
    const value = VALUES.get(digits[index]!);
    if (value === undefined) return undefined;
    word = ((word << 6) | value) & 0xffffff;
    if (index % 4 > 0) bytes[at++] = (word >>> (6 - 2 * (index % 4))) & 0xff;
  }
  return bytes;
}
