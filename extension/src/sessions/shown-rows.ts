/** A tree as it is now: what its rows are called, what they look like, what is below them. */
export interface Rows<N> {
  id(node: N): string;
  /** Everything that is seen of a row, as one text. */
  look(node: N): string;
  /** Without a node those at the top. */
  children(node?: N): readonly N[];
}

interface ShownRow {
  look: string | undefined;
  /** Ids of the rows below; `undefined` where nobody has asked for them. */
  children: readonly string[] | undefined;
}

/**
 * Remembers what was shown of a tree, and so tells which rows are to be drawn anew. A row that is drawn anew while the
 * mouse is down on it loses the click; so of a tree that changes all the time only what changed is drawn.
 */
export class ShownRows {
  readonly #rows = new Map<string, ShownRow>();
  #top: readonly string[] | undefined;

  rowWasShown(id: string, look: string): void {
    this.#row(id).look = look;
  }

  /** Without an id: those at the top. */
  childrenWereShown(id: string | undefined, children: readonly string[]): void {
    const before = (id === undefined ? this.#top : this.#row(id).children) ?? [];
    if (id === undefined) this.#top = children;
    else this.#row(id).children = children;
    const present = new Set(children);
    for (const child of before) if (!present.has(child)) this.#forget(child);
  }

  /** The rows that are to be drawn anew, each with all below it; `'all'` where that are those at the top. */
  changed<N>(rows: Rows<N>): 'all' | N[] {
    const top = rows.children();
    if (!areSame(this.#top, top.map(rows.id))) return 'all';
    const found: N[] = [];
    const visit = (node: N) => {
      const shown = this.#rows.get(rows.id(node));
      const children = shown?.children && rows.children(node);
      const isSame = shown?.look === rows.look(node) && (!children || areSame(shown.children, children.map(rows.id)));
      if (!isSame) found.push(node);
      else for (const child of children ?? []) visit(child);
    };
    for (const node of top) visit(node);
    return found;
  }

  #row(id: string): ShownRow {
    const known = this.#rows.get(id);
    if (known) return known;
    const row: ShownRow = { look: undefined, children: undefined };
    this.#rows.set(id, row);
    return row;
  }

  #forget(id: string): void {
    const children = this.#rows.get(id)?.children ?? [];
    this.#rows.delete(id);
    for (const child of children) this.#forget(child);
  }
}

function areSame(before: readonly string[] | undefined, after: readonly string[]): boolean {
  return before !== undefined && before.length === after.length && before.every((id, at) => id === after[at]);
}
