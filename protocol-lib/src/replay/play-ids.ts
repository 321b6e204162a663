import { diffRoots, type StateRoot } from '../merkle/index.ts';
import type { Change, RecordKey, ReplicaId, SyncRecord, Value } from '../state/index.ts';
import {
  areDrawn,
  BARE_MIN,
  bytesOfName,
  collectionOf,
  isDrawnText,
  isOrdinary,
  lastOf,
  nameOf,
  nameOfBytes,
  namesIn,
  type Pair,
  pairsOf,
  TOKEN,
  textsOf,
} from './play-drawn.ts';

/** A name that the server made up, and what it made up this time. */
export interface MappedId {
  readonly recorded: string;
  readonly live: string;
  /** Of the record that has the effect by which it is known. */
  readonly seq: number;
  /** Whether others could be it as well, alike in all that is known: the first of them was taken. */
  readonly isGuess?: true;
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
  readonly recorded: readonly RecordedEffect[];
  readonly before: StateRoot;
  readonly after: StateRoot;
  /** Whether the copy has a part of the state only, so that a record may be made and not be seen. */
  readonly isPart: boolean;
  /** Whether it is the first state: records are then matched only where their keys look made up. */
  readonly isFirst: boolean;
  /** Whether they may have been decided in another order here; `false` where absent. */
  readonly isOrderOpen?: boolean;
}

export interface RecordedEffect {
  readonly seq: number;
  readonly changes: readonly Change[];
  readonly mutation?: { readonly writer: ReplicaId } | undefined;
}

interface Made {
  readonly key: RecordKey;
  readonly seq: number;
  readonly record: SyncRecord;
}

/** What was written to a record last, and by whom. */
interface Written {
  readonly seq: number;
  readonly fields: SyncRecord;
  readonly writers: ReadonlyMap<string, ReadonlySet<string>>;
}

type Changed = ReturnType<typeof diffRoots>;

/**
 * Names that a server makes up otherwise than by its state – random ids – as they were and as they are. The same mutations made a record under another key: then
 * and here are matched by the collection, and by the fields where there are several. A field of the same record, or its name, that has another text of the same
 * length with digits or both cases, or other bytes, is one as well. What a client said, was there at the beginning, or was found on both sides, is never made
 * up; one recorded name has one here, and the other way round. Bytes go by their digits, `0x…`.
 */
export class InventedIds {
  readonly #live = new Map<string, string>();
  readonly #recorded = new Map<string, string>();
  /** Last parts of keys that stand for two things. */
  readonly #ambiguous = new Set<string>();
  readonly #mapped: MappedId[] = [];
  readonly #unmapped = new Map<string, { readonly seq: number; readonly why: UnmappedId['why']; sent: number }>();
  readonly #said = new Set<string>();
  /** Names that both sides have. */
  readonly #shared = new Set<string>();
  /** Mutations of which it is known which these are. */
  readonly #sharedOf = new Set<number>();

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

