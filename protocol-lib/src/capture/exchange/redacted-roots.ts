import { StateRoot } from '../../merkle/index.ts';
import type { ReplicaId, StateHash, SyncRecord, Value } from '../../state/index.ts';
import type { TraceBody, TraceRecord } from '../../trace/index.ts';
import { advance, type Committed, nothingKnown } from '../committed.ts';

/** Hashes that are kept with what stands for them; the oldest go first. */
const MAX_KNOWN = 262_144;

/** A replica's state as it was told, and as it is shown. */
interface Sides {
  readonly told: Committed;
  readonly shown: Committed;
}

/**
 * Root hashes say what a state holds to whoever guesses it, and would not fit what is left of it. Each is replaced by that of the state as it is shown;
 * one of a state that no record shows, by a pseudonym, so that equal ones stay equal.
 */
export class RedactedRoots {
  readonly #pseudonym: (secret: string) => string;
  readonly #states = new Map<ReplicaId, Sides>();
  readonly #known = new Map<StateHash, StateHash>();
  /** What stands for hashes of which nothing is known. They stay what they are where they come again. */
  readonly #made: Set<string>;

  /** `made`: of what was gone through before. */
  constructor(pseudonym: (secret: string) => string, made: ReadonlySet<string> = new Set()) {
    this.#pseudonym = pseudonym;
    this.#made = new Set(made);
  }

  get made(): ReadonlySet<string> {
    return this.#made;
  }

  /** Takes in a record that is told as it is: what its hashes are stays known. */
  pass(record: TraceRecord): void {
    for (const [name, value] of Object.entries(record.body)) if (isHash(name, value)) this.#know(value, value);
    const { told, shown } = this.#before(record.replica);
    const after = advance(told, record, undefined);
    this.#states.set(record.replica, {
      told: after,
      shown: told === shown ? after : advance(shown, record, undefined),
    });
  }

  /** The redacted body of a record, with the hashes of what is shown then. */
  follow(record: TraceRecord, body: TraceBody): TraceBody {
    const before = this.#before(record.replica);
    const told = advance(before.told, record, undefined);
    if (body.kind === 'commit' || body.kind === 'apply' || body.kind === 'snapshot') {
      const root = rootAfter(before.shown, body);
      if (root && body.root !== undefined) this.#know(body.root, root.hash);
      // A later record may tell the root that this one does not.
      else if (root && told.unknown === undefined) this.#know(told.root.hash, root.hash);
    }
    const mapped = this.#mapped(body as unknown as { readonly [name: string]: Value }) as unknown as TraceBody;
    this.#states.set(record.replica, { told, shown: advance(before.shown, { ...record, body: mapped }, undefined) });
    return mapped;
  }

  #before(replica: ReplicaId): Sides {
    return this.#states.get(replica) ?? { told: nothingKnown, shown: nothingKnown };
  }

  #mapped(body: { readonly [name: string]: Value }): Value {
    return Object.fromEntries(
      Object.entries(body).map(([name, value]) => [name, isHash(name, value) ? this.#hash(value) : value]),
    );
  }

  #know(hash: StateHash, shown: StateHash): void {
    this.#known.delete(hash);
    this.#known.set(hash, shown);
    if (this.#known.size > MAX_KNOWN) this.#known.delete(this.#known.keys().next().value!);
  }

  #hash(hash: string): string {
    const known = this.#known.get(hash as StateHash);
    if (known !== undefined) return known;
    if (this.#made.has(hash)) return hash;
    let word = 0n;
    for (const character of this.#pseudonym(hash))
      word = BigInt.asUintN(64, word * 0x100000001b3n + BigInt(character.codePointAt(0)!));
    const made = word.toString(16).padStart(16, '0');
    if (this.#made.size < MAX_KNOWN) this.#made.add(made);
    return made;
  }
}

function rootAfter(
  before: Committed,
  body: TraceBody & { readonly kind: 'commit' | 'apply' | 'snapshot' },
): StateRoot | undefined {
  try {
    if (body.kind === 'snapshot')
      return StateRoot.from(body.records.map(({ key, record }) => [key, record as SyncRecord] as const));
    return before.unknown === undefined ? before.root.apply(body.changes) : undefined;
  } catch {
    return undefined;
  }
}

const HASHES: ReadonlySet<string> = new Set(['root', 'own', 'reference', 'expected', 'got', 'base']);

function isHash(name: string, value: unknown): value is StateHash {
  return HASHES.has(name) && typeof value === 'string' && /^[0-9a-f]{16}$/.test(value);
}
