import { diffRoots, type StateRoot } from '../merkle/index.ts';
import type { Change, RecordKey, SyncRecord, Value } from '../state/index.ts';

/** A name that the server made up, and what it made up this time. */
export interface MappedId {
  readonly recorded: string;
  readonly live: string;
  /** Of the record that has the effect by which it is known. */
  readonly seq: number;
}

/** A name that the server made up of which it is not known what it is here. */
export interface UnmappedId {
  readonly recorded: string;
  readonly seq: number;
  readonly why: 'nothing new came' | 'several could be it';
  /** Commands in which it was sent as it was recorded. */
  readonly sent: number;
}

/** What the same mutations did, then and here. */
export interface Effect {
  /** In the order in which they were decided. */
  readonly recorded: readonly { readonly seq: number; readonly changes: readonly Change[] }[];
  readonly before: StateRoot;
  readonly after: StateRoot;
  /** Whether the copy has a part of the state only, so that a record may be made and not be seen. */
  readonly isPart: boolean;
  /** Whether it is the first state: records are then matched only where their keys look made up. */
  readonly isFirst: boolean;
}

/** Shorter ones are too likely to stand for something else where they stand alone. */
const BARE_MIN = 4;
const INVENTED = /^[A-Za-z0-9_-]{8,200}$/;
const TOKEN = /[A-Za-z0-9_-]+(?:\/[A-Za-z0-9_-]+)*/g;

interface Made {
  readonly key: RecordKey;
  readonly seq: number;
  readonly record: SyncRecord;
}

/**
 * Names that a server makes up otherwise than by its state – random ids – as they were and as they are. The same mutations made a record under another key: then
 * and here are matched by the collection, and by the fields where there are several. A field of the same record that has another text of the same length with digits
 * or both cases is one as well. What a client said, or was there at the beginning, is never made up; one recorded name has one here, and the other way round.
 */
export class InventedIds {
  readonly #live = new Map<string, string>();
  readonly #recorded = new Map<string, string>();
  /** Last parts of keys that stand for two things. */
  readonly #ambiguous = new Set<string>();
  readonly #mapped: MappedId[] = [];
  readonly #unmapped = new Map<string, { readonly seq: number; readonly why: UnmappedId['why']; sent: number }>();
  readonly #said = new Set<string>();

  get size(): number {
    return this.#mapped.length;
  }

  get mapped(): readonly MappedId[] {
    return this.#mapped;
  }

