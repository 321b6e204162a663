import { fromHex, toHex } from '../bytes/index.ts';
import type { Value } from '../state/index.ts';

/** What a name that a server draws looks like, and where names stand in values. */

/** Shorter ones are too likely to stand for something else where they stand alone. */
export const BARE_MIN = 4;
/** A name, or a path of names, between other characters. */
export const TOKEN = /[A-Za-z0-9_-]+(?:\/[A-Za-z0-9_-]+)*/g;

const DRAWN = /^[A-Za-z0-9_-]{8,200}$/;
const DRAWN_BYTES = { min: 8, max: 32, distinct: 6 };
/** A word or a small number: within a sentence it rather means that. */
const ORDINARY = /^(?:[A-Z]?[a-z]+|\d+)(?:[-_](?:[A-Z]?[a-z]+|\d+))*$/;
const HEX_BYTES = /^0x(?:[0-9a-f]{2})+$/;
/** From here on a whole number is more likely drawn, or a time, than counted. */
const BIG = 2 ** 32;
/** Comparisons of names of fields with each other that are worth it. */
const NAMES_MAX = 10_000;

/** What stands at the same place in both; a place that only one has is undefined in the other. */
export interface Pair {
  readonly left: unknown;
  readonly right: unknown;
}

/** Whether two values are of the form of what is drawn at random: as long, and texts of more than lower-case letters, bytes of more than a text. */
export function areDrawn(left: unknown, right: unknown): boolean {
  if (left instanceof Uint8Array && right instanceof Uint8Array) return areDrawnBytes(left, right);
  if (typeof left !== 'string' || typeof right !== 'string' || left.length !== right.length) return false;
  const [one, other] = [lastOf(left), lastOf(right)];
  if (one.length !== other.length || collectionOf(left) !== collectionOf(right)) return false;
  return isDrawnText(one) && isDrawnText(other);
}

export function isDrawnText(text: string): boolean {
  return DRAWN.test(text) && (/\d/.test(text) || (/[a-z]/.test(text) && /[A-Z]/.test(text)));
}

function areDrawnBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && isDrawnBytes(left) && isDrawnBytes(right);
}

function isDrawnBytes(bytes: Uint8Array): boolean {
  const { min, max, distinct } = DRAWN_BYTES;
  if (bytes.length < min || bytes.length > max || new Set(bytes).size < distinct) return false;
  return bytes.some((byte) => byte < 0x20 || byte > 0x7e);
}

/** Whether what differs in two values may be drawn, but is of a form that is compared as it is. */
export function mayBeDrawnNumber(left: unknown, right: unknown): boolean {
  const isBig = (one: unknown): boolean => typeof one === 'number' && Number.isInteger(one) && Math.abs(one) >= BIG;
  return pairsOf(left, right).every(
    (pair) => Object.is(pair.left, pair.right) || (isBig(pair.left) && isBig(pair.right)),
  );
}

/** Whether a name within a sentence rather is a word or a number of it. */
export function isOrdinary(name: string): boolean {
  return name.length < 8 && ORDINARY.test(name);
}

/** Bytes as a name; texts of a state that look like it stand for the same. */
export function nameOfBytes(bytes: Uint8Array): string {
  return `0x${toHex(bytes)}`;
}

export function bytesOfName(name: string): Uint8Array | undefined {
  return HEX_BYTES.test(name) ? fromHex(name.slice(2)) : undefined;
}

/** The name that a text or bytes are. */
export function nameOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return value instanceof Uint8Array && value.length <= DRAWN_BYTES.max ? nameOfBytes(value) : undefined;
}

/** All places of two values. Fields that only one has and that look drawn are one where their values fit, and no other fits. */
export function pairsOf(left: unknown, right: unknown, nameHere: (name: string) => string = (name) => name): Pair[] {
  if (!isFields(left) || !isFields(right)) return isSameBytes(left, right) ? [] : [{ left, right }];
  const pairs: Pair[] = [];
  const [only, others] = [new Set<string>(), new Set(Object.keys(right))];
  const at = (name: string, other: string): void => {
    pairs.push(...pairsOf(left[name], right[other], nameHere));
  };
  for (const name of Object.keys(left)) {
    const here = nameHere(name);
    if (others.delete(here)) at(name, here);
    else only.add(name);
  }
  for (const name of only.size * others.size > NAMES_MAX ? [] : only) {
    const fits = (one: string, other: string): boolean =>
      areDrawn(one, other) && pairsOf(left[one], right[other], nameHere).every(looksAlike);
    const [match, ...more] = [...others].filter((other) => fits(name, other));
    if (match === undefined || more.length > 0) continue;
    if ([...only].some((one) => one !== name && fits(one, match))) continue;
    pairs.push({ left: name, right: match });
    at(name, match);
    only.delete(name);
    others.delete(match);
  }
  for (const name of only) pairs.push({ left: left[name], right: undefined });
  for (const name of others) pairs.push({ left: undefined, right: right[name] });
  return pairs;
}

function looksAlike({ left, right }: Pair): boolean {
  return Object.is(left, right) || areDrawn(left, right);
}

function isSameBytes(left: unknown, right: unknown): boolean {
  if (!(left instanceof Uint8Array && right instanceof Uint8Array)) return false;
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !(value instanceof Uint8Array);
}

export function collectionOf(key: string): string {
  return key.slice(0, key.lastIndexOf('/') + 1);
}

export function lastOf(key: string): string {
  return key.slice(key.lastIndexOf('/') + 1);
}

/** All texts of a value, names of fields and short bytes among them. */
export function* textsOf(value: Value): Iterable<string> {
  if (typeof value === 'string') yield value;
  if (typeof value !== 'object' || value === null) return;
  if (value instanceof Uint8Array) {
    const name = nameOf(value);
    if (name !== undefined) yield name;
    return;
  }
  for (const [name, inner] of Object.entries(value)) {
    if (!Array.isArray(value)) yield name;
    yield* textsOf(inner as Value);
  }
}

/** A text, the paths in it, and the names in those. */
export function* namesIn(text: string): Iterable<string> {
  yield text;
  for (const [token] of text.matchAll(TOKEN)) {
    yield token;
    yield* token.split('/');
  }
}
