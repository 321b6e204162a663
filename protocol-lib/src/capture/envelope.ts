import { TRACE_KINDS, type TraceKind } from '../trace/index.ts';
import { ByteNames, hashBytes } from './byte-names.ts';
import { MsgpackCursor } from './cursor.ts';
import { areInputsBytes } from './inputs-text.ts';

/** Numbers of kinds, for comparing with the index's columns. */
export const KIND = Object.fromEntries(TRACE_KINDS.map((kind, number) => [kind, number])) as Readonly<
  Record<TraceKind, number>
>;

/** The body's fields that the index keeps. */
const FIELDS = [
  'from',
  'to',
  'type',
  'sender',
  'sequence',
  'version',
  'root',
  'own',
  'agrees',
  'count',
  'mutation',
  'changes',
  'reason',
  'phase',
  'level',
  'against',
  'first',
  'target',
  'differences',
  'pending',
  'reference',
  'state',
  'text',
] as const;
type Field = (typeof FIELDS)[number];
const F = Object.fromEntries(FIELDS.map((name, number) => [name, number])) as Readonly<Record<Field, number>>;

const fieldNames = new ByteNames(FIELDS);
const keyName = new ByteNames(['key']);
const mutationNames = new ByteNames(['writer', 'counter']);
const reasons = new ByteNames([
  'base',
  'record',
  'root',
  'heartbeat',
  'attach',
  'full-sync',
  'periodic',
  'mismatch',
  'checkpoint',
  'connected',
  'minority',
  'split',
  'merging',
  'healed',
]);
export const REASONS = reasons.texts;
const levels = new ByteNames(['debug', 'info', 'warn', 'error', 'armed', 'struck', 'cleared']);
export const LEVELS = levels.texts;

export const ABSENT = 0xffff;
const FIELDS_GUESSED = 12;
/** What a name says in a record. */
const ROLE = { peer: 0, sender: 1, type: 2 } as const;
const ROLES = 3;
/** Whose record it is stands before its kind; several of one replica come in a row. */
const WHOSE = TRACE_KINDS.length * ROLES;

/**
 * The figures of one trace record, read straight from its bytes into fields that are used again for the
 * next one. Numbers of replicas and message types come from the tables given.
 */
export class Envelope {
  readonly replicas: ByteNames;
  readonly types: ByteNames;
  readonly causes: number[] = [];
  /** Hashes of the keys that the record changes. */
  readonly keys: number[] = [];
  seq = 0;
  time = 0;
  replica = 0;
  kind = 0;
  frame = 0;
  hasWire = false;
  peer = ABSENT;
  sender = ABSENT;
  type = ABSENT;
  sequence = 0;
  version = 0;
  from = 0;
  hasHash = false;
  high = 0;
  low = 0;
  /** 1 agrees, 0 does not, -1 is not said. */
  agrees = -1;
  count = 0;
  first = 0;
  counter = 0;
  writer = ABSENT;
  reason = -1;
  level = 0;
  /** A log that only carries inputs. */
  hasInputs = false;
  pending = 0;
  readonly #cursor = new MsgpackCursor();
  readonly #nameGuesses = new Int32Array(WHOSE + 1).fill(-1);
  readonly #guesses = new Int8Array(TRACE_KINDS.length * FIELDS_GUESSED).fill(-1);

  constructor(replicas: ByteNames, types: ByteNames) {
    this.replicas = replicas;
    this.types = types;
  }

  /** @throws SyncError `RECORD_MALFORMED` */
  read(bytes: Uint8Array, offset: number, length: number): void {
    const cursor = this.#cursor;
    cursor.reset(bytes, offset, offset + length);
    if (cursor.array() !== 8) cursor.fail('an array of 8');
    this.seq = cursor.uint();
    this.time = cursor.uint();
    this.replica = this.#name(this.replicas, WHOSE);
    this.kind = cursor.uint();
    if (this.kind >= TRACE_KINDS.length) cursor.fail('a known kind');
    this.causes.length = 0;
    for (let left = cursor.array(); left > 0; left--) this.causes.push(cursor.uint());
    this.hasWire = !cursor.takeNil();
    this.frame = this.hasWire ? cursor.binary() : 0;
    if (!cursor.takeNil()) cursor.skip();
    this.#readBody();
    if (cursor.offset !== cursor.end) cursor.fail('the end of the record');
  }

