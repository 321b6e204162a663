import { canonicalBytes } from '../bytes/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { TraceBodyOf, TraceRecord } from '../trace/index.ts';
import { differenceIn, wrongValue } from './differences.ts';
import type { Finding, Forgotten, RecordRef } from './finding.ts';
import { Recent } from './recent.ts';

const KEPT_CONFLICTS = 10_000;
const MAX_FINDINGS = 1_000;
/** Answers to one question that are held against each other. */
const MAX_ANSWERS = 64;

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
  #lost = 0;

  take({ replica, time }: TraceRecord, body: TraceBodyOf<'conflict'>, ref: RecordRef): void {
    if (body.state === 'waiting') return;
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
    const isDisputed = answers.some((one) => one.replica !== replica && one.result !== answer.result);
    if (!isDisputed || this.#disputed.has(question)) return;
    if (this.#disputed.size < MAX_FINDINGS) this.#disputed.set(question, answers);
    else this.#lost++;
  }

  findings(): Finding[] {
    return [...this.#disputed.values()].flatMap((answers) => differently(answers) ?? []);
  }

  get forgotten(): Forgotten[] {
    return [this.#answers.forgotten, { memory: 'findings', kept: MAX_FINDINGS, forgotten: this.#lost }];
  }
}

function textOf(value: Parameters<typeof canonicalBytes>[0]): string {
  return String(canonicalBytes(value));
}

/** Most are right; of as many on both sides those that were first. */
function differently(answers: readonly Answer[]): Finding | undefined {
  const byResult = [...Map.groupBy(answers, ({ result }) => result).values()];
  const right = byResult.reduce((best, one) => (one.length > best.length ? one : best));
  const wrong = answers.find(({ result }) => result !== right[0]!.result);
  const other = right.find(({ replica }) => replica !== wrong?.replica);
  if (!wrong || !other) return undefined;
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
