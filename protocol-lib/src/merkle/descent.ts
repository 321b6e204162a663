import { type HashWords, packMsgpack } from '../bytes/index.ts';
import { SyncError } from '../errors/index.ts';
import type { Change, RecordKey, StateHash, SyncRecord } from '../state/index.ts';
import { childAt, mergeEntries, sortByKey } from './diff.ts';
import { changeBetween } from './line.ts';
import type { StateRoot } from './roots.ts';
import {
  Branch,
  chained,
  countOf,
  type Entry,
  entriesOf,
  FAN_OUT,
  hashKey,
  hashOf,
  makeEntry,
  type Node,
} from './trie.ts';
import {
  type MerkleAnswer,
  type MerkleNodeAnswer,
  type MerklePath,
  type MerkleQuery,
  type Promised,
  QUERY_MAX_PATHS,
  unverified,
  verifyBranch,
  verifyLeaves,
} from './wire.ts';

/** One record in which the two sides differ; null where a side has none. */
export interface MerkleDifference {
  readonly key: RecordKey;
  readonly own: SyncRecord | null;
  readonly theirs: SyncRecord | null;
}

/** A subtree known to be unequal: what the other side promised of it, and what is there here. */
interface Suspect extends Promised {
  readonly own: Node | null;
}

/**
 * Finds out over the wire in what another state differs from this one, asking only about unequal
 * subtrees. The asker drives it: send {@link MerkleDescent.next}, give the answer to
 * {@link MerkleDescent.receive}, until `next` has nothing more to ask.
 *
 * Everything that an answer says is checked against the hash promised before it, down from
 * `remoteHash`; so what comes out leads to exactly the state of that hash.
 */
export class MerkleDescent {
  readonly #own: StateRoot;
  #waiting: Suspect[] = [];
  /** What the query that is out asked for, in its order. */
  #asked: Suspect[] = [];
  readonly #found: { own: Entry | undefined; theirs: Entry | undefined }[] = [];
  #rounds = 0;
  #hashes = 0;
  #bytes = 0;

  constructor(own: StateRoot, remoteHash: StateHash) {
    this.#own = own;
    if (own.hash === remoteHash) return;
    this.#waiting.push({
      path: '' as MerklePath,
      high: Number.parseInt(remoteHash.slice(0, 8), 16) | 0,
      low: Number.parseInt(remoteHash.slice(8), 16) | 0,
      count: undefined,
      own: own.node,
    });
  }

  /** What to ask next; the same again until it is answered; undefined when everything is known. */
  next(): MerkleQuery | undefined {
    if (this.#asked.length === 0) this.#asked = this.#waiting.splice(0, QUERY_MAX_PATHS);
    return this.#asked.length === 0 ? undefined : queryOf(this.#asked);
  }

  /**
   * Takes the answer to the query that is out.
   * @throws SyncError `MERKLE_UNVERIFIED` where any of it is not what was promised; nothing of it is then taken
   */
  receive(answer: MerkleAnswer): void {
    const asked = this.#asked;
    if (answer.nodes.length !== asked.length) {
      const at = asked[answer.nodes.length] ?? asked.at(-1) ?? { path: '' as MerklePath, high: 0, low: 0, count: 0 };
      unverified(at, `${answer.nodes.length} subtrees in the answer, ${asked.length} asked for`);
    }
    // Into a step of its own first: one bad part refuses the whole answer.
    const step = new Step(this.#own);
    asked.forEach((suspect, index) => {
      step.take(suspect, answer.nodes[index]!);
    });
    this.#found.push(...step.found);
    this.#waiting.push(...step.suspects);
    this.#rounds++;
    this.#hashes += step.hashes;
    this.#bytes += packMsgpack(queryOf(asked)).length + packMsgpack(answer).length;
    this.#asked = [];
  }

  /** True when nothing is left to ask. */
  get isDone(): boolean {
    return this.#asked.length === 0 && this.#waiting.length === 0;
  }

  /** Questions that were answered. */
  get rounds(): number {
    return this.#rounds;
  }

  /** Hashes that came in answers. */
  get hashes(): number {
    return this.#hashes;
  }

  /** Bytes of the queries and answers, packed, without the envelope of their messages. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Every record that differs, sorted by key. @throws SyncError `MERKLE_UNFINISHED` before it is done */
  get differences(): MerkleDifference[] {
    this.#checkDone();
    return sortByKey(
      this.#found.map(({ own, theirs }) => ({
        key: (own ?? theirs)!.key,
        own: own?.record ?? null,
        theirs: theirs?.record ?? null,
      })),
    );
  }

  /** The changes that make this state the other one, sorted by key. @throws SyncError `MERKLE_UNFINISHED` before it is done */
  result(): Change[] {
    this.#checkDone();
    return sortByKey(
      this.#found.map(({ own, theirs }) => changeBetween((own ?? theirs)!.key, own?.record, theirs?.record)),
    );
  }

  #checkDone(): void {
    if (this.isDone) return;
    throw new SyncError(
      'MERKLE_UNFINISHED',
      'the descent still has something to ask: go on until next() is undefined',
      {
        origin: 'protocol',
      },
    );
  }
}

function queryOf(suspects: readonly Suspect[]): MerkleQuery {
  return { paths: suspects.map(({ path }) => path) };
}

/** What one answer adds. */
class Step {
  readonly #root: StateRoot;
  readonly found: { own: Entry | undefined; theirs: Entry | undefined }[] = [];
  readonly suspects: Suspect[] = [];
  hashes = 0;

  constructor(root: StateRoot) {
    this.#root = root;
  }

  take(suspect: Suspect, answer: MerkleNodeAnswer): void {
    if (answer.path !== suspect.path) unverified(suspect, `the answer is about '${answer.path}'`);
    if (answer.kind === 'branch') this.#branch(suspect, answer);
    else this.#leaves(suspect, answer);
  }

  #branch(suspect: Suspect, answer: MerkleNodeAnswer & { kind: 'branch' }): void {
    const depth = suspect.path.length;
    const children = verifyBranch(answer, suspect);
    this.hashes += children.length;
    let next = 0;
    for (let slot = 0; slot < FAN_OUT; slot++) {
      const own = childAt(suspect.own, slot, depth);
      const theirs = children[next]?.slot === slot ? children[next++] : undefined;
      if (theirs === undefined) {
        for (const entry of entriesOf(own)) this.found.push({ own: entry, theirs: undefined });
      } else if (!this.#isEqual(own, theirs)) {
        this.suspects.push({ ...theirs, own });
      }
    }
  }

  #isEqual(own: Node | null, theirs: Promised): boolean {
    if (own === null || countOf(own) !== theirs.count) return false;
    hashOf(own, words);
    return words[0] === theirs.high && words[1] === theirs.low;
  }

  #leaves(suspect: Suspect, answer: MerkleNodeAnswer & { kind: 'leaves' }): void {
    const entries = verifyLeaves(answer, suspect, (key, record) => this.#entry(key, record));
    this.hashes += entries.length;
    mergeEntries(asBucket(suspect.own), chained(entries), (own, theirs) => this.found.push({ own, theirs }));
  }

  #entry(key: RecordKey, record: SyncRecord): Entry {
    hashKey(key, words);
    return makeEntry(key, record, words[0]!, words[1]!, this.#root.hasher);
  }
}

/** For hashes that are used at once. */
const words: HashWords = new Int32Array(2);

/** All entries of a subtree by key, as one bucket, however many. */
function asBucket(node: Node | null): Entry | null {
  return node instanceof Branch ? chained(sortByKey([...entriesOf(node)])) : node;
}
