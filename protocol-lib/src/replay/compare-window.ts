import type { RecordKeys } from './compare-keys.ts';

/** A record as it is aligned. */
export interface Item extends RecordKeys {
  readonly position: number;
  /** The version that it speaks of, -1 for none. */
  readonly version: number;
  /** What an endpoint says of itself where somebody begins to listen. */
  readonly isDescribing: boolean;
}

/** How much two records have in common; 0: they are not the same, and are never put beside each other. */
export function likeness(left: Item, right: Item): number {
  if (left.content === right.content) return ALIKE;
  return (left.substance === right.substance ? 2 : 0) + (left.identity === right.identity ? 1 : 0);
}

export const ALIKE = 7;

/** Which of two heads is passed over where both are as good: the same one whichever side is called left. */
export function isLeftFirst(left: Item, right: Item): boolean {
  return left.content <= right.content;
}

export type Step = 'pair' | 'left' | 'right';

/**
 * The alignment of two short lists, in order, by which most is alike: `left` and `right` are records that only one has. Dynamic programming over all
 * pairs of prefixes (Needleman and Wunsch 1970, without a price for gaps).
 */
export function alignWindow(left: readonly Item[], right: readonly Item[]): Step[] {
  const width = right.length + 1;
  const best = new Int32Array((left.length + 1) * width);
  for (let i = left.length - 1; i >= 0; i--) {
    for (let j = right.length - 1; j >= 0; j--) {
      const like = likeness(left[i]!, right[j]!);
      const paired = like > 0 ? like + best[(i + 1) * width + j + 1]! : 0;
      best[i * width + j] = Math.max(paired, best[(i + 1) * width + j]!, best[i * width + j + 1]!);
    }
  }
  const steps: Step[] = [];
  for (let [i, j] = [0, 0]; i < left.length || j < right.length; ) {
    const step = stepAt(left, right, i, j, best, width);
    steps.push(step);
    if (step !== 'right') i++;
    if (step !== 'left') j++;
  }
  return steps;
}

function stepAt(
  left: readonly Item[],
  right: readonly Item[],
  i: number,
  j: number,
  best: Int32Array,
  width: number,
): Step {
  const [one, other] = [left[i], right[j]];
  if (!one) return 'right';
  if (!other) return 'left';
  const most = best[i * width + j]!;
  const like = likeness(one, other);
  if (like > 0 && like + best[(i + 1) * width + j + 1]! === most) return 'pair';
  const [withoutLeft, withoutRight] = [best[(i + 1) * width + j]!, best[i * width + j + 1]!];
  if (withoutLeft !== withoutRight) return withoutLeft > withoutRight ? 'left' : 'right';
  return isLeftFirst(one, other) ? 'left' : 'right';
}

export interface Anchor {
  readonly left: number;
  readonly right: number;
}

/** Neighbours that stand for a place where no single record does. */
const RUN = 4;

/**
 * How much of two long lists to take before both go on alike: up to the nearest records, or else the nearest runs of records of one substance, that each list has
 * once; the whole of a list of which all versions are older than those of the other. Undefined where nothing tells.
 */
export function findAnchor(left: readonly Item[], right: readonly Item[]): Anchor | undefined {
  return nearest(contents(left), contents(right)) ?? older(left, right) ?? nearest(runs(left), runs(right));
}

function older(left: readonly Item[], right: readonly Item[]): Anchor | undefined {
  const [ours, theirs] = [versionsOf(left), versionsOf(right)];
  if (ours.to < theirs.from) return { left: left.length, right: 0 };
  return theirs.to < ours.from ? { left: 0, right: right.length } : undefined;
}

/** The oldest and the newest version told of; where there is none, no version is older or newer. */
function versionsOf(items: readonly Item[]): { readonly from: number; readonly to: number } {
  const known = items.filter(({ version }) => version >= 0);
  if (known.length === 0) return { from: Number.NEGATIVE_INFINITY, to: Number.POSITIVE_INFINITY };
  return known.reduce(({ from, to }, { version }) => ({ from: Math.min(from, version), to: Math.max(to, version) }), {
    from: Number.POSITIVE_INFINITY,
    to: Number.NEGATIVE_INFINITY,
  });
}

function contents(items: readonly Item[]): number[] {
  return items.map(({ content }) => content);
}

function runs(items: readonly Item[]): string[] {
  const keys: string[] = [];
  for (let at = 0; at + RUN <= items.length; at++) {
    keys.push(
      items
        .slice(at, at + RUN)
        .map(({ substance }) => substance)
        .join(' '),
    );
  }
  return keys;
}

function nearest<K>(left: readonly K[], right: readonly K[]): Anchor | undefined {
  const [once, other] = [placesOf(left), placesOf(right)];
  let found: Anchor | undefined;
  for (const [key, at] of once) {
    const there = other.get(key);
    if (at < 0 || there === undefined || there < 0) continue;
    const isNearer = !found || at + there < found.left + found.right;
    // Of two that are as near, that of which the earlier end is earlier, whichever side it is on.
    const isTie = found && at + there === found.left + found.right;
    if (isNearer || (isTie && Math.min(at, there) < Math.min(found!.left, found!.right))) {
      found = { left: at, right: there };
    }
  }
  return found;
}

/** By key where it stands, -1 where it stands in several places. */
function placesOf<K>(keys: readonly K[]): Map<K, number> {
  const places = new Map<K, number>();
  for (const [at, key] of keys.entries()) places.set(key, places.has(key) ? -1 : at);
  return places;
}
