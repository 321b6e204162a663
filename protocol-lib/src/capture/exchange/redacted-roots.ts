import { StateRoot } from '../../merkle/index.ts';
import type { ReplicaId, StateHash, SyncRecord, Value } from '../../state/index.ts';
import type { TraceBody, TraceRecord } from '../../trace/index.ts';
import { advance, type Committed, nothingKnown } from '../committed.ts';

/** Hashes that are kept with what stands for them; the oldest go first. */
const MAX_KNOWN = 262_144;

/**
 * Root hashes say what a state holds to whoever guesses it, and would not fit what is left of it. Each is replaced by that of the state as it is shown;
 * one of a state that no record shows, by a pseudonym, so that equal ones stay equal.
 */
export class RedactedRoots {
  readonly #pseudonym: (secret: string) => string;
  readonly #states = new Map<ReplicaId, Committed>();
  readonly #known = new Map<StateHash, StateHash>();

  constructor(pseudonym: (secret: string) => string) {
    this.#pseudonym = pseudonym;
  }

  /** Takes in a record that is told as it is: what its hashes are stays known. */
  pass(record: TraceRecord): void {
    const before = this.#states.get(record.replica) ?? nothingKnown;
    for (const [name, value] of Object.entries(record.body)) if (isHash(name, value)) this.#know(value, value);
    this.#states.set(record.replica, advance(before, record, undefined));
  }

  /** The redacted body of a record, with the hashes of what is shown then. */
  follow(record: TraceRecord, body: TraceBody): TraceBody {
    const before = this.#states.get(record.replica) ?? nothingKnown;
    if (body.kind === 'commit' || body.kind === 'apply' || body.kind === 'snapshot') {
      const root = this.#rootAfter(before, body);
      if (root) this.#know(body.root, root.hash);
    }
    const mapped = this.#mapped(body as unknown as { readonly [name: string]: Value }) as unknown as TraceBody;
    this.#states.set(record.replica, advance(before, { ...record, body: mapped }, undefined));
    return mapped;
  }

  #rootAfter(
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
    let word = 0n;
    for (const character of this.#pseudonym(hash))
      word = BigInt.asUintN(64, word * 0x100000001b3n + BigInt(character.codePointAt(0)!));
    return word.toString(16).padStart(16, '0');
  }
}

const HASHES: ReadonlySet<string> = new Set(['root', 'own', 'reference', 'expected', 'got', 'base']);

function isHash(name: string, value: unknown): value is StateHash {
  return HASHES.has(name) && typeof value === 'string' && /^[0-9a-f]{16}$/.test(value);
}
