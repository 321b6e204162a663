import { damagedIndex } from './number-block.ts';

/** Values in one page of a list. Part of the file format. */
export const LIST_PAGE = 16_384;
const LIST_SHIFT = 14;
const LIST_MASK = LIST_PAGE - 1;

export type ListPage = Int32Array | Float64Array;
/** Gives a page of so many values. */
export type ListLoader = (page: number, count: number) => ListPage;

/**
 * A growing list of integers in pages of typed storage, ascending where it holds positions; 32 bits with
 * sign, or 53 where it is `wide`. Pages may be away and come back by a loader; the first value of each
 * stays, so that a search fetches one page.
 */
export class IntegerList {
  readonly isWide: boolean;
  readonly #pages: (ListPage | undefined)[] = [];
  #firsts: number[] = [];
  #dropped = 0;
  #end = 0;
  #load: ListLoader | undefined;

  constructor(isWide = false) {
    this.isWide = isWide;
  }

  get length(): number {
    return this.#end - this.#dropped;
  }

  /**
   * Says that `length` values exist in so many pages, the first value of each, and how they come. Only for an empty list.
   * @throws SyncError `INDEX_DAMAGED` where that does not fit
   */
  loadFrom(length: number, firsts: readonly number[], pages: number, load: ListLoader): void {
    const needed = Math.ceil(length / LIST_PAGE);
    if (firsts.length !== needed || pages !== needed) throw damagedIndex(`has a list of ${length} in ${pages} pages`);
    this.#end = length;
    this.#firsts = [...firsts];
    this.#load = load;
  }

  push(value: number): void {
    const number = this.#end >>> LIST_SHIFT;
    const slot = this.#end & LIST_MASK;
    let page = this.#pages[number];
    if (!page || slot === page.length) {
      const room = this.#room(page ? Math.min(LIST_PAGE, page.length * 4) : number === 0 ? 16 : LIST_PAGE);
      if (page) room.set(page);
      else this.#firsts[number] = value;
      this.#pages[number] = room;
      page = room;
    }
    page[slot] = value;
    this.#end++;
  }

  at(index: number): number {
    const absolute = index + this.#dropped;
    return this.#page(absolute >>> LIST_SHIFT)[absolute & LIST_MASK]!;
  }

  /** How many values are below `value`, which is also the index of the first that is not. */
  countBelow(value: number): number {
    let page = 0;
    for (let high = this.#pagesUsed; page < high; ) {
      const middle = (page + high) >>> 1;
      if (this.#firsts[middle]! < value) page = middle + 1;
      else high = middle;
    }
    // The value's place is in the page before the first page that begins with no less.
    let low = Math.max(this.#dropped, (page - 1) * LIST_PAGE);
    let high = Math.min(this.#end, page * LIST_PAGE);
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#page(middle >>> LIST_SHIFT)[middle & LIST_MASK]! < value) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - this.#dropped);
  }

  /** The largest value at or below `value`; -1 where there is none. */
  lastAtOrBelow(value: number): number {
    const count = this.countBelow(value + 1);
    return count === 0 ? -1 : this.at(count - 1);
  }

  dropBelow(value: number): void {
    this.dropFirst(this.countBelow(value));
  }

  dropFirst(count: number): void {
    if (count <= 0) return;
    const from = this.#dropped >>> LIST_SHIFT;
    this.#dropped = Math.min(this.#end, this.#dropped + count);
    for (let page = from; page < this.#dropped >>> LIST_SHIFT; page++) this.#pages[page] = undefined;
  }

  slice(from: number, to: number): number[] {
    const values: number[] = [];
    for (let at = Math.max(0, from); at < Math.min(to, this.length); at++) values.push(this.at(at));
    return values;
  }

  /** The page that the value at an index lies in. */
  pageOf(index: number): number {
    return (index + this.#dropped) >>> LIST_SHIFT;
  }

  /** Index of the first value of a page that is still there. */
  startOf(page: number): number {
    return Math.max(0, page * LIST_PAGE - this.#dropped);
  }

  /** Pages that are full or begun. */
  get #pagesUsed(): number {
    return Math.ceil(this.#end / LIST_PAGE);
  }

  /** The first value of each page. */
  get firsts(): readonly number[] {
    return this.#firsts.slice(0, this.#pagesUsed);
  }

  /** The values of one page. */
  valuesOf(page: number): ListPage {
    return this.#page(page).subarray(0, Math.min(LIST_PAGE, this.#end - page * LIST_PAGE));
  }

  /** How many pages are full and will never change again. */
  get fullPages(): number {
    return this.#end >>> LIST_SHIFT;
  }

  /** Lets go of a page, which comes back by the loader if there is one. */
  release(page: number): void {
    this.#pages[page] = undefined;
  }

  #page(number: number): ListPage {
    const there = this.#pages[number];
    if (there) return there;
    if (!this.#load) throw new TypeError(`page ${number} of a list is not in memory`);
    const loaded = this.#load(number, Math.min(LIST_PAGE, this.#end - number * LIST_PAGE));
    this.#pages[number] = loaded;
    return loaded;
  }

  #room(length: number): ListPage {
    return this.isWide ? new Float64Array(length) : new Int32Array(length);
  }
}
