import { unpackMsgpack } from '../bytes/index.ts';
import {
  AddWinsSet,
  addWinsOperationSchema,
  CallState,
  decodeOperation,
  GCounter,
  LWWElementSet,
  PNCounter,
  RGA,
  recordsOfState,
  stateOfRecords,
} from '../crdt/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import { StateRoot } from '../merkle/index.ts';
import type { JoinedState } from '../peers/index.ts';
import { type RecordKey, type ReplicaId, replicaId, type SyncRecord } from '../state/index.ts';

/** An operation of a replicated data type as a capture has it. */
export interface CapturedOperation {
  readonly crdt: string;
  readonly writer: ReplicaId;
  readonly counter: number;
  readonly detail: string;
  /** What it changed at its writer, as records to join. */
  readonly entries: readonly (readonly [RecordKey, SyncRecord])[];
  /** The operation itself, where its type tells it so. */
  readonly data?: Uint8Array;
}

/** A replica of a replicated data type that operations are put into. */
export interface CrdtInstance {
  /** @throws SyncError where it cannot take this now */
  apply(operation: CapturedOperation): void;
  root(): StateRoot;
}

/** Makes a replica with what there was at the beginning of the capture. */
export type CrdtModel = (entries: readonly (readonly [RecordKey, SyncRecord])[]) => CrdtInstance;

/** Nobody's: it only joins. */
const OBSERVER = replicaId('observer');

/** The types of this library, told apart by what their records and operations look like. */
export const libraryModel: CrdtModel = (entries) => new LibraryInstance(entries);

class LibraryInstance implements CrdtInstance {
  /** What there was, by collection; it is looked at where an operation is about it. */
  readonly #begun = new Map<string, (readonly [RecordKey, SyncRecord])[]>();
  /** By collection: all types join records under one key by themselves. */
  readonly #joined = new Map<string, JoinedState>();
  /** By the name of the operations, which is that of their records. */
  readonly #texts = new Map<string, RGA<string>>();
  readonly #lists = new Map<string, ReturnType<typeof RGA.list>>();
  readonly #sets = new Map<string, AddWinsSet>();

  constructor(entries: readonly (readonly [RecordKey, SyncRecord])[]) {
    for (const entry of entries) {
      const collection = collectionOf(entry[0]);
      const known = this.#begun.get(collection);
      if (known) known.push(entry);
      else this.#begun.set(collection, [entry]);
    }
  }

  apply({ crdt, entries, data, writer, counter }: CapturedOperation): void {
    const name = `${writer}:${counter}`;
    if (data) this.#operate(crdt, data, name);
    else this.#join(entries, name);
  }

  root(): StateRoot {
    const roots = [...this.#joined.values(), ...this.#sets.values()].map((one) => one.root());
    for (const [name, text] of [...this.#texts, ...this.#lists]) roots.push(recordsOfState(text.state(), name));
    return StateRoot.from(roots.flatMap((one) => [...one.entries()]));
  }

  #join(entries: readonly (readonly [RecordKey, SyncRecord])[], name: string): void {
    for (const [key, record] of entries) {
      const collection = collectionOf(key);
      const known = this.#joined.get(collection) ?? joinedOf(collection, record);
      if (!known) throw unknown(`the record ${key} of ${name}`);
      if (!this.#joined.has(collection)) known.apply(this.#begun.get(collection) ?? []);
      this.#joined.set(collection, known);
      known.apply([[key, record]]);
    }
  }

  #operate(crdt: string, data: Uint8Array, name: string): void {
    const text = parsed(() => decodeOperation(data));
    if (text) {
      const isList = text.op === 'insert' ? typeof text.content !== 'string' : this.#lists.has(crdt);
      const { outcome } = isList ? this.#listOf(crdt).apply(text) : this.#textOf(crdt).apply(text);
      if (outcome === 'overflow') throw unknown(`${name}, whose causes are not in the capture`);
      return;
    }
    const operation = parsed(() => addWinsOperationSchema.parse(unpackMsgpack(data), name));
    if (!operation) throw unknown(name);
    const set = this.#sets.get(crdt) ?? new AddWinsSet(crdt, OBSERVER, this.#rootOf(crdt));
    this.#sets.set(crdt, set);
    set.apply(operation);
  }

  #textOf(name: string): RGA<string> {
    return this.#sequenceOf(this.#texts, name, () => RGA.text(OBSERVER));
  }

  #listOf(name: string): ReturnType<typeof RGA.list> {
    return this.#sequenceOf(this.#lists, name, () => RGA.list(OBSERVER));
  }

  /** The sequence of that name, made with what there was of it. */
  #sequenceOf<T extends Pick<RGA, 'merge'>>(known: Map<string, T>, name: string, make: () => T): T {
    const there = known.get(name);
    if (there) return there;
    const made = make();
    const root = this.#rootOf(name);
    if (root.size > 0) made.merge(stateOfRecords(root, name));
    known.set(name, made);
    return made;
  }

  /** What there was of one type, whose records all begin with its name. */
  #rootOf(name: string): StateRoot {
    const own = [...this.#begun].filter(([collection]) => collection === name || collection.startsWith(`${name}/`));
    return StateRoot.from(own.flatMap(([, entries]) => entries));
  }
}

function collectionOf(key: RecordKey): string {
  return key.slice(0, key.lastIndexOf('/'));
}

/** The type whose records look like this one. */
function joinedOf(collection: string, record: SyncRecord): JoinedState | undefined {
  if ('decrements' in record) return new PNCounter(collection, OBSERVER);
  if ('increments' in record) return new GCounter(collection, OBSERVER);
  if ('payload' in record) return new LWWElementSet(collection);
  if ('joined' in record || 'ended' in record) return new CallState(collection);
  return undefined;
}

function parsed<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isSyncError(error)) return undefined;
    throw error;
  }
}

function unknown(what: string): SyncError {
  const text = `${what} is of no replicated data type of this library: give the app's own as a model, by the name that its operations have`;
  return new SyncError('CONVERGE_UNKNOWN', text, { origin: 'capture' });
}
