import type { TraceRecord } from '@syncscope/protocol/trace';
import { CORPUS_BUGS } from './bugs.ts';
import type { CorpusFault } from './fault.ts';
import { GROUP_TARGET } from './group-session.ts';
import type { Deliver } from './schedule.ts';
import type { CorpusRecording } from './session.ts';

const VOTE = 22;
/** Of all frames. */
const LOSS = 0.2;

/** Members of a group that break one of the rules by which a version is decided only once. */
export function decisionFaults(): readonly CorpusFault[] {
  return [
    {
      ...{ name: 'member accepts an old ballot', of: 'group', class: 'split-decision' },
      ...{ bug: CORPUS_BUGS.oldBallot, goesOn: true, chances: 3 },
      session: (draw) => ({ deliver: rough(draw) }),
      isCause: firstVoteNoted,
    },
    {
      ...{ name: 'promise forgotten at a restart', of: 'group', class: 'split-decision' },
      ...{ bug: CORPUS_BUGS.promiseForgotten, goesOn: true, chances: 0 },
      session: (draw) => ({ deliver: rough(draw), restarts: 400 }),
      isCause: firstVoteNoted,
    },
    {
      ...{ name: 'acceptance forgotten at a restart', of: 'group', class: 'split-decision' },
      ...{ bug: CORPUS_BUGS.acceptanceForgotten, goesOn: true, chances: 0 },
      session: (draw) => ({ deliver: rough(draw), restarts: 400 }),
      isCause: firstVoteNoted,
    },
    {
      ...{ name: 'vote counted twice', of: 'group', class: 'split-decision' },
      ...{ bug: CORPUS_BUGS.votesTwice, goesOn: true, chances: 0 },
      session: (draw) => ({ deliver: twice(rough(draw)) }),
      isCause: firstNoted((body, replica) =>
        replica === GROUP_TARGET && body.kind === 'commit' ? `commit ${body.version}` : '',
      ),
    },
    {
      ...{ name: 'proposer passes over what was accepted', of: 'group', class: 'split-decision' },
      ...{ bug: CORPUS_BUGS.acceptedPassedOver, goesOn: true, chances: 0 },
      mayMiss: ({ notes }) => ![...notes.keys()].some((name) => name.startsWith('strike offer')),
      session: (draw) => ({ deliver: rough(draw) }),
      isCause: firstNoted((body, replica) =>
        replica === GROUP_TARGET && body.kind === 'proposal' && body.phase === 'accept'
          ? `offer ${body.version} ${body.ballot.round}`
          : '',
      ),
    },
  ];
}

/** Every part of a second one or two members are out of reach, and frames are lost, so that rounds come to nothing and are taken up by others. */
function rough(draw: () => number): Deliver {
  const salt = Math.floor(draw() * 1_000_000);
  const isAway = (member: string, now: number): boolean => {
    const turn = Math.floor(now / 350);
    return (
      ((turn * 7_919 + salt) % 5) + 1 === Number(member.at(-1)) ||
      ((turn * 104_729 + salt) % 7) + 1 === Number(member.at(-1))
    );
  };
  return (frame, from, to, { records }) => {
    const now = (records.at(-1)?.time ?? 0) / 1_000_000;
    return isAway(from, now) || isAway(to, now) || draw() < LOSS ? [] : [{ frame, later: 0 }];
  };
}

function twice(deliver: Deliver): Deliver {
  return (frame, from, to, marks) => {
    const once = deliver(frame, from, to, marks);
    return frame[1] === VOTE && to === GROUP_TARGET ? [...once, ...once] : once;
  };
}

/** The first record that planted code has named, where it became one. */
function firstNoted(nameOf: (body: TraceRecord['body'], replica: string) => string) {
  return ({ records, notes }: CorpusRecording, index: number): boolean =>
    index ===
    records.findIndex(({ body, replica }, at) => {
      const noted = notes.get(`strike ${nameOf(body, replica)}`);
      return noted !== undefined && at >= noted;
    });
}

const firstVoteNoted = firstNoted((body, replica) =>
  replica === GROUP_TARGET && body.kind === 'vote' && body.answer === 'accept'
    ? `vote ${body.version} ${body.phase} ${body.ballot.round} ${body.ballot.proposer}`
    : '',
);
