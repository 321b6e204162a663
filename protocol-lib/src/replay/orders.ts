import type { StateRoot } from '../merkle/index.ts';
import { type Random, seededRandom } from '../ports/index.ts';
import { ddmin } from '../shrink/ddmin.ts';
import type { StateHash } from '../state/index.ts';

/** Operations by their place in the recorded order, in some order. */
export type Order = readonly number[];

/** For each operation, those that must come before it. */
export type Before = ReadonlyArray<ReadonlySet<number>>;

/** Operations that can be run in other orders than the recorded one. */
export interface Reorderable {
  readonly before: Before;
  /** Who made each of them. */
  readonly writers: readonly string[];
  /** The state that some of them lead to, in an order that causes allow; undefined where one of them does not fit. */
  run(order: Order): StateRoot | undefined;
}

/** Two operations of which neither knew of the other and whose order matters. */
export interface OrderConflict {
  readonly first: number;
  readonly second: number;
  /** All that is needed to see it, in two orders that differ in the places of the two alone. */
  readonly orders: readonly [Order, Order];
  readonly states: readonly [StateRoot | undefined, StateRoot | undefined];
}

/** Takes, of those that are ready, the one at the place that is answered. */
type Choose = (ready: readonly number[]) => number;

/** How many each waits for, who waits for it, and those that wait for none. */
function graphOf(before: Before) {
  const waiting = before.map((set) => set.size);
  const after: number[][] = before.map(() => []);
  for (const [at, set] of before.entries()) for (const one of set) after[one]!.push(at);
  return { waiting, after, ready: waiting.flatMap((count, at) => (count === 0 ? [at] : [])) };
}

function extension(before: Before, choose: Choose): number[] {
  const { waiting, after, ready } = graphOf(before);
  const order: number[] = [];
  while (ready.length > 0) {
    const [one] = ready.splice(choose(ready), 1);
    if (one === undefined) break;
    order.push(one);
    for (const later of after[one]!) if (--waiting[later]! === 0) ready.push(later);
  }
  return order;
}

/** Every linear extension, or undefined where there are more than `most`. */
export function everyOrder(before: Before, most: number): number[][] | undefined {
  // On the way to one order, each place that could have been taken otherwise leads to another one at least.
  let atLeast = 1;
  extension(before, (ready) => {
    atLeast += ready.length - 1;
    return 0;
  });
  if (atLeast > most) return undefined;
  const { waiting, after, ready } = graphOf(before);
  const found: number[][] = [];
  const order: number[] = [];
  const frames = [{ ready, next: 0 }];
  for (let frame = frames.at(-1); frame; frame = frames.at(-1)) {
    if (frame.next > 0) for (const later of after[order.pop()!]!) waiting[later]!++;
    const one = frame.ready[frame.next++];
    if (one === undefined) {
      frames.pop();
      continue;
    }
    order.push(one);
    const freed = after[one]!.filter((later) => --waiting[later]! === 0);
    frames.push({ ready: [...frame.ready.filter((other) => other !== one), ...freed], next: 0 });
    if (order.length === before.length && found.push([...order]) > most) return undefined;
  }
  return found;
}

/** A linear extension, drawn by taking any that is ready. */
export function drawOrder(before: Before, next: () => number): number[] {
  return extension(before, (ready) => Math.floor(next() * ready.length));
}

/** A linear extension that takes what ranks highest first, and of those the one that was recorded last. */
function rankedOrder(before: Before, rank: (at: number) => number): number[] {
  return extension(before, (ready) => {
    let best = 0;
    for (const [place, at] of ready.entries()) {
      const [one, other] = [rank(at), rank(ready[best]!)];
      if (one > other || (one === other && at > ready[best]!)) best = place;
    }
    return best;
  });
}

/**
 * Linear extensions without an end: first those that are farthest from what was recorded – the latest first, then each writer ahead of all others, and
 * behind them –, then drawn ones.
 */
export function* legalOrders({ before, writers }: Reorderable, seed: number): Generator<number[]> {
  yield rankedOrder(before, () => 0);
  for (const writer of new Set(writers)) {
    yield rankedOrder(before, (at) => (writers[at] === writer ? 1 : 0));
    yield rankedOrder(before, (at) => (writers[at] === writer ? 0 : 1));
  }
  const random: Random = seededRandom(seed);
  for (;;) yield drawOrder(before, () => random.next());
}

