import { HybridClock, type HybridStamp, VersionVector } from '@syncscope/protocol/clock';
import { decodeOperation, decodeRga, encodeOperation, encodeRga, LWWElementSet, RGA } from '@syncscope/protocol/crdt';
import { StateRoot } from '@syncscope/protocol/merkle';
import { seededRandom } from '@syncscope/protocol/ports';
import { type RecordKey, replicaId, type SyncRecord } from '@syncscope/protocol/state';
import { Model, type ModelApi, Patch } from 'json-joy/lib/json-crdt/index.js';
import * as Y from 'yjs';
import type { Bench, Figure } from './types.ts';

/**
 * Text: one writer's typing history, edit by edit, made anew from a fixed seed, with the shape that published traces of
 * real documents have: mostly letters in a row, corrections by backspace, the caret jumping now near, now far, words
 * deleted, and a few pastes. `yjs` does one transaction an edit; `json-joy` has none, and makes one patch an edit instead.
 */
const EDITS = 260_000;

interface Edit {
  readonly index: number;
  readonly removed: number;
  readonly inserted: string;
}

function typingHistory(edits: number): Edit[] {
  const random = seededRandom(20_261_120);
  const below = (limit: number) => Math.floor(random.next() * limit);
  const history: Edit[] = [];
  let length = 0;
  let caret = 0;
  while (history.length < edits) {
    // A burst of typing; a typist corrects the last letters about once in ten.
    for (let left = 4 + below(60); left > 0 && history.length < edits; left--) {
      if (caret > 0 && random.next() < 0.09) {
        for (let back = 1 + below(4); back > 0 && caret > 0; back--) {
          history.push({ index: --caret, removed: 1, inserted: '' });
          length--;
        }
      }
      history.push({ index: caret, removed: 0, inserted: 'etaoin shrdlu'[below(13)]! });
      caret++;
      length++;
    }
    const what = random.next();
    if (what < 0.05) {
      const inserted = 'pasted words '.repeat(1 + below(12));
      history.push({ index: caret, removed: 0, inserted });
      caret += inserted.length;
      length += inserted.length;
    } else if (what < 0.15 && caret > 20) {
      const removed = 2 + below(18);
      caret -= removed;
      length -= removed;
      history.push({ index: caret, removed, inserted: '' });
    }
    // To somewhere near, or anywhere, or on at the end.
    const where = random.next();
    if (where < 0.35) caret = Math.min(length, Math.max(0, caret + below(400) - 200));
    else if (where < 0.5) caret = below(length + 1);
    else if (where < 0.7) caret = length;
  }
  return history.slice(0, edits);
}

function milliseconds(work: () => void): number {
  const start = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - start) / 1e6;
}

/** The lowest of a few runs: what the machine can do when nothing else is on it. The two sides take turns. */
function fastest(rounds: number, ...sides: readonly (() => number)[]): number[] {
  const best = sides.map(() => Number.POSITIVE_INFINITY);
  for (let round = 0; round < rounds; round++) {
    sides.forEach((side, index) => {
      best[index] = Math.min(best[index]!, side());
    });
  }
  return best;
}

function check(text: string, expected: string, whose: string): void {
  if (text !== expected) throw new Error(`${whose} text is not what was typed`);
}

