import type { StateRoot } from '@syncscope/protocol/merkle';
import type { Change } from '@syncscope/protocol/state';
import type { CorpusVote } from './bugs.ts';

const NOTHING = { round: 0, proposer: '' };

function isBelow(left: typeof NOTHING, right: typeof NOTHING): boolean {
  return left.round < right.round || (left.round === right.round && left.proposer < right.proposer);
}

type Numbers = (value: number) => number;

/** What planted code asks; one session at a time. */
export class PlantedHook {
  readonly earlier = new WeakMap<StateRoot, StateRoot>();
  readonly #roots = new Map<string, string>();
  /** The highest ballot that the target has promised to, and those under which it accepted, by version. */
  #promised = NOTHING;
  readonly #accepted = new Map<number, typeof NOTHING>();
  #target = '';
  #wait = Number.POSITIVE_INFINITY;
  #isOnce = true;
  #struck: () => void = () => {};
  #named: (name: string) => void = () => {};

  /** Strikes at the first chance after so many; from then on always, where not once. */
  arm(target: string, wait: number, isOnce: boolean, struck: () => void, named: (name: string) => void): void {
    this.#named = named;
    this.#roots.clear();
    this.#promised = NOTHING;
    this.#accepted.clear();
    this.#target = target;
    this.#wait = wait;
    this.#isOnce = isOnce;
    this.#struck = struck;
  }

  /** Whether planted code runs for the replica that is to be struck. */
  isTarget(replica: string): boolean {
    return replica === this.#target;
  }

  /** As {@link isTarget}, from the first chance after so many on. */
  strikes(replica: string): boolean {
    if (!this.isTarget(replica) || this.#wait-- > 0) return false;
    this.#struck();
    this.#struck = () => {};
    return true;
  }

  /** As {@link strikes}, each time under a name of its own. */
  strikesAs(replica: string, name: string): boolean {
    if (!this.strikes(replica)) return false;
    this.#named(name);
    return true;
  }

  /** A member of a group voted; each yes that breaks what it has promised, or hides what it has accepted, is noted. */
  voted(replica: string, { version, phase, round, proposer, answer, accepted }: CorpusVote): void {
    if (!this.isTarget(replica) || answer !== 'accept') return;
    const ballot = { round, proposer };
    const known = this.#accepted.get(version);
    const isHidden = phase === 'prepare' && known && (!accepted || isBelow(accepted.ballot, known));
    if (isBelow(ballot, this.#promised) || isHidden) this.#named(`vote ${version} ${phase} ${round} ${proposer}`);
    if (isBelow(this.#promised, ballot)) this.#promised = ballot;
    if (phase === 'accept' && isBelow(known ?? NOTHING, ballot)) this.#accepted.set(version, ballot);
  }

  /** The root that a replica had when it said one before. */
  rootBefore(replica: string, now: string): string {
    return this.#roots.get(replica) ?? now;
  }

  keepRoot(replica: string, root: string): void {
    this.#roots.set(replica, root);
  }

  pick<T>(right: () => T, wrong: () => T): T {
    const good = right();
    if (this.#wait-- > 0) return good;
    let bad: T;
    try {
      bad = wrong();
    } catch {
      return good;
    }
    if (textOf(bad) === textOf(good)) return good;
    this.#struck();
    this.#struck = () => {};
    if (this.#isOnce) this.#wait = Number.POSITIVE_INFINITY;
    return bad;
  }

  mapNumbers(changes: readonly Change[], turn: Numbers): Change[] {
    return changes.map((change) => {
      if (change.op === 'patch') return { ...change, fields: turned(change.fields, turn) };
      return change.op === 'put' ? { ...change, record: turned(change.record, turn) } : change;
    });
  }
}

function turned<T extends Readonly<Record<string, unknown>>>(record: T, turn: Numbers): T {
  return Object.fromEntries(
    Object.entries(record).map(([name, value]) => [name, typeof value === 'number' ? turn(value) : value]),
  ) as T;
}

function textOf(value: unknown): string {
  const hash = (value as { readonly hash?: string } | null)?.hash;
  return hash ?? JSON.stringify(value);
}
