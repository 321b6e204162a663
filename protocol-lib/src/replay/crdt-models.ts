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
  /** By collection: all types join records under one key by themselves. */
  readonly #joined = new Map<string, JoinedState>();
  #text: RGA<string> | undefined;
  #list: ReturnType<typeof RGA.list> | undefined;
  #set: AddWinsSet | undefined;

  constructor(entries: readonly (readonly [RecordKey, SyncRecord])[]) {
    this.#join(entries, 'the first state');
  }

  apply({ entries, data, writer, counter }: CapturedOperation): void {
    const name = `${writer}:${counter}`;
    if (data) this.#operate(data, name);
    else this.#join(entries, name);
  }

  root(): StateRoot {
    const roots = [...this.#joined.values()].map((one) => one.root());
    if (this.#text) roots.push(recordsOfState(this.#text.state(), 'text'));
    if (this.#list) roots.push(recordsOfState(this.#list.state(), 'list'));
    if (this.#set) roots.push(this.#set.root());
    return StateRoot.from(roots.flatMap((one) => [...one.entries()]));
  }

  #join(entries: readonly (readonly [RecordKey, SyncRecord])[], name: string): void {
    for (const [key, record] of entries) {
      const collection = key.slice(0, key.lastIndexOf('/'));
      const known = this.#joined.get(collection) ?? joinedOf(collection, record);
      if (!known) throw unknown(`the record ${key} of ${name}`);
      this.#joined.set(collection, known);
      known.apply([[key, record]]);
    }
  }

  #operate(data: Uint8Array, name: string): void {
    const text = parsed(() => decodeOperation(data));
    if (text) {
      const isList = text.op === 'insert' ? typeof text.content !== 'string' : this.#list !== undefined;
      const { outcome } = isList ? this.#asList().apply(text) : this.#asText().apply(text);
      if (outcome === 'overflow') throw unknown(`${name}, whose causes are not in the capture`);
      return;
    }
    const operation = parsed(() => addWinsOperationSchema.parse(unpackMsgpack(data), name));
    if (!operation) throw unknown(name);
    this.#set ??= new AddWinsSet('set', OBSERVER);
    this.#set.apply(operation);
  }

  #asText(): RGA<string> {
    this.#text ??= RGA.text(OBSERVER);
    return this.#text;
  }

  #asList(): ReturnType<typeof RGA.list> {
    this.#list ??= RGA.list(OBSERVER);
    return this.#list;
  }
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
