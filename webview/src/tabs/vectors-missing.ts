import type { CaptureQuery, Row } from '@syncscope/protocol/capture';
import type { ReplicaId } from '@syncscope/protocol/state';
import type { MutationId, TraceRecord } from '@syncscope/protocol/trace';
import { findRows } from '../app/rows.ts';

/** A mutation that a replica lacks, and the record in the capture that shows what it was. */
export interface MissingMutation {
  readonly counter: number;
  /** The authority's commit where it was accepted, else the writer's prediction. */
  readonly row: Row;
}

export interface MissingMutations {
  /** Newest first. */
  readonly found: readonly MissingMutation[];
  /** How many more there are than were looked up. */
  readonly more: number;
}

/** Most mutations that are looked up for one cell. */
const SHOWN_MAX = 12;
/** Most rows that are read while looking for them. */
const READ_MAX = 120;
const PAGE = 30;

/**
 * Looks up mutations `from` to `to` of a writer at or before a position, newest first: reads the last
 * predictions and commits and takes those that carry such a mutation.
 */
export async function findMissing(
  query: CaptureQuery,
  writer: ReplicaId,
  from: number,
  to: number,
  position: number,
  signal: AbortSignal,
): Promise<MissingMutations> {
  const least = Math.max(from, to - SHOWN_MAX + 1);
  const found = new Map<number, MissingMutation>();
  for (const filter of [`kind:prediction replica:${writer}`, 'kind:commit']) {
    // A commit says what came of a mutation, so it takes the place of the prediction.
    for (const one of await searchBack(query, filter, writer, least, to, position, signal)) found.set(one.counter, one);
  }
  return {
    found: [...found.values()].sort((a, b) => b.counter - a.counter),
    more: Math.max(0, least - from),
  };
}

async function searchBack(
  query: CaptureQuery,
  filter: string,
  writer: ReplicaId,
  from: number,
  to: number,
  position: number,
  signal: AbortSignal,
): Promise<MissingMutation[]> {
  const found: MissingMutation[] = [];
  let end = await query.rowIndex(filter, position + 1, signal);
  for (let read = 0; read < READ_MAX && end > 0; read += PAGE) {
    const start = Math.max(0, end - PAGE);
    const rows = await findRows(query, filter, start, end - start, signal);
    const details = await Promise.all(rows.map((row) => query.record(row.position)));
    for (const { record, row } of details) {
      const mutation = mutationOf(record);
      if (mutation?.writer === writer && mutation.counter >= from && mutation.counter <= to) {
        found.push({ counter: mutation.counter, row });
      }
    }
    // Counters of one writer rise, so the first one is the last that can be found.
    if (found.some((one) => one.counter === from)) break;
    end = start;
  }
  return found;
}

function mutationOf({ body }: TraceRecord): MutationId | undefined {
  return body.kind === 'prediction' || body.kind === 'commit' ? body.mutation : undefined;
}