  /** The same mutations made the same state, but for names that are known: those that are not known are not made up. */
  shared({ recorded, after, isPart }: Pick<Effect, 'recorded' | 'after' | 'isPart'>): void {
    const fresh = recorded.filter(({ seq }) => !this.#sharedOf.has(seq));
    // What one does not see of a state, another may.
    if (!isPart) for (const { seq } of fresh) this.#sharedOf.add(seq);
    for (const [key, { fields }] of writtenBy(fresh)) {
      if (isPart && !after.has(this.keyHere(key))) continue;
      this.#share(key);
      for (const text of textsOf(fields)) this.#share(text);
    }
  }

  /** Arguments as they are to be sent here. Counts what had to be sent as it was. */
  argumentsHere(args: Value): Value {
    if (this.#unmapped.size > 0) this.#countUnmapped(args);
    return this.valueHere(args);
  }

  valueHere(value: Value): Value {
    if (this.#live.size === 0) return value;
    if (typeof value === 'string') return this.textHere(value);
    if (typeof value !== 'object' || value === null) return value;
    if (value instanceof Uint8Array) return this.#bytesHere(value);
    if (Array.isArray(value)) return (value as readonly Value[]).map((one) => this.valueHere(one));
    return this.recordHere(value as SyncRecord);
  }

  /** Ids that a text is, or has between other characters; there also words and small numbers where `all`. */
  textHere(text: string, all = false): string {
    if (this.#live.size === 0) return text;
    return (
      this.#known(text) ?? text.replace(TOKEN, (name) => (!all && isOrdinary(name) ? name : this.#partsHere(name)))
    );
  }

  /** Whether a sentence is a recorded one with the ids of here. */
  isSentenceHere(recorded: string, live: string): boolean {
    return this.textHere(recorded) === live || this.textHere(recorded, true) === live;
  }

  keyHere(key: RecordKey): RecordKey {
    return this.#live.size === 0 ? key : (this.#partsHere(key) as RecordKey);
  }

  recordHere(record: SyncRecord): SyncRecord {
    if (this.#live.size === 0) return record;
    const fields = Object.entries(record).map(([name, inner]) => [this.#nameHere(name), this.valueHere(inner)]);
    return Object.fromEntries(fields) as SyncRecord;
  }

  changeHere(change: Change): Change {
    const key = this.keyHere(change.key);
    switch (change.op) {
      case 'put':
        return { op: 'put', key, record: this.recordHere(change.record) };
      case 'patch': {
        const removed = change.removed.map((name) => this.#nameHere(name));
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
    const made = madeBy(effect.recorded);
    // A key may be made of another one's id, and a field may tell which of several: with each that is known, others may be.
    for (let known = -1; known < this.size; ) {
      known = this.size;
      this.#matchKeys(made, changed, effect);
      this.#matchFields(effect);
      if (known === this.size) this.#guess(made, changed, effect);
    }
    this.#takeStock(made, changed, effect);
    return this.size > before;
  }

  // — keys —

  #matchKeys(made: readonly Made[], changed: Changed, effect: Effect): void {
    for (let known = -1; known < this.size; ) {
      known = this.size;
      const { missing, extra } = this.#unmatched(made, changed, effect);
      for (const one of missing) this.#matchKey(one, missing, extra, effect);
    }
  }

  /**
   * As many are alike here as were then, and nothing tells them apart, so whichever is taken for one, the states are alike. The first is, and others may follow
   * from it.
   */
  #guess(made: readonly Made[], changed: Changed, effect: Effect): void {
    if (effect.isFirst || effect.isPart) return;
    const { missing, extra } = this.#unmatched(made, changed, effect);
    const open = missing.filter(({ key }) => !this.#live.has(key) && !this.#isThere(key, effect.after));
    for (const one of open) {
      const couldBe = (rival: Made, candidate: Made): boolean =>
        !this.#recorded.has(candidate.key) &&
        this.#isBeside(rival.key, candidate.key) &&
        this.#isSimilar(rival, candidate);
      const [first, ...others] = extra.filter((candidate) => couldBe(one, candidate));
      if (!first) continue;
      const rivals = open.filter((rival) => couldBe(rival, first));
      const areAlike = rivals.every((rival) => others.every((candidate) => couldBe(rival, candidate)));
      if (rivals.length === others.length + 1 && areAlike) return this.#keepKey(one, first.key, true);
    }
  }

  /** Which keys both sides have, and which are known by now, or are not. */
  #takeStock(made: readonly Made[], changed: Changed, effect: Effect): void {
    const { isFirst, isPart, after } = effect;
    for (const { key } of made) if (this.#isThere(key, after)) this.#share(key);
    for (const key of this.#unmapped.keys()) if (this.keyHere(key as RecordKey) !== key) this.#unmapped.delete(key);
    if (isFirst) return;
    const { missing, extra } = this.#unmatched(made, changed, effect);
    for (const { key, seq } of missing) {
      if (this.#isThere(key, after) || this.#unmapped.has(key)) continue;
      const couldBe = extra.some((one) => !this.#recorded.has(one.key) && this.#isBeside(key, one.key));
      if (isPart && !couldBe) continue;
      this.#unmapped.set(key, { seq, why: couldBe ? 'several could be it' : 'nothing new came', sent: 0 });
    }
  }

  /** Whether a key of here is of the collection of a recorded one. */
  #isBeside(recorded: RecordKey, live: RecordKey): boolean {
    return collectionOf(live) === collectionOf(this.keyHere(recorded));
  }

  /**
   * What was made then and is not here, and what was made here and was not then. Of keys that both have, one may stand for another where ids are counted on from
   * elsewhere, or in the order of decisions that may be another one here: such whose record is found under another key are among both.
   */
  #unmatched(
    made: readonly Made[],
    changed: Changed,
    { after, isOrderOpen }: Effect,
  ): { missing: Made[]; extra: Made[] } {
    const here = new Map(made.map((one) => [this.keyHere(one.key), one] as const));
    const missing = made.filter(({ key }) => !this.#isThere(key, after) && this.#mayBeInvented(key));
    const extra: Made[] = [];
    const both: { readonly one: Made; readonly other: Made }[] = [];
    for (const { key, left, right } of changed) {
      if (left || !right || this.#recorded.has(key)) continue;
      const one = here.get(key);
      const other: Made = { key, seq: 0, record: right };
      if (!one) extra.push(other);
      else if (one.key === key && this.#mayBeInvented(key) && !this.#isSimilar(one, other)) both.push({ one, other });
    }
    const isAmong = (list: readonly Made[], key: string): boolean =>
      list.some((one) => collectionOf(one.key) === collectionOf(key));
    for (const { one, other } of both) {
      if (isOrderOpen !== true && !(isAmong(missing, one.key) && isAmong(extra, one.key))) continue;
      // Else it is a record with another value.
      const hasMoved = [...extra, ...both.map((pair) => pair.other)].some(
        (candidate) => candidate.key !== one.key && this.#isSimilar(one, candidate),
      );
      if (!hasMoved) continue;
      missing.push(one);
      extra.push(other);
    }
    return { missing, extra };
  }

  /** Whether a record that was made is here, as far as its key tells. */
  #isThere(key: RecordKey, after: StateRoot): boolean {
    const here = this.keyHere(key);
    return after.has(here) && (here !== key || !this.#recorded.has(key) || this.#live.get(key) === key);
  }

  #matchKey(one: Made, missing: readonly Made[], extra: readonly Made[], { isPart, isFirst, after }: Effect): void {
    if (this.#live.has(one.key)) return;
    const isThere = ({ key }: Made): boolean => this.#isBeside(one.key, key);
    const fits = (candidate: Made): boolean =>
      candidate.key !== one.key &&
      !this.#recorded.has(candidate.key) &&
      isThere(candidate) &&
      (!isFirst || areDrawn(one.key, candidate.key));
    const candidates = extra.filter(fits);
    const alike = candidates.filter((candidate) => this.#isSimilar(one, candidate));
    const rivals = missing.filter((other) => !this.#live.has(other.key) && isThere(other));
    const [only] = alike;
    if (only && alike.length === 1) {
      const others = rivals.filter((other) => other !== one && this.#isSimilar(other, only));
      if (others.length === 0) return this.#keepKey(one, only.key);
    }
    // It is there, if not as it was.
    if (this.#isThere(one.key, after)) return;
    const [single] = candidates;
    const isOnly = !isFirst && candidates.length === 1 && rivals.length === 1;
    // Of a part, what came to be seen may be another one that was not seen before.
    if (single && isOnly && (!isPart || this.#isMostlySimilar(one, single))) this.#keepKey(one, single.key);
  }

  /** Whether two records differ at most in what looks made up, and in their own names. */
  #isSimilar(recorded: Made, live: Made): boolean {
    return this.#pairs(recorded.record, live.record).every((pair) => this.#isAlike(pair, recorded, live));
  }

  #isMostlySimilar(recorded: Made, live: Made): boolean {
    const pairs = this.#pairs(recorded.record, live.record);
    return pairs.filter((pair) => this.#isAlike(pair, recorded, live)).length * 2 > pairs.length;
  }

  #pairs(recorded: SyncRecord, live: SyncRecord): Pair[] {
    return pairsOf(recorded, live, (name) => this.#nameHere(name));
  }

  #isAlike({ left, right }: Pair, recorded: Made, live: Made): boolean {
    if (left === recorded.key && right === live.key) return true;
    if (left === lastOf(recorded.key) && right === lastOf(live.key)) return true;
    const here = this.#leafHere(left);
    if (Object.is(here, right)) return true;
    const name = nameOf(here);
    return (name !== undefined && name === nameOf(right)) || this.#mayStandFor(left, right);
  }

  /** Whether one may be what the server made up then, and the other what it made up instead. */
  #mayStandFor(left: unknown, right: unknown): boolean {
    const [then, now] = [nameOf(left), nameOf(right)];
    if (then === undefined || now === undefined || !areDrawn(this.#leafHere(left), right)) return false;
    return !this.#live.has(then) && !this.#recorded.has(now) && this.#mayBeInvented(then) && this.#mayBeInvented(now);
  }

  #leafHere(value: unknown): unknown {
    if (typeof value === 'string') return this.textHere(value);
    return value instanceof Uint8Array ? this.#bytesHere(value) : value;
  }

  #keepKey({ key, seq }: Made, live: RecordKey, isGuess = false): void {
    this.#keep(key, live, seq, isGuess);
    const [recordedId, liveId] = [lastOf(key), lastOf(live)];
    if (recordedId === liveId || recordedId.length < BARE_MIN || liveId.length < BARE_MIN) return;
    const before = this.#live.get(recordedId);
    if (before !== undefined && before !== liveId) this.#ambiguous.add(recordedId);
    else if (this.#mayBeInvented(recordedId) && !this.#recorded.has(liveId)) this.#link(recordedId, liveId);
  }

  // — fields —

  #matchFields({ recorded, before, after, isOrderOpen }: Effect): void {
    for (const [key, { seq, fields, writers }] of writtenBy(recorded)) {
      const here = this.keyHere(key);
      const live = after.get(here);
      if (!live) continue;
      const old = before.get(here);
      // Whose was the last word is not known then.
      const isOpen = (name: string): boolean => isOrderOpen === true && (writers.get(name)?.size ?? 0) > 1;
      const told = Object.entries(fields).filter(([name]) => !isOpen(name));
      const names = new Set(told.map(([name]) => this.#nameHere(name)));
      const now = Object.entries(live).filter(([name]) => names.has(name) || !old || !Object.hasOwn(old, name));
      for (const { left, right } of this.#pairs(Object.fromEntries(told), Object.fromEntries(now))) {
        const [one, other] = [nameOf(left), nameOf(right)];
        if (one === undefined || other === undefined) continue;
        if (one === other && !this.#recorded.has(other)) this.#share(one);
        else if (nameOf(this.#leafHere(left)) !== other && this.#mayStandFor(left, right)) this.#keep(one, other, seq);
      }
    }
  }

  /** Whether neither a client said it nor both sides have it, nor what it ends with. */
  #mayBeInvented(text: string): boolean {
    if (this.#said.has(text) || this.#shared.has(text)) return false;
    const last = lastOf(text);
    // The same word further down a path says nothing of the path.
    const isItsName = isDrawnText(last) || text.indexOf('/') === text.lastIndexOf('/');
    if (!isItsName || last.length < BARE_MIN || this.#live.has(last) || this.#recorded.has(last)) return true;
    return !this.#said.has(last) && !this.#shared.has(last);
  }

  #keep(recorded: string, live: string, seq: number, isGuess = false): void {
    if (this.#live.has(recorded) || this.#recorded.has(live)) return;
    this.#link(recorded, live);
    this.#mapped.push({ recorded, live, seq, ...(isGuess ? { isGuess } : {}) });
  }

  #link(recorded: string, live: string): void {
    this.#live.set(recorded, live);
    this.#recorded.set(live, recorded);
  }

  // — texts —

  #say(text: string): void {
    // Who sends what is not known yet as it was recorded does not make it up.
    const open = new Set([...this.#unmapped.keys()].flatMap((key) => [key, lastOf(key)]));
    for (const name of namesIn(text)) if (!open.has(name)) this.#said.add(name);
  }

  /** Only what looks made up can be taken for it, and whoever has another name here is made up. */
  #share(text: string): void {
    for (const name of namesIn(text)) {
      const last = lastOf(name);
      if (isDrawnText(last) && !this.#live.has(name) && !this.#live.has(last)) this.#shared.add(name);
    }
  }

  /** What a whole text or name is here; undefined where it is not known, or stands for two things. */
  #known(text: string): string | undefined {
    return this.#ambiguous.has(text) ? undefined : this.#live.get(text);
  }

  #nameHere(name: string): string {
    return this.#known(name) ?? name;
  }

  #bytesHere(bytes: Uint8Array): Uint8Array {
    const here = this.#known(nameOfBytes(bytes));
    return (here === undefined ? undefined : bytesOfName(here)) ?? bytes;
  }

  /** A path of which the beginning, or a part, is known by another name here. */
  #partsHere(path: string): string {
    const whole = this.#known(path);
    if (whole !== undefined) return whole;
    const parts = path.split('/');
    for (let end = parts.length - 1; end > 1; end--) {
      const head = this.#live.get(parts.slice(0, end).join('/'));
      if (head === undefined) continue;
      return [head, ...parts.slice(end).map((part) => this.#partHere(part))].join('/');
    }
    return parts.map((part) => this.#partHere(part)).join('/');
  }

  #partHere(part: string): string {
    return part.length < BARE_MIN ? part : this.#nameHere(part);
  }

  #countUnmapped(args: Value): void {
    const texts = new Set<string>();
    for (const text of textsOf(args)) for (const name of namesIn(text)) texts.add(name);
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

/** What was written to each record last, of what is not removed again. */
function writtenBy(recorded: Effect['recorded']): Map<RecordKey, Written> {
  const all = new Map<RecordKey, Written>();
  for (const { seq, changes, mutation } of recorded) {
    for (const change of changes) {
      const { key } = change;
      if (change.op === 'remove') {
        all.delete(key);
        continue;
      }
      const before = all.get(key);
      const told = change.op === 'put' ? change.record : change.fields;
      const kept =
        change.op === 'put'
          ? {}
          : Object.fromEntries(Object.entries(before?.fields ?? {}).filter(([name]) => !change.removed.includes(name)));
      const writers = new Map(before?.writers);
      for (const name of Object.keys(told))
        writers.set(name, new Set([...(writers.get(name) ?? []), mutation?.writer ?? '']));
      all.set(key, { seq, fields: { ...kept, ...told }, writers });
    }
  }
  return all;
}
