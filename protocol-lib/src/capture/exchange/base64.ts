const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const VALUES = new Map([...DIGITS].map((digit, value) => [digit, value]));

/** Of 12 bits each. */
const PAIRS = Array.from({ length: 4_096 }, (_, bits) => DIGITS[bits >>> 6]! + DIGITS[bits & 63]!);

/** RFC 4648, with padding. */
export function toBase64(bytes: Uint8Array): string {
  let text = '';
  const whole = bytes.length - (bytes.length % 3);
  for (let at = 0; at < whole; at += 3) {
    text += PAIRS[(bytes[at]! << 4) | (bytes[at + 1]! >>> 4)]! + PAIRS[((bytes[at + 1]! & 15) << 8) | bytes[at + 2]!]!;
  }
  const left = bytes.length - whole;
  if (left === 0) return text;
  const word = (bytes[whole]! << 8) | (bytes[whole + 1] ?? 0);
  return `${text}${PAIRS[word >>> 4]!}${left > 1 ? DIGITS[(word & 15) << 2]! : '='}=`;
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
