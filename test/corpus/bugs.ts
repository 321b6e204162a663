import type { PlantedBug } from '../simulation/planted-bugs.ts';

/**
 * Bugs that are put into the protocol on its way into the interpreter, as somebody could have written them. Those that would strike at once ask
 * `corpus.pick` for the right or the wrong result, which notes in the trace's order where it struck.
 */
export interface CorpusHook {
  pick<T>(right: () => T, wrong: () => T): T;
}

const committed = 'sync/committed.ts';
const state = 'sync/authority-state.ts';
const connection = 'sync/client-connection.ts';
const decoding = 'messages/direct-decode.ts';

const NO_BASE_CHECK = [
  { file: committed, find: 'if (delta.from !== before.version) return', put: 'if (false) return' },
  { file: committed, find: 'if (delta.since > before.progress) return', put: 'if (false) return' },
];
const APPLYING = 'root = before.root.apply(delta.changes);';
const MAKING = 'changesBetween(this.rootFor(replica, base), root)';
const READING = 'changes: this.changes(),';

function misreading(name: string, what: string, how: string): PlantedBug {
  const read = `(changes) => globalThis.corpus.pick(() => changes, () => globalThis.corpus.mapNumbers(changes, ${how}))`;
  return { name, what, edits: [{ file: decoding, find: READING, put: `changes: (${read})(this.changes()),` }] };
}

export const CORPUS_BUGS = {
  noBaseCheck: { name: 'corpus-base', what: 'a delta is applied to any version', edits: NO_BASE_CHECK },
  noOrder: {
    name: 'corpus-order',
    what: 'frames count in any order and as often as they come, and a delta is applied to any version',
    edits: [...NO_BASE_CHECK, { file: connection, find: 'message.sequence <= this.#lastSequence', put: 'false' }],
  },
  skipped: {
    name: 'corpus-skip',
    what: 'the applier passes over the first change of a delta',
    edits: [
      {
        file: committed,
        find: APPLYING,
        put: 'root = globalThis.corpus.pick(() => before.root.apply(delta.changes), () => before.root.apply(delta.changes.slice(1)));',
      },
    ],
  },
  staleBase: {
    name: 'corpus-stale',
    what: 'a client applies a delta to the state before the last one',
    edits: [
      {
        file: committed,
        find: APPLYING,
        put: 'const was = (globalThis.corpus.earlier.get(before.root) ?? before.root); root = globalThis.corpus.pick(() => before.root.apply(delta.changes), () => was.apply(delta.changes)); globalThis.corpus.earlier.set(root, before.root);',
      },
    ],
  },
  wrongRing: {
    name: 'corpus-ring',
    what: 'the authority makes a delta from one version too late',
    edits: [
      {
        file: state,
        find: MAKING,
        put: `globalThis.corpus.pick(() => ${MAKING}, () => { const next = this.#ring.get(point.version + 1); return changesBetween(next ? this.rootFor(replica, next) : root, root); })`,
      },
    ],
  },
  exit: {
    name: 'corpus-exit',
    what: 'what goes out of sight is not taken away',
    edits: [
      {
        file: state,
        find: MAKING,
        put: `globalThis.corpus.pick(() => ${MAKING}, () => ${MAKING}.filter((one) => one.op !== 'remove' || !this.#root.has(one.key)))`,
      },
    ],
  },
  cutIntegers: misreading(
    'corpus-int16',
    'integers are read as 16 bits',
    '(n) => Number.isInteger(n) ? n & 0xffff : n',
  ),
  signedIntegers: misreading('corpus-int32', 'integers are read with sign', '(n) => Number.isInteger(n) ? n | 0 : n'),
  singlePrecision: misreading('corpus-float', 'numbers are read with single precision', 'Math.fround'),
} as const satisfies Readonly<Record<string, PlantedBug>>;
