import type { Hasher } from '../bytes/index.ts';
import type { Change, RecordKey, SyncRecord } from '../state/index.ts';
import { fieldsBetween } from './fields.ts';
import type { Front } from './front.ts';
import type { Node } from './trie.ts';
import { sameRecord } from './values.ts';
import { writeRecords } from './write-records.ts';

/** A record that a version wrote, and what was there before; undefined where nothing is, or was. The two differ. */
export class Write {
  declare readonly key: RecordKey;
  declare readonly before: SyncRecord | undefined;
  declare after: SyncRecord | undefined;
  declare change: Change | undefined;

  constructor(key: RecordKey, before: SyncRecord | undefined, after: SyncRecord | undefined) {
    this.key = key;
    this.before = before;
    this.after = after;
    this.change = undefined;
  }
}

/** What a write does, as a change: found once. Not to be asked for before the version is complete. */
export function changeOf(write: Write): Change {
  write.change ??= changeBetween(write.key, write.before, write.after);
  return write.change;
}

/** The change from one record to another under a key, at least one of them given. */
export function changeBetween(key: RecordKey, before: SyncRecord | undefined, after: SyncRecord | undefined): Change {
  if (after === undefined) return { op: 'remove', key };
  if (before === undefined) return { op: 'put', key, record: after };
  const { fields, removed } = fieldsBetween(before, after);
  return { op: 'patch', key, fields, removed };
}

let steps = 0;

/**
 * A version in its line. It knows its trie, or else how to come to it: it is where the line's {@link Front} is now, or the versions after
 * it lead there. So whoever keeps an old version keeps what was written since, up to the next trie, and nobody else does.
 */
export class Step {
  readonly hasher: Hasher;
  /** Records in this version. */
  readonly size: number;
  /** What made this version of the one before; each key once. */
  readonly writes: readonly Write[];
  readonly front: Front | undefined;
  /** The version after this one; apart, so that it can be forgotten without keeping this one. Undefined only where the trie is known, or this is the last. */
  readonly ahead: { next: Step | undefined } = { next: undefined };
  /** Grows along a line. */
  readonly #order = ++steps;
  #trie: Node | null | undefined;

  private constructor(
    hasher: Hasher,
    size: number,
    writes: readonly Write[],
    front: Front | undefined,
    trie: Node | null | undefined,
  ) {
    this.hasher = hasher;
    this.size = size;
    this.writes = writes;
    this.front = front;
    this.#trie = trie;
  }

  /** A version that is known by its trie alone. */
  static of(trie: Node | null, size: number, hasher: Hasher): Step {
    return new Step(hasher, size, NONE, undefined, trie);
  }

  /** The version after this one, to which the front has come by these writes. */
  next(writes: readonly Write[], size: number, front: Front): Step {
    const step = new Step(this.hasher, size, writes, front, undefined);
    this.ahead.next = step;
    return step;
  }

  /** The front, where it is at this version: some run of writes may have begun, but not ended. */
  get present(): Front | undefined {
    return this.front?.tip === this ? this.front : undefined;
  }

  get trie(): Node | null {
    if (this.#trie !== undefined) return this.#trie;
    const { present } = this;
    this.#trie = present === undefined ? this.#trieByNext() : present.settle();
    return this.#trie;
  }

  /** What the next version with a trie, or the last one, has, with all that was written since taken back. */
  #trieByNext(): Node | null {
    const runs: (readonly Write[])[] = [];
    let step: Step = this;
    while (step.#trie === undefined && step.present === undefined) {
      step = step.ahead.next!;
      runs.push(step.writes);
    }
    const undone = joined(runs).map(({ key, before }) => ({ key, record: before }));
    return writeRecords(step.trie, undone, this.hasher);
  }

  /** What was written from an earlier version of this line to this one; undefined where the versions between are not known. */
  writesSince(earlier: Step): readonly Write[] | undefined {
    const runs: (readonly Write[])[] = [];
    let step: Step = earlier;
    while (step !== this) {
      const { next } = step.ahead;
      if (next === undefined || next.#order > this.#order) return undefined;
      step = next;
      runs.push(step.writes);
    }
    return joined(runs);
  }
}

const NONE: readonly Write[] = [];

/** Runs of writes, one after the other, as one run in which each key is written once. */
function joined(runs: readonly (readonly Write[])[]): readonly Write[] {
  if (runs.length <= 1) return runs[0] ?? NONE;
  const byKey = new Map<RecordKey, Write>();
  for (const run of runs) {
    for (const write of run) {
      const earlier = byKey.get(write.key);
      byKey.set(write.key, earlier === undefined ? write : new Write(write.key, earlier.before, write.after));
    }
  }
  return withoutIdle([...byKey.values()]);
}

/** Those that lead to something else than what was there. */
export function withoutIdle(writes: readonly Write[]): Write[] {
  return writes.filter(({ before, after }) => {
    if (before === undefined || after === undefined) return before !== after;
    return !sameRecord(before, after);
  });
}
