import type { Scenario } from '@syncscope/protocol/simulator';
import { CONSENSUS_BUGS } from './planted-consensus-bugs.ts';
import { PARTITION_BUGS } from './planted-partition-bugs.ts';
import { PRESENCE_BUGS } from './planted-presence-bugs.ts';
import { VIEW_BUGS } from './planted-view-bugs.ts';

/** A bug that is put into the code on its way into the interpreter; the files themselves stay as they are. */
export interface PlantedBug {
  readonly name: string;
  /** What it does wrong, for the table. */
  readonly what: string;
  /** Each text must occur exactly once in its file, below `protocol-lib/src`. */
  readonly edits: readonly { readonly file: string; readonly find: string; readonly put: string }[];
  /** Where it is looked for; the bazaar where absent. */
  readonly scenario?: Scenario;
  /** `property`: no simulation can see it, so that a property must. */
  readonly by?: 'property';
}

const client = 'sync/client.ts';
const own = 'sync/own-mutations.ts';
const committed = 'sync/committed.ts';
const committedState = 'sync/committed-state.ts';
const incoming = 'sync/incoming.ts';
const pending = 'sync/pending.ts';
const synchronizer = 'sync/delta-synchronizer.ts';
const authorityState = 'sync/authority-state.ts';

const noRootCheck = { file: committed, find: 'if (root.hash !== delta.root) return', put: 'if (false) return' };

const merkleImport = "import { changesBetween, type StateRoot } from '../merkle/index.ts';";

