import type { PlantedBug } from '../simulation/planted-bugs.ts';

/**
 * Bugs that are put into the protocol on its way into the interpreter, as somebody could have written them. Those that would strike at once ask
 * `corpus.pick` for the right or the wrong result, which notes in the trace's order where it struck.
 */
export interface CorpusHook {
  pick<T>(right: () => T, wrong: () => T): T;
  isTarget(replica: string): boolean;
  strikes(replica: string): boolean;
  strikesAs(replica: string, name: string): boolean;
  voted(replica: string, vote: CorpusVote): void;
  rootBefore(replica: string, now: string): string;
  keepRoot(replica: string, root: string): void;
}

export interface CorpusVote {
  readonly version: number;
  readonly phase: string;
  readonly round: number;
  readonly proposer: string;
  readonly answer: string;
  /** What the member says that it has accepted before. */
  readonly accepted: { readonly ballot: { readonly round: number; readonly proposer: string } } | undefined;
}

const committed = 'sync/committed.ts';
const state = 'sync/authority-state.ts';
const connection = 'sync/client-connection.ts';
const decoding = 'messages/direct-decode.ts';
const client = 'sync/client.ts';
const hybridClock = 'clock/hybrid-clock.ts';
const crdt = 'peers/crdt-replica.ts';
const acceptor = 'peers/consensus/acceptor.ts';
const proposer = 'peers/consensus/proposer.ts';
const member = 'peers/consensus/peer.ts';

const NO_BASE_CHECK = [
  { file: committed, find: 'if (delta.from !== before.version) return', put: 'if (false) return' },
  { file: committed, find: 'if (delta.since > before.progress) return', put: 'if (false) return' },
];
const APPLYING = 'root = before.root.apply(delta.changes);';
const MAKING = 'changesBetween(this.rootFor(replica, base), root)';
const READING = 'changes: this.changes(),';
const OPENED = 'const standing = found ?? initialStanding(initial);';
const VOTING = 'const { answer } = verdict;';
/** Tells of each vote, so that it is known which one breaks what was said before. */
const TOLD = `globalThis.corpus.voted(this.#core.replica, { version, phase, round, proposer, answer: verdict.answer, accepted }); ${VOTING}`;
const WON = "const proposal = round.proposal!;\n    this.#traceRound(round, 'decided', '');";

function misreading(name: string, what: string, how: string): PlantedBug {
  const read = `(changes) => globalThis.corpus.pick(() => changes, () => globalThis.corpus.mapNumbers(changes, ${how}))`;
  return { name, what, edits: [{ file: decoding, find: READING, put: `changes: (${read})(this.changes()),` }] };
}

