import type { VectorEntry } from '@syncscope/protocol/clock';
import { encodeOperation, type RGA, type RgaOperation } from '@syncscope/protocol/crdt';
import { isSyncError } from '@syncscope/protocol/errors';
import type { Random } from '@syncscope/protocol/ports';
import { type RecordKey, type ReplicaId, recordKey, type SyncRecord } from '@syncscope/protocol/state';
import type { StateView } from '@syncscope/protocol/sync';
import { conflictOf, roleOf } from './board-conflicts.ts';
import { documentOf, SEEN } from './board-text.ts';
import type { Caretaker, Intent, Mind } from './scenario.ts';

/** Undefined where the page of this copy makes no sense, as where a fault has changed it: nobody can write on that until it is mended. */
function readable(view: StateView, self: ReplicaId): RGA | undefined {
  try {
    return documentOf(view, self);
  } catch (error) {
    if (isSyncError(error, 'CRDT_STATE_INVALID')) return undefined;
    throw error;
  }
}

const WORDS =
  'we meet at noon and bring the map, then walk along the river to the old mill. tea first; rain or not'.split(' ');
const NAMES = ['Lunch', 'Garden', 'Boat', 'Letters', 'Music', 'Roof', 'Paint', 'Seeds'];
const TAGS = ['soon', 'later', 'cheap', 'loud', 'indoors', 'ask Ida', 'done?', 'heavy'];
const COLORS = ['yellow', 'green', 'blue', 'pink'];
/** UTF-16 units above which somebody shortens the page. */
const LONG_TEXT = 700;
/** Operations of which one says what its writer has seen of the text. */
const SEEN_EVERY = 8;
/** How long a conflict waits before somebody looks at it, in milliseconds. */
const LOOK_AFTER_MS = { chair: 4_000, writer: 12_000 };

/**
 * Somebody at the board: types in bursts, returns to the note that everybody writes on, tags, moves, claims tasks, removes what it is tired of, and
 * decides where two texts are in question.
 */
export class BoardMind implements Mind {
  readonly #self: ReplicaId;
  readonly #random: Random;
  readonly #role: 'chair' | 'writer';
  readonly #waitingSince = new Map<string, number>();
  #burst = 0;
  #notes = 0;
  #typed = 0;
  #isRefusedChair = false;

  constructor(self: ReplicaId, random: Random) {
    this.#self = self;
    this.#random = random;
    this.#role = self.endsWith('-1') ? 'chair' : 'writer';
  }

