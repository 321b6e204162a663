import { CallState } from '@syncscope/protocol/crdt';
import { SyncError } from '@syncscope/protocol/errors';
import { StateRoot } from '@syncscope/protocol/merkle';
import type { JoinedState } from '@syncscope/protocol/peers';
import type { Change, RecordKey, SyncRecord } from '@syncscope/protocol/state';

/** Calls that are kept, the present one included. */
export const CALLS_KEPT = 4;

const KEY = /^call-(\d{1,9})\//;

/**
 * One call after another: a CRDT made of {@link CallState}s, of which the latest few are kept. Of two replicas that have seen the same calls
 * both keep the same, since a call that goes is always older than those that stay; what comes late for one that has gone is passed over.
 */
export class CallSeries implements JoinedState {
  #calls = new Map<number, CallState>([[1, new CallState('call-1')]]);
  #root: StateRoot = StateRoot.empty;

  constructor(root: StateRoot = StateRoot.empty) {
    if (root.size > 0) this.apply(root.entries());
  }

  /** The number of the newest call, from 1. */
  get number(): number {
    return Math.max(...this.#calls.keys());
  }

  get present(): CallState {
    return this.#calls.get(this.number)!;
  }

  /** Does something to the newest call, or to the next one, which begins with that. */
  operate(operation: (call: CallState) => Change[], isNext = false): Change[] {
    const number = this.number + (isNext ? 1 : 0);
    const call = this.#calls.get(number) ?? new CallState(`call-${number}`);
    const changes = operation(call);
    if (changes.length === 0) return [];
    this.#calls.set(number, call);
    return [...changes, ...this.#forget()];
  }

  root(): StateRoot {
    // Calls share no keys.
    const root = StateRoot.from([...this.#calls.values()].flatMap((call) => [...call.root().entries()]));
    if (root.hash !== this.#root.hash) this.#root = root;
    return this.#root;
  }

  /** @throws SyncError `CRDT_CALL_INVALID`, or what `CallState.apply` throws; nothing has changed then */
  apply(delta: Iterable<readonly [RecordKey, SyncRecord]>): Change[] {
    const parts = new Map<number, [RecordKey, SyncRecord][]>();
    for (const [key, record] of delta) {
      const number = numberOf(key);
      parts.set(number, [...(parts.get(number) ?? []), [key, record]]);
    }
    const oldest = this.#oldest();
    const joined = [...parts]
      .filter(([number]) => number >= oldest)
      .map(([number, entries]) => {
        const call = new CallState(`call-${number}`, this.#calls.get(number)?.root() ?? StateRoot.empty);
        return { number, call, changes: call.apply(entries) };
      });
    // Only now, when everything has been found to be right.
    for (const { number, call } of joined) this.#calls.set(number, call);
    return [...joined.flatMap(({ changes }) => changes), ...this.#forget()];
  }

  /** Calls below this one have gone. */
  #oldest(): number {
    const newest = [...this.#calls.keys()].sort((a, b) => b - a);
    return newest[CALLS_KEPT - 1] ?? 0;
  }

  #forget(): Change[] {
    const oldest = this.#oldest();
    const gone: Change[] = [];
    for (const [number, call] of this.#calls) {
      if (number >= oldest) continue;
      for (const [key] of call.root().entries()) gone.push({ op: 'remove', key });
      this.#calls.delete(number);
    }
    return gone;
  }
}

function numberOf(key: RecordKey): number {
  const number = Number(KEY.exec(key)?.[1]);
  if (number >= 1) return number;
  throw new SyncError('CRDT_CALL_INVALID', `${key} is of no call`, { origin: 'protocol', place: { key } });
}
