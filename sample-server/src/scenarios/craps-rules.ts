import { VersionVector } from '@syncscope/protocol/clock';
import { SyncError } from '@syncscope/protocol/errors';
import type { StateRoot } from '@syncscope/protocol/merkle';
import { type Change, type RecordKey, type ReplicaId, recordKey, type SyncRecord } from '@syncscope/protocol/state';
import type { StateView } from '@syncscope/protocol/sync';
import { CHAIN_LENGTH, diceOf, isLinkBefore } from './craps-dice.ts';

/**
 * The rules of the table: what each command makes of a state. Pure, so that every member computes for itself what a proposal should
 * change, and accepts nothing else.
 *
 * Records: `table/game` {phase, point, round, rolls, shooter, dice}, `account/PLAYER` {tokens}, with `account/house` and
 * `account/middle`, the chip that lies in the middle for whoever takes it; `bet/PLAYER/SPOT` {tokens, round}; `seat/PLAYER`
 * {changes, link, left}: how many changes of that player there are, the link of its dice that was revealed last, and how many are left.
 *
 * A command is its text, which proposals carry: `bet pass 10 ~17` is the player's 17th change. No number counts twice.
 */
export const SPOTS = ['pass', 'dont-pass'] as const;
export type Spot = (typeof SPOTS)[number];

export type Play =
  | { readonly play: 'bet'; readonly spot: Spot; readonly tokens: number }
  | { readonly play: 'transfer'; readonly to: string; readonly tokens: number }
  | { readonly play: 'take-chip' }
  | { readonly play: 'roll'; readonly link: string }
  | { readonly play: 'take-dice' }
  | { readonly play: 'loan' };

export const HOUSE = 'house';
export const MIDDLE = 'middle';
/** What a spot holds at most, of all players together. */
export const SPOT_MAX = 60;
export const LOAN = 20;
/** Who has less may ask the house for a loan. */
export const POOR = 5;
const CHIP = 5;
const PLAYER_TOKENS = 100;
const HOUSE_TOKENS = 2_000;
const GAME_KEY = recordKey('table/game');

export interface Game {
  readonly phase: 'come-out' | 'point';
  /** 0 before there is one. */
  readonly point: number;
  readonly round: number;
  readonly rolls: number;
  readonly shooter: string;
  readonly dice: readonly number[];
}

/** @param commitments of the players, in the order in which they get the dice */
export function* tableOf(
  commitments: ReadonlyMap<string, string>,
): Generator<readonly [RecordKey, SyncRecord], void, undefined> {
  const [shooter = HOUSE] = commitments.keys();
  yield [GAME_KEY, { phase: 'come-out', point: 0, round: 1, rolls: 0, shooter, dice: [] }];
  yield [accountKey(HOUSE), { tokens: HOUSE_TOKENS }];
  yield [accountKey(MIDDLE), { tokens: CHIP }];
  for (const [player, link] of commitments) {
    yield [accountKey(player), { tokens: PLAYER_TOKENS }];
    yield [seatKey(player), { changes: 0, link, left: CHAIN_LENGTH }];
  }
}

export function gameOf(state: StateView): Game {
  return state.get(GAME_KEY) as unknown as Game;
}

export function tokensOn(state: StateView, account: string): number {
  return tokensOf(state.get(accountKey(account)));
}

export function betOf(state: StateView, player: string, spot: Spot): number {
  return tokensOf(state.get(betKey(player, spot)));
}

export interface Seat {
  readonly changes: number;
  readonly link: string;
  readonly left: number;
}

export function seatOf(state: StateView, player: string): Seat | undefined {
  return state.get(seatKey(player)) as unknown as Seat | undefined;
}

/** Whose changes are in a state, and how many. */
export function vectorOf(state: StateView): VersionVector {
  const entries = [...state.entries('seat/')].map(([key, record]) => ({
    replica: key.slice('seat/'.length) as ReplicaId,
    counter: Number(record.changes),
  }));
  return VersionVector.from(entries.filter(({ counter }) => counter > 0));
}

/** All tokens there are: on accounts and in bets. No change makes or loses one. */
export function tokensIn(state: StateView): number {
  let sum = 0;
  for (const prefix of ['account/', 'bet/']) for (const [, record] of state.entries(prefix)) sum += tokensOf(record);
  return sum;
}

