import { StateRoot } from '../merkle/index.ts';
import type { BodyOf } from '../messages/index.ts';
import { ConsensusEngine, compareBallots, initialStanding } from '../peers/index.ts';
import { milliseconds } from '../ports/index.ts';
import { type Change, type ReplicaId, recordKey, replicaId } from '../state/index.ts';
import { Stream } from './choices.ts';

const MEMBERS = ['alice', 'bob', 'carol', 'dave', 'erin'].map(replicaId);
/** Below the ballot of the proposer, who has promised this round before. */
const ROUND = 50;

type Accepted = NonNullable<BodyOf<'VOTE'>['accepted']>;

/**
 * A property of its own, since proposers that give way to each other hardly ever leave several accepted changes behind: whoever is promised to
 * asks to accept, of what the promising members have accepted, the change of the highest ballot; else its own. Answers what is wrong, for people.
 */
export function findWrongChoice(seed: number): string | undefined {
  const stream = Stream.of(seed, 'choice');
  const [alice, ...others] = MEMBERS as [ReplicaId, ...ReplicaId[]];
  const promised = { round: ROUND, proposer: others[0]! };
  const standing = { ...initialStanding(StateRoot.empty), promised };
  const engine = new ConsensusEngine({ replica: alice, members: MEMBERS, random: stream }, standing);
  engine.propose({ command: 'own', changes: [change(0)] }, milliseconds(1));
  const asked = sentBy(engine, 'PREPARE');
  if (!asked) return 'nobody was asked for a promise';
  const accepted: Accepted[] = [];
  while (others.length > 2) {
    const [from] = others.splice(stream.int(0, others.length - 1), 1);
    const one = stream.chance(0.7) ? acceptedBy(stream) : undefined;
    if (one) accepted.push(one);
    const { version, round, base } = asked;
    const answer = { phase: 'prepare', answer: 'accept', at: 0, own: base, promised: round, reason: '' } as const;
    const vote = { version, round, proposer: alice, ...answer, ...(one ? { accepted: one } : {}) };
    engine.receive(from!, { type: 'VOTE', ...vote }, milliseconds(2));
  }
  const [highest] = accepted.sort((left, right) => compareBallots(right, left));
  const expected = highest?.command ?? 'own';
  const chosen = sentBy(engine, 'ACCEPT')?.command;
  return chosen === expected ? undefined : `${chosen} was chosen, and ${expected} has the highest ballot`;
}

/** A change that some earlier proposer had accepted by somebody; one ballot has one change. */
function acceptedBy(stream: Stream): Accepted {
  const round = stream.int(1, ROUND - 1);
  const proposer = stream.pick(MEMBERS);
  const value = round * MEMBERS.length + MEMBERS.indexOf(proposer);
  const changes = [change(value)];
  const { hash } = StateRoot.empty.apply(changes);
  return { round, proposer, writer: proposer, counter: round, command: `${round}/${proposer}`, changes, root: hash };
}

function change(value: number): Change {
  return { op: 'put', key: recordKey('note/1'), record: { value } };
}

function sentBy<K extends 'PREPARE' | 'ACCEPT'>(engine: ConsensusEngine, type: K): BodyOf<K> | undefined {
  for (const effect of engine.takeEffects()) {
    if (effect.kind === 'send' && effect.body.type === type) return effect.body as BodyOf<K>;
  }
  return undefined;
}