export const CORPUS_BUGS = {
  noBaseCheck: { name: 'corpus-base', what: 'a delta is applied to any version', edits: NO_BASE_CHECK },
  noOrder: {
    name: 'corpus-order',
    what: 'frames count in any order and as often as they come, and a delta is applied to any version',
    edits: [...NO_BASE_CHECK, { file: connection, find: 'message.sequence <= this.#lastSequence', put: 'false' }],
  },
  skipped: {
    name: 'corpus-skip',
    what: 'the applier passes over the first change of a delta',
    edits: [
      {
        file: committed,
        find: APPLYING,
        put: 'root = globalThis.corpus.pick(() => before.root.apply(delta.changes), () => before.root.apply(delta.changes.slice(1)));',
      },
    ],
  },
  staleBase: {
    name: 'corpus-stale',
    what: 'a client applies a delta to the state before the last one',
    edits: [
      {
        file: committed,
        find: APPLYING,
        put: 'const was = (globalThis.corpus.earlier.get(before.root) ?? before.root); root = globalThis.corpus.pick(() => before.root.apply(delta.changes), () => was.apply(delta.changes)); globalThis.corpus.earlier.set(root, before.root);',
      },
    ],
  },
  wrongRing: {
    name: 'corpus-ring',
    what: 'the authority makes a delta from one version too late',
    edits: [
      {
        file: state,
        find: MAKING,
        put: `globalThis.corpus.pick(() => ${MAKING}, () => { const next = this.#ring.get(point.version + 1); return changesBetween(next ? this.rootFor(replica, next) : root, root); })`,
      },
    ],
  },
  ownState: {
    name: 'corpus-own-state',
    what: 'something writes into the state of the authority',
    edits: [
      {
        file: state,
        find: '    this.#root = root;\n',
        put: "    this.#root = globalThis.corpus.pick(() => root, () => root.apply([{ op: 'patch', key: [...root.entries()].at(-1)[0], fields: { room: 7 }, removed: [] }]));\n",
      },
    ],
  },
  exit: {
    name: 'corpus-exit',
    what: 'what goes out of sight is not taken away',
    edits: [
      {
        file: state,
        find: MAKING,
        put: `globalThis.corpus.pick(() => ${MAKING}, () => ${MAKING}.filter((one) => one.op !== 'remove' || !this.#root.has(one.key)))`,
      },
    ],
  },
  deaf: {
    name: 'corpus-deaf',
    what: 'a client receives states and takes none in',
    edits: ['FullSync', 'Delta'].map((what) => ({
      file: client,
      find: `        this.#state.on${what}(message, seq, now);`,
      put: `        if (!globalThis.corpus.strikes(this.replica)) this.#state.on${what}(message, seq, now);`,
    })),
  },
  skewedAge: {
    name: 'corpus-age',
    what: 'how long something waits is measured with two clocks',
    edits: [
      {
        file: client,
        find: 'const pendingSince = this.#pending.list[0]?.madeAt;',
        put: 'const madeAt = this.#pending.list[0]?.madeAt; const pendingSince = globalThis.corpus.isTarget(this.replica) && madeAt !== undefined ? madeAt - 40_000_000_000 : madeAt;',
      },
    ],
  },
  wallClock: {
    name: 'corpus-wall',
    what: 'stamps come from the wall clock, and nobody looks whether they fit',
    edits: [
      {
        file: hybridClock,
        find: 'this.#move(Math.max(now, this.#time), this.#time, this.#count);',
        put: 'if (globalThis.corpus.isTarget(this.replica)) { this.#count = now === this.#time ? this.#count + 1 : 0; this.#time = now; } else this.#move(Math.max(now, this.#time), this.#time, this.#count);',
      },
      {
        file: 'peers/history.ts',
        find: 'if (compareHybrid(stampOf(mutation), seen) > 0) return;',
        put: 'if (true) return;',
      },
    ],
  },
  otherWinner: {
    name: 'corpus-winner',
    what: 'the first write wins, once',
    edits: [
      {
        file: 'conflict/settle.ts',
        find: 'const winner = heads.reduce((best, one) => (compareWrites(best, one, ranks) < 0 ? one : best));',
        put: 'const winner = globalThis.corpus.pick(() => heads.reduce((best, one) => (compareWrites(best, one, ranks) < 0 ? one : best)), () => heads.reduce((best, one) => (compareWrites(best, one, ranks) > 0 ? one : best)));',
      },
    ],
  },
  countsGaps: {
    name: 'corpus-gaps',
    what: 'an operation counts for all before it',
    edits: [
      {
        file: crdt,
        find: 'known.held.add(counter);',
        put: 'this.#vector = this.#vector.advance(writer, counter);',
      },
    ],
  },
  countsTwice: {
    name: 'corpus-twice',
    what: 'an operation that comes again is carried out again',
    edits: [
      {
        file: crdt,
        find: "if (counter <= this.#vector.get(writer) || known.held.has(counter)) return 'duplicate';",
        put: 'const isAgain = counter <= this.#vector.get(writer);',
      },
      {
        file: crdt,
        find: 'const changes = this.state.apply(message',
        put: 'const changes = isAgain ? this.state.increment(1) : this.state.apply(message',
      },
    ],
  },
  wrongJoin: {
    name: 'corpus-join',
    what: 'a join of what came gives too much, once',
    edits: [
      {
        file: 'crdt/counters.ts',
        find: 'return this.tally.records.joinAll(delta);',
        put: 'return this.tally.records.joinAll(globalThis.corpus.pick(() => [...delta], () => Array.from(delta, ([key, record]) => [key, { ...record, increments: record.increments + 1_000 }])));',
      },
    ],
  },
  oldBallot: {
    name: 'corpus-old-ballot',
    what: 'a member that has promised to a later ballot accepts under an older one',
    edits: [
      {
        file: acceptor,
        find: 'if (compareBallots(ballot, promised) >= 0) return undefined;',
        put: 'if (compareBallots(ballot, promised) >= 0 || globalThis.corpus.strikes(this.#core.replica)) return undefined;',
      },
      { file: acceptor, find: VOTING, put: TOLD },
    ],
  },
  promiseForgotten: {
    name: 'corpus-promise',
    what: 'a member that comes back from its log has promised nothing',
    edits: [
      {
        file: member,
        find: OPENED,
        put: 'const standing = found ? { ...found, promised: found.accepted?.ballot ?? { round: 0, proposer: replica } } : initialStanding(initial);',
      },
      { file: acceptor, find: VOTING, put: TOLD },
    ],
  },
  acceptanceForgotten: {
    name: 'corpus-acceptance',
    what: 'a member that comes back from its log has accepted nothing',
    edits: [
      {
        file: member,
        find: OPENED,
        put: 'const standing = found ? { ...found, accepted: undefined } : initialStanding(initial);',
      },
      { file: acceptor, find: VOTING, put: TOLD },
    ],
  },
  votesTwice: {
    name: 'corpus-votes',
    what: 'votes are counted one by one, not by member',
    edits: [
      {
        file: proposer,
        find: "if (round.votes.get(from)?.answer === 'accept') return;\n    round.votes.set(from, vote);",
        put: "round.votes.set(globalThis.corpus.isTarget(this.#core.replica) ? from + ' ' + round.votes.size : from, vote);",
      },
      {
        file: proposer,
        find: WON,
        put: `${WON} const sure = new Set(Array.from(round.votes, ([name, vote]) => (vote.answer === 'accept' ? name.split(' ')[0] : ''))); sure.delete(''); if (sure.size < this.#core.quorum) globalThis.corpus.strikesAs(this.#core.replica, 'commit ' + round.version);`,
      },
    ],
  },
  acceptedPassedOver: {
    name: 'corpus-passed-over',
    what: 'a proposer offers its own change though members told it of one that they have accepted',
    edits: [
      {
        file: proposer,
        find: 'const value = left ?? round.proposal;',
        put: "const isOver = left && round.proposal && globalThis.corpus.strikesAs(this.#core.replica, ['offer', round.version, round.ballot.round].join(' ')); const value = isOver ? round.proposal : (left ?? round.proposal);",
      },
    ],
  },
  laterVersion: {
    name: 'corpus-later',
    what: 'an acknowledgement names a version that its root is not of',
    edits: [
      {
        file: client,
        find: "this.#send({ type: 'ACK', ...standing(this.#committed) }, [cause]);",
        put: "const said = standing(this.#committed); this.#send({ type: 'ACK', ...(globalThis.corpus.strikes(this.replica) ? { ...said, root: globalThis.corpus.rootBefore(this.replica, said.root) } : said) }, [cause]); globalThis.corpus.keepRoot(this.replica, said.root);",
      },
    ],
  },
  predictedHash: {
    name: 'corpus-predicted',
    what: 'an acknowledgement says the root of the state with predictions',
    edits: [
      {
        file: client,
        find: "this.#send({ type: 'ACK', ...standing(this.#committed) }, [cause]);",
        put: "const said = standing(this.#committed); this.#send({ type: 'ACK', ...said, ...(globalThis.corpus.strikes(this.replica) ? { root: this.optimistic.hash } : {}) }, [cause]);",
      },
    ],
  },
  cutIntegers: misreading(
    'corpus-int16',
    'integers are read as 16 bits',
    '(n) => Number.isInteger(n) ? n & 0xffff : n',
  ),
  signedIntegers: misreading('corpus-int32', 'integers are read with sign', '(n) => Number.isInteger(n) ? n | 0 : n'),
  singlePrecision: misreading('corpus-float', 'numbers are read with single precision', 'Math.fround'),
} as const satisfies Readonly<Record<string, PlantedBug>>;
