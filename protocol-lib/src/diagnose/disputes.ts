import type { ReplicaId } from '../state/index.ts';
import type { Finding, Proof, RecordRef } from './finding.ts';

/** Replicas that made two things of the same. Which of them is wrong the single dispute need not show; all of them together may. */
export interface Dispute {
  /** Whether what was held against each other are answers to one question, each of which is a fault of its own. */
  readonly isOfAnswers: boolean;
  /** Whether a group had decided that it is one state. */
  readonly isOfVersion?: boolean;
  /** Whether it only says that two differ: what another dispute of them says is said instead. */
  readonly isPlain?: boolean;
  /** Position of the record that showed it. */
  readonly position: number;
  /** The frame of the one that the other found to be wrong, where it was that. */
  readonly receipt?: RecordRef | undefined;
  /** Who stands against whom. */
  readonly pairs: ReadonlyArray<readonly [ReplicaId, ReplicaId]>;
  /** What is to be said of it where it is known who is wrong, and where it is not. */
  finding(wrong: ReplicaId | undefined): Finding;
}

/** A replica that decides by another rule than all others do. */
export interface Skew {
  readonly replica: ReplicaId;
  readonly text: string;
  /** Where it first did. */
  readonly first: RecordRef;
  readonly evidence: readonly Proof[];
}

/** Answers of a skewed replica that are listed as evidence. */
const MAX_EVIDENCE = 12;

/**
 * Who is wrong is who stands against most; of two against each other, who decides by another rule than everybody else. What one was wrong in before
 * anything else is the cause of all: the others follow from it.
 *
 * @param skews replicas that decide by another rule
 */
export function settleDisputes(disputes: readonly Dispute[], skews: readonly Skew[]): Finding[] {
  let open = disputes.toSorted((a, b) => a.position - b.position);
  const findings: Finding[] = [];
  /** Who stood against one that was wrong: some of them took over what it had. */
  const involved = new Set<ReplicaId>();
  while (open.length > 0) {
    const [first] = open;
    const wrong = wrongIn(first!, open, skews);
    const parties = wrong === undefined ? first!.pairs.flat() : [wrong];
    const related = open.filter((one) => one.pairs.some((pair) => pair.some((party) => parties.includes(party))));
    const telling = related.filter(({ isPlain }) => !isPlain);
    const own = telling.length > 0 ? telling : related;
    const skew = skews.find(({ replica }) => replica === wrong);
    if (wrong !== undefined) {
      findings.push(...decided(own, wrong, skew));
      for (const one of own.flatMap(({ pairs }) => pairs.flat())) if (one !== wrong) involved.add(one);
    } else findings.push(...undecided(own.filter((one) => !followsFrom(one, involved))));
    open = open.filter((one) => !related.includes(one));
  }
  return findings;
}

/** Whether two that took over things from one that was wrong differ, and nothing else shows why. */
function followsFrom({ isOfAnswers, pairs }: Dispute, involved: ReadonlySet<ReplicaId>): boolean {
  return !isOfAnswers && pairs.every((pair) => pair.every((one) => involved.has(one)));
}

function wrongIn(first: Dispute, all: readonly Dispute[], skews: readonly Skew[]): ReplicaId | undefined {
  const against = new Map(first.pairs.flat().map((one) => [one, new Set<ReplicaId>()]));
  for (const [left, right] of all.flatMap(({ pairs }) => pairs)) {
    against.get(left)?.add(right);
    against.get(right)?.add(left);
  }
  const [most, next] = [...against].sort(([, a], [, b]) => b.size - a.size);
  if (most && most[1].size > (next?.[1].size ?? 0)) return most[0];
  const skewed = skews.filter(({ replica }) => against.has(replica));
  return skewed.length === 1 ? skewed[0]!.replica : undefined;
}

function undecided(own: readonly Dispute[]): Finding[] {
  return own.filter((one, at) => at === 0 || one.isOfAnswers).map((one) => one.finding(undefined));
}

/** One finding for what came first, and one for each other question that was answered otherwise by no rule. */
function decided(own: readonly Dispute[], wrong: ReplicaId, skew: Skew | undefined): Finding[] {
  const all = own.map((dispute) => ({ dispute, finding: dispute.finding(wrong) }));
  // What was refused after an answer was seen to be wrong came of that; by a rule of its own it was wrong from before that.
  const answered = Math.min(...own.filter(({ isOfAnswers }) => isOfAnswers).map(({ position }) => position));
  const telling = skew ? all : all.filter(({ dispute }) => dispute.isOfAnswers || dispute.position < answered);
  const first = telling.reduce((best, one) => (one.finding.cause.position < best.finding.cause.position ? one : best));
  const rest = skew ? [] : all.filter((one) => one !== first && one.dispute.isOfAnswers);
  const finding = noticedAt(skew ? bySkew(first.finding, skew) : first.finding, all);
  return [finding, ...rest.map((one) => one.finding)];
}

function bySkew(finding: Finding, { text, first, evidence }: Skew): Finding {
  const cause = first.position < finding.cause.position ? first : finding.cause;
  return {
    ...finding,
    ...{ class: 'conflict-resolved-differently', cause, confidence: 'high', reason: text },
    evidence: [...finding.evidence, ...evidence].slice(0, MAX_EVIDENCE),
  };
}

/** The first record behind the cause that showed it. */
function noticedAt(finding: Finding, all: ReadonlyArray<{ readonly finding: Finding }>): Finding {
  const noticed = all.map((one) => one.finding).filter(({ detected }) => detected.position >= finding.cause.position);
  const first = noticed.reduce((best, one) => (one.detected.position < best.detected.position ? one : best), finding);
  return { ...finding, detected: first.detected, time: first.time };
}
