import type { IntegerList } from './integer-list.ts';

/** Hashes of keys that are looked for; may lose some while they are. */
export type WantedKeys = ReadonlySet<number> | ReadonlyMap<number, unknown>;

/** Of a page with more different keys than this nothing is remembered: a key is in it more likely than not. */
const DISTINCT_MAX = 4_096;
/** Hashes that are remembered, of all pages together. */
const REMEMBERED_MAX = 2 * 1024 * 1024;

/**
 * The changes of keys of a capture, newest first. Which keys a page of the list has at all is remembered once it was looked through: what
 * has not changed for a million records is then found without reading them again.
 */
export class ChangedKeys {
  readonly #keys: IntegerList;
  /** By page: the different hashes in it, ascending; null where there are too many. */
  readonly #distinct = new Map<number, Int32Array | null>();
  #remembered = 0;

  /** `keys` are hashes of keys as signed 32 bits, in the order of the records that change them. */
  constructor(keys: IntegerList) {
    this.#keys = keys;
  }

  /** The places in the list, from `from` down to `last`, at which one of the wanted keys stands. */
  *before(from: number, last: number, wanted: WantedKeys): Generator<number> {
    const keys = this.#keys;
    for (let at = from; at >= last; ) {
      const page = keys.pageOf(at);
      const start = keys.startOf(page);
      const until = Math.max(start, last);
      if (this.#mayHave(page, wanted)) {
        for (let place = at; place >= until; place--) if (wanted.has(keys.at(place))) yield place;
        if (until === start) this.#remember(page);
      }
      at = until - 1;
    }
  }

  #mayHave(page: number, wanted: WantedKeys): boolean {
    const distinct = this.#distinct.get(page);
    if (!distinct) return true;
    for (const hash of wanted.keys()) if (hasSorted(distinct, hash)) return true;
    return false;
  }

  #remember(page: number): void {
    if (page >= this.#keys.fullPages || this.#distinct.has(page) || this.#remembered >= REMEMBERED_MAX) return;
    const distinct = new Set(this.#keys.valuesOf(page));
    this.#distinct.set(page, distinct.size > DISTINCT_MAX ? null : Int32Array.from(distinct).sort());
    this.#remembered += Math.min(distinct.size, DISTINCT_MAX);
  }
}

function hasSorted(values: Int32Array, wanted: number): boolean {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle]! < wanted) low = middle + 1;
    else high = middle;
  }
  return values[low] === wanted;
}