  #readBody(): void {
    this.peer = ABSENT;
    this.sender = ABSENT;
    this.type = ABSENT;
    this.writer = ABSENT;
    this.sequence = 0;
    this.version = 0;
    this.from = 0;
    this.hasHash = false;
    this.high = 0;
    this.low = 0;
    this.agrees = -1;
    this.count = 0;
    this.first = 0;
    this.counter = 0;
    this.reason = -1;
    this.level = 0;
    this.hasInputs = false;
    this.pending = 0;
    this.keys.length = 0;
    const cursor = this.#cursor;
    const count = cursor.map();
    for (let at = 0; at < count; at++) {
      const nameLength = cursor.stringBytes();
      this.#readField(this.#fieldOf(at, cursor.offset - nameLength, nameLength));
    }
  }

  /** Records of a kind have their fields in the same order, nearly always, so that of the record before is tried first. */
  #fieldOf(at: number, offset: number, length: number): number {
    const { bytes } = this.#cursor;
    const slot = this.kind * FIELDS_GUESSED + Math.min(at, FIELDS_GUESSED - 1);
    const guess = this.#guesses[slot]!;
    if (guess >= 0 && fieldNames.is(guess, bytes, offset, length)) return guess;
    const field = fieldNames.find(bytes, offset, length);
    this.#guesses[slot] = field;
    return field;
  }

  #readField(field: number): void {
    const cursor = this.#cursor;
    switch (field) {
      case F.from:
        if (isString(cursor.peek())) this.peer = this.#name(this.replicas, this.kind * ROLES + ROLE.peer);
        else this.from = cursor.uint();
        return;
      case F.to:
        if (isString(cursor.peek())) this.peer = this.#name(this.replicas, this.kind * ROLES + ROLE.peer);
        else if (this.kind !== KIND.mismatch) this.version = cursor.uint();
        else cursor.skip();
        return;
      case F.against:
      case F.target:
        if (isString(cursor.peek())) this.peer = this.#name(this.replicas, this.kind * ROLES + ROLE.peer);
        else cursor.skip();
        return;
      case F.sender:
        this.sender = this.#name(this.replicas, this.kind * ROLES + ROLE.sender);
        return;
      case F.type:
        this.type = this.#name(this.types, this.kind * ROLES + ROLE.type);
        return;
      case F.sequence:
        this.sequence = cursor.uint();
        return;
      case F.version:
        this.version = cursor.uint();
        return;
      case F.first:
        this.first = cursor.uint();
        return;
      case F.count:
        this.count = cursor.uint();
        return;
      case F.root:
      case F.own:
        this.#readHash();
        return;
      case F.agrees:
        this.agrees = readBoolean(cursor);
        return;
      case F.mutation:
        this.#readMutation();
        return;
      case F.changes:
      case F.differences:
        this.#readKeys();
        return;
      case F.pending:
        this.pending = cursor.array();
        for (let left = this.pending; left > 0; left--) cursor.skip();
        return;
      case F.reason:
        this.reason = this.#find(reasons);
        return;
      case F.state:
        if (this.kind === KIND.partition) this.reason = this.#find(reasons);
        else cursor.skip();
        return;
      case F.phase:
      case F.level:
        this.level = this.#find(levels);
        return;
      case F.text:
        this.#readText();
        return;
      default:
        cursor.skip();
    }
  }

  /** A name in a role of a kind is mostly the one that stood there in the last such record. */
  #name(names: ByteNames, slot: number): number {
    const cursor = this.#cursor;
    const length = cursor.stringBytes();
    const guess = this.#nameGuesses[slot]!;
    if (guess >= 0 && names.is(guess, cursor.bytes, cursor.offset - length, length)) return guess;
    const id = names.intern(cursor.bytes, cursor.offset - length, length);
    if (id >= ABSENT) cursor.fail(`at most ${ABSENT} different names`);
    this.#nameGuesses[slot] = id;
    return id;
  }

  #find(names: ByteNames): number {
    const length = this.#cursor.stringBytes();
    return names.find(this.#cursor.bytes, this.#cursor.offset - length, length);
  }

  #readText(): void {
    const cursor = this.#cursor;
    const length = cursor.stringBytes();
    this.hasInputs = this.kind === KIND.log && areInputsBytes(cursor.bytes, cursor.offset - length, length);
  }

  #readHash(): void {
    const cursor = this.#cursor;
    const length = cursor.stringBytes();
    if (length !== 16) cursor.fail('a hash of 16 hex digits');
    const at = cursor.offset - 16;
    this.high = hexWord(cursor.bytes, at);
    this.low = hexWord(cursor.bytes, at + 8);
    this.hasHash = true;
  }

  #readMutation(): void {
    const cursor = this.#cursor;
    if (cursor.takeNil()) return;
    for (let left = cursor.map(); left > 0; left--) {
      const field = this.#find(mutationNames);
      if (field === 0) this.writer = this.#name(this.replicas, this.kind * ROLES + ROLE.sender);
      else if (field === 1) this.counter = cursor.uint();
      else cursor.skip();
    }
  }

  /** An array of maps that each have a `key`. */
  #readKeys(): void {
    const cursor = this.#cursor;
    for (let left = cursor.array(); left > 0; left--) {
      for (let fields = cursor.map(); fields > 0; fields--) {
        const name = cursor.stringBytes();
        if (!keyName.is(0, cursor.bytes, cursor.offset - name, name)) cursor.skip();
        else {
          const length = cursor.stringBytes();
          this.keys.push(hashBytes(cursor.bytes, cursor.offset - length, length));
        }
      }
    }
  }
}

function isString(tag: number): boolean {
  return (tag >= 0xa0 && tag < 0xc0) || (tag >= 0xd9 && tag <= 0xdb);
}

function readBoolean(cursor: MsgpackCursor): number {
  const value = cursor.boolean();
  if (value === undefined) cursor.skip();
  return value === undefined ? -1 : value ? 1 : 0;
}

function hexWord(bytes: Uint8Array, offset: number): number {
  let word = 0;
  for (let index = offset; index < offset + 8; index++) {
    const code = bytes[index]!;
    word = (word << 4) | (code < 58 ? code - 48 : code - 87);
  }
  return word >>> 0;
}

export function hashOf(high: number, low: number): string {
  return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
}
