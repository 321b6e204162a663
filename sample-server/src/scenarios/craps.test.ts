import { StateRoot } from '@syncscope/protocol/merkle';
import { seededRandom } from '@syncscope/protocol/ports';
import { type ReplicaId, replicaId, type SyncRecord } from '@syncscope/protocol/state';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DiceChain, diceOf, isLinkBefore } from './craps-dice.ts';
import {
  betOf,
  changesOf,
  gameOf,
  HOUSE,
  MIDDLE,
  type Play,
  parsePlay,
  seatOf,
  shortage,
  tableOf,
  textOf,
  tokensIn,
  tokensOn,
} from './craps-rules.ts';

const players = ['peer-1', 'peer-2', 'peer-3'].map(replicaId);
const [anna, ben] = players as [ReplicaId, ReplicaId, ReplicaId];
const chains = new Map(players.map((player) => [player as string, new DiceChain(`secret of ${player}`, 200)]));
const table = StateRoot.from(tableOf(new Map([...chains].map(([player, chain]) => [player, chain.commitment]))));

/** The table after a play; throws what the rules say against it. */
function after(root: StateRoot, player: ReplicaId, play: Play): StateRoot {
  const counter = seatOf(root, player)!.changes + 1;
  return root.apply(changesOf(root, player, play, counter));
}

function roll(root: StateRoot): StateRoot {
  const { shooter } = gameOf(root);
  const link = chains.get(shooter)!.before(seatOf(root, shooter)!.link)!;
  return after(root, replicaId(shooter), { play: 'roll', link });
}

describe('the dice', () => {
  it('are fair enough: each face comes about as often as the others', () => {
    const counts = new Array<number>(6).fill(0);
    for (let at = 0; at < 6_000; at++) for (const die of diceOf(`link ${at}`, 'root')) counts[die - 1]!++;
    for (const count of counts) expect(Math.abs(count - 2_000)).toBeLessThan(200);
  });

  it('depend on the state, so that nobody knows them before the last bet', () => {
    const before = new Set(Array.from({ length: 50 }, (_, at) => diceOf('link', `root ${at}`).join()));
    expect(before.size).toBeGreaterThan(10);
  });

  it('need the one link that comes next: no other is taken', () => {
    const chain = chains.get(anna)!;
    const next = chain.before(chain.commitment)!;
    expect(isLinkBefore(next, chain.commitment)).toBe(true);
    expect(isLinkBefore(chain.before(next)!, chain.commitment)).toBe(false);
    const bet = after(table, ben, { play: 'bet', spot: 'pass', tokens: 5 });
    expect(() => after(bet, anna, { play: 'roll', link: chain.before(next)! })).toThrow('not the next link');
    expect(() => after(bet, ben, { play: 'roll', link: next })).toThrow('peer-1 is the shooter');
  });

  it('end with the chain', () => {
    const short = new DiceChain('secret', 1);
    const last = short.before(short.commitment)!;
    expect(short.before(last)).toBeUndefined();
    expect(short.before('no link')).toBeUndefined();
  });
});

