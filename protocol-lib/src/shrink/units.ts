import type { Item } from './item.ts';

/**
 * What is left out together. A message goes with all that arrived of it and what its receiver made of that, since a message that is sent and
 * no longer arrives would be a loss that never was. Everything else goes by itself.
 */
export type Unit = readonly Item[];

/** Kinds that follow from a receipt and mean nothing without it. */
const EFFECTS: ReadonlySet<string> = new Set(['apply', 'mismatch', 'confirmation', 'rollback', 'rebase']);

const NONE: ReadonlySet<string> = new Set();

/** The units of a trace, in order of their first record. */
export function messageUnits(items: readonly Item[]): Unit[] {
  return unitsOf(items, EFFECTS);
}

/** Every record by itself, but for those of one frame. */
export function singleUnits(items: readonly Item[]): Unit[] {
  return unitsOf(items, NONE);
}

function unitsOf(items: readonly Item[], effects: ReadonlySet<string>): Unit[] {
  const units: Item[][] = [];
  const byFrame = new Map<string, Item[]>();
  const byReceipt = new Map<number, Item[]>();
  const join = (key: string, item: Item): Item[] => {
    let unit = byFrame.get(key);
    if (!unit) {
      unit = [];
      units.push(unit);
      byFrame.set(key, unit);
    }
    unit.push(item);
    return unit;
  };
  for (const item of items) {
    const { body, replica, seq, cause } = item;
    if (body.kind === 'send') join(`${body.sender} ${body.sequence} ${body.to}`, item);
    else if (body.kind === 'receive') byReceipt.set(seq, join(`${body.sender} ${body.sequence} ${replica}`, item));
    else {
      const receipt = effects.has(body.kind) ? cause.map((one) => byReceipt.get(one)).find((one) => one) : undefined;
      if (receipt) receipt.push(item);
      else units.push([item]);
    }
  }
  return units;
}

/** Everything of one replica, and the frames to and from it: the coarsest units. */
export function replicaUnits(items: readonly Item[]): Unit[] {
  const units = new Map<string, Item[]>();
  for (const item of items) {
    const { body, replica } = item;
    // Frames of a link belong to the end of it that is not the authority: whichever end leaves takes its frames along.
    const whose =
      body.kind === 'send' ? link(replica, body.to) : body.kind === 'receive' ? link(body.from, replica) : replica;
    const unit = units.get(whose);
    if (unit) unit.push(item);
    else units.set(whose, [item]);
  }
  return [...units.values()];
}

function link(one: string, other: string): string {
  return one < other ? `${one} – ${other}` : `${other} – ${one}`;
}

/** The items of these units in the order of the trace; what stands for the beginning stays first. */
export function inOrder(units: readonly Unit[], order: ReadonlyMap<Item, number>): Item[] {
  return units.flat().sort((a, b) => (order.get(a) ?? 0) - (order.get(b) ?? 0));
}
