import { canonicalBytes } from '../bytes/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { TraceBodyOf, TraceRecord } from '../trace/index.ts';
import { differenceIn, wrongValue } from './differences.ts';
import type { Dispute, Skew } from './disputes.ts';
import type { Finding, Forgotten, RecordRef } from './finding.ts';
import { Recent } from './recent.ts';

const KEPT_CONFLICTS = 10_000;
const KEPT_UNITS = 1_024;
const MAX_FINDINGS = 1_000;
/** Answers to one question that are held against each other. */
const MAX_ANSWERS = 64;

/** Where a replica first decided on a field by a policy. */
interface Use {
  readonly replica: ReplicaId;
  readonly policy: string;
  readonly unit: string;
  readonly ref: RecordRef;
}

interface Answer {
  readonly replica: ReplicaId;
  readonly time: number;
  readonly body: TraceBodyOf<'conflict'>;
  readonly ref: RecordRef;
  readonly result: string;
}

/** Conflicts that were resolved, so that the same one on several replicas can be compared. */
export class Conflicts {
  readonly #answers = new Recent<string, Answer[]>('conflicts', KEPT_CONFLICTS);
  /** Questions to which there is more than one answer. */
  readonly #disputed = new Map<string, Answer[]>();
  /** By collection and field. */
  readonly #policies = new Recent<string, Use[]>('conflicts', KEPT_UNITS);
  #lost = 0;

  take({ replica, time }: TraceRecord, body: TraceBodyOf<'conflict'>, ref: RecordRef): void {
    if (body.state === 'waiting') return;
    if (body.state === 'resolved') this.#used(replica, body, ref);
    const sides = body.sides.toSorted((a, b) => (a.writer < b.writer ? -1 : 1));
    const question = textOf({ key: body.key, field: body.field ?? null, state: body.state, base: body.base, sides });
    const answer = { replica, time, body, ref, result: textOf(body.result) };
    const answers = this.#answers.get(question);
    if (!answers) {
      this.#answers.set(question, [answer]);
      return;
    }
    if (answers.some((one) => one.replica === replica && one.result === answer.result)) return;
    if (answers.length < MAX_ANSWERS) answers.push(answer);
    const isDisputed = answers.some((one) => areAtOdds(one, answer));
    if (!isDisputed || this.#disputed.has(question)) return;
    if (this.#disputed.size < MAX_FINDINGS) this.#disputed.set(question, answers);
    else this.#lost++;
  }

  #used(replica: ReplicaId, { key, field, policy }: TraceBodyOf<'conflict'>, ref: RecordRef): void {
    const collection = key.slice(0, key.lastIndexOf('/') + 1);
    const unit = field === undefined ? collection : `${collection} · ${field}`;
    const uses = this.#policies.get(unit) ?? [];
    if (uses.length >= MAX_ANSWERS || uses.some((one) => one.replica === replica && one.policy === policy)) return;
    this.#policies.set(unit, [...uses, { replica, policy, unit, ref }]);
  }

  disputes(): Dispute[] {
    return [...this.#disputed.values()].map((answers) => ({
      isOfAnswers: true,
      position: answers.find((one) => one.result !== answers[0]!.result)?.ref.position ?? 0,
      pairs: answers.flatMap((one, at) =>
        answers
          .slice(at + 1)
          .filter((other) => areAtOdds(one, other))
          .map((other) => [one.replica, other.replica] as const),
      ),
      finding: (wrong) => differently(answers, wrong),
    }));
  }

  /** Replicas that decide on a field by a policy by which nobody else decides on it, where all others decide by one. */
  skews(): Skew[] {
    return [...this.#policies.values()].flatMap((uses) => {
      const byPolicy = [...Map.groupBy(uses, ({ policy }) => policy).values()];
      const most = byPolicy.find((one) => one.length > 1);
      const alone = byPolicy.filter((one) => one !== most);
      const [use] = alone[0] ?? [];
      if (!most || !use || alone.length > 1 || most.some(({ replica }) => replica === use.replica)) return [];
      const { replica, policy, unit, ref } = use;
      return {
        ...{ replica, first: ref },
        text: `it resolves ${unit} by ${policy}, and the others by ${most[0]!.policy}`,
        evidence: [use, ...most].map((one) => ({
          text: `${one.replica} resolved ${one.unit} by ${one.policy} here.`,
          record: one.ref,
        })),
      };
    });
  }

  get forgotten(): Forgotten[] {
    const policies = this.#policies.forgotten;
    return [this.#answers.forgotten, policies, { memory: 'findings', kept: MAX_FINDINGS, forgotten: this.#lost }];
  }
}

function textOf(value: Parameters<typeof canonicalBytes>[0]): string {
  return String(canonicalBytes(value));
}

function areAtOdds(left: Answer, right: Answer): boolean {
  return left.replica !== right.replica && left.result !== right.result;
}

/** Most are right; of as many on both sides those that were first. */
function differently(answers: readonly Answer[], blamed: ReplicaId | undefined): Finding {
  const byResult = [...Map.groupBy(answers, ({ result }) => result).values()];
  const most = byResult.reduce((best, one) => (one.length > best.length ? one : best));
  const against = (one: Answer) => answers.find((other) => areAtOdds(one, other));
  const wrong =
    answers.find((one) => one.replica === blamed && against(one)) ??
    answers.find((one) => one.result !== most[0]!.result && against(one)) ??
    answers.find((one) => against(one))!;
  const other = against(wrong)!;
  const right = byResult.find((one) => one.includes(other))!;
  const { body, replica, ref } = wrong;
  const later = ref.position > other.ref.position ? wrong : other;
  const differences = [differenceIn(body.key, body.result, other.body.result)];
  const isPolicy = other.body.policy !== body.policy;
  return {
    class: 'conflict-resolved-differently',
    ...{ replica, against: other.replica, version: 0, time: later.time, cause: ref, detected: later.ref },
    ...{ differences, ...wrongValue(differences) },
    confidence: right.length > 1 ? 'high' : 'medium',
    reason: isPolicy ? 'the same sides were given to two policies' : 'the same policy was given the same sides',
    evidence: [
      { text: `${other.replica} resolved it by ${other.body.policy}: ${other.body.reason}`, record: other.ref },
      { text: `${replica} resolved it by ${body.policy}: ${body.reason}`, record: ref },
    ],
    confirm: 'give both sides to the resolver of each build, in both orders',
  };
}
