import type { ReplicaId } from '../state/index.ts';
import type { TraceBodyOf, TraceRecord, VectorEntries } from '../trace/index.ts';
import type { Finding, Forgotten, RecordRef } from './finding.ts';
import type { Frames } from './frames.ts';
import { Recent } from './recent.ts';
import type { Trail } from './trail.ts';

const KEPT_OPERATIONS = 65_536;
const MAX_FINDINGS = 1_000;

/** Operations of replicated data types: which replica took which, and whether it counts one that it never got. */
export class Operations {
  readonly #frames: Frames;
  /** Operations that a replica took in its present life, by replica, type and number. */
  readonly #taken = new Recent<string, RecordRef>('operations', KEPT_OPERATIONS);
  readonly #lives = new Map<ReplicaId, number>();
  /** What each counted of each writer after its last operation; nothing after it joined a whole state. */
  readonly #counted = new Map<string, Map<ReplicaId, number>>();
  /** By type and writer, the last operation that anybody took in; and by replica the same. */
  readonly #highest = new Map<string, Map<ReplicaId, number>>();
  /** What each was told that others count: who says so and has the same state is believed. */
  readonly #heard = new Map<ReplicaId, Map<ReplicaId, number>>();
  /** Replicas that joined a whole state: what its sender held without counting it came along. */
  readonly #joined = new Set<string>();
  readonly #findings: Finding[] = [];
  #lost = 0;

  constructor(frames: Frames) {
    this.#frames = frames;
  }

  /** A replica began anew, or took in more than operations tell. */
  reset(replica: ReplicaId, isNewLife: boolean): void {
    if (isNewLife) this.#lives.set(replica, (this.#lives.get(replica) ?? 0) + 1);
    for (const key of [...this.#counted.keys()]) {
      if (!key.startsWith(`${replica} `)) continue;
      this.#counted.delete(key);
      if (isNewLife) this.#highest.delete(key);
      this.#joined.add(key);
    }
  }

  take(record: TraceRecord, body: TraceBodyOf<'operation'>, ref: RecordRef, trail: Trail): void {
    const { replica } = record;
    const place = `${replica} ${this.#lives.get(replica) ?? 0} ${body.crdt}`;
    const own = `${place} ${body.writer}:${body.counter}`;
    const before = this.#taken.get(own);
    this.#taken.set(own, ref);
    for (const name of [`${replica} ${body.crdt}`, body.crdt]) {
      const highest = this.#highest.get(name) ?? new Map<ReplicaId, number>();
      highest.set(body.writer, Math.max(body.counter, highest.get(body.writer) ?? 0));
      this.#highest.set(name, highest);
    }
    if (before && body.origin === 'remote') this.#add(this.#twice(record, body, ref, trail, before));
    const key = `${replica} ${body.crdt}`;
    const counted = this.#counted.get(key);
    this.#counted.set(key, new Map(body.vector.map((entry) => [entry.replica, entry.counter])));
    for (const { replica: writer, counter } of counted ? body.vector : []) {
      for (let number = (counted!.get(writer) ?? 0) + 1; number <= counter; number++) {
        if (writer === replica || this.#taken.get(`${place} ${writer}:${number}`)) continue;
        if ((this.#heard.get(replica)?.get(writer) ?? 0) >= number) continue;
        this.#missing(record, body, ref, trail, writer, number);
      }
    }
  }

  /** A replica was told what another counts. */
  heard(replica: ReplicaId, vector: VectorEntries): void {
    const heard = this.#heard.get(replica) ?? new Map<ReplicaId, number>();
    for (const { replica: writer, counter } of vector) heard.set(writer, Math.max(counter, heard.get(writer) ?? 0));
    this.#heard.set(replica, heard);
  }

  /**
   * Whether a replica's vector says all that its state has in it: an operation that comes before its predecessors takes effect and is
   * counted once they are there.
   */
  isCountedWhole(replica: ReplicaId, { crdt, vector }: TraceBodyOf<'operation'>): boolean {
    const key = `${replica} ${crdt}`;
    const counted = new Map(vector.map((entry) => [entry.replica, entry.counter]));
    const covers = (name: string) =>
      [...(this.#highest.get(name) ?? [])].every(([writer, counter]) => (counted.get(writer) ?? 0) >= counter);
    if (covers(crdt)) this.#joined.delete(key);
    return !this.#joined.has(key) && covers(key);
  }

  findings(): readonly Finding[] {
    return this.#findings;
  }

  get forgotten(): Forgotten[] {
    return [this.#taken.forgotten, { memory: 'findings', kept: MAX_FINDINGS, forgotten: this.#lost }];
  }

  #twice(
    record: TraceRecord,
    body: TraceBodyOf<'operation'>,
    ref: RecordRef,
    trail: Trail,
    before: RecordRef,
  ): Finding {
    const id = `${body.writer}:${body.counter}`;
    const cause = this.#frames.received(record.cause[0])?.ref ?? ref;
    return {
      ...{ class: 'duplicated', replica: record.replica, against: body.writer, version: trail.version },
      ...{ time: record.time, cause, detected: ref, confidence: 'high', differences: [] },
      reason: 'an operation counts once, and this replica took the same one in twice',
      evidence: [
        { text: `${record.replica} took in ${id}.`, record: before },
        { text: 'It came again.', record: cause },
        { text: `${record.replica} took in ${id} a second time.`, record: ref },
      ],
      confirm: 'send one operation twice: the second must be passed over',
    };
  }

  /** The vector counts an operation that was never taken in. */
  #missing(
    record: TraceRecord,
    body: TraceBodyOf<'operation'>,
    ref: RecordRef,
    trail: Trail,
    writer: ReplicaId,
    counter: number,
  ): void {
    const { replica } = record;
    const sent = this.#frames.lastTo(replica, (frame) => {
      if (frame.type !== 'OPERATION' || frame.from !== writer) return false;
      const message = this.#frames.message(frame.wire, writer);
      return message?.type === 'OPERATION' && message.crdt === body.crdt && message.counter === counter;
    });
    if (!sent || sent.receipts.length > 0) return;
    const id = `${writer}:${counter}`;
    this.#add({
      ...{ class: 'lost', replica, against: writer, version: trail.version, time: record.time },
      ...{ cause: sent.ref, detected: ref, confidence: 'high', differences: [] },
      reason: 'its vector counts an operation that was sent and never received, and no whole state came in its place',
      evidence: [
        { text: `${writer} sent ${replica} its operation ${id}, and it was never received.`, record: sent.ref },
        { text: `${replica} counts ${id} as seen.`, record: ref },
      ],
      confirm: 'look at how the replica counts operations that come before their predecessors',
    });
  }

  #add(finding: Finding): void {
    if (this.#findings.length < MAX_FINDINGS) this.#findings.push(finding);
    else this.#lost++;
  }
}
