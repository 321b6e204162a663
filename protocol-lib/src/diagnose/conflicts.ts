import { canonicalBytes } from '../bytes/index.ts';
import type { TraceBodyOf, TraceRecord } from '../trace/index.ts';
import { differenceIn, wrongValue } from './differences.ts';
import type { Finding, Forgotten, RecordRef } from './finding.ts';
import { Recent } from './recent.ts';

const KEPT_CONFLICTS = 10_000;
const MAX_FINDINGS = 1_000;

interface Resolved {
  readonly record: TraceRecord;
  readonly body: TraceBodyOf<'conflict'>;
  readonly ref: RecordRef;
}

/** Conflicts that were resolved, so that the same one on two replicas can be compared. */
export class Conflicts {
  readonly #first = new Recent<string, Resolved>('conflicts', KEPT_CONFLICTS);
  readonly #findings: Finding[] = [];
  #lost = 0;

  take(record: TraceRecord, body: TraceBodyOf<'conflict'>, ref: RecordRef): void {
    if (body.state === 'waiting') return;
    const sides = body.sides.toSorted((a, b) => (a.writer < b.writer ? -1 : 1));
    const question = textOf({ key: body.key, field: body.field ?? null, state: body.state, base: body.base, sides });
    const before = this.#first.get(question);
    if (!before) {
      this.#first.set(question, { record, body, ref });
      return;
    }
    if (before.record.replica === record.replica || textOf(before.body.result) === textOf(body.result)) return;
    if (this.#findings.length < MAX_FINDINGS) this.#findings.push(differently(before, { record, body, ref }));
    else this.#lost++;
  }

  get forgotten(): Forgotten[] {
    return [this.#first.forgotten, { memory: 'findings', kept: MAX_FINDINGS, forgotten: this.#lost }];
  }

  findings(): readonly Finding[] {
    return this.#findings;
  }
}

function textOf(value: Parameters<typeof canonicalBytes>[0]): string {
  return String(canonicalBytes(value));
}

function differently(before: Resolved, after: Resolved): Finding {
  const { body, record, ref } = after;
  const other = before.record.replica;
  const differences = [differenceIn(body.key, body.result, before.body.result)];
  const isPolicy = before.body.policy !== body.policy;
  return {
    class: 'conflict-resolved-differently',
    ...{ replica: record.replica, against: other, version: 0, time: record.time, cause: ref, detected: ref },
    differences,
    ...wrongValue(differences),
    confidence: 'high',
    reason: isPolicy ? 'the same sides were given to two policies' : 'the same policy was given the same sides',
    evidence: [
      { text: `${other} resolved it by ${before.body.policy}: ${before.body.reason}`, record: before.ref },
      { text: `${record.replica} resolved it by ${body.policy}: ${body.reason}`, record: ref },
    ],
    confirm: 'give both sides to the resolver of each build, in both orders',
  };
}