  pause(): number {
    if (this.#burst > 0) return 120 + this.#random.next() * 240;
    return this.#chance(0.15) ? 3_000 + this.#random.next() * 4_000 : 1_000 + this.#random.next() * 1_800;
  }

  startle(): undefined {
    return undefined;
  }

  refused(intent: Intent): void {
    if (intent.command === 'join') this.#isRefusedChair = true;
    if (intent.command === 'type') this.#burst = 0;
  }

  think(view: StateView, now: number): Intent | undefined {
    if (roleOf(view, this.#self) === '') {
      return { command: 'join', args: { role: this.#isRefusedChair ? 'writer' : this.#role } };
    }
    const decision = this.#decide(view, now);
    if (decision) return decision;
    if (this.#burst > 0) {
      this.#burst--;
      return this.#type(view);
    }
    const choice = this.#random.next();
    if (choice < 0.3) {
      this.#burst = 2 + Math.floor(this.#random.next() * 5);
      return this.#type(view);
    }
    return this.#onNotes(view, choice) ?? this.#onTasks(view);
  }

  #onNotes(view: StateView, choice: number): Intent | undefined {
    const notes = keysOf(view, 'note/');
    // Some notes are everybody's.
    const key = this.#chance(0.6) ? notes.find((one) => one === 'note/plan') : this.#pick(notes);
    const note = key && view.get(key);
    if (choice > 0.92) return this.#add(notes.length);
    if (!note || choice > 0.85) return undefined;
    if (choice > 0.83 && notes.length > 5) return this.#remove(notes);
    const tags = note.tags as readonly string[];
    if (choice > 0.7) return this.#tag(key, tags);
    if (choice > 0.6) return { command: 'edit', args: { key, fields: this.#place() } };
    if (choice > 0.52) return { command: 'edit', args: { key, fields: { title: this.#pick(NAMES) ?? 'Note' } } };
    return { command: 'edit', args: { key, fields: { text: this.#sentence(4) } } };
  }

  #add(notes: number): Intent | undefined {
    if (notes > 12) return undefined;
    const args = { title: this.#pick(NAMES) ?? 'Note', color: this.#pick(COLORS) ?? 'yellow', ...this.#place() };
    return { command: 'add', args: { ...args, key: `note/${this.#self}.${++this.#notes}` }, creates: 'note' };
  }

  #remove(notes: readonly RecordKey[]): Intent | undefined {
    const key = this.#pick(notes.filter((one) => !['note/plan', 'note/menu', 'note/trip'].includes(one)));
    return key && { command: 'remove', args: { key } };
  }

  #tag(key: RecordKey, tags: readonly string[]): Intent {
    const add = this.#chance(0.6) || tags.length === 0 ? [this.#pick(TAGS) ?? 'soon'] : [];
    return { command: 'tag', args: { key, add, remove: add.length > 0 ? [] : [this.#pick(tags) ?? ''] } };
  }

  #onTasks(view: StateView): Intent | undefined {
    const tasks = keysOf(view, 'task/');
    const own = tasks.find((key) => view.get(key)?.owner === this.#self);
    if (own && this.#chance(0.4)) return { command: 'finish', args: { key: own } };
    const free = this.#pick(tasks.filter((key) => view.get(key)?.owner === null));
    return free && { command: 'claim', args: { key: free, seen: null } };
  }

  #decide(view: StateView, now: number): Intent | undefined {
    for (const id of keysOf(view, 'conflict/')) {
      const conflict = conflictOf(view, id);
      if (conflict?.state !== 'waiting') {
        this.#waitingSince.delete(id);
        continue;
      }
      const since = this.#waitingSince.get(id) ?? now;
      this.#waitingSince.set(id, since);
      if (now - since < LOOK_AFTER_MS[this.#role]) continue;
      this.#waitingSince.set(id, now);
      const side = this.#chance(0.1) ? undefined : this.#pick(conflict.sides);
      return { command: 'decide', args: { conflict: id, chosen: side ? `${side.writer}:${side.counter}` : 'base' } };
    }
    return undefined;
  }

  #type(view: StateView): Intent | undefined {
    const document = readable(view, this.#self);
    if (!document) return undefined;
    const operation = this.#edit(document);
    const isTold = this.#typed++ % SEEN_EVERY === 0;
    const seen = isTold ? document.vector.entries().map((entry: VectorEntry) => ({ ...entry })) : null;
    return { command: 'type', args: { operation: encodeOperation(operation), seen } };
  }

  #edit(document: RGA): RgaOperation {
    const words = document.content().split(' ').slice(0, -1);
    const isLong = document.length > LONG_TEXT;
    if (words.length > 3 && (isLong || this.#chance(0.15))) {
      const first = Math.floor(this.#random.next() * (words.length - 3));
      const gone = words.slice(first, first + (isLong ? 12 : 2));
      return document.delete(lengthOf(words.slice(0, first)), lengthOf(gone));
    }
    const behind = this.#chance(0.7) ? words.length : Math.floor(this.#random.next() * (words.length + 1));
    return document.insert(lengthOf(words.slice(0, behind)), `${this.#pick(WORDS) ?? 'and'} `);
  }

  #sentence(words: number): string {
    return Array.from({ length: words }, () => this.#pick(WORDS)).join(' ');
  }

  #place(): { readonly x: number; readonly y: number } {
    return { x: Math.floor(this.#random.next() * 900), y: Math.floor(this.#random.next() * 500) };
  }

  #chance(share: number): boolean {
    return this.#random.next() < share;
  }

  #pick<T>(choices: readonly T[]): T | undefined {
    return choices[Math.floor(this.#random.next() * choices.length)];
  }
}

/** Of words with a space behind each. */
function lengthOf(words: readonly string[]): number {
  return words.reduce((sum, word) => sum + word.length + 1, 0);
}

const POST_MS = 5_000;
const TASKS = 3;
const SWEEP_AFTER_MS = 15_000;
const COLLECT_MS = 10_000;
const FORGET_AFTER_MS = 60_000;
const CHORES = ['water the seeds', 'call the mill', 'fetch the boat', 'paint the roof', 'write to Ida'];

/** Posts tasks, takes decided conflicts off the board, and lets the text drop what nobody needs any more. */
export class BoardCaretaker implements Caretaker {
  readonly #random: Random;
  readonly #decidedSince = new Map<string, number>();
  readonly #seenSince = new Map<string, { readonly record: SyncRecord; readonly at: number }>();
  #postedAt = 0;
  #collectedAt = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  due(view: StateView, _connected: ReadonlySet<string>, now: number): readonly Intent[] {
    const intents: Intent[] = [...this.#swept(view, now), ...this.#forgotten(view, now)];
    if (now - this.#postedAt >= POST_MS && keysOf(view, 'task/').length < TASKS) {
      this.#postedAt = now;
      const title = CHORES[Math.floor(this.#random.next() * CHORES.length)] ?? 'rest';
      intents.push({ command: 'post', args: { title } });
    }
    if (now - this.#collectedAt >= COLLECT_MS) {
      this.#collectedAt = now;
      intents.push({ command: 'collect', args: null });
    }
    return intents;
  }

  #swept(view: StateView, now: number): Intent[] {
    const decided = keysOf(view, 'conflict/').filter((id) => view.get(id)?.state === 'decided');
    for (const id of this.#decidedSince.keys()) if (!decided.some((one) => one === id)) this.#decidedSince.delete(id);
    for (const id of decided) if (!this.#decidedSince.has(id)) this.#decidedSince.set(id, now);
    return decided
      .filter((id) => now - (this.#decidedSince.get(id) ?? now) >= SWEEP_AFTER_MS)
      .map((conflict) => ({ command: 'sweep', args: { conflict } }));
  }

  /** Who has not written for long holds up no tombstone; what it writes on them will be refused, and it types again. */
  #forgotten(view: StateView, now: number): Intent[] {
    const present = new Map(view.entries(SEEN));
    for (const key of this.#seenSince.keys()) if (!present.has(recordKey(key))) this.#seenSince.delete(key);
    const intents: Intent[] = [];
    for (const [key, record] of [...present].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const known = this.#seenSince.get(key);
      if (known?.record !== record) this.#seenSince.set(key, { record, at: now });
      else if (now - known.at >= FORGET_AFTER_MS) {
        intents.push({ command: 'forget', args: { writer: key.slice(SEEN.length) } });
      }
    }
    return intents;
  }
}

/** Entries come in no promised order: what is chosen from is sorted, so that a seed plays alike. */
function keysOf(view: StateView, prefix: string): RecordKey[] {
  return Array.from(view.entries(prefix), ([key]) => key).sort();
}
