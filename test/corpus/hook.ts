import type { StateRoot } from '@syncscope/protocol/merkle';
import type { Change } from '@syncscope/protocol/state';

type Numbers = (value: number) => number;

/** What planted code asks; one session at a time. */
export class PlantedHook {
  readonly earlier = new WeakMap<StateRoot, StateRoot>();
  readonly #roots = new Map<string, string>();
  #target = '';
  #wait = Number.POSITIVE_INFINITY;
  #isOnce = true;
  #struck: () => void = () => {};

  /** Strikes at the first chance after so many; from then on always, where not once. */
  arm(target: string, wait: number, isOnce: boolean, struck: () => void): void {
    this.#roots.clear();
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
