import { type VectorEntry, VersionVector } from '../clock/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { VectorEntries } from '../trace/index.ts';
import type { CaptureIndex, ReplicaIndex } from './capture-index.ts';
import type { VectorMatrix } from './query.ts';
import type { Standing } from './standing.ts';
import type { RecordReader } from './store.ts';
import { orderedReplicas } from './windows.ts';

/**
 * Which replica has seen how much of which other at a position. A row starts from the last vector that
 * the replica told, and takes in what the authority had decided by the version that it has reached since,
 * and its own mutations that it has predicted.
 */
export async function vectorsAt(index: CaptureIndex, records: RecordReader, position: number): Promise<VectorMatrix> {
  const standings = index.standingsAt(position);
  const rows: { replica: ReplicaId; vector: VersionVector | undefined }[] = [];
  for (const replica of orderedReplicas(index)) {
    if (replica.first > position) continue;
    const number = index.replicaNames.findText(replica.id);
    const standing = standings[number];
    rows.push({
      replica: replica.id,
      vector: standing && (await vectorOf(index, records, replica, number, standing, position)),
    });
  }
  const writers = writersOf(rows);
  const concurrent: [ReplicaId, ReplicaId][] = [];
  for (let left = 0; left < rows.length; left++) {
    for (let right = left + 1; right < rows.length; right++) {
      const a = rows[left]!;
      const b = rows[right]!;
      if (a.vector && b.vector && a.vector.compare(b.vector) === 'concurrent') concurrent.push([a.replica, b.replica]);
    }
  }
  return {
    replicas: rows.map((row) => row.replica),
    writers,
    cells: rows.map(({ vector }) => writers.map((writer) => (vector ? vector.get(writer) : -1))),
    concurrent,
    vectors: rows.map(({ replica, vector }) => ({ replica, vector: vector ? vector.entries() : [] })),
  };
}

async function vectorOf(
  index: CaptureIndex,
  records: RecordReader,
  replica: ReplicaIndex,
  number: number,
  standing: Standing,
  position: number,
): Promise<VersionVector | undefined> {
  const told = await toldVector(records, replica, position);
  if (!told) return undefined;
  const seen = new Map<ReplicaId, number>(told.map((one) => [one.replica, one.counter]));
  takeDecided(index, seen, standing.version, position);
  for (const one of standing.pending) {
    if (one.writer === number) raise(seen, replica.id, one.counter);
  }
  const entries = Array.from(seen, ([id, counter]): VectorEntry => ({ replica: id, counter }));
  return VersionVector.from(entries);
}

/** The last vector that the replica told itself. */
async function toldVector(
  records: RecordReader,
  replica: ReplicaIndex,
  position: number,
): Promise<VectorEntries | undefined> {
  const toldAt = replica.vectors.lastAtOrBelow(position);
  if (toldAt < 0) return replica.vectorAtStart;
  const { body } = await records.read(toldAt);
  return body.kind === 'vector' || body.kind === 'snapshot' ? body.vector : undefined;
}

/** Takes in the authority's decisions up to a version. */
function takeDecided(index: CaptureIndex, seen: Map<ReplicaId, number>, version: number, position: number): void {
  const { positions, versions, writers, counters } = index.decided;
  const limit = positions.countBelow(position + 1);
  // Versions rise with positions, so counting from the newest that is not above, each writer's first is its highest.
  const found = new Set<number>();
  for (let at = limit - 1; at >= 0 && found.size < index.replicas.length; at--) {
    if (versions.at(at) > version) continue;
    const writer = writers.at(at);
    if (found.has(writer)) continue;
    found.add(writer);
    raise(seen, index.nameOf(writer), counters.at(at));
    if (limit - at > LOOK_BACK) break;
  }
}

/** A writer that has been silent for this many decisions is as its row's last told vector says. */
const LOOK_BACK = 100_000;

function raise(seen: Map<ReplicaId, number>, id: ReplicaId, counter: number): void {
  if (counter > (seen.get(id) ?? 0)) seen.set(id, counter);
}

function writersOf(rows: readonly { readonly vector: VersionVector | undefined }[]): ReplicaId[] {
  const writers = new Set<ReplicaId>();
  for (const { vector } of rows) for (const entry of vector?.entries() ?? []) writers.add(entry.replica);
  return [...writers].sort();
}
