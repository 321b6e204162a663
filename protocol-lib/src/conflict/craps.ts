import { SyncError } from '../errors/index.ts';
import { type Infer, literal, object, type Schema, string, uint } from '../schema/index.ts';
import { type Change, type RecordKey, recordKey, type SyncRecord } from '../state/index.ts';
import { compareMutations, idOf, type Mutation, mutationId } from './mutation.ts';
import type { PolicyEntry } from './policy.ts';
import type { DomainContext, DomainDecision, DomainRule, RuleState } from './rules.ts';
import { rankOf } from './settle.ts';

/**
 * The rules of a table of craps without a croupier whom all could ask, version 1:
 *
 * - A transfer or a bet spends what its account holds at its place in the merge: the balance at the divergence, and what was accepted
 *   since. Of concurrent spendings that the account cannot all pay, the larger comes first.
 * - A round is rolled once. Of concurrent rolls that of the higher role stands, of equal roles the earlier.
 * - A player bets once on one outcome of a round; of two bets the first stands. Nobody bets on what is rolled.
 * - A round is settled once, by the roll that stands.
 *
 * Tokens only ever move between `account/…` and `bet/…`, so their sum stays what it was.
 */
export const CRAPS = { name: 'craps', version: 1, house: 'house' } as const;

const COLLECTIONS = ['account/', 'bet/', 'roll/', 'settled/'];

/** The policies that give the craps rule its records. */
export const crapsPolicies: readonly PolicyEntry[] = COLLECTIONS.map((collection) => ({
  collection,
  policy: { kind: 'domain' as const, rule: CRAPS.name, version: CRAPS.version },
}));

const name = string(80);
const SHAPES = {
  transfer: object({ from: name, to: name, amount: uint }),
  bet: object({ round: uint, on: literal('pass', 'dont-pass'), amount: uint }),
  roll: object({ round: uint, first: uint, second: uint }),
  settle: object({ round: uint }),
};
type Command = keyof typeof SHAPES;
type ArgsOf<C extends Command> = Infer<(typeof SHAPES)[C]>;

/** Roles with a rank above 0 may also transfer from accounts of others. */
export function crapsRule(ranks: readonly { readonly role: string; readonly rank: number }[] = []): DomainRule {
  const rules: { readonly [C in Command]: (context: DomainContext, args: ArgsOf<C>) => DomainDecision } = {
    transfer: (context, args) => transfer(context, args, rankOf({ ranks: [...ranks] }, context.mutation.role)),
    bet,
    roll: (context, args) => roll(context, args, (one) => rankOf({ ranks: [...ranks] }, one.role)),
    settle,
  };
  return {
    name: CRAPS.name,
    version: CRAPS.version,
    commands: Object.keys(SHAPES),
    decide(context) {
      switch (context.mutation.command) {
        case 'transfer':
          return rules.transfer(context, argsOf('transfer', context.mutation));
        case 'bet':
          return rules.bet(context, argsOf('bet', context.mutation));
        case 'roll':
          return rules.roll(context, argsOf('roll', context.mutation));
        case 'settle':
          return rules.settle(context, argsOf('settle', context.mutation));
        default:
          return { rejected: `craps has no command ${context.mutation.command}` };
      }
    },
  };
}

/** All tokens of a state: on accounts and in bets. */
export function tokensIn(state: RuleState): number {
  let sum = 0;
  for (const [, record] of state.entries('account/')) sum += tokensOf(record);
  for (const [, record] of state.entries('bet/')) sum += tokensOf(record);
  return sum;
}

function argsOf<C extends Command>(command: C, { args }: Mutation): ArgsOf<C> {
  return (SHAPES[command] as Schema<ArgsOf<C>>).parse(args, command);
}

function tokensOf(record: SyncRecord | undefined): number {
  const tokens = record?.tokens;
  return typeof tokens === 'number' && Number.isSafeInteger(tokens) ? tokens : 0;
}

const accountKey = (of: string) => recordKey(`account/${of}`);
const rollKey = (round: number) => recordKey(`roll/${round}`);
const settledKey = (round: number) => recordKey(`settled/${round}`);

function transfer(context: DomainContext, args: ArgsOf<'transfer'>, rank: number): DomainDecision {
  const { mutation, state } = context;
  const key = accountKey(args.from);
  if (args.from !== mutation.writer && rank === 0) return { rejected: `only ${args.from} may spend its tokens`, key };
  if (args.from === args.to || args.amount === 0) return { rejected: 'nothing is transferred', key };
  const refusal = refuseSpending(context, key, args.amount);
  if (refusal) return refusal;
  return { changes: [move(state, key, -args.amount), move(state, accountKey(args.to), args.amount)] };
}

function bet(context: DomainContext, { round, on, amount }: ArgsOf<'bet'>): DomainDecision {
  const { mutation, state } = context;
  const key = recordKey(`bet/${round}/${mutation.writer}/${on}`);
  if (amount === 0) return { rejected: 'nothing is staked', key };
  if (state.get(key)) return { rejected: 'there is a bet on this already; the first stands', key };
  if (state.get(rollKey(round)) || state.get(settledKey(round))) return { rejected: `round ${round} is rolled`, key };
  const account = accountKey(mutation.writer);
  const refusal = refuseSpending(context, account, amount);
  if (refusal) return refusal;
  return { changes: [move(state, account, -amount), { op: 'put', key, record: { tokens: amount, on } }] };
}

