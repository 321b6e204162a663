import { TRACE_KINDS, type TraceBody, type TraceKind, type TraceRecord } from '../trace/index.ts';
import { identityOf } from './compare-identity.ts';

/**
 * What a record is, for finding it again in another capture: hashes of 52 bits, from the strictest to the most lenient. Equal keys stand for equal
 * content; who reports a difference reads the records themselves.
 */
export interface RecordKeys {
  /** The whole body. */
  readonly content: number;
  /** The body without versions, sequences and counters, which one message more shifts from there on. */
  readonly values: number;
  /** What was done, to whom, and because of what: without numbers, hashes and states, with the substance of its cause. */
  readonly substance: number;
  /** Its identity, numbers included: {@link identityOf}. */
  readonly identity: number;
}

/** Kinds that tell of times and loads rather than of what happened. */
export const PASSED_OVER: ReadonlySet<TraceKind> = new Set<TraceKind>(['log', 'health', 'pressure', 'gap', 'fault']);

/** Fields that count: one message more at the beginning makes all later ones differ. */
const NUMBERS = new Set(['version', 'from', 'to', 'sequence', 'first', 'counter', 'verified', 'vector']);
/** Fields that tell of states: once two have parted, they differ in all that follows. */
const STATES = new Set([
  'root',
  'own',
  'reference',
  'expected',
  'got',
  'base',
  'agrees',
  'records',
  'differences',
  'rounds',
  'hashes',
  'bytes',
  'count',
  'data',
]);

const kindNumbers = new Map<TraceKind, number>(TRACE_KINDS.map((kind, number) => [kind, number]));

/** Records whose substance is remembered for what they cause. A power of two. */
const REMEMBERED = 65_536;

/** Makes the keys of a capture's records, which it is given in order. */
export class KeyMaker {
  readonly #seqs = new Float64Array(REMEMBERED);
  readonly #bySeq = new Float64Array(REMEMBERED);
  readonly #frames = new Float64Array(REMEMBERED);
  readonly #byFrame = new Float64Array(REMEMBERED);

  keysOf(record: TraceRecord): RecordKeys {
    const { body, seq, replica } = record;
    const content = hashOf(body);
    let [values, substance] = [kindNumbers.get(body.kind)!, this.#causeOf(record)];
    for (const [name, value] of Object.entries(body)) {
      // `from` and `to` of a message are replicas.
      if (value === undefined || (NUMBERS.has(name) && typeof value !== 'string')) continue;
      const part = hashOf([name, withoutCounters(name, value)]);
      values = (values + part) % LIMIT;
      if (!STATES.has(name)) substance = (substance + part) % LIMIT;
    }
    const slot = seq % REMEMBERED;
    this.#seqs[slot] = seq;
    this.#bySeq[slot] = substance;
    if (body.kind === 'send') this.#sent(hashOf([body.sender, body.sequence, body.to]), substance);
    return { content, values, substance, identity: hashOf([replica, identityOf(record)]) };
  }

  #sent(frame: number, substance: number): void {
    const slot = frame % REMEMBERED;
    this.#frames[slot] = frame;
    this.#byFrame[slot] = substance;
  }

  /** The substance of what made this happen, 0 where that is not known. */
  #causeOf({ body, cause, replica }: TraceRecord): number {
    const [first] = cause;
    if (first !== undefined && this.#seqs[first % REMEMBERED] === first) return this.#bySeq[first % REMEMBERED]!;
    if (body.kind !== 'receive') return 0;
    const frame = hashOf([body.sender, body.sequence, replica]);
    return this.#frames[frame % REMEMBERED] === frame ? this.#byFrame[frame % REMEMBERED]! : 0;
  }
}

/** Mutations are counted by their writer: whose they are stays, which one it is does not. */
function withoutCounters(name: string, value: unknown): unknown {
  if (name === 'mutation') return (value as { readonly writer: string }).writer;
  if (name === 'pending' && Array.isArray(value)) {
    return (value as readonly { readonly changes: unknown }[]).map(({ changes }) => changes);
  }
  return value;
}

/** Records of which a session has each one once: what tells of a version, of a mutation or of an operation. */
const ONCE = new Set<TraceKind>([
  'commit',
  'delta',
  'apply',
  'prediction',
  'confirmation',
  'rollback',
  'rejection',
  'proposal',
  'vote',
  'operation',
]);

/** A key by which a record is found in another recording of its session; undefined for what may be there several times. */
export function onceKey({ body, replica }: TraceRecord): number | undefined {
  return ONCE.has(body.kind) ? hashOf([replica, body]) : undefined;
}

/** The newest version that a record speaks of. */
export function versionIn(body: TraceBody): number | undefined {
  if (body.kind === 'apply' || body.kind === 'delta') return body.to;
  return 'version' in body ? body.version : undefined;
}

/** The sum of two hashes is still a whole number exactly. */
const LIMIT = 2 ** 52;
const float = new Float64Array(1);
const halves = new Uint32Array(float.buffer);
let [high, low] = [0, 0];

/** A hash of a plain value, 52 bits. Equal values have equal hashes, whatever the order of their fields; numbers follow `Object.is`. */
export function hashOf(value: unknown): number {
  const [highBefore, lowBefore] = [high, low];
  [high, low] = [0x811c9dc5, 0x9747b28c];
  add(value);
  const hash = (mixed(high ^ low) >>> 0) * 0x100000 + (mixed(low) >>> 12);
  [high, low] = [highBefore, lowBefore];
  return hash;
}

function step(word: number): void {
  high = Math.imul(high ^ word, 0x01000193);
  low = Math.imul((low << 13) | (low >>> 19), 5) ^ Math.imul(word, 0xcc9e2d51);
}

function mixed(word: number): number {
  let hash = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

function add(value: unknown): void {
  if (typeof value === 'string') addText(value);
  else if (typeof value === 'number') addNumber(value, 2);
  else if (value === null || typeof value !== 'object') step(value === true ? 3 : value === false ? 4 : 5);
  else if (value instanceof Uint8Array) addBytes(value);
  else if (Array.isArray(value)) {
    step(8 + value.length * 16);
    for (const one of value) add(one);
  } else addFields(value as Readonly<Record<string, unknown>>);
}

/** In any order: each field has a hash of its own, and they are summed up. */
function addFields(value: Readonly<Record<string, unknown>>): void {
  let sum = 0;
  for (const [name, one] of Object.entries(value)) {
    if (one !== undefined) sum = (sum + hashOf([name, one])) % LIMIT;
  }
  addNumber(sum, 9);
}

function addText(text: string): void {
  step(1 + text.length * 16);
  for (let at = 0; at < text.length; at++) step(text.charCodeAt(at));
}

function addNumber(number: number, tag: number): void {
  float[0] = number;
  step(tag);
  step(halves[0]!);
  step(halves[1]!);
}

function addBytes(bytes: Uint8Array): void {
  step(7 + bytes.length * 16);
  for (const byte of bytes) step(byte);
}
