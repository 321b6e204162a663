import { hashOf } from '../../replay/compare-keys.ts';
import { type ReplicaId, replicaId } from '../../state/index.ts';
import type { TraceBody, TraceRecord } from '../../trace/index.ts';
import type { Crossing } from './merge-frames.ts';

/** A replica as one part of a merge tells of it, on the clock of the merge. */
export interface Telling {
  readonly part: number;
  readonly id: ReplicaId;
  readonly first: number;
  readonly last: number;
}

/** What is one and the same in several parts of a merge, and what is only called alike. */
export interface Tellers {
  /** What a replica of a part is called in the merge. */
  nameOf(part: number, id: ReplicaId): ReplicaId;
  /** Whether a part has records of this replica itself. */
  isToldBy(part: number, id: ReplicaId): boolean;
  /** Whether another part tells of this replica's own process as well. */
  isToldTwice(part: number, id: ReplicaId): boolean;
  /** Those that have another name in the merge. */
  readonly renamed: ReadonlyArray<{ readonly part: number; readonly from: ReplicaId; readonly to: ReplicaId }>;
}

interface Named {
  readonly name: ReplicaId;
  readonly tellings: Telling[];
}

/**
 * Tells whom the parts speak of. Of one process recorded twice, each replica is one. Processes that call a replica alike one after the other tell of two lives of
 * it. Where they do so at the same time, as several servers of one session do, there are two, and the later part's gets a name of its own: `server-2`.
 * @param processes by part, equal where two parts are recordings of one process
 */
export function tellersOf(tellings: readonly Telling[], processes: readonly number[]): Tellers {
  const names = new Map<string, ReplicaId>();
  const twice = new Set<string>();
  const taken = new Set<string>(tellings.map(({ id }) => id));
  const byId = new Map<ReplicaId, Named[]>();
  const isOneProcess = (left: Telling, right: Telling): boolean => processes[left.part] === processes[right.part];
  for (const telling of tellings) {
    const known = byId.get(telling.id) ?? [];
    byId.set(telling.id, known);
    const own = known.find(({ tellings }) => tellings.some((one) => isOneProcess(one, telling)));
    const earlier = known.find(({ tellings }) =>
      tellings.every((one) => one.last < telling.first || telling.last < one.first),
    );
    let named = own ?? earlier;
    if (!named) {
      named = { name: known.length === 0 ? telling.id : freeName(telling.id, taken), tellings: [] };
      taken.add(named.name);
      known.push(named);
    }
    for (const one of own?.tellings ?? []) if (isOneProcess(one, telling)) twice.add(keyOf(one.part, one.id));
    if (own) twice.add(keyOf(telling.part, telling.id));
    named.tellings.push(telling);
    names.set(keyOf(telling.part, telling.id), named.name);
  }
  return {
    nameOf: (part, id) => names.get(keyOf(part, id)) ?? id,
    isToldBy: (part, id) => names.has(keyOf(part, id)),
    isToldTwice: (part, id) => twice.has(keyOf(part, id)),
    renamed: tellings.flatMap(({ part, id }) => {
      const to = names.get(keyOf(part, id))!;
      return to === id ? [] : [{ part, from: id, to }];
    }),
  };
}

function keyOf(part: number, id: ReplicaId): string {
  return `${part} ${id}`;
}

function freeName(id: ReplicaId, taken: ReadonlySet<string>): ReplicaId {
  for (let number = 2; ; number++) {
    const name = `${id.slice(0, 56)}-${number}`;
    if (!taken.has(name)) return replicaId(name);
  }
}

/** Fields of a record's body that name who it is about. Who wrote a mutation is the same for everybody, and stays. */
const NAMING = ['to', 'from', 'sender', 'against', 'target'] as const;

/** Fields that list them. */
const LISTING = ['reachable', 'members'] as const;

/** A body as it is where some replicas have other names. */
export function renamedBody(body: TraceBody, nameOf: (id: ReplicaId) => ReplicaId): TraceBody {
  const fields = body as Readonly<Record<string, unknown>>;
  const named = NAMING.flatMap((field) => {
    const id = fields[field];
    const name = typeof id === 'string' ? nameOf(id as ReplicaId) : id;
    return name === id ? [] : [[field, name] as const];
  });
  const listed = LISTING.flatMap((field) => {
    const ids = fields[field];
    if (!Array.isArray(ids)) return [];
    const names = (ids as readonly ReplicaId[]).map(nameOf);
    return names.every((name, at) => name === ids[at]) ? [] : [[field, names] as const];
  });
  const changed = [...named, ...listed];
  return changed.length === 0 ? body : ({ ...body, ...Object.fromEntries(changed) } as TraceBody);
}

/**
 * Whom a part means by a name that several processes have: a client's own recording calls each server that it was connected with by the name that the server gives itself. It is
 * the one that sent what came last; before anything came, the one that sent the first.
 */
export class Speakers {
  readonly #parts = new Map<string, number>();

  /** Takes what a part received and others sent, in the part's order, before any of it is heard. */
  take({ part, record, from }: Crossing): void {
    const { body, replica } = record;
    if (body.kind !== 'receive') return;
    const key = speakerKey(part, replica, body.sender);
    const [first] = from;
    if (first && !this.#parts.has(key)) this.#parts.set(key, first.part);
  }

  /** A receipt, and the parts that sent it. */
  hear(part: number, { body, replica }: TraceRecord, from: readonly number[]): void {
    if (body.kind !== 'receive') return;
    const key = speakerKey(part, replica, body.sender);
    const known = this.#parts.get(key);
    const [first] = from;
    if (first !== undefined && (known === undefined || !from.includes(known))) this.#parts.set(key, first);
  }

  /** The part that tells of `id` as `listener` of a part knows it; that part where nothing came of it. */
  partOf(part: number, listener: ReplicaId, id: ReplicaId): number {
    return this.#parts.get(speakerKey(part, listener, id)) ?? part;
  }
}

function speakerKey(part: number, listener: ReplicaId, speaker: ReplicaId): string {
  return `${part} ${listener} ${speaker}`;
}

/** Records of one process that may be told by another part of it. */
const MAX_REMEMBERED = 65_536;

/** The records that were told in two parts, and where they stand in the merge. */
export class ToldTwice {
  /** By what they say, those that no other part has told yet, in their order: a replica may say the same twice in one moment. */
  readonly #written = new Map<string, { readonly part: number; readonly seqs: number[] }>();

  /** The number under which another part's telling of this record was written; from then on both are done with. */
  taken(part: number, record: TraceRecord): number | undefined {
    const key = contentOf(record);
    const known = this.#written.get(key);
    if (!known || known.part === part) return undefined;
    const seq = known.seqs.shift();
    if (known.seqs.length === 0) this.#written.delete(key);
    return seq;
  }

  wrote(part: number, record: TraceRecord, seq: number): void {
    const key = contentOf(record);
    const known = this.#written.get(key);
    if (known?.part === part) known.seqs.push(seq);
    else this.#written.set(key, { part, seqs: [seq] });
    if (this.#written.size > MAX_REMEMBERED) this.#written.delete(this.#written.keys().next().value!);
  }
}

/** What a record says and when, without its number in its capture and those of its causes, as a key of a few bytes. */
function contentOf({ time, replica, body, wire, source }: TraceRecord): string {
  return `${time} ${replica} ${hashOf({ body, wire, source })}`;
}
