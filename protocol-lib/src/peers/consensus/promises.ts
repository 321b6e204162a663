import type { Vote } from './acceptor.ts';
import { compareBallots, NO_BALLOT } from './ballot.ts';
import { argsOf, type StateProposal } from './proposal.ts';

/** The version that promises are about, and the state that it is based on. */
interface Asked {
  readonly version: StateProposal['version'];
  readonly base: StateProposal['base'];
}

/** Promises to go by, and the change that they bind to; undefined where none of them has accepted any. */
export interface Binding {
  readonly promises: readonly Vote[];
  readonly left: StateProposal | undefined;
}

/**
 * What `promises` bind their proposer to. Those of any majority will do (L. Lamport, "Paxos Made Simple", 2001, P2c), so members that have
 * accepted what does not fit here, as another build of the app lets them, are left out, where there are others: else one of them could
 * hold up all. How many promises are left is for the caller to count.
 */
export function bindingOf(
  promises: readonly Vote[],
  { version, base }: Asked,
  fits: (left: StateProposal) => boolean,
): Binding {
  for (let usable = promises; ; ) {
    const highest = highestAccepted(usable);
    if (!highest) return { promises: usable, left: undefined };
    const { writer, counter, command, changes, root } = highest;
    const left = { version, base, writer, counter, command, changes, root, ...argsOf(highest) };
    if (fits(left)) return { promises: usable, left };
    usable = usable.filter(({ accepted }) => !accepted || compareBallots(accepted, highest) !== 0);
  }
}

/** Of what the promising members have accepted, the change under the highest ballot: it may have been decided already. */
function highestAccepted(promises: readonly Vote[]): NonNullable<Vote['accepted']> | undefined {
  let highest: Vote['accepted'];
  for (const { accepted } of promises) {
    if (!accepted || compareBallots(accepted, highest ?? NO_BALLOT) <= 0) continue;
    highest = accepted;
  }
  return highest;
}
