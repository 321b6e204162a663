import { diffRoots, StateRoot } from '../merkle/index.ts';
import type { Change, RecordKey, ReplicaId, SyncRecord } from '../state/index.ts';
import type { DomainEvent, SessionView, ViewFunction } from './session.ts';

/** Where the app's own code fails, nobody is shown anything. */
const NOTHING_SEEN: SessionView = { id: 'nothing', sees: () => false };

/** Of views that see alike; whatever ids an app gives, none of its views has that of the one which sees nothing. */
export function viewName(view: SessionView): string {
  return view === NOTHING_SEEN ? '' : `=${view.id}`;
}

/** Views of which the last state is kept, as the base of the next one. */
const KEPT_VIEWS = 4_096;

interface Seen {
  readonly views: Map<ReplicaId, SessionView>;
  /** By the name of the view. */
  readonly roots: Map<string, StateRoot>;
}

/**
 * What each replica may see of a state. A view follows from the state alone, so the view that a replica had at any kept version is
 * found again when it is needed; what several replicas see alike is made once.
 */
export class Views {
  readonly #viewOf: ViewFunction;
  readonly #seen = new WeakMap<StateRoot, Seen>();
  /** By the name of the view: the last whole state, and what is seen of it. */
  readonly #last = new Map<string, { readonly whole: StateRoot; readonly root: StateRoot }>();

  constructor(viewOf: ViewFunction) {
    this.#viewOf = viewOf;
  }

  viewOf(state: StateRoot, replica: ReplicaId): SessionView {
    const { views } = this.#seenOf(state);
    const known = views.get(replica);
    if (known) return known;
    const view = this.#ask(state, replica);
    views.set(replica, view);
    return view;
  }

  /** The part of a state that a replica may see. */
  rootOf(state: StateRoot, replica: ReplicaId): StateRoot {
    const view = this.viewOf(state, replica);
    const name = viewName(view);
    const { roots } = this.#seenOf(state);
    const known = roots.get(name);
    if (known) return known;
    const last = this.#last.get(name);
    const root = last ? moved(last, state, view) : seenFrom(state, view);
    roots.set(name, root);
    this.#keep(name, state, root);
    return root;
  }

  #ask(state: StateRoot, replica: ReplicaId): SessionView {
    try {
      const view = this.#viewOf(state, replica);
      return typeof view.id === 'string' && typeof view.sees === 'function' ? view : NOTHING_SEEN;
    } catch {
      return NOTHING_SEEN;
    }
  }

  #seenOf(state: StateRoot): Seen {
    const known = this.#seen.get(state);
    if (known) return known;
    const seen: Seen = { views: new Map(), roots: new Map() };
    this.#seen.set(state, seen);
    return seen;
  }

  #keep(name: string, whole: StateRoot, root: StateRoot): void {
    this.#last.delete(name);
    this.#last.set(name, { whole, root });
    if (this.#last.size <= KEPT_VIEWS) return;
    const [oldest] = this.#last.keys();
    if (oldest !== undefined) this.#last.delete(oldest);
  }
}

/** Whether a view lets an event be heard. Unless it says so, only who caused it hears of it. */
export function hears(view: SessionView, event: DomainEvent, replica: ReplicaId): boolean {
  try {
    return view.hears ? view.hears(event) : event.player === replica;
  } catch {
    return false;
  }
}

function seenFrom(state: StateRoot, view: SessionView): StateRoot {
  const entries: (readonly [RecordKey, SyncRecord])[] = [];
  for (const entry of state.entries()) if (sees(view, entry[0], entry[1])) entries.push(entry);
  return StateRoot.from(entries);
}

/** What is seen of a state, from what was seen of another one: costs what differs between the two. */
function moved(
  from: { readonly whole: StateRoot; readonly root: StateRoot },
  to: StateRoot,
  view: SessionView,
): StateRoot {
  const changes: Change[] = [];
  for (const { key, right } of diffRoots(from.whole, to)) {
    if (right && sees(view, key, right)) changes.push({ op: 'put', key, record: right });
    else if (from.root.has(key)) changes.push({ op: 'remove', key });
  }
  return from.root.apply(changes);
}

export function sees(view: SessionView, key: RecordKey, record: SyncRecord): boolean {
  try {
    return view.sees(key, record) === true;
  } catch {
    return false;
  }
}
