import { CompactReader, ValueReader } from '../bytes/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';

/**
 * The compact form of what makes up nearly all bytes of a session: changes, records and vectors. Each is one msgpack `bin` of
 * integers in groups of seven bits (`CompactReader.uint`, signed ones zigzagged) and text behind its length:
 *
 *     changes = *run
 *     records = *run                                ; op put only
 *     run     = 4 · rows + op, [fields, types], [removed], *row       ; put 0, patch 1, patch and remove 2, remove 3; a row at least
 *     fields  = count, *name                        ; not in remove
 *     types   = *byte                               ; one a field
 *     removed = count, *name                        ; in patch and remove only
 *     row     = key, *value                         ; a value for each field, none in remove
 *     name    = 0, text / its number in the sender's table + 1
 *     key     = 0, text / zigzag(its number - the number of the key before in this bin, 0 at first) + 1
 *     vector  = *(name, counter)
 *
 * Read here step by step, with the bytes of every part, for whoever wants to know what is wrong or what lies where;
 * `direct-decode.ts` reads the same at once.
 */

export const WIRE_OP = { put: 0, patch: 1, patchAndRemove: 2, remove: 3 } as const;

/**
 * What all values of a field are within a run. `value`: a msgpack value. `int`: zigzagged, from -2^52 to 2^52 - 1. `text`: text.
 * `again`: 0 and a text, which from then on is the next of this field in this run, or the number of such a one, from 1.
 */
export const COLUMN = { value: 0, int: 1, text: 2, again: 3 } as const;

/** UTF-16 units of all texts of one bin that are only referred to: each is hashed where it stands, however short it is said. */
export const AGAIN_LIMIT = 16 * 1024 * 1024;

/** Containers around a value when it is written: its record. */
export const VALUE_DEPTH = 1;

/** Something read, and its bytes. */
export interface Part<T> {
  readonly value: T;
  readonly offset: number;
  readonly end: number;
}

/** A number where it refers to the sender's table, text where it is written out. */
export type NamePart = Part<number | string>;

export interface RowPart {
  readonly key: NamePart;
  readonly values: readonly Part<unknown>[];
}

export interface RunPart {
  readonly op: number;
  readonly offset: number;
  /** Of the head: operation and number of rows. */
  readonly headEnd: number;
  readonly fields: readonly NamePart[];
  readonly types: Part<readonly number[]>;
  readonly removed: readonly NamePart[];
  readonly rows: readonly RowPart[];
  readonly end: number;
}

export interface VectorPart {
  readonly replica: NamePart;
  readonly counter: Part<number>;
}

/** @throws SyncError `SCHEMA_MISMATCH` at `path`, with the offset in `bytes`; `LIMIT_NODES` */
export function readRuns(bytes: Uint8Array, path: string): RunPart[] {
  return placed(path, () => new RunReader(bytes).runs());
}

/** @throws SyncError as {@link readRuns} */
export function readVector(bytes: Uint8Array, path: string): VectorPart[] {
  return placed(path, () => {
    const reader = new CompactReader(bytes);
    const entries: VectorPart[] = [];
    while (reader.left > 0) entries.push({ replica: readName(reader), counter: readPart(reader, () => reader.uint()) });
    return entries;
  });
}

function placed<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!isSyncError(error)) throw error;
    const isLimit = error.code.startsWith('LIMIT_') || error.code === 'FIELD_RESERVED';
    throw new SyncError(isLimit ? error.code : 'SCHEMA_MISMATCH', `${path}: ${error.message}`, {
      origin: 'protocol',
      place: { path, ...(error.place.offset === undefined ? {} : { offset: error.place.offset }) },
      cause: error,
    });
  }
}

function readPart<T>(reader: CompactReader, read: () => T): Part<T> {
  const offset = reader.offset;
  const value = read();
  return { value, offset, end: reader.offset };
}

function readName(reader: CompactReader): NamePart {
  return readPart(reader, () => {
    const number = reader.uint();
    return number === 0 ? reader.text() : number - 1;
  });
}

class RunReader {
  readonly #reader: CompactReader;
  readonly #values: ValueReader;
  /** The number of the last key that had one. */
  #key = 0;
  /** Units of texts that were referred to. */
  #repeated = 0;

  constructor(bytes: Uint8Array) {
    this.#reader = new CompactReader(bytes);
    this.#values = new ValueReader(bytes);
  }

  runs(): RunPart[] {
    const runs: RunPart[] = [];
    while (this.#reader.left > 0) runs.push(this.#run());
    return runs;
  }

  #run(): RunPart {
    const reader = this.#reader;
    const { offset } = reader;
    const head = reader.uint();
    const op = head % 4;
    const count = Math.floor(head / 4);
    if (count === 0) reader.invalid('a run without rows', offset);
    const headEnd = reader.offset;
    const fields = op === WIRE_OP.remove ? [] : this.#names();
    const types = readPart(reader, () => fields.map(() => this.#type()));
    const removed = op === WIRE_OP.patchAndRemove ? this.#names() : [];
    const values = count * (fields.length + 1);
    // Each value takes a byte at least, so that a count that lies is found before anything is done for it.
    if (values > reader.left) reader.invalid(`${count} rows declared, ${reader.left} bytes left`, offset);
    // What goes is said once, and done in each row.
    this.#values.count(offset, values + count * removed.length);
    const columns = types.value.map((type) => ({ type, seen: [] as string[] }));
    const rows = Array.from({ length: count }, () => {
      const key = this.#keyName();
      return { key, values: columns.map(({ type, seen }) => readPart(reader, () => this.#value(type, seen))) };
    });
    return { op, offset, headEnd, fields, types, removed, rows, end: reader.offset };
  }

  #names(): NamePart[] {
    const reader = this.#reader;
    return Array.from({ length: reader.count() }, () => readName(reader));
  }

  #type(): number {
    const [type] = this.#reader.bytes(1);
    if (type! > COLUMN.again) this.#reader.invalid(`${type} is no type of values`, this.#reader.offset - 1);
    return type!;
  }

  #keyName(): NamePart {
    const reader = this.#reader;
    return readPart(reader, () => {
      const step = reader.uint();
      if (step === 0) return reader.text();
      const difference = step % 2 === 1 ? (step - 1) / 2 : -step / 2;
      this.#key += difference;
      return this.#key;
    });
  }

  #value(type: number, seen: string[]): unknown {
    const reader = this.#reader;
    switch (type) {
      case COLUMN.int:
        return reader.int();
      case COLUMN.text:
        return reader.text();
      case COLUMN.again: {
        const { offset } = reader;
        const number = reader.uint();
        if (number === 0) seen.push(reader.text());
        else if (number > seen.length) reader.invalid(`${number} of ${seen.length} texts`, offset);
        else this.#repeated += seen[number - 1]!.length;
        if (this.#repeated > AGAIN_LIMIT) reader.invalid(`more than ${AGAIN_LIMIT} characters come again`, offset);
        return number === 0 ? seen.at(-1) : seen[number - 1];
      }
      default: {
        const value = this.#values.read(reader.offset);
        reader.bytes(this.#values.end - reader.offset);
        return value;
      }
    }
  }
}
