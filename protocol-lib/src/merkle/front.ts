import type { Hasher } from '../bytes/index.ts';
import type { RecordKey, SyncRecord } from '../state/index.ts';
import { type Step, Write, withoutIdle } from './line.ts';
import { findEntry, type Node } from './trie.ts';
import { writeRecords } from './write-records.ts';

/** The present record of a key that was written; undefined where it was removed. */
export class Cell {
  declare readonly key: RecordKey;
  declare record: SyncRecord | undefined;
  /** The run of writes that wrote it last, and where in that run its write is. */
  declare run: number;
  declare place: number;

  constructor(key: RecordKey) {
    this.key = key;
    this.record = undefined;
    this.run = 0;
    this.place = 0;
  }
}

/** So many writes may come before a trie: what an old version keeps is what was written up to the next one. */
function waitingMax(size: number): number {
  return Math.max(4_096, 4 * size);
}

/** So many writes after a trie can be told one by one from there on; beyond that, tries are compared. */
const LATELY_MAX = 1_024;

let runs = 0;

/**
 * The newest version of a line, flat: a cell for every key that was written since the front began, before a trie that says the rest.
 * A run of writes moves it on from one version, the tip, to the next. The trie follows when somebody asks for it,
 * all records that are ahead of it at once, however often each was written.
 */
export class Front {
  readonly hasher: Hasher;
  /** The version that the front is at, apart from the run that is under way. */
  tip: Step;
  readonly #cells = new Map<RecordKey, Cell>();
  #trie: Node | null;
  /** The cells that the trie may have otherwise: those written in a run after `#settled`. */
  #ahead: Cell[] = [];
  #settled = 0;
  /** Writes, and versions, since the trie. */
  #waiting = 0;
  /** How the last two versions with a trie lead on. */
  #lately: { next: Step | undefined } | undefined;
  #before: { next: Step | undefined } | undefined;

  #isOpen = false;
  #run = 0;
  #writes: Write[] = [];
  /** Whether a key was written more than once in this run, so that it may be as it was. */
  #isRepeated = false;

  constructor(tip: Step) {
    this.hasher = tip.hasher;
    this.tip = tip;
    this.#trie = tip.trie;
    this.#lately = tip.ahead;
  }

  /** The front of a version, or a new one where it has gone on or is being written to. A run begins. */
  static begin(tip: Step): Front {
    const { present } = tip;
    const front = present === undefined || present.#isOpen ? new Front(tip) : present;
    front.#isOpen = true;
    front.#run = ++runs;
    return front;
  }

  /** Whether the run has written anything. */
  get hasWrites(): boolean {
    return this.#writes.length > 0;
  }

  cell(key: RecordKey): Cell | undefined {
    return this.#cells.get(key);
  }

  /** With the run that is under way. */
  get(key: RecordKey): SyncRecord | undefined {
    const cell = this.#cells.get(key);
    return cell === undefined ? this.beneath(key) : cell.record;
  }

  /** As the tip has it. */
  getKept(key: RecordKey): SyncRecord | undefined {
    const cell = this.#cells.get(key);
    if (cell === undefined) return this.beneath(key);
    return this.#isOpen && cell.run === this.#run ? this.#writes[cell.place]!.before : cell.record;
  }

  /** What the trie has of a key that has no cell. */
  beneath(key: RecordKey): SyncRecord | undefined {
    return findEntry(this.#trie, key)?.record;
  }

  /** Sets the record of a key whose cell and record these are. */
  write(key: RecordKey, known: Cell | undefined, before: SyncRecord | undefined, after: SyncRecord | undefined): void {
    const cell = known ?? this.#addCell(key);
    cell.record = after;
    if (cell.run === this.#run) {
      this.#writes[cell.place]!.after = after;
      this.#isRepeated = true;
      return;
    }
    if (cell.run <= this.#settled) this.#ahead.push(cell);
    cell.run = this.#run;
    cell.place = this.#writes.length;
    this.#writes.push(new Write(key, before, after));
  }

  #addCell(key: RecordKey): Cell {
    const cell = new Cell(key);
    this.#cells.set(key, cell);
    return cell;
  }

  /** Ends the run: the version that it leads to, of so many records. The tip itself where nothing is different. */
  end(size: number): Step {
    const writes = this.#isRepeated ? withoutIdle(this.#writes) : this.#writes;
    this.#close();
    if (writes.length === 0) return this.tip;
    this.tip = this.tip.next(writes, size, this);
    this.#waiting += 1 + writes.length;
    if (this.#waiting > LATELY_MAX) this.#forget();
    if (this.#waiting > waitingMax(size)) this.tip.trie;
    return this.tip;
  }

  /** Takes the run back. */
  takeBack(): void {
    for (const { key, before } of this.#writes) this.#cells.get(key)!.record = before;
    this.#close();
  }

  #close(): void {
    this.#isOpen = false;
    this.#writes = [];
    this.#isRepeated = false;
  }

  /** Brings the trie up to the tip. For {@link Step.trie}, which keeps it. */
  settle(): Node | null {
    const writes = this.#writes;
    const written = writes.map(({ key }) => this.#cells.get(key)!);
    written.forEach((cell, place) => {
      cell.record = writes[place]!.before;
    });
    this.#trie = writeRecords(this.#trie, this.#ahead, this.hasher);
    for (const cell of this.#ahead) if (cell.record === undefined) this.#cells.delete(cell.key);
    // The run under way is ahead again.
    this.#settled = this.#isOpen ? this.#run - 1 : this.#run;
    this.#ahead = written;
    written.forEach((cell, place) => {
      cell.record = writes[place]!.after;
      this.#cells.set(cell.key, cell);
    });
    this.#waiting = 0;
    if (this.#before !== undefined) this.#before.next = undefined;
    this.#before = this.#lately;
    this.#lately = this.tip.ahead;
    return this.#trie;
  }

  /** The versions with the last two tries no longer lead on, or they would keep all that came after them. They have tries to compare. */
  #forget(): void {
    if (this.#before !== undefined) this.#before.next = undefined;
    if (this.#lately !== undefined) this.#lately.next = undefined;
    this.#before = undefined;
    this.#lately = undefined;
  }
}
