import type { OpenCapture } from '../capture/index.ts';
import { VersionVector } from '../clock/index.ts';
import type { Mutation } from '../conflict/index.ts';
import { isSyncError } from '../errors/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { decodeMessage, noNames } from '../messages/index.ts';
import type { Change, RecordKey, ReplicaId, SyncRecord, Version } from '../state/index.ts';
import type { MutationId, TraceBodyOf, TraceRecord } from '../trace/index.ts';
import type { CapturedOperation } from './crdt-models.ts';

/** One committed mutation as an operation that could have been ordered otherwise. */
export interface Operation {
  readonly seq: number;
  readonly version: Version;
  readonly mutation: MutationId;
  readonly event: string;
  readonly changes: readonly Change[];
  /** The version that its writer had seen when it was made: it comes after all up to there. */
  readonly seen: Version;
}

/** A local operation of a replicated data type. */
export interface CrdtOperation extends CapturedOperation {
  readonly seq: number;
  /** What its writer had seen, itself included. */
  readonly vector: VersionVector;
}

/** A mutation of a peer, whole as it was sent. */
export interface PeerMutation {
  readonly seq: number;
  readonly mutation: Mutation;
}

type Entry = readonly [RecordKey, SyncRecord];

/** Everything in a capture that could have come in another order. */
export interface CapturedOperations {
  /** Undefined where the authority's first state is not there. */
  readonly initial: StateRoot | undefined;
  readonly commits: readonly Operation[];
  readonly crdt: readonly CrdtOperation[];
  /** What each replica had when it first told, before any operation; where there is an authority, what that had. */
  readonly begun: readonly (readonly Entry[])[];
  readonly peers: readonly PeerMutation[];
  /** Everybody who is a peer. */
  readonly members: readonly ReplicaId[];
}

export function idOf({ writer, counter }: MutationId): string {
  return `${writer}:${counter}`;
}

export async function operationsOf(capture: OpenCapture): Promise<CapturedOperations> {
  const { header } = await capture.info();
  const collected = new Collected();
  for await (const { record } of capture.trace()) collected.take(record, header.authority);
  return collected;
}

class Collected implements CapturedOperations {
  initial: StateRoot | undefined;
  readonly commits: Operation[] = [];
  readonly crdt: CrdtOperation[] = [];
  readonly begun: Entry[][] = [];
  readonly peers: PeerMutation[] = [];
  readonly members: ReplicaId[] = [];
  readonly #predictedOn = new Map<string, Version>();
  readonly #told = new Set<string>();
  /** Operations by the `seq` of their records, until the `apply` comes that says what they changed. */
  readonly #open = new Map<number, CrdtOperation>();
  readonly #known = new Set<string>();
  /** Of predictions and commits, by `seq`. */
  readonly #mutationOf = new Map<number, MutationId>();
  /** The operation that each mutation carries, as its writer made it last. */
  readonly #made = new Map<string, CrdtOperation>();

  take(record: TraceRecord, authority: string | null): void {
    const { body, replica, seq } = record;
    switch (body.kind) {
      case 'replica':
        if (body.role === 'peer' && !this.members.includes(replica)) this.members.push(replica);
        return;
      case 'prediction':
        this.#predictedOn.set(idOf(body.mutation), body.version);
        this.#mutationOf.set(seq, body.mutation);
        return;
      case 'snapshot':
        this.#snapshot(record, body, authority);
        return;
      case 'commit':
        if (body.mutation) this.#mutationOf.set(seq, body.mutation);
        if (replica === authority) this.#commit(seq, body);
        return;
      case 'operation':
        if (body.origin === 'local' || replica === authority) this.#operation(record, body);
        return;
      case 'confirmation':
        this.#settled(body.mutation);
        return;
      case 'apply':
        this.#changed(record, body);
        return;
      case 'send':
        if (body.type === 'PEER_CHANGES' && record.wire) this.#mutations(seq, record.wire);
        return;
      default:
    }
  }

  #snapshot({ replica }: TraceRecord, body: TraceBodyOf<'snapshot'>, authority: string | null): void {
    const entries = body.records.map(({ key, record }) => [key, record] as const);
    if (replica === authority && this.commits.length === 0) this.initial = StateRoot.from(entries);
    // What is told later has operations of the capture in it.
    if (this.#told.has(replica) || this.crdt.length > 0 || (authority !== null && replica !== authority)) return;
    this.#told.add(replica);
    this.begun.push(entries);
  }

  #commit(seq: number, { version, mutation, changes, event }: TraceBodyOf<'commit'>): void {
    if (!this.initial || !mutation) return;
    // What an authority does itself it does on all that there is.
    const seen = this.#predictedOn.get(idOf(mutation)) ?? version - 1;
    this.commits.push({ seq, version, mutation, event: event.type, changes, seen });
  }

  #operation({ seq, cause }: TraceRecord, body: TraceBodyOf<'operation'>): void {
    const { crdt, writer, counter, vector, detail, data, origin } = body;
    const told = { seq, crdt, writer, counter, vector: VersionVector.from(vector), detail, entries: [] };
    const mutation = cause[0] === undefined ? undefined : this.#mutationOf.get(cause[0]);
    if (!data) {
      if (origin === 'local') this.#open.set(seq, told);
      return;
    }
    if (!mutation) {
      if (origin === 'local') this.crdt.push({ ...told, data });
      return;
    }
    // Made in a mutation, it counts once that is settled: one that is refused never was.
    const id = idOf(mutation);
    if (origin === 'local' || !this.#made.has(id)) this.#made.set(id, { ...told, data });
    if (origin === 'remote') this.#settled(mutation);
  }

  #settled(mutation: MutationId): void {
    const id = idOf(mutation);
    const operation = this.#made.get(id);
    if (!operation || this.#known.has(`operation ${id}`)) return;
    this.#known.add(`operation ${id}`);
    this.crdt.push(operation);
  }

  #changed({ cause }: TraceRecord, { changes }: TraceBodyOf<'apply'>): void {
    const [first] = cause;
    const operation = first === undefined ? undefined : this.#open.get(first);
    if (!operation || first === undefined) return;
    this.#open.delete(first);
    const entries = changes.flatMap((one) => (one.op === 'put' ? [[one.key, one.record] as const] : []));
    this.crdt.push({ ...operation, entries });
  }

  #mutations(seq: number, wire: Uint8Array): void {
    for (const mutation of mutationsIn(wire)) {
      if (this.#known.has(idOf(mutation))) continue;
      this.#known.add(idOf(mutation));
      this.peers.push({ seq, mutation });
    }
  }
}

/** Peers write all names out; what cannot be read is nothing to put in order. */
function mutationsIn(wire: Uint8Array): readonly Mutation[] {
  try {
    const message = decodeMessage(wire, noNames);
    return message.type === 'PEER_CHANGES' ? message.mutations : [];
  } catch (error) {
    if (isSyncError(error)) return [];
    throw error;
  }
}
