import { IntegerList } from './integer-list.ts';

/** Root hash of the authority at each version, in order of versions. */
export class AuthorityRoots {
  readonly versions = new IntegerList(true);
  readonly high = new IntegerList();
  readonly low = new IntegerList();
  readonly positions = new IntegerList();
  #last = 0;

  get length(): number {
    return this.versions.length;
  }

  /** The first hash said of a version stands. Versions out of order are left out. */
  add(version: number, high: number, low: number, position: number): void {
    const { length } = this;
    if (length > 0 && version <= this.versions.at(length - 1)) return;
    this.versions.push(version);
    this.high.push(high | 0);
    this.low.push(low | 0);
    this.positions.push(position);
  }

  /** Whether a hash is the authority's at a version; undefined where that is not known. */
  agrees(version: number, high: number, low: number): boolean | undefined {
    const index = this.#find(version);
    if (index < 0) return undefined;
    return this.high.at(index) === (high | 0) && this.low.at(index) === (low | 0);
  }

  /** Position of the record that first told the root at a version; -1 where none did. */
  positionOf(version: number): number {
    const index = this.#find(version);
    return index < 0 ? -1 : this.positions.at(index);
  }

  /** Who asks asks of neighbours mostly, so the place found last and the next are tried before a search. */
  #find(version: number): number {
    const { versions } = this;
    for (let index = this.#last; index < Math.min(this.#last + 2, versions.length); index++) {
      if (versions.at(index) !== version) continue;
      this.#last = index;
      return index;
    }
    const index = versions.countBelow(version);
    if (index >= versions.length || versions.at(index) !== version) return -1;
    this.#last = index;
    return index;
  }
}
