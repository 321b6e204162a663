import type { Ballot } from '../../trace/index.ts';
import { compareBallots } from './ballot.ts';
import type { Core } from './core.ts';
import { momentOf, type PacingStanding, saidOf } from './member-standing.ts';

/** Times double with each try that came to nothing, so often at most. */
const LONGEST_PATIENCE = 5;
const MOST_DOUBLINGS = 30;
/** A round is taken to last no less than this part of a `resendInterval`. */
const SHORTEST = 100;

/** The round of another that this member has said yes to. */
interface Given {
  readonly version: number;
  readonly ballot: Ballot;
  readonly phase: 'prepare' | 'accept';
  readonly since: number;
  readonly until: number;
}

/**
 * When a member may try, and how long a try may take. Two that want something at once would otherwise undo each other's rounds for
 * as long as both have more to come: so whoever has said yes to a round of another lets it end, and only so many of them in a row.
 */
export class Pacing {
  readonly #core: Core;
  #notBefore = Number.NEGATIVE_INFINITY;
  /** Tries in a row that came to nothing. */
  #fruitless = 0;
  #given: Given | undefined;
  /** Rounds of others that were let pass since something of its own was settled, and how many it lets pass. */
  #passed = 0;
  #limit: number;

  constructor(core: Core) {
    this.#core = core;
    this.#limit = this.#drawLimit();
  }

  get standing(): PacingStanding {
    const given = this.#given;
    return {
      notBefore: saidOf(this.#notBefore),
      fruitless: this.#fruitless,
      given: given ? { ...given, ballot: { ...given.ballot } } : null,
      passed: this.#passed,
      limit: this.#limit,
    };
  }

  /** Goes on where another one was. */
  resume({ notBefore, fruitless, given, passed, limit }: PacingStanding): void {
    this.#notBefore = momentOf(notBefore);
    this.#fruitless = fruitless;
    this.#given = given ?? undefined;
    this.#passed = passed;
    this.#limit = limit;
  }

  /** Whether a round of its own may begin. */
  mayBegin(now: number): boolean {
    return now >= this.#notBefore && !this.#givesWay(now);
  }

  /** Something of its own is settled: others come first again. */
  settled(): void {
    this.#passed = 0;
    this.#limit = this.#drawLimit();
  }

  /** A round of its own came to nothing. */
  failed(now: number): void {
    this.#fruitless++;
    this.wait(now, this.#fruitless);
  }

  /** This member has said yes to a round of another. `isWanting`: it has something of its own to propose. */
  gaveWay(version: number, ballot: Ballot, phase: 'prepare' | 'accept', isWanting: boolean, now: number): void {
    const before = this.#given;
    const isSameRound = before?.version === version && compareBallots(before.ballot, ballot) === 0;
    // What is only asked again does not hold anybody back for longer.
    if (isSameRound && before.phase === phase) return;
    if (isWanting && !isSameRound) this.#passed++;
    this.#given = { version, ballot, phase, since: now, until: now + this.courtesy() };
  }

  /** The group gets on. */
  decided(): void {
    this.#fruitless = 0;
  }

  /**
   * Somebody else has decided `version`, while something waits here. Who did may have more, and its next question is on its way: it is
   * given about the time that this round took before anybody goes ahead of it; until it was let pass often enough.
   */
  decidedElsewhere(version: number, now: number): void {
    if (this.#passed > this.#limit) return;
    this.wait(now);
    if (this.#given?.version === version) this.#waitForRound(this.#given.since, now);
  }

  /** An own round that began at `since` came too late. Many decisions may come at once after a sleep: not each is to be answered by a round. */
  superseded(since: number, now: number): void {
    if (this.#passed > this.#limit) this.#notBefore = now + Math.ceil(this.#took(since, now) / 4);
    else this.wait(now);
  }

  /** An own round that began at `since` has decided, and somebody else wants to be next: it gets the time for that. */
  wonAgainst(since: number, now: number): void {
    this.#waitForRound(since, now);
  }

  /** How long somebody else's round is left alone. */
  courtesy(): number {
    const { takeOver, roundTimeout } = this.#core.settings;
    return Math.max(takeOver, roundTimeout) * (1 + this.#core.random.next());
  }

  /** How long answers may take: a network or disk that is slower than was thought must not make every try come to nothing. */
  patience(): number {
    return this.#core.settings.roundTimeout * 2 ** Math.min(this.#fruitless, LONGEST_PATIENCE);
  }

  /** No round before a random time. Full jitter: M. Brooker, "Exponential Backoff And Jitter", 2015. */
  wait(now: number, attempt = 1): void {
    const { backoff, backoffMax } = this.#core.settings;
    const most = Math.min(backoffMax, backoff * 2 ** Math.min(attempt - 1, MOST_DOUBLINGS));
    this.#notBefore = now + 1 + Math.floor(this.#core.random.next() * most);
  }

  /** About once to twice as long as a round took that began at `since`. */
  #waitForRound(since: number, now: number): void {
    const wait = Math.floor(this.#took(since, now) * (1 + this.#core.random.next()));
    this.#notBefore = Math.max(this.#notBefore, now + wait);
  }

  #took(since: number, now: number): number {
    const { resendInterval, roundTimeout } = this.#core.settings;
    return Math.min(Math.max(resendInterval / SHORTEST, now - since), roundTimeout);
  }

  #givesWay(now: number): boolean {
    const given = this.#given;
    if (!given || given.version !== this.#core.standing.version + 1) return false;
    return now < given.until;
  }

  #drawLimit(): number {
    const { givenWay } = this.#core.settings;
    return Math.floor(givenWay * (1 + this.#core.random.next()));
  }
}