/** The text that a proposal carries. */
export function textOf(play: Play, counter: number): string {
  switch (play.play) {
    case 'bet':
      return `bet ${play.spot} ${play.tokens} ~${counter}`;
    case 'transfer':
      return `transfer ${play.to} ${play.tokens} ~${counter}`;
    case 'roll':
      return `roll ${play.link} ~${counter}`;
    default:
      return `${play.play} ~${counter}`;
  }
}

/** What a text says; undefined where it is no command. */
export function parsePlay(text: string): { readonly play: Play; readonly counter: number } | undefined {
  const match = /^(.+) ~(\d{1,9})$/.exec(text);
  if (!match) return undefined;
  const [name, ...rest] = match[1]!.split(' ');
  const play = playOf(name!, rest);
  return play && { play, counter: Number(match[2]) };
}

function playOf(name: string, rest: readonly string[]): Play | undefined {
  const [first = '', second = ''] = rest;
  const tokens = /^[1-9]\d{0,5}$/.test(second) ? Number(second) : undefined;
  switch (`${name} ${rest.length}`) {
    case 'bet 2': {
      const spot = SPOTS.find((one) => one === first);
      return spot && tokens ? { play: 'bet', spot, tokens } : undefined;
    }
    case 'transfer 2':
      return tokens ? { play: 'transfer', to: first, tokens } : undefined;
    case 'roll 1':
      return { play: 'roll', link: first };
    case 'take-chip 0':
    case 'take-dice 0':
    case 'loan 0':
      return { play: name as 'take-chip' | 'take-dice' | 'loan' };
    default:
      return undefined;
  }
}

/**
 * What a command changes. An account may come out below zero, or a spot too full, which {@link shortage} finds: that is a matter of resources,
 * not of rules.
 * @throws SyncError `CRAPS_REFUSED` where the rules do not allow it now
 */
export function changesOf(state: StateRoot, player: ReplicaId, play: Play, counter: number): Change[] {
  const seat = seatOf(state, player);
  if (!seat) throw refused(`${player} has no seat`);
  if (counter <= seat.changes) throw refused(`change ${counter} of ${player} counts already`);
  const changes = MOVES[play.play](state, player, play as never);
  const revealed = play.play === 'roll' ? { link: play.link, left: seat.left - 1 } : {};
  return [...changes, { op: 'put', key: seatKey(player), record: { ...seat, ...revealed, changes: counter } }];
}

/** Why accounts and spots have no room for what is changed; undefined where they have. */
export function shortage(state: StateView, changes: readonly Change[]): string | undefined {
  for (const change of changes) {
    if (change.op !== 'put') continue;
    const { key, record } = change;
    if (key.startsWith('account/') && tokensOf(record) < 0) return `${key} is ${-tokensOf(record)} tokens short`;
    const spot = key.startsWith('bet/') ? key.split('/')[2] : undefined;
    if (spot === undefined) continue;
    const there = [...state.entries('bet/')].filter(([one]) => one !== key && one.endsWith(`/${spot}`));
    const sum = there.reduce((all, [, one]) => all + tokensOf(one), 0);
    if (sum + tokensOf(record) > SPOT_MAX)
      return `${spot} holds ${sum} of ${SPOT_MAX} tokens, and no ${tokensOf(record)} more`;
  }
  return undefined;
}

type Move<P extends Play['play']> = (
  state: StateRoot,
  player: ReplicaId,
  play: Extract<Play, { play: P }>,
) => readonly Change[];

