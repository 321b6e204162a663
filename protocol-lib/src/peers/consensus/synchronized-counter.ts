import { SyncError } from '../../errors/index.ts';
import { recordKey } from '../../state/index.ts';
import type { ConsensusPeer } from './peer.ts';
import type { ProposalReceipt } from './proposal.ts';

/**
 * The worked example: a number that a group counts together, in the record `counter/<name>`, field `value`. Two members that
 * increment at once get two different values, since the later one is made anew from the state that the first has made.
 *
 *     const clicks = new SynchronizedCounter(peer, 'clicks');
 *     const receipt = clicks.increment();
 *     receipt.listen((outcome) => …);      // committed at a version, rejected, gave-up, or unknown and told later
 *     clicks.value;                        // what this member knows to be decided
 */
export class SynchronizedCounter {
  readonly #peer: ConsensusPeer;
  readonly #key: ReturnType<typeof recordKey>;

  /** @throws SyncError `KEY_INVALID` where `name` cannot be part of a record's key */
  constructor(peer: ConsensusPeer, name: string) {
    this.#peer = peer;
    this.#key = recordKey(`counter/${name}`);
  }

  /** The decided value as far as this member knows: it may lag behind, but is never taken back. 0 before the first increment. */
  get value(): number {
    return counted(this.#peer.root.get(this.#key)?.value);
  }

  /**
   * Adds `by`, a safe integer; rejected as `invalid-change` where the sum would be none.
   * @throws SyncError `VALUE_INVALID` for anything else, and as {@link ConsensusPeer.propose}
   */
  increment(by = 1): ProposalReceipt {
    if (!Number.isSafeInteger(by)) {
      throw new SyncError('VALUE_INVALID', `a counter is changed by a safe integer, not ${by}`, { origin: 'state' });
    }
    return this.#peer.propose({
      command: 'increment',
      changes: (root) => {
        const value = counted(root.get(this.#key)?.value) + by;
        if (!Number.isSafeInteger(value)) {
          throw new SyncError('VALUE_INVALID', `${value} is more than a counter can hold`, { origin: 'state' });
        }
        return [{ op: 'put', key: this.#key, record: { value } }];
      },
    });
  }
}

function counted(value: unknown): number {
  return Number.isSafeInteger(value) ? (value as number) : 0;
}
