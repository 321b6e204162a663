import { SyncError } from '../errors/index.ts';
import { type RecordKey, type ReplicaId, recordKey, replicaId } from '../state/index.ts';

/** Limits of one sender's table. What does not fit is written out in full each time. */
export const MAX_NAMES = 65_535;
export const MAX_NAME_LENGTH = 256;
/** UTF-16 units of all names together. */
export const MAX_NAMES_LENGTH = 2 * 1024 * 1024;
/** How much one table takes: names, and UTF-16 units of all of them together. */
export interface NameLimits {
  readonly names: number;
  readonly units: number;
}

const NAME_LIMITS: NameLimits = { names: MAX_NAMES, units: MAX_NAMES_LENGTH };

/** Names in one NAMES frame. */
export const NAMES_PER_FRAME = 8_192;

/** Gives the number of a name; the name itself where it has none and gets none. */
export interface NameSink {
  reference(name: string): number | string;
  /** Its number where it has one already, else -1: gives none. */
  numberOf(name: string): number;
}

/** Gives the name of a number. */
export interface NameSource {
  nameAt(index: number): string | undefined;
  /** The name as a record key, where it is known to be one: saves checking it each time it is met. */
  keyAt?(index: number): RecordKey | undefined;
  /** The name as a replica, likewise. @throws SyncError `REPLICA_INVALID` where it is none */
  replicaAt?(index: number): ReplicaId | undefined;
}

/** For frames whose fields refer to no names. */
export const noNames: NameSink & NameSource = {
  reference: (name) => name,
  numberOf: () => -1,
  nameAt: () => undefined,
};

/**
 * The names that one sender refers to by number: record keys, field names and replicas. It only ever grows, so a
 * number once given keeps its meaning for as long as the sender lives.
 */
export class NameTable implements NameSink, NameSource {
  readonly #names: string[] = [];
  readonly #numbers = new Map<string, number>();
  /** Those names that were found to be record keys, in their places. */
  readonly #keys: (RecordKey | undefined)[] = [];
  /** Those that were found to be replicas. */
  readonly #replicas = new Map<number, ReplicaId>();
  readonly #limits: NameLimits;
  #units = 0;
  #isSealed = false;

  /** Of as much as any sender may announce, unless a receiver allows less. */
  constructor(limits: NameLimits = NAME_LIMITS) {
    this.#limits = limits;
  }

  get length(): number {
    return this.#names.length;
  }

  nameAt(index: number): string | undefined {
    return this.#names[index];
  }

  keyAt(index: number): RecordKey | undefined {
    const known = this.#keys[index];
    if (known !== undefined) return known;
    const name = this.#names[index];
    if (name === undefined || !isRecordKey(name)) return undefined;
    this.#keys[index] = name;
    return name;
  }

  replicaAt(index: number): ReplicaId | undefined {
    const known = this.#replicas.get(index);
    if (known !== undefined) return known;
    const name = this.#names[index];
    if (name === undefined) return undefined;
    const replica = replicaId(name);
    this.#replicas.set(index, replica);
    return replica;
  }

  numberOf(name: string): number {
    return this.#numbers.get(name) ?? -1;
  }

  reference(name: string): number | string {
    const known = this.numberOf(name);
    if (known >= 0) return known;
    if (!this.#fits(name)) return name;
    this.#push(name);
    return this.#names.length - 1;
  }

  /**
   * Takes over names that a sender announced. All or nothing.
   * @throws SyncError `NAMES_OUT_OF_ORDER` where `first` is not the next number, `NAMES_LIMIT` where the table is full
   */
  append(first: number, names: readonly string[]): void {
    if (first !== this.#names.length) {
      throw new SyncError('NAMES_OUT_OF_ORDER', `names from ${first} on, but ${this.#names.length} are known`, {
        origin: 'protocol',
        retry: 'now',
        place: { path: 'NAMES/first' },
      });
    }
    const units = names.reduce((sum, name) => sum + name.length, this.#units);
    const { names: most, units: longest } = this.#limits;
    if (first + names.length > most || units > longest) {
      throw new SyncError('NAMES_LIMIT', `more than ${most} names or ${longest} characters of them`, {
        origin: 'protocol',
        place: { path: 'NAMES/names' },
      });
    }
    for (const name of names) this.#push(name);
  }

  /** From now on a name that is not in the table stays out of it and is written out in full: receivers share the table, and may not all see the same. */
  seal(): void {
    this.#isSealed = true;
  }

  /** The names from `first` on. */
  slice(first: number, end?: number): string[] {
    return this.#names.slice(first, end);
  }

  #fits(name: string): boolean {
    if (this.#isSealed) return false;
    const { names, units } = this.#limits;
    const isFull = this.#names.length >= names || this.#units + name.length > units;
    // A name that has no bytes would spoil every NAMES frame after it.
    return !isFull && name.length <= MAX_NAME_LENGTH && name.isWellFormed();
  }

  #push(name: string): void {
    this.#numbers.set(name, this.#names.length);
    this.#names.push(name);
    this.#units += name.length;
  }
}

function isRecordKey(name: string): name is RecordKey {
  try {
    return recordKey(name) === name;
  } catch {
    return false;
  }
}

/**
 * The tables of all senders of a capture, rebuilt from its `names` records alone. The same names may be told again, by the sender or by
 * any receiver; where a sender started anew and a number changed its name, the table continues from there.
 */
export class NameTables {
  readonly #senders = new Map<ReplicaId, string[]>();

  /** @throws SyncError `NAMES_OUT_OF_ORDER` where names before `first` are missing; nothing changes then */
  add(sender: ReplicaId, first: number, names: readonly string[]): void {
    const table = this.#senders.get(sender) ?? [];
    if (first > table.length) {
      throw new SyncError(
        'NAMES_OUT_OF_ORDER',
        `names of ${sender} from ${first} on, but only ${table.length} are known`,
        { origin: 'capture' },
      );
    }
    const changed = names.findIndex((name, index) => table[first + index] !== name);
    if (changed !== -1) table.splice(first + changed, Number.POSITIVE_INFINITY, ...names.slice(changed));
    this.#senders.set(sender, table);
  }

  /** The names of one sender; an empty source where none are known. */
  of(sender: string): NameSource {
    const table = this.#senders.get(sender as ReplicaId);
    return table ? { nameAt: (index) => table[index] } : noNames;
  }

  /** Every table, for keeping and for {@link add}. */
  *entries(): Iterable<readonly [ReplicaId, readonly string[]]> {
    for (const [sender, names] of this.#senders) yield [sender, names.slice()];
  }

  clone(): NameTables {
    const copy = new NameTables();
    for (const [sender, names] of this.#senders) copy.#senders.set(sender, names.slice());
    return copy;
  }
}