/** Code in which `changesBetween` leaves something out, or changes it. */
function plantedChanges(how: string): string {
  return [
    "import { changesBetween as allChanges, StateRoot } from '../merkle/index.ts';",
    `const changesBetween = (from: StateRoot, to: StateRoot) => allChanges(from, to).${how};`,
  ].join(' ');
}

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: 'rollback-drops-all',
    what: 'a rejection throws away everything that is pending',
    edits: [{ file: own, find: '({ mutation }) => mutation.counter === reject.counter', put: '() => true' }],
  },
  {
    name: 'no-deduplication',
    what: 'a command that comes again is carried out again',
    edits: [{ file: incoming, find: 'if (counter <= decided) {', put: 'if (false) {' }],
  },
  {
    name: 'gap-ignored',
    what: 'a command is carried out though the one before it is missing',
    edits: [{ file: incoming, find: 'if (counter > decided + 1) {', put: 'if (false) {' }],
  },
  {
    name: 'snapshot-drops-pending',
    what: 'a full sync throws away what is pending',
    edits: [
      {
        file: client,
        find: 'this.#state.onFullSync(message, seq, now);',
        put: 'this.#pending.remove(() => true, now); this.#state.onFullSync(message, seq, now);',
      },
    ],
  },
  {
    name: 'no-base-check',
    what: 'a delta is applied to any version',
    edits: [{ file: committed, find: 'if (delta.from !== before.version) return', put: 'if (false) return' }],
  },
  {
    name: 'stale-snapshot',
    what: 'late frames count, and so does a full sync of an older version',
    edits: [
      { file: committedState, find: 'full.version < version', put: 'false' },
      {
        file: 'sync/client-connection.ts',
        find: 'message.sequence <= this.#lastSequence',
        put: 'false',
      },
    ],
  },
  {
    name: 'advanced-at-send',
    what: 'a client counts as having what was only sent to it',
    edits: [
      {
        file: synchronizer,
        find: 'client.unacknowledged.push(client.sent);',
        put: 'client.acknowledged = client.sent;',
      },
    ],
  },
  {
    name: 'ack-ignored',
    what: 'what clients acknowledge is not heard',
    edits: [{ file: incoming, find: 'this.#synchronizer.onStanding(client, message, seq, now);', put: '' }],
  },
  {
    name: 'rejections-lost',
    what: 'no refusal reaches its writer, who takes it for accepted',
    edits: [
      {
        file: 'sync/settlement-news.ts',
        find: "if (client) this.#outbox.send([client], { type: 'REJECT', ...body }, seq > 0 ? [seq] : cause);",
        put: '',
      },
      { file: authorityState, find: 'this.ledger.rejectionsOf(replica, point.progress)', put: '[]' },
    ],
  },
  {
    name: 'refused-among-others',
    what: 'who was refused is given the delta of all others, which does not say so',
    edits: [
      { file: authorityState, find: 'const isMeant = this.isMeant(replica, point);', put: 'const isMeant = false;' },
    ],
  },
  {
    name: 'snapshot-forgets-rejections',
    what: 'a full sync does not say which mutations were refused',
    edits: [{ file: authorityState, find: 'this.ledger.rejectionsOf(receiver)', put: '[]' }],
  },
  {
    name: 'vector-replaced',
    what: 'the vector of a delta replaces the own one instead of being merged into it',
    edits: [
      { file: committed, find: 'before.vector.mergeEntries(delta.vector)', put: 'VersionVector.from(delta.vector)' },
    ],
  },
  {
    name: 'vector-merged-down',
    what: 'the lower of two counters wins',
    edits: [
      {
        file: 'clock/version-vector.ts',
        find: 'Math.max(counter, counters.get(replica) ?? 0)',
        put: 'Math.min(counter, counters.get(replica) ?? counter)',
      },
    ],
  },
  {
    name: 'repair-leaves-deletes',
    what: 'a Merkle repair does not take away what is too much',
    edits: [
      {
        file: 'sync/merkle-repair.ts',
        find: 'const changes = this.descent.result();',
        put: "const changes = this.descent.result().filter((one) => one.op !== 'remove');",
      },
      { file: 'sync/merkle-repair.ts', find: 'return root.hash === this.#root ?', put: 'return true ?' },
    ],
  },
  {
    name: 'repair-by-position',
    what: 'the two sides of a Merkle repair are paired by position, not by key',
    edits: [
      {
        file: 'merkle/diff.ts',
        find: 'if (one !== null && other !== null && one.key === other.key) {',
        put: 'if (one !== null && other !== null) {',
      },
    ],
  },
  {
    name: 'names-lost',
    what: 'new names go only to who gets the first frame with them, and nobody is told again',
    edits: [
      { file: 'sync/outbox.ts', find: 'const receiver of this.#receivers()', put: 'const receiver of needs' },
      {
        file: synchronizer,
        find: "if (request.reason === 'names' || request.reason === 'merkle') this.#tellNames(client, seq);",
        put: '',
      },
    ],
  },
  {
    name: 'rebase-reversed',
    what: 'what is pending is run again in the wrong order',
    edits: [
      {
        file: pending,
        find: 'this.#list = this.#list.map((pending) => {',
        put: 'this.#list = this.#list.toReversed().map((pending) => {',
      },
    ],
  },
  {
    name: 'rebase-forgotten',
    what: 'the view keeps the effects of what is pending on the old base',
    edits: [
      {
        file: client,
        find: 'this.#own.settle(rejected, cause, now);\n    this.#own.rebase(cause);',
        put: 'this.#own.settle(rejected, cause, now);',
      },
    ],
  },
  {
    name: 'prediction-leaks',
    what: 'a prediction goes into the committed state',
    edits: [
      {
        file: client,
        find: 'this.#pending.add(pending, decision.accepted ? decision.root : this.#pending.root);',
        put: 'this.#pending.add(pending, decision.accepted ? decision.root : this.#pending.root); this.#state.corrupt(changes);',
      },
    ],
  },
  {
    name: 'no-root-check',
    what: 'the hash of a delta is not compared',
    edits: [noRootCheck],
  },
  {
    name: 'delta-without-removals',
    what: 'a delta does not say which records went away',
    edits: [
      noRootCheck,
      {
        file: authorityState,
        find: merkleImport,
        put: plantedChanges("filter((one) => one.op !== 'remove')"),
      },
    ],
  },
  {
    name: 'no-resend',
    what: 'a command that was lost is not sent again',
    edits: [
      { file: client, find: 'if (this.#isSynced && this.#pending.isOverdue(now)) this.#own.resend(now);', put: '' },
    ],
  },
  {
    name: 'no-resume-of-commands',
    what: 'what is pending is not sent again over a new connection',
    edits: [
      { file: client, find: 'this.#isSynced = true;\n    this.#own.resend(now);', put: 'this.#isSynced = true;' },
      { file: client, find: 'if (this.#isSynced && this.#pending.isOverdue(now)) this.#own.resend(now);', put: '' },
    ],
  },
  {
    name: 'refusal-leaves-hole',
    what: 'an authority that lost its memory never gets a counter that was refused out of turn',
    edits: [{ file: own, find: 'next < pending.mutation.counter;', put: 'false;' }],
  },
  {
    name: 'counters-start-over',
    what: 'a client that comes back without its memory counts its mutations from 1',
    edits: [
      {
        file: client,
        find: 'this.#counter = Math.max(this.#counter, vector.get(this.replica));',
        put: '',
      },
    ],
  },
  {
    name: 'no-heartbeat-check',
    what: 'a copy that differs at rest is not noticed',
    edits: [{ file: synchronizer, find: 'if (!agrees) {', put: 'if (false) {' }],
  },
  {
    name: 'endless-chain',
    what: 'a client that acknowledges nothing is sent more and more',
    edits: [{ file: synchronizer, find: 'client.unacknowledged.length >= this.#settings.maxDeltaChain', put: 'false' }],
  },
  {
    name: 'settlements-not-based',
    what: 'a delta is taken though the one that told of earlier refusals was lost',
    edits: [{ file: committed, find: 'if (delta.since > before.progress) return', put: 'if (false) return' }],
  },
  {
    name: 'patch-merges-groups',
    what: 'only half of the fields that belong together are sent',
    edits: [
      noRootCheck,
      {
        file: authorityState,
        find: merkleImport,
        put: plantedChanges(
          "map((one) => one.op === 'patch' && 'sum' in one.fields ? { ...one, fields: { ...one.fields, sum: 0 } } : one)",
        ),
      },
    ],
  },
  {
    name: 'told-before-durable',
    what: 'mutations are told as settled before the log has made them durable',
    edits: [
      {
        file: 'sync/commit-log.ts',
        find: 'const { durable } = this.#log;',
        put: 'const { last: durable } = this.#log;',
      },
    ],
  },
  {
    name: 'torn-tail-accepted',
    what: 'what a crash left of the end of the log is believed',
    edits: [
      {
        file: 'events/log-file.ts',
        find: 'if (view.getBigUint64(offset) !== checksum(bytes.subarray(offset, end))) return undefined;',
        put: '',
      },
    ],
  },
  {
    name: 'deduplication-in-memory-only',
    what: 'an authority that starts again from its log does not know which commands it has carried out',
    edits: [
      {
        file: authorityState,
        find: 'this.ledger = new MutationLedger(MAX_PENDING, state);',
        put: 'this.ledger = new MutationLedger(MAX_PENDING);',
      },
    ],
  },
  {
    name: 'duplicate-known-too-soon',
    what: 'a client that lost its memory is let in while its last mutations are still on their way into the log',
    edits: [
      {
        file: synchronizer,
        find: 'if (this.#state.ledger.settled(client.replica) < client.decided) return true;',
        put: '',
      },
    ],
  },
  {
    name: 'field-not-hashed',
    what: 'one field of a record has no part in the hash',
    by: 'property',
    edits: [
      {
        file: 'merkle/trie.ts',
        find: 'hashRecord(hasher, key, high, low, record, words);',
        put: 'const { moves: _, ...hashed } = record; hashRecord(hasher, key, high, low, hashed, words);',
      },
    ],
  },
  {
    name: 'negative-zero-not-hashed',
    what: '0 and -0 have the same hash',
    by: 'property',
    edits: [
      {
        file: 'bytes/writer.ts',
        find: 'if (Number.isSafeInteger(value) && !Object.is(value, -0)) {',
        put: 'if (Number.isSafeInteger(value)) {',
      },
    ],
  },
  {
    name: 'one-diff-on-both-sides',
    what: 'a sync in both directions gives each side what the other one was, which only swaps them',
    by: 'property',
    edits: [
      {
        file: 'diffsync/merge.ts',
        find: 'source: diffModels(source, keeping(target, source, withheld)),',
        put: 'source: diffModels(source, destination),',
      },
      {
        file: 'diffsync/merge.ts',
        find: 'destination: diffModels(destination, keeping(target, destination, withheld)),',
        put: 'destination: diffModels(destination, source),',
      },
    ],
  },
  ...VIEW_BUGS,
  ...CONSENSUS_BUGS,
  ...PARTITION_BUGS,
  ...PRESENCE_BUGS,
];
