import type { Session } from './session.ts';
import { AuthoritySession, type AuthoritySessionOptions } from './session-authority.ts';
import { ConsensusSession, type ConsensusSessionOptions } from './session-consensus.ts';
import { MergeSession, type MergeSessionOptions } from './session-merge.ts';

export type SessionOptions = AuthoritySessionOptions | MergeSessionOptions | ConsensusSessionOptions;

/** Opens a session; where its truth lies, and how peers come to one, is chosen here and nowhere else. @throws SyncError as the peers do */
export function openSession(options: SessionOptions): Session {
  if (options.truth === 'authority') return new AuthoritySession(options);
  return options.agreement === 'merge' ? new MergeSession(options) : new ConsensusSession(options);
}
