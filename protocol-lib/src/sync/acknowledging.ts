import type { BodyOf } from '../messages/index.ts';
import type { ClientStanding } from './standing.ts';

export type AcknowledgeRule = NonNullable<BodyOf<'WELCOME'>['acknowledge']>;

const EACH: AcknowledgeRule = { every: 1, within: 0 };

/**
 * When a client acknowledges. What comes after a pause is acknowledged at once, so that its way can be measured; what comes in a stream
 * cumulatively, as delayed acknowledgements of TCP are (RFC 1122, 4.2.3.2), each so many deltas or after so long.
 */
export class Acknowledging {
  #rule = EACH;
  /** Deltas that were applied since the authority was told. */
  #owed = 0;
  #cause = 0;
  #toldAt = Number.NEGATIVE_INFINITY;

  get standing(): ClientStanding['acknowledging'] {
    const toldAt = Number.isFinite(this.#toldAt) ? this.#toldAt : null;
    return { rule: this.#rule, owed: this.#owed, cause: this.#cause, toldAt };
  }

  resume({ rule, owed, cause, toldAt }: ClientStanding['acknowledging']): void {
    this.#rule = rule;
    this.#owed = owed;
    this.#cause = cause;
    this.#toldAt = toldAt ?? Number.NEGATIVE_INFINITY;
  }

  /** A connection was opened, to an authority that has said this, or nothing. */
  opened(rule: AcknowledgeRule = EACH): void {
    this.#rule = rule;
    this.#owed = 0;
    this.#toldAt = Number.NEGATIVE_INFINITY;
  }

  /** A delta was applied, which is record `seq` of the trace. Answers whether to acknowledge it now. */
  applied(seq: number, now: number): boolean {
    this.#owed++;
    this.#cause = seq;
    return this.#owed >= this.#rule.every || this.isDue(now);
  }

  /** Whether something was applied that the authority has waited for. */
  isDue(now: number): boolean {
    return this.#owed > 0 && now - this.#toldAt >= this.#rule.within;
  }

  /** `seq` of the last of them. */
  get cause(): number {
    return this.#cause;
  }

  get isOwed(): boolean {
    return this.#owed > 0;
  }

  /** The authority was told where this client stands. */
  told(now: number): void {
    this.#owed = 0;
    this.#toldAt = now;
  }
}
