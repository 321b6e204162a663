import { compareHybrid, DEFAULT_MAX_DRIFT, type HybridStamp } from '../clock/index.ts';
import { idOf, type Mutation, stampOf } from '../conflict/index.ts';
import type { TraceBodyOf, TraceHeader, TraceRecord } from '../trace/index.ts';
import { differencesBetween, tried, wrongValue } from './differences.ts';
import type { Finding, Forgotten, RecordRef } from './finding.ts';
import type { Frames } from './frames.ts';
import { Recent } from './recent.ts';
import type { Trails } from './trails.ts';

const KEPT_STAMPS = 16_384;
const MAX_FINDINGS = 1_000;
const NANOSECONDS = 1_000_000;

/** A mutation of a session without an authority, as the frames tell of it. */
export interface ToldMutation {
  readonly mutation: Mutation;
  /** Where its writer made it, or where it was first sent. */
  readonly made: RecordRef;
  readonly time: number;
}

/** Mutations with their hybrid stamps: whether a clock let an older write win, or stood where no other's does. */
export class Stamps {
  readonly #trails: Trails;
  readonly #frames: Frames;
  /** Wall time at trace time 0, in milliseconds. */
  readonly #startedAt: number;
  readonly #mutations = new Recent<string, ToldMutation>('stamps', KEPT_STAMPS);
  readonly #findings = new Map<string, Finding>();

  constructor({ startedAt }: Pick<TraceHeader, 'startedAt'>, trails: Trails, frames: Frames) {
    this.#startedAt = startedAt;
    this.#trails = trails;
    this.#frames = frames;
  }

  /** Those of late, newest first. */
  latest(): ToldMutation[] {
    return [...this.#mutations.values()].reverse();
  }

  get(id: string): ToldMutation | undefined {
    return this.#mutations.get(id);
  }

  sent(record: TraceRecord, body: TraceBodyOf<'send'>, ref: RecordRef, made: RecordRef | undefined): void {
    if (body.type !== 'PEER_CHANGES') return;
    const message = this.#frames.message(record.wire, body.sender);
    if (message?.type !== 'PEER_CHANGES') return;
    for (const mutation of message.mutations) {
      const id = idOf(mutation);
      if (this.#mutations.get(id)) continue;
      const isOwn = mutation.writer === record.replica && message.mutations.length === 1;
      const told = { mutation, made: (isOwn ? made : undefined) ?? ref, time: record.time };
      this.#checkOrder(told, record, ref);
      this.#mutations.set(id, told);
    }
  }

  /** Somebody refused mutations since their stamps are too far ahead: of the session's time, or of its own clock. */
  refused(record: TraceRecord, body: TraceBodyOf<'refused'>, ref: RecordRef): void {
    if (body.code !== 'CLOCK_TOO_FAR_AHEAD') return;
    const message = this.#frames.message(record.wire, body.from);
    if (message?.type !== 'PEER_CHANGES') return;
    const now = this.#startedAt + record.time / NANOSECONDS;
    const ahead = message.mutations.filter(({ time }) => time - now > DEFAULT_MAX_DRIFT);
    const first = ahead.find((one) => this.#mutations.get(idOf(one))) ?? ahead[0];
    if (first) this.#add(`ahead ${first.writer}`, this.#farAhead(first, now, record, ref));
    else if (message.mutations.length > 0) {
      this.#add(`behind ${record.replica}`, this.#farBehind(message.mutations[0]!, now, record, ref));
    }
  }

  findings(): Finding[] {
    return [...this.#findings.values()];
  }

  get forgotten(): Forgotten {
    return this.#mutations.forgotten;
  }

  /** A stamp must be later than those of all that its writer had seen: otherwise what it overrides wins. */
  #checkOrder(told: ToldMutation, record: TraceRecord, ref: RecordRef): void {
    const { mutation } = told;
    const entries = [...mutation.seen, { replica: mutation.writer, counter: mutation.counter - 1 }];
    const seen = entries
      .map(({ replica, counter }) => this.#mutations.get(`${replica}:${counter}`))
      .filter((one) => one !== undefined);
    const later = seen.filter((one) => compareHybrid(stampOf(mutation), stampOf(one.mutation)) <= 0);
    const latest = later.toSorted((a, b) => compareHybrid(stampOf(b.mutation), stampOf(a.mutation)))[0];
    if (!latest) return;
    const { writer } = mutation;
    const { root, version } = this.#trails.of(writer);
    const differences = root ? differencesBetween(root, tried(root, mutation.changes)) : [];
    this.#add(`order ${writer}`, {
      ...{ class: 'clock', replica: writer, against: latest.mutation.writer, version, time: record.time },
      ...{ cause: told.made, detected: ref, confidence: 'high', differences, ...wrongValue(differences) },
      reason: 'both stamps are in the capture, and that of the later write is the earlier one',
      evidence: [
        { text: `${writer} made ${idOf(mutation)}, stamped ${stampText(stampOf(mutation))}.`, record: told.made },
        {
          text: `It had seen ${idOf(latest.mutation)}, stamped ${stampText(stampOf(latest.mutation))}: the older write counts as the last.`,
          record: latest.made,
        },
      ],
      confirm: `look at how ${writer} makes its stamps: a hybrid clock never goes back, a wall clock may`,
    });
  }

  #farAhead(mutation: Mutation, now: number, record: TraceRecord, ref: RecordRef): Finding {
    const { writer } = mutation;
    const told = this.#mutations.get(idOf(mutation));
    const cause = told?.made ?? ref;
    const ahead = Math.round(mutation.time - now);
    return {
      ...{ class: 'clock', replica: writer, against: record.replica, version: this.#trails.of(writer).version },
      ...{ time: record.time, cause, detected: ref, confidence: 'high', differences: [] },
      reason: `its stamp is ${ahead} ms ahead of the session’s own time, and ${DEFAULT_MAX_DRIFT} ms are allowed`,
      evidence: [
        { text: `${writer} made ${idOf(mutation)}, stamped ${stampText(stampOf(mutation))}.`, record: cause },
        { text: `${record.replica} refused it.`, record: ref },
      ],
      confirm: `compare the clock of ${writer} with those of the others`,
    };
  }

  #farBehind(mutation: Mutation, now: number, record: TraceRecord, ref: RecordRef): Finding {
    const { replica } = record;
    return {
      ...{ class: 'clock', replica, against: mutation.writer, version: this.#trails.of(replica).version },
      ...{ time: record.time, cause: ref, detected: ref, confidence: 'medium', differences: [] },
      reason: `it refused a stamp that is ${Math.round(Math.abs(now - mutation.time))} ms from the session’s own time`,
      evidence: [
        { text: `${replica} took ${stampText(stampOf(mutation))} for too far ahead.`, record: ref },
        ...(this.#mutations.get(idOf(mutation))
          ? [{ text: 'It was made here.', record: this.#mutations.get(idOf(mutation))!.made }]
          : []),
      ],
      confirm: `compare the clock of ${replica} with those of the others: it is behind them`,
    };
  }

  /** One finding for what a clock does again and again. */
  #add(key: string, finding: Finding): void {
    if (this.#findings.has(key) || this.#findings.size >= MAX_FINDINGS) return;
    this.#findings.set(key, finding);
  }
}

function stampText({ time, count, replica }: HybridStamp): string {
  return `${time}.${count} of ${replica}`;
}
