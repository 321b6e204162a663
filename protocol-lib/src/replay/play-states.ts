import { toHex } from '../bytes/index.ts';
import { isSyncError } from '../errors/index.ts';
import { diffRoots, StateRoot, sameRecord } from '../merkle/index.ts';
import type { RecordKey, Version } from '../state/index.ts';
import type { InventedIds } from './play-ids.ts';
import type { PlayScript } from './play-script.ts';

/** A record that is otherwise here, and the first field of it that is. */
export interface RecordFound {
  readonly key: RecordKey;
  readonly field: string | undefined;
  readonly recorded: unknown;
  readonly live: unknown;
}

interface Kept {
  readonly version: Version;
  /** As it was recorded, and with the ids of here. */
  readonly plain: StateRoot;
  readonly here: StateRoot;
  /** Of the first commit behind it. */
  readonly next: number;
}

const KEPT_MAX = 1_024;

/** The recorded authority's states with the ids of here; made where one is asked for. */
export class RecordedStates {
  readonly #script: PlayScript;
  readonly #ids: InventedIds;
  readonly #first: StateRoot;
  #kept: Kept[] = [];

  constructor(script: PlayScript, ids: InventedIds) {
    this.#script = script;
    this.#ids = ids;
    this.#first = StateRoot.from(script.start.records.map(({ key, record }) => [key, record] as const));
  }

  /** The state that the recording begins with, as it was recorded. */
  get first(): StateRoot {
    return this.#first;
  }

  /** The state at a version; undefined where the recording lacks what it would be made of. */
  at(version: Version): StateRoot | undefined {
    const recorded = this.#script.roots.get(version)?.root;
    if (recorded === undefined || version < this.#script.start.version) return undefined;
    const found = this.#made(version);
    return found?.plain.hash === recorded ? found.here : undefined;
  }

  /** Ids of what was made behind a version are known now. */
  forget(version: Version): void {
    this.#kept = this.#kept.filter((one) => one.version <= version);
  }

  #made(version: Version): Kept | undefined {
    const { commits } = this.#script;
    let from = this.#kept.findLast((one) => one.version <= version) ?? this.#begin();
    try {
      while (from.next < commits.length && commits[from.next]!.version <= version) from = this.#apply(from);
    } catch (error) {
      // A recording with gaps has changes of what it lacks.
      if (isSyncError(error)) return undefined;
      throw error;
    }
    return from;
  }

  #begin(): Kept {
    const { start, commits } = this.#script;
    const entries = start.records.map(({ key, record }) => {
      return [this.#ids.keyHere(key), this.#ids.recordHere(record)] as const;
    });
    const next = commits.findIndex(({ version }) => version > start.version);
    const here = StateRoot.from(entries);
    return { version: start.version, plain: this.#first, here, next: next < 0 ? commits.length : next };
  }

  #apply({ plain, here, next }: Kept): Kept {
    const { version, changes } = this.#script.commits[next]!;
    const translated = changes.map((change) => this.#ids.changeHere(change));
    const made = { version, plain: plain.apply(changes), here: here.apply(translated), next: next + 1 };
    const at = this.#kept.findLastIndex((one) => one.version < version) + 1;
    if (this.#kept[at]?.version !== version) this.#kept.splice(at, 0, made);
    if (this.#kept.length > KEPT_MAX) this.#kept.shift();
    return made;
  }
}

/** The first record, by its key, in which a state is not as it was. */
export function firstRecordDifference(recorded: StateRoot, live: StateRoot): RecordFound | undefined {
  const [first] = diffRoots(recorded, live);
  return first && fieldOf(first.key, first.left ?? null, first.right ?? null);
}

/** The first record of a part of a state that the whole one has otherwise, or not at all. */
export function firstRecordNotIn(whole: StateRoot, part: StateRoot): RecordFound | undefined {
  for (const [key, record] of part.entries()) {
    const recorded = whole.get(key);
    if (!recorded || !sameRecord(recorded, record)) return fieldOf(key, recorded ?? null, record);
  }
  return undefined;
}

function fieldOf(key: RecordKey, one: object | null, other: object | null): RecordFound {
  const whole = { key, field: undefined, recorded: one, live: other };
  if (!one || !other) return whole;
  const [left, right] = [one as Readonly<Record<string, unknown>>, other as Readonly<Record<string, unknown>>];
  const fields = [...new Set([...Object.keys(one), ...Object.keys(other)])].sort();
  const field = fields.find((name) => wholeText(left[name]) !== wholeText(right[name]));
  if (field === undefined) return whole;
  return { key, field, recorded: left[field] ?? null, live: right[field] ?? null };
}

/** A value in a line; what JSON cannot say is told apart too. */
export function textOf(value: unknown): string {
  const text = wholeText(value);
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

function wholeText(value: unknown): string {
  const plain = (_: string, one: unknown): unknown => {
    if (one instanceof Uint8Array) return `0x${toHex(one)}`;
    if (typeof one !== 'number') return one;
    if (Object.is(one, -0)) return '-0';
    return Number.isFinite(one) ? one : `${one}`;
  };
  return JSON.stringify(value, plain) ?? 'absent';
}
