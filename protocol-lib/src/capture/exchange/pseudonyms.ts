import { hmacSha256, toHex } from '../../bytes/index.ts';

/** Digits of a pseudonym: 48 bits. */
const DIGITS = 12;
const utf8 = new TextEncoder();

/**
 * Pseudonyms of secrets by HMAC-SHA-256 (RFC 2104), 48 bits of it; the same as `keyedPseudonyms` in Node. The key is to be random and forgotten: then nobody can
 * tell later which secret one stands for.
 */
export function hmacPseudonyms(key: Uint8Array): (secret: string) => string {
  return (secret) => `redacted-${toHex(hmacSha256(key, utf8.encode(secret))).slice(0, DIGITS)}`;
}
