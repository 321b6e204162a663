import { beginWriting, MAP_MAX_FIELDS, VALUE_MAX_DEPTH, writeValue, writtenBytes } from './writer.ts';

/**
 * The canonical profile: one and only one msgpack encoding of a value, over which hashes are taken.
 * Two values have the same canonical bytes exactly where they are equal by `Object.is`, field by field.
 *
 * - nil, booleans: `c0`, `c2`, `c3`.
 * - A number that is a safe integer (and not -0): the shortest of positive fixint, uint 8/16/32/64 where
 *   it is not negative, of negative fixint, int 8/16/32/64 where it is.
 * - Every other number, -0 included: float 64 (`cb`), big-endian. NaN is always `cb 7ff8000000000000`.
 *   float 32 is never used.
 * - Text: UTF-8 behind the shortest str header. A lone surrogate has no canonical bytes.
 * - Bytes: the shortest bin header.
 * - Array: the shortest array header, then the items.
 * - Map: the shortest map header, then name and value of each field, names ascending by their UTF-8
 *   bytes (which is ascending by code point, not by UTF-16 unit). Names are text and unique, never `__proto__`.
 * - No extension types. Nested at most 64 deep; at most 65,535 fields a map.
 *
 * @returns the canonical bytes of null, a boolean, number, text, `Uint8Array`, or arrays and plain objects of these
 * @throws SyncError `VALUE_INVALID`, `FIELD_RESERVED`, `LIMIT_DEPTH` or `LIMIT_MAP_KEYS` for anything without them
 */
export function canonicalBytes(value: unknown): Uint8Array {
  beginWriting();
  writeValue(value, 'sorted', 0);
  return writtenBytes();
}

/** Whether it is an object of fields and nothing else: no list, no bytes, nothing of a class such as a date, whose fields would not say what it is. */
export function isPlainMap(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // That of another realm's objects has none itself.
  return prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Whether a value has canonical bytes that read as the same value; says nothing of why not. Much cheaper than writing them. */
export function isCanonical(value: unknown, depth = 0): boolean {
  switch (typeof value) {
    case 'number':
    case 'boolean':
      return true;
    case 'string':
      return isWellFormed(value);
    case 'object': {
      if (value === null || value instanceof Uint8Array) return true;
      if (depth > VALUE_MAX_DEPTH) return false;
      if (Array.isArray(value)) {
        for (let index = 0; index < value.length; index++) {
          if (!isCanonical(value[index], depth + 1)) return false;
        }
        return true;
      }
      if (!isPlainMap(value)) return false;
      let count = 0;
      for (const name in value) {
        if (++count > MAP_MAX_FIELDS || name === '__proto__' || !isWellFormed(name)) return false;
        if (!isCanonical((value as Record<string, unknown>)[name], depth + 1)) return false;
      }
      return true;
    }
    default:
      return false;
  }
}

/** Asking the engine costs more than looking at a short string oneself. */
const SHORT = 24;

function isWellFormed(text: string): boolean {
  if (text.length > SHORT) return text.isWellFormed();
  for (let index = 0; index < text.length; index++) {
    if ((text.charCodeAt(index) & 0xf800) === 0xd800) return text.isWellFormed();
  }
  return true;
}

/** A value with canonical bytes as it is now, in memory of its own: whoever gave it may change theirs afterwards. */
export function ownCopy<T>(value: T): T {
  return copied(value) as T;
}

function copied(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  // The slice of a `Buffer` would share its memory.
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (Array.isArray(value)) return value.map(copied);
  const copy: Record<string, unknown> = {};
  for (const name of Object.keys(value)) copy[name] = copied((value as Record<string, unknown>)[name]);
  return copy;
}
