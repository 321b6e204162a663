import { canonicalBytes, isCanonical, VALUE_MAX_DEPTH } from '../../bytes/index.ts';
import { fitText } from '../../schema/index.ts';
import type { Change, Value } from '../../state/index.ts';
import { isSendableChange, RECORD_MAX_DEPTH } from '../../sync/index.ts';
import type { Core } from './core.ts';
import { argsOf, type Intent, type RejectReason, type StateProposal } from './proposal.ts';

/** Why an intent cannot become a version. */
export interface Unfit {
  readonly reason: RejectReason;
  readonly detail: string;
}

/** The change that an intent comes to on the newest state that this member knows, named by `counter`. */
export function makeProposal(core: Core, intent: Intent, counter: number): StateProposal | Unfit {
  const { standing, replica } = core;
  const { version, root } = standing;
  const base = root.hash;
  if (intent.base !== undefined && intent.base !== base) {
    const detail = `it is based on ${intent.base}, the state of version ${version} is ${base}`;
    return { reason: 'state-conflict', detail };
  }
  try {
    const { args = null } = intent;
    const made = typeof intent.changes === 'function' ? intent.changes(root) : intent.changes;
    const changes: readonly Change[] = made.slice();
    const problem = unsendable(core, changes, args);
    if (problem !== undefined) return { reason: 'invalid-change', detail: problem };
    const command = fitText(intent.command, 80);
    const after = root.apply(changes).hash;
    return { version: version + 1, base, writer: replica, counter, command, changes, root: after, ...argsOf(intent) };
  } catch (error) {
    return { reason: 'invalid-change', detail: error instanceof Error ? error.message : String(error) };
  }
}

/** Why no frame may carry these. @throws SyncError where they have no canonical form */
function unsendable({ settings }: Core, changes: readonly Change[], args: Value): string | undefined {
  const { maxChanges, maxBytes } = settings;
  const size = canonicalBytes([changes, args]).length;
  if (changes.length > maxChanges || size > maxBytes) {
    return `${changes.length} changes, with the arguments ${size} bytes; at most ${maxChanges} and ${maxBytes}`;
  }
  const isFlat = isCanonical(args, VALUE_MAX_DEPTH - RECORD_MAX_DEPTH) && changes.every(isSendableChange);
  return isFlat ? undefined : 'it is nested deeper than a frame can carry';
}
