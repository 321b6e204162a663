import type { PlantedBug } from './planted-bugs.ts';

const acceptor = 'peers/consensus/acceptor.ts';
const proposer = 'peers/consensus/proposer.ts';
const promises = 'peers/consensus/promises.ts';
const pacing = 'peers/consensus/pacing.ts';
const engine = 'peers/consensus/engine.ts';
const recovery = 'peers/consensus/recovery.ts';
const peer = 'peers/consensus/peer.ts';

const bugs: readonly Omit<PlantedBug, 'scenario'>[] = [
  {
    name: 'promise-not-recorded',
    what: 'a member promises and does not write it down',
    edits: [
      { file: acceptor, find: "this.#core.emit({ kind: 'write', record: { kind: 'promise', ballot } });", put: '' },
    ],
  },
  {
    name: 'promise-not-kept',
    what: 'a member that promises forgets it at once',
    edits: [{ file: acceptor, find: 'this.#core.standing = { ...standing, promised: ballot };', put: '' }],
  },
  {
    name: 'promise-lost-at-restart',
    what: 'a member comes back from its log without its promises',
    edits: [{ file: recovery, find: 'return { ...standing, promised: record.ballot };', put: 'return standing;' }],
  },
  {
    name: 'accepted-not-recorded',
    what: 'a member accepts and does not write it down',
    edits: [
      {
        file: acceptor,
        find: "this.#core.emit({ kind: 'write', record: acceptRecord(accepted) });",
        put: "this.#core.emit({ kind: 'write', record: { kind: 'promise', ballot } });",
      },
      {
        file: acceptor,
        find: "record: isAccepted ? { kind: 'decide', version } : {",
        put: 'record: {',
      },
      { file: acceptor, find: 'import { acceptRecord, written }', put: 'import { written }' },
    ],
  },
  {
    name: 'stale-ballot-accepted',
    what: 'a proposer that was superseded, such as one that slept, is still accepted',
    edits: [
      {
        file: acceptor,
        find: 'if (compareBallots(ballot, promised) >= 0) return undefined;',
        put: 'return undefined;',
      },
    ],
  },
  {
    name: 'vote-counted-twice',
    what: 'votes are counted one by one, not by member',
    edits: [
      {
        file: proposer,
        find: "if (round.votes.get(from)?.answer === 'accept') return;\n    round.votes.set(from, vote);",
        put: "round.votes.set((from + ' ' + round.votes.size) as typeof from, vote);",
      },
    ],
  },
  {
    name: 'commit-below-quorum',
    what: 'one vote less than a majority is enough',
    edits: [{ file: proposer, find: 'if (promises.length >= quorum) {', put: 'if (promises.length >= quorum - 1) {' }],
  },
  {
    name: 'quorum-is-half',
    what: 'half of an even group is enough',
    edits: [{ file: 'peers/consensus/ballot.ts', find: 'Math.floor(members / 2) + 1', put: 'Math.ceil(members / 2)' }],
  },
  {
    name: 'accepted-value-ignored',
    what: 'a new proposer overwrites what may have been decided, as it ignores what others have accepted',
    edits: [
      {
        file: proposer,
        find: 'left ?? round.proposal',
        put: 'round.proposal ?? left',
      },
    ],
  },
  {
    name: 'lowest-accepted-wins',
    what: 'of several accepted changes a new proposer takes any, not that of the highest ballot',
    by: 'property',
    edits: [
      {
        file: promises,
        find: 'if (!accepted || compareBallots(accepted, highest ?? NO_BALLOT) <= 0) continue;',
        put: 'if (!accepted) continue;',
      },
    ],
  },
  {
    name: 'votes-of-other-rounds',
    what: 'votes for another ballot count',
    edits: [
      {
        file: proposer,
        find: 'if (vote.round !== round.ballot.round || vote.proposer !== round.ballot.proposer) return;',
        put: '',
      },
    ],
  },
  {
    name: 'promises-count-as-votes',
    what: 'answers of the first phase count in the second',
    edits: [
      { file: proposer, find: ' || vote.phase !== round.phase) return;', put: ') return;' },
      {
        file: proposer,
        find: "round.phase = 'accept';\n    round.proposal = proposal;\n    round.votes = new Map();",
        put: "round.phase = 'accept';\n    round.proposal = proposal;",
      },
    ],
  },
  {
    name: 'lead-kept-after-promise',
    what: 'a leader goes on without new promises though it has promised to another, and takes its own change for the only one',
    edits: [
      {
        file: proposer,
        find: 'if (this.#lead && !accepted && compareBallots(promised, this.#lead) === 0) {',
        put: 'if (this.#lead) {',
      },
      {
        file: proposer,
        find: 'if (this.#lead && compareBallots(ballot, this.#lead) > 0) this.#lead = undefined;',
        put: '',
      },
      {
        file: proposer,
        find: 'this.#round = undefined;\n    this.#lead = undefined;\n    this.#traceRound(round, phase, reason);',
        put: 'this.#round = undefined;\n    this.#traceRound(round, phase, reason);',
      },
      {
        file: acceptor,
        find: 'this.#stale(ballot) ??\n      this.#conflict(proposal.version',
        put: '(ballot.proposer === this.#core.replica ? undefined : this.#stale(ballot)) ??\n      this.#conflict(proposal.version',
      },
    ],
  },
  {
    name: 'said-before-durable',
    what: 'a member answers before its vote is durable',
    edits: [
      { file: peer, find: 'if (!one || one.position > (this.#log?.durable ?? 0)) break;', put: 'if (!one) break;' },
    ],
  },
  {
    name: 'told-rejected-too-soon',
    what: 'a proposer that used up its attempts says that it gave up, though some have accepted its change',
    edits: [
      {
        file: proposer,
        find: 'if (!job.offered) {\n      this.#giveUp(job);',
        put: 'if (job) {\n      this.#giveUp(job);',
      },
    ],
  },
  {
    name: 'conflict-not-checked',
    what: 'a change is accepted whatever state it is based on',
    edits: [
      { file: acceptor, find: 'if (base === standing.root.hash) return undefined;', put: 'return undefined;' },
      { file: acceptor, find: 'if (version !== standing.version + 1) {', put: 'if (version < standing.version + 1) {' },
    ],
  },
  {
    name: 'snapshot-keeps-accepted',
    what: 'a member that takes over a whole state keeps what it had accepted for a version that is past',
    edits: [
      {
        file: engine,
        find: '{ ...standing, version, root, writers, accepted: undefined, recent: [] }',
        put: '{ ...standing, version, root, writers, recent: [] }',
      },
    ],
  },
  {
    name: 'decided-not-validated',
    what: 'a decided change is applied to whatever state is there',
    edits: [
      { file: acceptor, find: "if (decided.version > standing.version + 1) return 'gap';", put: '' },
      {
        file: acceptor,
        find: 'proposal.base === standing.root.hash ? this.#after(proposal) : undefined',
        put: 'this.#after(proposal)',
      },
      {
        file: acceptor,
        find: "typeof root !== 'object' || root.hash !== proposal.root",
        put: "typeof root !== 'object'",
      },
    ],
  },
  {
    name: 'left-undecided',
    what: 'nobody finishes what a proposer that ended has left',
    edits: [
      {
        file: proposer,
        find: 'if (!job || job.isSpent) return this.#finishWhatIsLeft(now);',
        put: 'if (!job || job.isSpent) return false;',
      },
    ],
  },
  {
    name: 'no-catching-up',
    what: 'a member never asks for what it has missed',
    edits: [
      {
        file: 'peers/consensus/catch-up.ts',
        find: 'if (ahead.length === 0) return;',
        put: 'if (ahead.length >= 0) return;',
      },
    ],
  },
  {
    name: 'duel-without-end',
    what: 'proposers that meet try again at once, whatever they have said yes to',
    edits: [
      {
        file: pacing,
        find: 'now + 1 + Math.floor(this.#core.random.next() * most);',
        put: 'now + Math.min(1, most);',
      },
      {
        file: pacing,
        find: 'return now >= this.#notBefore && !this.#givesWay(now);',
        put: 'return now >= this.#notBefore;',
      },
    ],
  },
  {
    name: 'nobody-gives-way',
    what: 'whoever wants something begins in the middle of the round that it has just said yes to',
    edits: [
      {
        file: pacing,
        find: 'return now >= this.#notBefore && !this.#givesWay(now);',
        put: 'return now >= this.#notBefore;',
      },
      {
        file: proposer,
        find: 'if (!isCounted) this.#pacing.decidedElsewhere(version, now);',
        put: 'if (!isCounted) {}',
      },
    ],
  },
  {
    name: 'catches-up-by-the-clock',
    what: 'a member that lags asks for a few versions at each tick of its clock, and disturbs the others with proposals meanwhile',
    edits: [
      {
        file: 'peers/consensus/catch-up.ts',
        find: 'if (this.#lag() <= this.#held.size) return;',
        put: 'if (this.#lag() >= 0) return;',
      },
      {
        file: engine,
        find: 'if (!this.#catchUp.isCatchingUp(now)) this.#proposer.advance(now);',
        put: 'this.#proposer.advance(now);',
      },
    ],
  },
  {
    name: 'stranger-counts',
    what: 'whoever says that it is somebody is listened to',
    edits: [{ file: engine, find: 'if (!this.#core.others.includes(from)) throw strangerError(from);', put: '' }],
  },
];

/** Bugs of the half in which peers agree among themselves. */
export const CONSENSUS_BUGS: readonly PlantedBug[] = bugs.map((bug) => ({ ...bug, scenario: 'consensus' }));