const MOVES: { readonly [P in Play['play']]: Move<P> } = {
  bet(state, player, { spot, tokens }) {
    const { phase, round } = gameOf(state);
    if (phase !== 'come-out') throw refused('bets are made before the point is on');
    if (state.get(betKey(player, spot))) throw refused(`${player} has bet on ${spot} in this round`);
    return [move(state, player, -tokens), { op: 'put', key: betKey(player, spot), record: { tokens, round } }];
  },
  transfer(state, player, { to, tokens }) {
    if (to === player || !seatOf(state, to)) throw refused(`${to} is nobody else at this table`);
    return [move(state, player, -tokens), move(state, to, tokens)];
  },
  'take-chip'(state, player) {
    const chip = tokensOn(state, MIDDLE);
    if (chip === 0) throw refused('the chip in the middle is gone');
    return [move(state, MIDDLE, -chip), move(state, player, chip)];
  },
  loan(state, player) {
    const has = tokensOn(state, player) + SPOTS.reduce((sum, spot) => sum + betOf(state, player, spot), 0);
    if (has >= POOR) throw refused(`${player} has ${has} tokens and needs no loan`);
    return [move(state, HOUSE, -LOAN), move(state, player, LOAN)];
  },
  'take-dice'(state, player) {
    const game = gameOf(state);
    if (game.shooter === player) throw refused(`${player} has the dice`);
    return [gameWith(game, { shooter: player })];
  },
  roll(state, player, { link }) {
    const game = gameOf(state);
    if (game.shooter !== player) throw refused(`${game.shooter} is the shooter`);
    if (!isLinkBefore(link, seatOf(state, player)!.link)) throw refused('this is not the next link of the shooter');
    if ([...state.entries('bet/')].length === 0) throw refused('nobody has bet');
    const dice = diceOf(link, state.hash);
    const sum = dice[0] + dice[1];
    const rolled = { dice: [...dice], rolls: game.rolls + 1 };
    const end = endOf(game, sum);
    if (end === undefined) return [gameWith(game, { ...rolled, ...(game.phase === 'come-out' ? pointOn(sum) : {}) })];
    const shooter = end === 'seven-out' ? nextShooter(state, player) : player;
    const next = { ...rolled, phase: 'come-out' as const, point: 0, round: game.round + 1, shooter };
    return [gameWith(game, next), ...payments(state, game, sum)];
  },
};

function pointOn(sum: number) {
  return { phase: 'point' as const, point: sum };
}

/** How a round ends with this roll; undefined where it goes on. */
function endOf(game: Game, sum: number): 'decided' | 'seven-out' | undefined {
  if (game.phase === 'come-out') return [2, 3, 7, 11, 12].includes(sum) ? 'decided' : undefined;
  if (sum === 7) return 'seven-out';
  return sum === game.point ? 'decided' : undefined;
}

/** 1: it pays as much again; 0: it goes back; -1: it is lost. Twelve on the come-out gives bets against the shooter back. */
function luckOf(spot: Spot, game: Game, sum: number): -1 | 0 | 1 {
  const passes = game.phase === 'come-out' ? sum === 7 || sum === 11 : sum === game.point;
  if (spot === 'pass') return passes ? 1 : -1;
  if (passes) return -1;
  return game.phase === 'come-out' && sum === 12 ? 0 : 1;
}

function payments(state: StateRoot, game: Game, sum: number): Change[] {
  const changes: Change[] = [];
  const balances = new Map<string, number>();
  const balance = (account: string): number => balances.get(account) ?? tokensOn(state, account);
  const add = (account: string, tokens: number): void => void balances.set(account, balance(account) + tokens);
  for (const [key, record] of [...state.entries('bet/')].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const [, player = '', spot] = key.split('/');
    const stake = tokensOf(record);
    const luck = luckOf(spot as Spot, game, sum);
    // The house pays what it has; the stake comes back in any case.
    const pays = luck > 0 ? Math.min(stake, balance(HOUSE)) : 0;
    if (luck < 0) add(HOUSE, stake);
    else add(player, stake);
    if (pays > 0) {
      add(HOUSE, -pays);
      add(player, pays);
    }
    changes.push({ op: 'remove', key });
  }
  if (balance(MIDDLE) === 0 && balance(HOUSE) >= CHIP) {
    add(HOUSE, -CHIP);
    add(MIDDLE, CHIP);
  }
  for (const [account, tokens] of balances) changes.push({ op: 'put', key: accountKey(account), record: { tokens } });
  return changes;
}

function nextShooter(state: StateRoot, player: string): string {
  const players = [...state.entries('seat/')].map(([key]) => key.slice('seat/'.length)).sort();
  return players[(players.indexOf(player) + 1) % players.length]!;
}

function gameWith(game: Game, change: Partial<Game>): Change {
  return { op: 'put', key: GAME_KEY, record: { ...game, ...change, dice: [...(change.dice ?? game.dice)] } };
}

function move(state: StateView, account: string, by: number): Change {
  return { op: 'put', key: accountKey(account), record: { tokens: tokensOn(state, account) + by } };
}

function tokensOf(record: SyncRecord | undefined): number {
  return typeof record?.tokens === 'number' ? record.tokens : 0;
}

function accountKey(of: string): RecordKey {
  return recordKey(`account/${of}`);
}

function seatKey(of: string): RecordKey {
  return recordKey(`seat/${of}`);
}

function betKey(player: string, spot: Spot): RecordKey {
  return recordKey(`bet/${player}/${spot}`);
}

function refused(why: string): SyncError {
  return new SyncError('CRAPS_REFUSED', why, { origin: 'state' });
}
