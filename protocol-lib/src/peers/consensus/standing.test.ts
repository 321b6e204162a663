import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { StateRoot } from '../../merkle/index.ts';
import type { MessageBody } from '../../messages/index.ts';
import { milliseconds, type Random, randomOf } from '../../ports/index.ts';
import { type ReplicaId, recordKey, replicaId } from '../../state/index.ts';
import { type ConsensusEffect, ConsensusEngine, type Intent, initialStanding, memberStandingSchema } from './index.ts';
import { checkpointOf } from './records.ts';
import { recovered } from './recovery.ts';

const members = ['ann', 'ben', 'cid'].map(replicaId);
const TICK = milliseconds(50);

/** One of a group, with what it has been asked for and not been told of. */
interface Member {
  readonly replica: ReplicaId;
  /** What one draws when it is made is not taken from what both have. */
  readonly random: Random & { isMaking: boolean };
  engine: ConsensusEngine;
  readonly waiting: Intent[];
}

interface Step {
  readonly who: number;
  readonly what: 'propose' | 'time' | 'deliver' | 'lose';
  readonly count: number;
}

const KEPT = 10;
/** So short that a few steps are enough to come to nothing, and to finish what another one has left. */
const settings = {
  kept: KEPT,
  maxAttempts: 2,
  roundTimeout: milliseconds(100),
  resendInterval: milliseconds(50),
  backoff: milliseconds(10),
  takeOver: milliseconds(150),
};

function intentOf(number: number): Intent {
  const key = recordKey(`note/${number % 3}`);
  return {
    command: `write ${number}`,
    changes: (root) => {
      const times = Number(root.get(key)?.times ?? 0) + 1;
      return [{ op: 'put', key, record: { number, times } }];
    },
  };
}

/** Another member that goes on from where one says, in data, that it is. */
function goneOn({ replica, random, engine, waiting }: Member): ConsensusEngine | undefined {
  const { doing } = engine;
  if (!doing) return undefined;
  const said = { checkpoint: checkpointOf(engine.standing, KEPT, { replica, members }), sequence: 0, engine: doing };
  const standing = memberStandingSchema.parse(structuredClone(said), 'standing');
  random.isMaking = true;
  const other = new ConsensusEngine(
    { replica, members, random, settings },
    recovered(undefined, standing.checkpoint, KEPT),
  );
  other.resume(standing.engine, waiting);
  random.isMaking = false;
  return other;
}

/** An effect without what is made for itself alone in each run. */
function dataOf(effect: ConsensusEffect): unknown {
  switch (effect.kind) {
    case 'settle':
      return effect.outcome;
    case 'decided':
    case 'installed':
      return { ...effect, root: effect.root.hash };
    case 'rewrite':
      return checkpointOf(effect.standing, KEPT, { replica: members[0]!, members });
    default:
      return effect;
  }
}

/** All that the members asked for in a run, in order. Where `isReplaced`, another member takes each one's place before everything that it is handed. */
function run(steps: readonly Step[], isReplaced: boolean): { readonly said: unknown[]; readonly underway: number } {
  const said: unknown[] = [];
  let [now, numbers, underway] = [0, 0, 0];
  const links: { readonly from: ReplicaId; readonly to: ReplicaId; readonly body: MessageBody }[] = [];
  const group: Member[] = members.map((replica) => {
    const drawn = randomOf(1, replica);
    const random = { isMaking: false, next: (): number => (random.isMaking ? 0 : drawn.next()) };
    const engine = new ConsensusEngine({ replica, members, random, settings }, initialStanding(StateRoot.empty));
    return { replica, random, engine, waiting: [] };
  });
  const carryOut = (member: Member, effects: readonly ConsensusEffect[]): void => {
    for (const effect of effects) {
      if (effect.kind === 'send')
        for (const to of effect.to) links.push({ from: member.replica, to, body: effect.body });
      said.push([member.replica, dataOf(effect)]);
      // What is settled is always the first.
      if (effect.kind === 'settle' && effect.outcome.state !== 'unknown') member.waiting.shift();
    }
  };
  const hand = (member: Member, work: (engine: ConsensusEngine) => void): void => {
    const other = isReplaced ? goneOn(member) : undefined;
    if (other) {
      underway += other.receipts.length;
      member.engine = other;
    }
    work(member.engine);
    carryOut(member, member.engine.takeEffects());
  };
  for (const { who, what, count } of steps) {
    const member = group[who]!;
    if (what === 'propose') {
      const intent = intentOf(++numbers);
      hand(member, (engine) => {
        member.waiting.push(intent);
        engine.propose(intent, now);
      });
    } else if (what === 'time') {
      now += count * TICK;
      for (const one of group) hand(one, (engine) => engine.tick(now));
    } else {
      for (const { from, to, body } of links.splice(0, count)) {
        if (what === 'deliver')
          hand(group.find(({ replica }) => replica === to)!, (engine) => engine.receive(from, body, now));
      }
    }
  }
  return { said, underway };
}

describe('a member that goes on from where another one says that it is', () => {
  const step = fc.record({
    who: fc.nat(2),
    what: fc.oneof(
      { weight: 2, arbitrary: fc.constant('propose' as const) },
      { weight: 3, arbitrary: fc.constant('time' as const) },
      { weight: 6, arbitrary: fc.constant('deliver' as const) },
      { weight: 1, arbitrary: fc.constant('lose' as const) },
    ),
    count: fc.integer({ min: 1, max: 12 }),
  });

  test('does all that that one does, also with changes on their way', () => {
    let underway = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 120 }), (steps) => {
        const replaced = run(steps, true);
        underway += replaced.underway;
        expect(replaced.said).toEqual(run(steps, false).said);
      }),
      { numRuns: 200 },
    );
    expect(underway).toBeGreaterThan(100);
  });

  test('needs the changes that were on their way', () => {
    const random = randomOf(1, 'ann');
    const [replica] = members as [ReplicaId];
    const engine = new ConsensusEngine({ replica, members, random }, initialStanding(StateRoot.empty));
    engine.propose(intentOf(1), 0);
    const other = new ConsensusEngine({ replica, members, random }, initialStanding(StateRoot.empty));
    expect(() => other.resume(engine.doing!, [])).toThrow(expect.objectContaining({ code: 'STANDING_UNFIT' }));
  });
});
