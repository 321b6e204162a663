import type { ReplicaId, Version } from '../state/index.ts';
import type { TraceRecord } from '../trace/index.ts';
import { wrongValue } from './differences.ts';
import type { Because, Finding, Forgotten, NoDivergence, RecordRef } from './finding.ts';
import type { Trail } from './trail.ts';

/** What arrives late matters to a judgement, but not what comes so many records after. */
const SETTLED_AFTER = 8_192;
/** Cases that wait for that at once; each holds the states of late. */
const MAX_WAITING = 256;
const MAX_LISTED = 10_000;

export type Judged = Omit<Finding, 'replica' | 'against' | 'version' | 'time' | 'detected' | 'value' | 'repaired'>;

interface Case {
  readonly finding: Pick<Finding, 'replica' | 'against' | 'version' | 'time' | 'detected'>;
  judge: (() => Judged) | undefined;
  judged: Judged | undefined;
  repaired?: RecordRef;
}

/** What a case is opened with, behind the record. */
type OpeningOf<T> = T extends (record: TraceRecord, ...opening: infer R) => unknown ? R : never;

interface Refused {
  readonly told: NoDivergence;
  judge: (() => Because | undefined) | undefined;
  because?: Because;
}

/** Divergences that were noticed, at most one of a replica at a time: what follows from the first is no finding of its own. */
export class Cases {
  readonly #cases: Case[] = [];
  readonly #refused: Refused[] = [];
  readonly #open = new Map<ReplicaId, Case>();
  /** What was told of a replica while its open case rests on less: it is the case where that turns out to be none. */
  readonly #behind = new Map<ReplicaId, Case>();
  /** Cases that ended with the last record of their replica that told its state. */
  readonly #closed = new Map<ReplicaId, Case>();
  #settledCases = 0;
  #settledRefusals = 0;
  #lostCases = 0;
  #lostVerdicts = 0;

  /** Answers whether there was none of this replica yet. */
  open(
    record: TraceRecord,
    detected: RecordRef,
    trail: Trail,
    where: { readonly version: Version; readonly against: ReplicaId },
    judge: () => Judged,
  ): boolean {
    if (this.#open.has(trail.id)) return false;
    this.#open.set(trail.id, this.#add(record, detected, trail, where, judge));
    return true;
  }

  /** Something was told of a replica of which a case is open that may turn out to be none. */
  behind({ time }: TraceRecord, ...[detected, trail, where, judge]: OpeningOf<Cases['open']>): void {
    if (!this.#open.has(trail.id) || this.#behind.has(trail.id)) return;
    this.#behind.set(trail.id, caseOf(time, detected, trail, where, judge));
  }

  /** Something happened to a replica that says nothing of what it holds from then on. */
  happened(...[record, detected, trail, where, judge]: Parameters<Cases['open']>): void {
    this.#add(record, detected, trail, where, judge);
  }

  isOpen({ id }: Trail): boolean {
    return this.#open.has(id);
  }

  #add(...[{ time }, detected, trail, where, judge]: Parameters<Cases['open']>): Case {
    return this.#list(caseOf(time, detected, trail, where, judge));
  }

  #list(one: Case): Case {
    if (this.#cases.length < MAX_LISTED) this.#cases.push(one);
    else this.#lostCases++;
    return one;
  }

  /** Changes what is said of the open case of a replica, once that is known. */
  amend(trail: Trail, change: (judged: Judged) => Judged): void {
    const one = this.#open.get(trail.id);
    if (!one) return;
    const { judge } = one;
    if (judge) one.judge = () => change(judge());
    else if (one.judged) one.judged = change(one.judged);
  }

  /** The open case of a replica turned out to be none. */
  dismiss(trail: Trail): void {
    const one = this.#open.get(trail.id);
    if (!one) return;
    this.#open.delete(trail.id);
    const at = this.#cases.indexOf(one);
    if (at >= 0) this.#cases.splice(at, 1);
    if (at >= 0 && at < this.#settledCases) this.#settledCases--;
    const behind = this.#behind.get(trail.id);
    this.#behind.delete(trail.id);
    if (behind) this.#open.set(trail.id, this.#list(behind));
  }

  /** The replica is right again, by this record or by the repair right after. */
  agreed(trail: Trail, ref: RecordRef, isRepair: boolean): void {
    const closed = this.#closed.get(trail.id);
    this.#closed.delete(trail.id);
    if (isRepair && closed) closed.repaired = ref;
    const one = this.#open.get(trail.id);
    if (!one) return;
    one.repaired = ref;
    trail.agreedAgain = ref.position;
    this.#open.delete(trail.id);
    this.#behind.delete(trail.id);
    if (!isRepair) this.#closed.set(trail.id, one);
  }

  /** The replica told anew what it has, right or not: what happens to it from then on is another case. */
  ended(trail: Trail): void {
    this.#open.delete(trail.id);
    this.#behind.delete(trail.id);
  }

  verdict(told: NoDivergence, judge?: () => Because | undefined): void {
    if (this.#refused.length < MAX_LISTED) this.#refused.push({ told, judge });
    else this.#lostVerdicts++;
  }

  /** Judges what is old enough, so that nothing is held for it any longer. */
  settle(position: number): void {
    for (; this.#settledCases < this.#cases.length; this.#settledCases++) {
      const one = this.#cases[this.#settledCases]!;
      const isCrowded = this.#cases.length - this.#settledCases > MAX_WAITING;
      if (!isCrowded && position - one.finding.detected.position < SETTLED_AFTER) break;
      judge(one);
    }
    for (; this.#settledRefusals < this.#refused.length; this.#settledRefusals++) {
      const one = this.#refused[this.#settledRefusals]!;
      const isCrowded = this.#refused.length - this.#settledRefusals > MAX_WAITING;
      if (!isCrowded && position - one.told.record.position < SETTLED_AFTER) break;
      settleRefusal(one);
    }
  }

  findings(): Finding[] {
    return this.#cases.map((one) => {
      const judged = judge(one);
      const { repaired } = one;
      return { ...one.finding, ...(repaired ? { repaired } : {}), ...judged, ...wrongValue(judged.differences) };
    });
  }

  verdicts(): NoDivergence[] {
    return this.#refused.map((one) => {
      settleRefusal(one);
      return { ...one.told, ...(one.because ? { because: one.because } : {}) };
    });
  }

  get forgotten(): Forgotten[] {
    return [
      { memory: 'findings', kept: MAX_LISTED, forgotten: this.#lostCases },
      { memory: 'verdicts', kept: MAX_LISTED, forgotten: this.#lostVerdicts },
    ];
  }
}

function caseOf(time: number, ...[detected, trail, where, judge]: OpeningOf<Cases['open']>): Case {
  return { finding: { replica: trail.id, ...where, time, detected }, judge, judged: undefined };
}

function judge(one: Case): Judged {
  const judged = one.judged ?? one.judge!();
  one.judged = judged;
  one.judge = undefined;
  return judged;
}

function settleRefusal(one: Refused): void {
  const because = one.judge?.();
  one.judge = undefined;
  if (because) one.because = because;
}
