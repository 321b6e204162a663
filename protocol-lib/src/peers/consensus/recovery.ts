import { SyncError, unreachable } from '../../errors/index.ts';
import { StateRoot } from '../../merkle/index.ts';
import { compareBallots } from './ballot.ts';
import type { ConsensusRecord, LogOwner } from './records.ts';
import { decidedStanding, type Standing } from './standing.ts';

type Checkpoint = Extract<ConsensusRecord, { kind: 'checkpoint' }>;

/** The standing after one more record of a log. @throws SyncError `LOG_DAMAGED` where the record cannot follow upon it */
export function recovered(standing: Standing | undefined, record: ConsensusRecord, kept: number): Standing {
  if (record.kind === 'checkpoint') return fromCheckpoint(record);
  if (!standing) throw misfit('a log begins with a checkpoint');
  switch (record.kind) {
    case 'promise':
      checkPromise(standing, record.ballot);
      return { ...standing, promised: record.ballot };
    case 'accept': {
      const { ballot, proposal } = record;
      checkPromise(standing, ballot);
      if (proposal.version !== standing.version + 1) {
        throw misfit(`version ${proposal.version} is accepted after ${standing.version}`);
      }
      return { ...standing, promised: ballot, accepted: { ballot, proposal } };
    }
    case 'decide':
      return decided(standing, record, kept);
    default:
      return unreachable(record);
  }
}

/** @throws SyncError `LOG_FOREIGN` where a log is not that of `owner`: its promises are another's */
export function checkOwner(found: LogOwner | undefined, owner: LogOwner): void {
  if (!found) return;
  if (found.replica !== owner.replica) throw foreign(`the log is that of ${found.replica}, not of ${owner.replica}`);
  const [then, now] = [found, owner].map(({ members }) => [...members].sort().join(', '));
  if (then !== now)
    throw foreign(`the log is of the group ${then}, not of ${now}: members stay, a new group is made instead`);
}

function fromCheckpoint(record: Checkpoint): Standing {
  const { version, promised, accepted, recent } = record;
  const root = StateRoot.from(record.records.map(({ key, record: one }) => [key, one] as const));
  if (root.hash !== record.root) throw misfit(`the records have the hash ${root.hash}, not ${record.root}`);
  if (root.size !== record.records.length) throw misfit('a record is there twice');
  const writers = new Map(record.writers.map(({ writer, counter }) => [writer, counter]));
  if (writers.size !== record.writers.length) throw misfit('a writer is there twice');
  if (accepted && accepted.proposal.version !== version + 1) {
    throw misfit(`version ${accepted.proposal.version} is accepted after ${version}`);
  }
  if (accepted && compareBallots(accepted.ballot, promised) > 0) throw misfit('more is accepted than was promised');
  recent.forEach((one, at) => {
    const expected = version - recent.length + 1 + at;
    if (one.version !== expected) throw misfit(`version ${one.version} is kept in the place of ${expected}`);
  });
  return { version, root, writers, promised, accepted, recent };
}

function decided(standing: Standing, record: Extract<ConsensusRecord, { kind: 'decide' }>, kept: number): Standing {
  const proposal = record.proposal ?? standing.accepted?.proposal;
  if (proposal?.version !== record.version || record.version !== standing.version + 1) {
    throw misfit(`version ${record.version} is decided after ${standing.version}, and nothing fits`);
  }
  const root = standing.root.apply(proposal.changes);
  if (root.hash !== proposal.root) throw misfit(`version ${record.version} gives ${root.hash}, not ${proposal.root}`);
  return decidedStanding(standing, proposal, root, kept);
}

function checkPromise({ promised }: Standing, ballot: Standing['promised']): void {
  if (compareBallots(ballot, promised) >= 0) return;
  throw misfit(`${ballot.round}/${ballot.proposer} comes after ${promised.round}/${promised.proposer}`);
}

function misfit(text: string): SyncError {
  return new SyncError('LOG_DAMAGED', text, { origin: 'state' });
}

function foreign(text: string): SyncError {
  return new SyncError('LOG_FOREIGN', text, { origin: 'setting' });
}
