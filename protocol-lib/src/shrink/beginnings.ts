import { advance, type Committed, nothingKnown } from '../capture/committed.ts';
import type { ReplicaId } from '../state/index.ts';
import type { TraceBody, TraceBodyOf, TraceRecord, VectorEntries } from '../trace/index.ts';
import type { Item } from './item.ts';

/** Everybody as they are somewhere in a capture, by their committed states. Values are never changed, so a copy of the map is a moment. */
type Everybody = ReadonlyMap<ReplicaId, Standing>;

interface Standing {
  readonly replica: TraceBodyOf<'replica'> | undefined;
  readonly view: TraceBodyOf<'view'> | undefined;
  readonly committed: Committed;
  readonly vector: VectorEntries;
  /** Of its own frames, from the first on. */
  readonly names: readonly string[];
}

const NEW: Standing = { replica: undefined, view: undefined, committed: nothingKnown, vector: [], names: [] };

/** What a capture that begins in the middle of a session must say first: who is there, the names in use, and each committed state. */
export class Beginnings {
  #now = new Map<ReplicaId, Standing>();
  readonly #kept = new Map<number, { readonly everybody: Everybody; readonly time: number }>();

  /** Keeps the moment before the record at this position. */
  keep(position: number, time: number): void {
    this.#kept.set(position, { everybody: new Map(this.#now), time });
  }

  take(record: TraceRecord): void {
    const { replica, body } = record;
    // Who is gone may come back with the state that it had.
    const before = this.#now.get(replica) ?? NEW;
    this.#now.set(replica, { ...after(before, body), committed: advance(before.committed, record, undefined) });
    if (body.kind === 'names' && body.sender !== replica) this.#learn(body);
  }

  /** Records that stand for everything before a position that was kept. */
  at(position: number): Item[] {
    const kept = this.#kept.get(position);
    if (!kept) return [];
    const items: Item[] = [];
    const add = (replica: ReplicaId, body: TraceBody | undefined): void => {
      if (body) items.push({ seq: 0, time: kept.time, replica, cause: [], body });
    };
    for (const [replica, { replica: role }] of kept.everybody) add(replica, role);
    for (const [replica, { names }] of kept.everybody) {
      if (names.length > 0) add(replica, { kind: 'names', sender: replica, first: 0, names: [...names] });
    }
    for (const [replica, standing] of kept.everybody) {
      add(replica, snapshotOf(standing));
      add(replica, standing.view);
    }
    return items;
  }

  #learn({ sender, first, names }: TraceBodyOf<'names'>): void {
    const before = this.#now.get(sender) ?? NEW;
    this.#now.set(sender, { ...before, names: joined(before.names, first, names) });
  }
}

function after(before: Standing, body: TraceBody): Standing {
  switch (body.kind) {
    case 'replica':
      return { ...before, replica: body };
    case 'view':
      return { ...before, view: body };
    case 'vector':
    case 'snapshot':
      return { ...before, vector: body.vector };
    case 'names':
      return { ...before, names: joined(before.names, body.first, body.names) };
    default:
      return before;
  }
}

/** A table that begins again at 0 forgets what it had; the same names told twice are no new ones. */
function joined(before: readonly string[], first: number, names: readonly string[]): readonly string[] {
  return first > before.length ? before : [...before.slice(0, first), ...names];
}

function snapshotOf({ committed, vector }: Standing): TraceBody | undefined {
  const { root, version, unknown } = committed;
  if (unknown !== undefined) return undefined;
  const records = [...root.entries()].map(([key, record]) => ({ key, record }));
  return { kind: 'snapshot', reason: 'attach', version, records, root: root.hash, vector };
}
