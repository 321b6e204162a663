import { createHmac, randomBytes } from 'node:crypto';

/**
 * Pseudonyms of secrets by HMAC-SHA-256 (RFC 2104), 48 bits of it. Without a key of one's own nobody, not even who made it, can tell later which secret one
 * stands for.
 */
export function keyedPseudonyms(key: string | Uint8Array = randomBytes(32)): (secret: string) => string {
  return (secret) => `redacted-${createHmac('sha256', key).update(secret).digest('hex').slice(0, 12)}`;
}
