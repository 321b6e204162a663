import { SyncError } from '../errors/index.ts';
import { diffRoots, type RecordChange, StateMerkleTree, StateRoot } from '../merkle/index.ts';
import { array, object, type Schema, string, uint, variant } from '../schema/index.ts';
import {
  type Change,
  type RecordKey,
  type ReplicaId,
  recordKey,
  replicaId,
  replicaIdSchema,
  type SyncRecord,
  type Value,
} from '../state/index.ts';
import { foreignKey } from './counters.ts';
import {
  compareDots,
  type Dot,
  type DotContext,
  hasSeen,
  joinContexts,
  joinSeen,
  type SeenDots,
  seeDots,
} from './dot-context.ts';

const MAX_DOTS = 65_535;
const dotSchema = object({ replica: replicaIdSchema, counter: uint });
const elementSchema = object({ dots: array(dotSchema, MAX_DOTS) });
const seenSchema = object({ upTo: uint, beyond: array(uint, MAX_DOTS) });

/** What one replica did to an {@link AddWinsSet}: the additions that it saw go, and its own comes. */
export type AddWinsOperation =
  | { readonly op: 'add'; readonly element: string; readonly dot: Dot; readonly seen: readonly Dot[] }
  | { readonly op: 'remove'; readonly element: string; readonly seen: readonly Dot[] };

export const addWinsOperationSchema: Schema<AddWinsOperation> = variant('op', {
  add: object({ element: string(256), dot: dotSchema, seen: array(dotSchema, MAX_DOTS) }),
  remove: object({ element: string(256), seen: array(dotSchema, MAX_DOTS) }),
});

/**
 * A set in which an addition outlives any removal that had not seen it, without clocks and without tombstones (the
 * optimised observed-remove set of Bieniusa et al., An Optimized Conflict-free Replicated Set, 2012). Beside
 * {@link LWWElementSet} it costs a dot an element and a context a writer, and cannot lose an addition to a clock.
 *
 * A record an element, `name/element`, with the dots of its additions; a record a writer, `name/@/writer`, with which
 * of its additions were seen: seen and no longer there means removed.
 */
export class AddWinsSet {
  readonly #name: string;
  readonly #replica: ReplicaId;
  readonly #tree: StateMerkleTree;
  #context: DotContext;