async function runText(): Promise<Figure[]> {
  const history = typingHistory(EDITS);
  const own = () => {
    const rga = RGA.text(replicaId('alice'));
    const time = milliseconds(() => {
      for (const { index, removed, inserted } of history) {
        if (removed > 0) rga.delete(index, removed);
        else rga.insert(index, inserted);
      }
    });
    return { rga, time };
  };
  const peer = () => {
    const doc = new Y.Doc();
    const text = doc.getText('text');
    const time = milliseconds(() => {
      for (const { index, removed, inserted } of history) {
        doc.transact(() => {
          if (removed > 0) text.delete(index, removed);
          else text.insert(index, inserted);
        });
      }
    });
    return { doc, time };
  };
  const best = () => {
    const { model, text } = joyText();
    const time = milliseconds(() => {
      for (const edit of history) joyEdit(model, text, edit);
    });
    return { model, time };
  };
  const [local, peerLocal, bestLocal] = fastest(
    3,
    () => own().time,
    () => peer().time,
    () => best().time,
  );
  const { rga } = own();
  const { doc } = peer();
  const { model } = best();
  const expected = doc.getText('text').toString();
  check(rga.content(), expected, 'our');
  check(String(model.view()), expected, "json-joy's");

  const operations = ownUpdates(history);
  const updates = peerUpdates(history);
  const patches = joyUpdates(history);
  const [remote, peerRemote, bestRemote] = fastest(
    2,
    () => {
      const copy = RGA.text(replicaId('bob'));
      const time = milliseconds(() => {
        for (const operation of operations) copy.apply(decodeOperation(operation));
      });
      check(copy.content(), expected, 'our copied');
      return time;
    },
    () => {
      const copy = new Y.Doc();
      const time = milliseconds(() => {
        for (const update of updates) Y.applyUpdate(copy, update);
      });
      check(copy.getText('text').toString(), expected, "the peer's copied");
      return time;
    },
    () => {
      const copy = Model.create(undefined, JOY_SESSION + 1);
      const time = milliseconds(() => {
        for (const patch of patches) copy.applyPatch(Patch.fromBinary(patch));
      });
      check(String(copy.view()), expected, "json-joy's copied");
      return time;
    },
  );

  const saved = encodeRga(rga.state());
  const loaded = RGA.text(replicaId('carol'));
  const load = milliseconds(() => loaded.merge(decodeRga(saved)));
  check(loaded.content(), expected, 'our loaded');
  const peerSaved = Y.encodeStateAsUpdate(doc);
  const bestSaved = model.toBinary();
  const each = (time: number) => (time * 1_000) / EDITS;
  const beside = (ours: number, theirs: number) => (ours / theirs).toPrecision(3);
  return [
    {
      name: 'rga.local',
      value: each(local!),
      unit: 'us',
      peer: 'yjs',
      ratio: local! / peerLocal!,
      note: `an edit, of ${EDITS} one by one; text of ${expected.length}; peer ${each(peerLocal!).toFixed(2)} us; json-joy, a patch an edit, for it has no transactions, ${each(bestLocal!).toFixed(2)} us, ours ÷ its ${beside(local!, bestLocal!)}`,
    },
    {
      name: 'rga.remote',
      value: each(remote!),
      unit: 'us',
      peer: 'yjs',
      ratio: remote! / peerRemote!,
      note: `an update decoded from bytes, checked and applied; peer ${each(peerRemote!).toFixed(2)} us; json-joy, a patch each, ${each(bestRemote!).toFixed(2)} us, ours ÷ its ${beside(remote!, bestRemote!)}`,
    },
    {
      name: 'rga.bytes',
      value: saved.length,
      unit: 'B',
      peer: 'yjs',
      ratio: saved.length / peerSaved.length,
      note: `saved with its history, loads in ${load.toFixed(0)} ms; peer's v1 update ${peerSaved.length} B; json-joy ${bestSaved.length} B, ours ÷ its ${beside(saved.length, bestSaved.length)}`,
    },
  ];
}

function ownUpdates(history: readonly Edit[]): Uint8Array[] {
  const rga = RGA.text(replicaId('alice'));
  return history.map(({ index, removed, inserted }) =>
    encodeOperation(removed > 0 ? rga.delete(index, removed) : rga.insert(index, inserted)),
  );
}

function peerUpdates(history: readonly Edit[]): Uint8Array[] {
  const updates: Uint8Array[] = [];
  const doc = new Y.Doc();
  doc.on('update', (update: Uint8Array) => updates.push(update));
  const text = doc.getText('text');
  for (const { index, removed, inserted } of history) {
    if (removed > 0) text.delete(index, removed);
    else text.insert(index, inserted);
  }
  return updates;
}

const JOY_SESSION = 100_000;
type JoyText = ReturnType<ModelApi['str']>;

function joyText(): { model: Model; text: JoyText } {
  const model: Model = Model.create(undefined, JOY_SESSION);
  model.api.set('');
  const text = model.api.str([]);
  return { model, text };
}

/** Answers the patch, which a program would send; until it is taken away, edits gather in it. */
function joyEdit({ api }: Model, text: JoyText, { index, removed, inserted }: Edit): Patch {
  if (removed > 0) text.del(index, removed);
  else text.ins(index, inserted);
  return api.flush();
}

function joyUpdates(history: readonly Edit[]): Uint8Array[] {
  const { model, text } = joyText();
  const beginning = model.api.flush().toBinary();
  return [beginning, ...history.map((edit) => joyEdit(model, text, edit).toBinary())];
}

type PlainVector = Record<string, number>;

/** As one writes it without a library: writers and counters in an object. */
function comparePlain(left: PlainVector, right: PlainVector): string {
  let isLess = false;
  let isMore = false;
  for (const writer in left) if (left[writer]! > (right[writer] ?? 0)) isMore = true;
  for (const writer in right) if (right[writer]! > (left[writer] ?? 0)) isLess = true;
  if (isLess) return isMore ? 'concurrent' : 'before';
  return isMore ? 'after' : 'equal';
}