/** As many tries as this for each order that is wanted: where most are alike, few others are drawn. */
const TRIES = 20;

/** {@link legalOrders} without those that came before, `recorded` among them; so many at most. */
export function* distinctOrders(problem: Reorderable, seed: number, recorded: Order, most: number): Generator<Order> {
  const known = new Set([fingerprint(recorded)]);
  let tries = most * TRIES;
  for (const order of legalOrders(problem, seed)) {
    if (known.size > most || tries-- === 0) return;
    const print = fingerprint(order);
    if (known.has(print)) continue;
    known.add(print);
    yield order;
  }
}

/** 64 bits that tell orders apart. */
function fingerprint(order: Order): string {
  const halves = [0x811c9dc5, 0x01000193].map((start) =>
    order.reduce((hash, one) => Math.imul(hash ^ one, 0x01000193) ^ (hash >>> 15), start),
  );
  return halves.join(' ');
}

/**
 * What makes two orders of one set of operations end in two states: the fewest operations that still do, and of their orders two that differ in
 * one exchange of neighbours.
 */
export async function smallestConflict(problem: Reorderable, recorded: Order, other: Order): Promise<OrderConflict> {
  const hashOf = (order: Order): StateHash | undefined => problem.run(order)?.hash;
  const among = (some: readonly number[]): readonly [Order, Order] => {
    const kept = closureOf(problem.before, some);
    return [recorded.filter((at) => kept.has(at)), other.filter((at) => kept.has(at))];
  };
  const differs = async (some: readonly number[]): Promise<boolean> => {
    const [one, two] = among(some);
    return hashOf(one) !== hashOf(two);
  };
  const [from, to] = among(await ddmin(recorded, differs));
  const found = exchangeBetween(problem, from, to);
  return pairAlone(problem, found) ?? found;
}

/** The two behind nothing but their causes, where that shows it too. */
function pairAlone(problem: Reorderable, { first, second, orders }: OrderConflict): OrderConflict | undefined {
  const causes = closureOf(problem.before, [first, second]);
  const prefix = orders[0].filter((at) => causes.has(at) && at !== first && at !== second);
  const [one, two] = [
    [...prefix, first, second],
    [...prefix, second, first],
  ] as const;
  const states = [problem.run(one), problem.run(two)] as const;
  return states[0]?.hash === states[1]?.hash ? undefined : { first, second, orders: [one, two], states };
}

/** These operations and all that must come before them. */
function closureOf(before: Before, some: readonly number[]): ReadonlySet<number> {
  const all = new Set<number>();
  const waiting = [...some];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    if (all.has(at)) continue;
    all.add(at);
    waiting.push(...before[at]!);
  }
  return all;
}

/** From one order to the other by exchanging neighbours, all of them concurrent: some exchange changes where it ends. */
function exchangeBetween(problem: Reorderable, from: Order, to: Order): OrderConflict {
  const exchanges = exchangesBetween(from, to);
  const first = problem.run(from)?.hash;
  // The end is `first` behind none of them and another behind all; halving finds neighbours of which that is so.
  let same = 0;
  let differs = exchanges.length;
  while (differs - same > 1) {
    const middle = (same + differs) >> 1;
    if (problem.run(orderAfter(from, exchanges, middle))?.hash === first) same = middle;
    else differs = middle;
  }
  const place = exchanges[same]!;
  const orders = [orderAfter(from, exchanges, same), orderAfter(from, exchanges, differs)] as const;
  const [one, two] = orders;
  return { first: one[place]!, second: one[place + 1]!, orders, states: [problem.run(one), problem.run(two)] };
}

/** Places whose operation is exchanged with the next, one after the other. */
function exchangesBetween(from: Order, to: Order): number[] {
  const rank = new Map(to.map((one, at) => [one, at]));
  const order = [...from];
  const places: number[] = [];
  for (let changed = true; changed; ) {
    changed = false;
    for (let at = 0; at + 1 < order.length; at++) {
      if (rank.get(order[at]!)! < rank.get(order[at + 1]!)!) continue;
      exchange(order, at);
      places.push(at);
      changed = true;
    }
  }
  return places;
}

function orderAfter(from: Order, exchanges: readonly number[], count: number): number[] {
  const order = [...from];
  for (const at of exchanges.slice(0, count)) exchange(order, at);
  return order;
}

function exchange(order: number[], at: number): void {
  const [left, right] = [order[at]!, order[at + 1]!];
  order[at] = right;
  order[at + 1] = left;
}