  /** @param name the collection of its records @throws SyncError where `root` holds other records */
  constructor(name: string, replica: ReplicaId, root: StateRoot = StateRoot.empty) {
    this.#name = name;
    this.#replica = replica;
    this.#context = this.#readContext(root);
    for (const [key, record] of root.entries()) if (!this.#isContext(key)) this.#readDots(key, record);
    this.#tree = new StateMerkleTree(root);
  }

  /** @throws SyncError `KEY_INVALID` where `element` cannot be part of a key */
  add(element: string): AddWinsOperation {
    const seen = this.#dotsOf(this.#keyOf(element));
    const counter = (this.#context.get(this.#replica)?.upTo ?? 0) + 1;
    const operation: AddWinsOperation = { op: 'add', element, dot: { replica: this.#replica, counter }, seen };
    this.apply(operation);
    return operation;
  }

  /** Nothing where the element is not there. @throws SyncError `KEY_INVALID` */
  remove(element: string): AddWinsOperation | undefined {
    const seen = this.#dotsOf(this.#keyOf(element));
    if (seen.length === 0) return undefined;
    const operation: AddWinsOperation = { op: 'remove', element, seen };
    this.apply(operation);
    return operation;
  }

  has(element: string): boolean {
    return this.#tree.has(this.#keyOf(element));
  }

  /** Ascending. */
  values(): string[] {
    const values: string[] = [];
    for (const [key] of this.#tree.entries()) {
      if (!this.#isContext(key)) values.push(key.slice(this.#name.length + 1));
    }
    return values.sort();
  }

  root(): StateRoot {
    return this.#tree.root();
  }

  /**
   * Applies an operation, in any order and as often as it comes. Answers what changed.
   * @throws SyncError `KEY_INVALID`, `CRDT_DOT_INVALID` or `CRDT_TOO_MANY_GAPS`; the set is then as before
   */
  apply(operation: AddWinsOperation): Change[] {
    const key = this.#keyOf(operation.element);
    const own = operation.op === 'add' ? [operation.dot] : [];
    for (const dot of [...own, ...operation.seen]) checkDot(dot, key);
    const added = own.filter((dot) => !hasSeen(this.#context, dot));
    const kept = this.#dotsOf(key).filter((dot) => !operation.seen.some((seen) => compareDots(seen, dot) === 0));
    return this.#write([[key, [...kept, ...added]]], seeDots(this.#context, [...own, ...operation.seen]));
  }

  /**
   * Joins another replica's state; looks only at what differs.
   * @throws SyncError where it holds other records; the set is then as before
   */
  merge(other: StateRoot): Change[] {
    const differing = diffRoots(this.#tree.root(), other);
    const theirs = this.#contextOf(differing);
    const joined: [RecordKey, Dot[]][] = [];
    for (const { key, left, right } of differing) {
      if (this.#isContext(key)) continue;
      const own = left === undefined ? [] : this.#readDots(key, left);
      const foreign = right === undefined ? [] : this.#readDots(key, right);
      const isForeign = (dot: Dot) => foreign.some((one) => compareDots(one, dot) === 0);
      const kept = own.filter((dot) => isForeign(dot) || !hasSeen(theirs, dot));
      joined.push([key, [...kept, ...foreign.filter((dot) => !hasSeen(this.#context, dot))]]);
    }
    return this.#write(joined, joinContexts(this.#context, theirs));
  }

  #write(elements: readonly (readonly [RecordKey, readonly Dot[]])[], context: DotContext): Change[] {
    const changes: Change[] = [];
    const put = (key: RecordKey, record: SyncRecord) => {
      if (this.#tree.put(key, record)) changes.push({ op: 'put', key, record });
    };
    for (const [key, dots] of elements) {
      if (dots.length > 0) put(key, { dots: [...dots].sort(compareDots).map(dotValue) });
      else if (this.#tree.remove(key)) changes.push({ op: 'remove', key });
    }
    for (const [replica, seen] of context) {
      if (seen !== this.#context.get(replica)) put(this.#contextKey(replica), { upTo: seen.upTo, beyond: seen.beyond });
    }
    this.#context = context;
    return changes;
  }

  #keyOf(element: string): RecordKey {
    const key = recordKey(`${this.#name}/${element}`);
    if (this.#isContext(key)) throw foreignKey(key, this.#name);
    return key;
  }

  #isContext(key: RecordKey): boolean {
    return key.startsWith(`${this.#name}/@/`);
  }

  #contextKey(replica: ReplicaId): RecordKey {
    return recordKey(`${this.#name}/@/${replica}`);
  }

  #dotsOf(key: RecordKey): readonly Dot[] {
    const record = this.#tree.get(key);
    return record === undefined ? [] : (record.dots as unknown as readonly Dot[]);
  }

  #readDots(key: RecordKey, record: SyncRecord): readonly Dot[] {
    if (!key.startsWith(`${this.#name}/`)) throw foreignKey(key, this.#name);
    const { dots } = elementSchema.parse(record, key);
    for (const dot of dots) checkDot(dot, key);
    return dots;
  }

  #readContext(root: StateRoot): DotContext {
    const context = new Map<ReplicaId, SeenDots>();
    for (const [key, record] of root.entries(`${this.#name}/@/`))
      context.set(this.#writerOf(key), readSeen(key, record));
    return context;
  }

  /** The other replica's context: where it does not differ, it is ours. */
  #contextOf(differing: readonly RecordChange[]): DotContext {
    const context = new Map(this.#context);
    for (const { key, right } of differing) {
      if (!this.#isContext(key)) continue;
      if (right === undefined) context.delete(this.#writerOf(key));
      else context.set(this.#writerOf(key), readSeen(key, right));
    }
    return context;
  }

  #writerOf(key: RecordKey): ReplicaId {
    return replicaId(key.slice(`${this.#name}/@/`.length));
  }
}

/** Joined with nothing, what was seen is in its one normal form. */
function readSeen(key: RecordKey, record: SyncRecord): SeenDots {
  return joinSeen({ upTo: 0, beyond: [] }, seenSchema.parse(record, key));
}

function dotValue({ replica, counter }: Dot): Value {
  return { replica, counter };
}

function checkDot({ replica, counter }: Dot, key: RecordKey): void {
  if (Number.isSafeInteger(counter) && counter > 0) return;
  throw new SyncError('CRDT_DOT_INVALID', `${key}: ${replica} cannot have made addition ${counter}`, {
    origin: 'protocol',
    place: { key },
  });
}