  get unmapped(): readonly UnmappedId[] {
    return Array.from(this.#unmapped, ([recorded, rest]) => ({ recorded, ...rest }));
  }

  /** These texts are not made up by the server. */
  said(value: Value): void {
    for (const text of textsOf(value)) this.#say(text);
  }

  saidKey(key: string): void {
    this.#say(key);
  }

  /** Arguments as they are to be sent here. Counts what had to be sent as it was. */
  argumentsHere(args: Value): Value {
    if (this.#unmapped.size > 0) this.#countUnmapped(args);
    return this.valueHere(args);
  }

  valueHere(value: Value): Value {
    if (this.#live.size === 0) return value;
    if (typeof value === 'string') return this.textHere(value);
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
    if (Array.isArray(value)) return (value as readonly Value[]).map((one) => this.valueHere(one));
    return this.recordHere(value as SyncRecord);
  }

  /** Ids that a text is, or has between other characters. */
  textHere(text: string): string {
    if (this.#live.size === 0) return text;
    return this.#live.get(text) ?? text.replace(TOKEN, (token) => this.#partsHere(token));
  }

  keyHere(key: RecordKey): RecordKey {
    return this.#live.size === 0 ? key : (this.#partsHere(key) as RecordKey);
  }

  recordHere(record: SyncRecord): SyncRecord {
    if (this.#live.size === 0) return record;
    const fields = Object.entries(record).map(([name, inner]) => [this.#live.get(name) ?? name, this.valueHere(inner)]);
    return Object.fromEntries(fields) as SyncRecord;
  }

  changeHere(change: Change): Change {
    const key = this.keyHere(change.key);
    switch (change.op) {
      case 'put':
        return { op: 'put', key, record: this.recordHere(change.record) };
      case 'patch': {
        const removed = change.removed.map((name) => this.#live.get(name) ?? name);
        return { op: 'patch', key, fields: this.recordHere(change.fields), removed };
      }
      case 'remove':
        return { op: 'remove', key };
    }
  }

  /** Answers whether anything was learned. */
  learn(effect: Effect): boolean {
    const before = this.size;
    const changed = diffRoots(effect.before, effect.after);
    if (changed.length === 0) return false;
    this.#matchKeys(effect, changed);
    this.#matchFields(effect);
    return this.size > before;
  }

  // — keys —

  #matchKeys(effect: Effect, changed: ReturnType<typeof diffRoots>): void {
    const made = madeBy(effect.recorded);
    // A key may be made of another one's id: with each that is known, others may be.
    for (let known = -1; known < this.size; ) {
      known = this.size;
      const here = new Set(made.map(({ key }) => this.keyHere(key)));
      const missing = made.filter(({ key }) => !effect.after.has(this.keyHere(key)) && this.#mayBeInvented(key));
      const extra = changed.flatMap(({ key, left, right }): Made[] =>
        !left && right && !here.has(key) && !this.#recorded.has(key) ? [{ key, seq: 0, record: right }] : [],
      );
      for (const one of missing) this.#matchKey(one, missing, extra, effect);
    }
  }

  #matchKey(one: Made, missing: readonly Made[], extra: readonly Made[], { isPart, isFirst }: Effect): void {
    if (this.#live.has(one.key)) return;
    const isThere = ({ key }: Made): boolean => collectionOf(key) === collectionOf(this.keyHere(one.key));
    const fits = (candidate: Made): boolean =>
      !this.#recorded.has(candidate.key) && isThere(candidate) && (!isFirst || areInvented(one.key, candidate.key));
    const candidates = extra.filter(fits);
    const alike = candidates.filter((candidate) => this.#isSimilar(one.record, candidate.record));
    const rivals = missing.filter((other) => !this.#live.has(other.key) && isThere(other));
    const [only] = alike;
    if (only && alike.length === 1) {
      const others = rivals.filter((other) => other !== one && this.#isSimilar(other.record, only.record));
      if (others.length === 0) return this.#keepKey(one, only.key);
    }
    const [single] = candidates;
    const isOnly = !isFirst && candidates.length === 1 && rivals.length === 1;
    // Of a part, what came to be seen may be another one that was not seen before.
    if (single && isOnly && (!isPart || this.#isMostlySimilar(one.record, single.record)))
      return this.#keepKey(one, single.key);
    if (isFirst || (isPart && candidates.length === 0)) return;
    const why = candidates.length === 0 ? 'nothing new came' : 'several could be it';
    if (!this.#unmapped.has(one.key)) this.#unmapped.set(one.key, { seq: one.seq, why, sent: 0 });
  }

  /** Whether two records differ at most in what looks made up. */
  #isSimilar(recorded: SyncRecord, live: SyncRecord): boolean {
    return pairsOf(this.recordHere(recorded), live).every(isAlike);
  }

  #isMostlySimilar(recorded: SyncRecord, live: SyncRecord): boolean {
    const pairs = pairsOf(this.recordHere(recorded), live);
    return pairs.filter(isAlike).length * 2 > pairs.length;
  }

  #keepKey({ key, seq }: Made, live: RecordKey): void {
    this.#unmapped.delete(key);
    this.#keep(key, live, seq);
    const [recordedId, liveId] = [lastOf(key), lastOf(live)];
    if (recordedId === liveId || recordedId.length < BARE_MIN || liveId.length < BARE_MIN) return;
    const before = this.#live.get(recordedId);
    if (before !== undefined && before !== liveId) this.#ambiguous.add(recordedId);
    else if (!this.#said.has(recordedId) && !this.#recorded.has(liveId)) this.#link(recordedId, liveId);
  }

  // — fields —

  #matchFields({ recorded, after }: Effect): void {
    for (const { seq, changes } of recorded) {
      for (const change of changes) {
        if (change.op === 'remove') continue;
        const live = after.get(this.keyHere(change.key));
        if (!live) continue;
        const fields = change.op === 'put' ? change.record : change.fields;
        for (const { left, right } of pairsOf(this.recordHere(fields), live)) {
          if (typeof left !== 'string' || typeof right !== 'string' || left === right) continue;
          if (areInvented(left, right) && this.#mayBeInvented(left) && !this.#recorded.has(left)) {
            this.#keep(left, right, seq);
          }
        }
      }
    }
  }

  #mayBeInvented(text: string): boolean {
    return !this.#said.has(text);
  }

  #keep(recorded: string, live: string, seq: number): void {
    if (this.#live.has(recorded) || this.#recorded.has(live)) return;
    this.#link(recorded, live);
    this.#mapped.push({ recorded, live, seq });
  }

  #link(recorded: string, live: string): void {
    this.#live.set(recorded, live);
    this.#recorded.set(live, recorded);
  }

  // — texts —

  #say(text: string): void {
    this.#said.add(text);
    for (const [token] of text.matchAll(TOKEN)) {
      this.#said.add(token);
      for (const part of token.split('/')) this.#said.add(part);
    }
  }

  /** A path of which the beginning, or a part, is known by another name here. */
  #partsHere(path: string): string {
    const whole = this.#live.get(path);
    if (whole !== undefined && !this.#ambiguous.has(path)) return whole;
    const parts = path.split('/');
    for (let end = parts.length - 1; end > 1; end--) {
      const head = this.#live.get(parts.slice(0, end).join('/'));
      if (head === undefined) continue;
      return [head, ...parts.slice(end).map((part) => this.#partHere(part))].join('/');
    }
    return parts.map((part) => this.#partHere(part)).join('/');
  }

  #partHere(part: string): string {
    if (part.length < BARE_MIN || this.#ambiguous.has(part)) return part;
    return this.#live.get(part) ?? part;
  }

  #countUnmapped(args: Value): void {
    const texts = new Set<string>();
    for (const text of textsOf(args)) {
      texts.add(text);
      for (const [token] of text.matchAll(TOKEN)) for (const part of [token, ...token.split('/')]) texts.add(part);
    }
    for (const [recorded, one] of this.#unmapped) {
      const id = lastOf(recorded);
      if (texts.has(recorded) || (id.length >= BARE_MIN && texts.has(id))) one.sent++;
    }
  }
}

/** Records that were not there before and are there after. */
function madeBy(recorded: Effect['recorded']): Made[] {
  const made = new Map<RecordKey, Made>();
  for (const { seq, changes } of recorded) {
    for (const change of changes) {
      const { key } = change;
      const before = made.get(key);
      if (change.op === 'put') made.set(key, { key, seq: before?.seq ?? seq, record: change.record });
      else if (change.op === 'remove') made.delete(key);
      else if (before) {
        const kept = Object.entries(before.record).filter(([name]) => !change.removed.includes(name));
        made.set(key, { ...before, record: { ...Object.fromEntries(kept), ...change.fields } });
      }
    }
  }
  return [...made.values()];
}

/** What stands at the same place in both; a place that only one has is undefined in the other. */
function pairsOf(left: unknown, right: unknown): { readonly left: unknown; readonly right: unknown }[] {
  if (!isFields(left) || !isFields(right)) {
    if (left instanceof Uint8Array && right instanceof Uint8Array) {
      const isSame = left.length === right.length && left.every((byte, at) => byte === right[at]);
      return isSame ? [] : [{ left, right }];
    }
    return [{ left, right }];
  }
  const names = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...names].flatMap((name) => pairsOf(left[name], right[name]));
}

function isAlike({ left, right }: { readonly left: unknown; readonly right: unknown }): boolean {
  return Object.is(left, right) || areInvented(left, right);
}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !(value instanceof Uint8Array);
}

/** Whether two texts are of the form of what is drawn at random: as long, and of more than lower-case letters. */
function areInvented(left: unknown, right: unknown): boolean {
  if (typeof left !== 'string' || typeof right !== 'string' || left.length !== right.length) return false;
  const [one, other] = [lastOf(left), lastOf(right)];
  if (one.length !== other.length || collectionOf(left) !== collectionOf(right)) return false;
  return isMixed(one) && isMixed(other);
}

function isMixed(text: string): boolean {
  return INVENTED.test(text) && (/\d/.test(text) || (/[a-z]/.test(text) && /[A-Z]/.test(text)));
}

function collectionOf(key: string): string {
  return key.slice(0, key.lastIndexOf('/') + 1);
}

function lastOf(key: string): string {
  return key.slice(key.lastIndexOf('/') + 1);
}

function* textsOf(value: Value): Iterable<string> {
  if (typeof value === 'string') yield value;
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return;
  for (const [name, inner] of Object.entries(value)) {
    if (!Array.isArray(value)) yield name;
    yield* textsOf(inner as Value);
  }
}
