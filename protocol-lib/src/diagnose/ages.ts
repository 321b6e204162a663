import type { ReplicaId } from '../state/index.ts';
import type { TraceBodyOf, TraceRecord } from '../trace/index.ts';
import type { Finding, RecordRef } from './finding.ts';
import type { Trail } from './trail.ts';

/** An age that is told may be off by what a clock is set, by a drift, or by records that are on their way. */
const TOLERATED_NANOSECONDS = 2_000_000_000;
/** A clock that is set makes one age wrong; one that is compared with another makes all of them wrong. */
const TIMES = 3;
/** So many later mutations were answered in time while a stall stood that is said to be over by then. */
const ANSWERED = 5;

interface Misjudged {
  readonly ref: RecordRef;
  readonly time: number;
  readonly told: number;
  readonly age: number;
  readonly pending: RecordRef;
  /** Mutations made since that were answered while it stood. */
  answered: number;
}

/** Ages of mutations that wait, as replicas tell them, against those that the trace gives. */
export class Ages {
  readonly #misjudged = new Map<ReplicaId, Misjudged[]>();
  readonly #standing = new Map<ReplicaId, Misjudged>();

  take(record: TraceRecord, body: TraceBodyOf<'health'>, ref: RecordRef, trail: Trail): void {
    if (record.replica !== body.target) return;
    if (body.state === 'recovered') this.#standing.delete(record.replica);
    const oldest = trail.pending.values().next().value;
    if (body.state === 'recovered' || !body.stalls.includes('pending')) return;
    // One that was only told of, since it was made before the first record, may be the oldest wherever it stands.
    const isKnown = trail.isPendingKnown && [...trail.pending.values()].every(({ isAged }) => isAged);
    if (!oldest || !isKnown) return;
    const age = record.time - oldest.time;
    if (body.oldestPending - age < TOLERATED_NANOSECONDS || body.oldestPending < 2 * age) return;
    const known = this.#misjudged.get(record.replica) ?? [];
    if (known.length >= TIMES) return;
    const one = { ref, time: record.time, told: body.oldestPending, age, pending: oldest.ref, answered: 0 };
    known.push(one);
    this.#misjudged.set(record.replica, known);
    this.#standing.set(record.replica, one);
  }

  /** A mutation was answered. */
  answered(replica: ReplicaId, made: RecordRef): void {
    const standing = this.#standing.get(replica);
    if (standing && made.position > standing.ref.position) standing.answered++;
  }

  findings(versionOf: (replica: ReplicaId) => number, authority: ReplicaId | undefined): Finding[] {
    return [...this.#misjudged].flatMap(([replica, misjudged]) => {
      const [first] = misjudged;
      const stands = misjudged.some(({ answered }) => answered >= ANSWERED);
      if (!first || (misjudged.length < TIMES && !stands)) return [];
      return {
        ...{ class: 'clock', replica, against: authority ?? replica, version: versionOf(replica), time: first.time },
        ...{ cause: first.ref, detected: first.ref, confidence: 'high', differences: [] },
        reason: `it takes what waits for older than it is again and again; the trace has one clock for both ends`,
        evidence: misjudged.flatMap(({ ref, told, age, pending }) => [
          { text: `It was made here, ${millis(age)} ms before.`, record: pending },
          { text: `${replica} says that it waits for ${millis(told)} ms.`, record: ref },
        ]),
        confirm: 'look at which clock each of the two times comes from: they must be one',
      } satisfies Finding;
    });
  }
}

function millis(nanoseconds: number): string {
  return Math.round(nanoseconds / 1_000_000).toLocaleString('en-US');
}