describe('the rules', () => {
  it('refuse what cannot be, with the reason', () => {
    const bet = after(table, anna, { play: 'bet', spot: 'pass', tokens: 5 });
    expect(() => after(bet, anna, { play: 'bet', spot: 'pass', tokens: 5 })).toThrow('has bet on pass');
    expect(() => roll(table)).toThrow('nobody has bet');
    expect(() => after(table, anna, { play: 'transfer', to: 'stranger', tokens: 1 })).toThrow('stranger is nobody');
    expect(() => after(table, anna, { play: 'loan' })).toThrow('needs no loan');
    const taken = after(table, ben, { play: 'take-chip' });
    expect(tokensOn(taken, MIDDLE)).toBe(0);
    expect(() => after(taken, anna, { play: 'take-chip' })).toThrow('is gone');
    expect(() => changesOf(taken, ben, { play: 'take-dice' }, 1)).toThrow('change 1 of peer-2 counts already');
  });

  it('leave it to the accounts and spots whether there is room', () => {
    const short = changesOf(table, anna, { play: 'bet', spot: 'pass', tokens: 130 }, 1);
    expect(shortage(table, short)).toBe('account/peer-1 is 30 tokens short');
    const full = after(table, ben, { play: 'bet', spot: 'pass', tokens: 50 });
    expect(shortage(full, changesOf(full, anna, { play: 'bet', spot: 'pass', tokens: 11 }, 1))).toBe(
      'pass holds 50 of 60 tokens, and no 11 more',
    );
    expect(shortage(full, changesOf(full, anna, { play: 'bet', spot: 'dont-pass', tokens: 11 }, 1))).toBeUndefined();
  });

  it('pay by what was rolled, from every position', () => {
    // From scratch: who wins is looked up in the rules of the game as written down for people.
    const wins = (spot: 'pass' | 'dont-pass', point: number, sum: number): number | undefined => {
      if (point === 0) {
        if (sum === 7 || sum === 11) return spot === 'pass' ? 2 : 0;
        if (sum === 2 || sum === 3) return spot === 'pass' ? 0 : 2;
        if (sum === 12) return spot === 'pass' ? 0 : 1;
        return undefined;
      }
      if (sum === point) return spot === 'pass' ? 2 : 0;
      return sum === 7 ? (spot === 'pass' ? 0 : 2) : undefined;
    };
    let root = table;
    const seen = new Set<string>();
    for (let round = 0; round < 60; round++) {
      const before = gameOf(root);
      if (before.phase === 'come-out' && betOf(root, anna, 'pass') === 0) {
        root = after(root, anna, { play: 'bet', spot: 'pass', tokens: 2 });
        root = after(root, ben, { play: 'bet', spot: 'dont-pass', tokens: 2 });
      }
      const [a, b] = [tokensOn(root, anna), tokensOn(root, ben)];
      const next = roll(root);
      const [one = 0, two = 0] = gameOf(next).dice;
      const sum = one + two;
      const [pass, dont] = [wins('pass', before.point, sum), wins('dont-pass', before.point, sum)];
      seen.add(`${before.phase} ${pass} ${dont}`);
      expect(tokensOn(next, anna) - a).toBe(pass === undefined ? 0 : pass * 2);
      expect(tokensOn(next, ben) - b).toBe(dont === undefined ? 0 : dont * 2);
      expect(gameOf(next).round - before.round).toBe(pass === undefined ? 0 : 1);
      if (before.phase === 'point' && sum === 7) expect(gameOf(next).shooter).not.toBe(before.shooter);
      root = next;
    }
    expect(seen.size).toBeGreaterThan(3);
  });

  it('neither make nor lose a token, whatever is played', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 80 }), (seed, steps) => {
        const random = seededRandom(seed);
        let root = table;
        for (let step = 0; step < steps; step++) {
          const player = players[Math.floor(random.next() * players.length)]!;
          const play = anyPlay(root, random.next, player);
          const next = tried(root, player, play);
          if (!next) continue;
          expect(tokensIn(next)).toBe(tokensIn(table));
          for (const [, { tokens }] of next.entries('account/')) expect(tokens).toBeGreaterThanOrEqual(0);
          root = next;
        }
        expect(tokensOn(root, HOUSE)).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('are said in a text that says the same again', () => {
    const plays: Play[] = [
      { play: 'bet', spot: 'dont-pass', tokens: 12 },
      { play: 'transfer', to: 'peer-2', tokens: 3 },
      { play: 'roll', link: 'f'.repeat(64) },
      { play: 'take-chip' },
      { play: 'take-dice' },
      { play: 'loan' },
    ];
    for (const play of plays) {
      expect(textOf(play, 123_456).length).toBeLessThanOrEqual(80);
      expect(parsePlay(textOf(play, 17))).toEqual({ play, counter: 17 });
    }
    for (const text of [
      '',
      'bet',
      'bet pass ~1',
      'bet nowhere 3 ~1',
      'bet pass 0 ~1',
      'bet pass 3',
      'steal ~1',
      'bet pass -3 ~1',
    ]) {
      expect(parsePlay(text)).toBeUndefined();
    }
  });
});

function anyPlay(root: StateRoot, next: () => number, player: ReplicaId): Play {
  const other = players[Math.floor(next() * players.length)]!;
  const tokens = 1 + Math.floor(next() * 140);
  const seat = seatOf(root, player) as unknown as SyncRecord;
  const plays: Play[] = [
    { play: 'bet', spot: 'pass', tokens },
    { play: 'bet', spot: 'dont-pass', tokens },
    { play: 'transfer', to: other, tokens },
    { play: 'take-chip' },
    { play: 'take-dice' },
    { play: 'loan' },
    { play: 'roll', link: chains.get(player)!.before(String(seat.link)) ?? '' },
  ];
  return plays[Math.floor(next() * plays.length)]!;
}

/** The table after a play that is allowed and that there is room for. */
function tried(root: StateRoot, player: ReplicaId, play: Play): StateRoot | undefined {
  try {
    const changes = changesOf(root, player, play, seatOf(root, player)!.changes + 1);
    return shortage(root, changes) === undefined ? root.apply(changes) : undefined;
  } catch {
    return undefined;
  }
}