function roll(context: DomainContext, args: ArgsOf<'roll'>, rank: (one: Mutation) => number): DomainDecision {
  const { mutation, state, rivals } = context;
  const key = rollKey(args.round);
  if (!isDie(args.first) || !isDie(args.second)) return { rejected: 'a die shows 1 to 6', key };
  const better = rivals.find((one) => isRollOf(one, args.round) && rank(one) > rank(mutation));
  if (better) {
    return { rejected: `the roll of role ${JSON.stringify(better.role)} stands`, by: mutationId(better), key };
  }
  const known = state.get(key);
  if (!known)
    return { changes: [{ op: 'put', key, record: { first: args.first, second: args.second, by: mutation.writer } }] };
  const earlier = rivals.find((one) => isRollOf(one, args.round));
  const reason = `round ${args.round} is rolled already, by ${String(known.by)}`;
  return { rejected: reason, key, ...(earlier ? { by: mutationId(earlier) } : {}) };
}

function isRollOf(mutation: Mutation, round: number): boolean {
  if (mutation.command !== 'roll') return false;
  const args = readArgs('roll', mutation);
  return args !== undefined && args.round === round && isDie(args.first) && isDie(args.second);
}

function isDie(value: number): boolean {
  return value >= 1 && value <= 6;
}

function settle({ state, mutation }: DomainContext, { round }: ArgsOf<'settle'>): DomainDecision {
  const key = settledKey(round);
  const dice = state.get(rollKey(round));
  if (!dice) return { rejected: `round ${round} is not rolled`, key };
  if (state.get(key)) return { rejected: `round ${round} is settled already`, key };
  const sum = Number(dice.first) + Number(dice.second);
  const wins = sum === 7 || sum === 11 ? 'pass' : 'dont-pass';
  const balances = new Map<RecordKey, number>();
  const add = (account: RecordKey, amount: number) => {
    balances.set(account, (balances.get(account) ?? tokensOf(state.get(account))) + amount);
  };
  const changes: Change[] = [];
  const house = accountKey(CRAPS.house);
  for (const [bet, record] of [...state.entries(`bet/${round}/`)].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const stake = tokensOf(record);
    const player = accountKey(bet.split('/')[2]!);
    if (record.on === wins) {
      // The house pays what it has; the stake comes back in any case.
      const pays = Math.min(stake, balances.get(house) ?? tokensOf(state.get(house)));
      add(house, -pays);
      add(player, stake + pays);
    } else {
      add(house, stake);
    }
    changes.push({ op: 'remove', key: bet });
  }
  for (const [account, tokens] of balances) changes.push({ op: 'put', key: account, record: { tokens } });
  changes.push({ op: 'put', key, record: { sum, by: mutation.writer } });
  return { changes };
}

/** Refuses what the account cannot pay, or could not beside a larger concurrent spending that is still to come in the merge. */
function refuseSpending(context: DomainContext, account: RecordKey, amount: number): DomainDecision | undefined {
  const { mutation, state, divergence, rivals } = context;
  const balance = tokensOf(state.get(account));
  if (balance < amount) {
    const rival = rivals.find((one) => spendingOf(one)?.account === account && compareMutations(one, mutation) < 0);
    const atDivergence = tokensOf(divergence.get(account));
    const rejected = `${account} holds ${balance} (${atDivergence} at the divergence) and cannot pay ${amount}`;
    return { rejected, key: account, ...(rival ? { by: mutationId(rival) } : {}) };
  }
  const larger = rivals
    .flatMap((one) => {
      const spending = compareMutations(one, mutation) > 0 ? spendingOf(one) : undefined;
      return spending && spending.account === account && spending.amount > amount
        ? [{ one, amount: spending.amount }]
        : [];
    })
    .sort((a, b) => b.amount - a.amount || compareMutations(a.one, b.one));
  let left = balance;
  for (const { one, amount: more } of larger) {
    if (left < more) continue;
    left -= more;
    if (left < amount) {
      const rejected = `${account} cannot pay ${amount} beside the larger ${more} of ${idOf(one)}`;
      return { rejected, key: account, by: mutationId(one) };
    }
  }
  return undefined;
}

function spendingOf(mutation: Mutation): { readonly account: RecordKey; readonly amount: number } | undefined {
  const transferred = readArgs('transfer', mutation);
  if (transferred) return { account: accountKey(transferred.from), amount: transferred.amount };
  const staked = readArgs('bet', mutation);
  return staked && { account: accountKey(mutation.writer), amount: staked.amount };
}

/** The arguments of a rival's command; undefined where it is another command, or its arguments are none. */
function readArgs<C extends Command>(command: C, mutation: Mutation): ArgsOf<C> | undefined {
  if (mutation.command !== command) return undefined;
  try {
    return argsOf(command, mutation);
  } catch (error) {
    if (error instanceof SyncError) return undefined;
    throw error;
  }
}

function move(state: RuleState, key: RecordKey, by: number): Change {
  return { op: 'put', key, record: { tokens: tokensOf(state.get(key)) + by } };
}