/** Pairs as a session has them: decoded each for itself, mostly equal but for one or two writers at any place. */
function vectorPairs(size: number): { own: [VersionVector, VersionVector][]; plain: [PlainVector, PlainVector][] } {
  const random = seededRandom(size);
  const own: [VersionVector, VersionVector][] = [];
  const plain: [PlainVector, PlainVector][] = [];
  for (let pair = 0; pair < 64; pair++) {
    const left = Array.from({ length: size }, (_, index) => ({
      replica: replicaId(`device-${index}`),
      counter: 1 + Math.floor(random.next() * 1_000),
    }));
    const right = left.map((entry) => ({ ...entry }));
    // Equal, before, after and concurrent, in turn.
    if (pair % 4 === 1 || pair % 4 === 3) right[Math.floor(random.next() * size)]!.counter += 5;
    if (pair % 4 === 2 || pair % 4 === 3) left[Math.floor(random.next() * size)]!.counter += 3;
    own.push([VersionVector.from(left), VersionVector.from(right)]);
    const asObject = (entries: typeof left) => Object.fromEntries(entries.map((one) => [one.replica, one.counter]));
    plain.push([asObject(left), asObject(right)]);
  }
  return { own, plain };
}

/** Without pairs to take apart, whose cost an engine leaves in or takes out as it likes: it is more than that of a comparison. */
function compareOwn(lefts: readonly VersionVector[], rights: readonly VersionVector[]): number {
  let orders = 0;
  for (let at = 0; at < lefts.length; at++) orders += lefts[at]!.compare(rights[at]!).length;
  return orders;
}

function compareAllPlain(lefts: readonly PlainVector[], rights: readonly PlainVector[]): number {
  let orders = 0;
  for (let at = 0; at < lefts.length; at++) orders += comparePlain(lefts[at]!, rights[at]!).length;
  return orders;
}

function compareVectors(size: number): Figure {
  const { own, plain } = vectorPairs(size);
  const rounds = Math.ceil(40_000 / size);
  for (const [index, [left, right]] of own.entries()) {
    const [plainLeft, plainRight] = plain[index]!;
    if (left.compare(right) !== comparePlain(plainLeft, plainRight)) throw new Error('the two compare differently');
  }
  const [lefts, rights] = [own.map(([left]) => left), own.map(([, right]) => right)];
  const [plainLefts, plainRights] = [plain.map(([left]) => left), plain.map(([, right]) => right)];
  let orders = 0;
  // Many short turns: some of them fall between what else the machine does.
  const [ours, theirs] = fastest(
    70,
    () =>
      milliseconds(() => {
        for (let round = 0; round < rounds; round++) orders += compareOwn(lefts, rights);
      }),
    () =>
      milliseconds(() => {
        for (let round = 0; round < rounds; round++) orders += compareAllPlain(plainLefts, plainRights);
      }),
  );
  if (orders === 0) throw new Error('nothing was compared');
  const each = (time: number) => (time * 1_000) / rounds / own.length;
  return {
    name: `vector.compare.${size}`,
    value: each(ours!),
    unit: 'us',
    peer: 'plain objects',
    ratio: ours! / theirs!,
    note: `two vectors of ${size} writers; peer ${each(theirs!).toFixed(3)} us`,
  };
}

const ELEMENTS = 100_000;
const DIFFERENT = 100;

/** Two replicas of a set that were one until a few elements were written on one of them. */
function diverged(): { left: StateRoot; right: StateRoot } {
  const clock = new HybridClock(replicaId('alice'));
  const set = new LWWElementSet('board');
  for (let index = 0; index < ELEMENTS; index++) set.add(`card-${index}`, clock.tick(index + 1), index);
  const left = set.root();
  const other = new HybridClock(replicaId('bob'));
  for (let index = 0; index < DIFFERENT; index++) {
    const element = `card-${index * (ELEMENTS / DIFFERENT)}`;
    const stamp: HybridStamp = other.tick(ELEMENTS + index);
    if (index % 2 === 0) set.add(element, stamp, -index);
    else set.remove(element, stamp);
  }
  // Built anew, as one that came over the wire: it shares nothing with ours in memory.
  return { left, right: StateRoot.from(set.root().entries()) };
}

/** What every element of the other costs, without knowing which differ. */
function mergeAll(left: LWWElementSet, right: StateRoot): number {
  return left.apply(right.entries() as Iterable<readonly [RecordKey, SyncRecord]>).length;
}

async function runMerge(): Promise<Figure[]> {
  const { left, right } = diverged();
  const sides = [(set: LWWElementSet) => set.merge(right).length, (set: LWWElementSet) => mergeAll(set, right)].map(
    (merge) => () => {
      const set = new LWWElementSet('board', left);
      let changed = 0;
      const time = milliseconds(() => {
        changed = merge(set);
      });
      if (changed !== DIFFERENT || set.root().hash !== right.hash) throw new Error('the merge is wrong');
      return time;
    },
  );
  const [ours, theirs] = fastest(5, ...sides);
  return [
    {
      name: 'lww.merge',
      value: ours!,
      unit: 'ms',
      peer: 'full merge',
      ratio: ours! / theirs!,
      note: `${ELEMENTS} elements, ${DIFFERENT} different; joining every element ${theirs!.toFixed(1)} ms`,
    },
  ];
}

export const benches: readonly Bench[] = [
  { name: 'rga', run: runText },
  { name: 'vector.compare', run: async () => [compareVectors(8), compareVectors(1_000)] },
  { name: 'lww.merge', run: runMerge },
];
