import { VersionVector, vectorEntriesSchema } from '@syncscope/protocol/clock';
import { waitingSchema } from '@syncscope/protocol/conflict';
import { sameRecord } from '@syncscope/protocol/merkle';
import type { Change, ReplicaId, SyncRecord } from '@syncscope/protocol/state';
import { emitSends, type Tap, type TraceBody } from '@syncscope/protocol/trace';
import { operationIn, TEXT, TEXT_VECTOR } from './board-text.ts';

/**
 * Tells, beside what the session's parts report, what it means on the board: an `operation` for each writer whose text a replica has made or taken
 * in, and a `conflict` where somebody has decided one.
 */
export function boardTap(tap: Tap): Tap {
  /** What each replica had of the text. */
  const vectors = new Map<ReplicaId, VersionVector>();
  const follow = (replica: ReplicaId, body: TraceBody, seq: number): void => {
    if (body.kind === 'snapshot') {
      const record = body.records.find(({ key }) => key === TEXT_VECTOR)?.record;
      const vector = vectorOf(record);
      if (vector) vectors.set(replica, vector);
    }
    if (body.kind === 'prediction') {
      const vector = vectorIn(body.changes);
      if (vector)
        tell(tap, { replica, origin: 'local', writer: replica, vector, data: operationIn(body.changes) }, seq);
    }
    if (body.kind !== 'commit' && body.kind !== 'apply') return;
    const after = vectorIn(body.changes);
    if (after) {
      const before = vectors.get(replica) ?? VersionVector.empty;
      vectors.set(replica, after);
      for (const { replica: writer, counter } of after.entries()) {
        // What it wrote itself was told when it did.
        if (counter <= before.get(writer) || writer === replica) continue;
        const isOne = body.kind === 'commit' && body.mutation?.writer === writer;
        tell(
          tap,
          { replica, origin: 'remote', writer, vector: after, data: isOne ? operationIn(body.changes) : undefined },
          seq,
        );
      }
    }
    if (body.kind === 'commit' && body.event.type === 'CONFLICT_DECIDED') tellDecided(tap, replica, body.changes, seq);
  };
  return {
    get isOpen() {
      return tap.isOpen;
    },
    emit(replica, body, cause, wire, source) {
      const seq = tap.emit(replica, body, cause, wire, source);
      if (seq > 0) follow(replica, body, seq);
      return seq;
    },
    emitSends: (sends, cause, wire) => emitSends(tap, sends, cause, wire),
  };
}

interface Told {
  readonly replica: ReplicaId;
  readonly origin: 'local' | 'remote';
  readonly writer: ReplicaId;
  /** What the replica had of the text after it. */
  readonly vector: VersionVector;
  /** The operation, where it is one and known. */
  readonly data: Uint8Array | undefined;
}

function tell(tap: Tap, { replica, origin, writer, vector, data }: Told, seq: number): void {
  const counter = vector.get(writer);
  const detail = origin === 'local' ? 'typed here' : `up to ${counter} of ${writer}`;
  const told = { crdt: TEXT, origin, writer, counter, vector: vector.entries(), detail };
  tap.emit(replica, { kind: 'operation', ...told, ...(data ? { data } : {}) }, [seq]);
}

function tellDecided(tap: Tap, replica: ReplicaId, changes: readonly Change[], seq: number): void {
  for (const change of changes) {
    if (change.op !== 'put' || !change.key.startsWith('conflict/')) continue;
    const { key, unit, base, sides, by, chosen } = waitingSchema.parse(change.record, change.key);
    const told = sides.map(({ writer, value }) => ({ writer, record: value }));
    const winner = sides.find(({ value }) => chosen !== null && sameRecord(value, chosen))?.writer ?? null;
    const reason = `${by} has decided`;
    const body = { policy: 'human', state: 'decided', base, sides: told, result: chosen, winner, reason } as const;
    tap.emit(replica, { kind: 'conflict', key, field: unit.slice(0, 256), ...body }, [seq]);
  }
}

function vectorIn(changes: readonly Change[]): VersionVector | undefined {
  const change = changes.find(({ key }) => key === TEXT_VECTOR);
  return change && change.op !== 'remove' ? vectorOf(change.op === 'put' ? change.record : change.fields) : undefined;
}

function vectorOf(record: SyncRecord | undefined): VersionVector | undefined {
  return record?.entries === undefined
    ? undefined
    : VersionVector.from(vectorEntriesSchema.parse(record.entries, 'vector'));
}
