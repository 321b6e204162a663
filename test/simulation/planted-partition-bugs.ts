import type { PlantedBug } from './planted-bugs.ts';

const merge = 'conflict/divergence-merge.ts';
const history = 'peers/history.ts';
const core = 'peers/peer-core.ts';
const partition = 'partition' as const;

/** Bugs of what merges without an authority. */
export const PARTITION_BUGS: readonly PlantedBug[] = [
  {
    name: 'merge-advances-both',
    what: 'where two sides have something, one of the two is taken and both go on',
    scenario: partition,
    edits: [
      {
        file: merge,
        find: 'for (const mutation of this.#mutations) this.#take(mutation);',
        put: 'this.#mutations.forEach((one, at, all) => { if (at % 2 === 0 || !areConcurrent(all[at - 1]!, one)) this.#take(one); });',
      },
    ],
  },
  {
    name: 'last-write-by-wall-clock',
    what: 'stamps are what the wall clock says, whatever was seen',
    scenario: partition,
    edits: [
      {
        file: core,
        find: 'return this.#clock.tick(this.#wallTime(now));',
        put: 'return { time: this.#wallTime(now), count: 0, replica: this.replica };',
      },
      { file: history, find: 'if (earlier) checkLater(mutation, stampOf(earlier));', put: '' },
    ],
  },
  {
    name: 'rejection-not-listed',
    what: 'a change that gave way still counts as applied',
    scenario: partition,
    edits: [
      {
        file: merge,
        find: 'else this.#reject(side.mutation, key, unit.name, lossText(unit.policy, winner), winner.mutation);',
        put: '',
      },
    ],
  },
  {
    name: 'command-rejection-not-listed',
    what: 'a command that a rule refused counts as applied',
    scenario: partition,
    edits: [
      {
        file: merge,
        find: "part: 'command',\n        state: 'rejected',\n        reason,\n",
        put: "part: 'command',\n        state: 'applied',\n        reason,\n",
      },
    ],
  },
  {
    name: 'group-mixed-from-two',
    what: 'the fields of a group are decided upon one by one',
    scenario: partition,
    edits: [
      {
        file: 'conflict/policy.ts',
        find: "return { name: group.fields.join(','), fields: group.fields, policy: group.policy };",
        put: 'return { name: field, fields: [field], policy: group.policy };',
      },
    ],
  },
  {
    name: 'overdraft-allowed',
    what: 'a spending is checked where it was made, and not again in the merge',
    scenario: partition,
    edits: [{ file: 'conflict/craps.ts', find: 'if (balance < amount) {', put: 'if (false) {' }],
  },
  {
    name: 'counters-overwritten',
    what: 'a counter is the last value that somebody wrote',
    scenario: partition,
    edits: [
      { file: 'conflict/intents.ts', find: 'const merged = theirs + (mine - base);', put: 'const merged = mine;' },
    ],
  },
  {
    name: 'merged-in-order-of-arrival',
    what: 'mutations are merged in the order in which they came',
    scenario: partition,
    edits: [
      {
        file: history,
        find: 'return [...left, ...right].sort(compareMutations);',
        put: 'return [...left, ...right];',
      },
    ],
  },
  {
    name: 'stale-stretch-kept',
    what: 'what was merged before is kept though a late change belongs into it',
    scenario: partition,
    edits: [
      {
        file: history,
        find: '({ end, vector }) => end > place || !fresh.every((one) => hasSeenAll(one, vector, this.base.vector)),',
        put: '({ end }) => end > place,',
      },
    ],
  },
  {
    name: 'pruned-too-early',
    what: 'history is cut off at what is known here, not at what everybody has',
    scenario: partition,
    edits: [
      {
        file: 'peers/peer-checkpoints.ts',
        find: 'before.pruned(stability.everybody(before.vector))',
        put: 'before.pruned(before.vector)',
      },
    ],
  },
  {
    name: 'stability-believed-too-soon',
    what: 'a member counts as having what it stated before all that it wrote by then is here',
    scenario: partition,
    edits: [{ file: 'peers/peer-sync.ts', find: 'stated.get(member) > own.get(member) || ', put: '' }],
  },
  {
    name: 'peers-repair-by-position',
    what: 'the two sides of a repair among peers are paired by position, not by key',
    scenario: partition,
    edits: [
      {
        file: 'merkle/diff.ts',
        find: 'if (one !== null && other !== null && one.key === other.key) {',
        put: 'if (one !== null && other !== null) {',
      },
    ],
  },
];
