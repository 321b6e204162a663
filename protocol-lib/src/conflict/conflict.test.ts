import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type StateRoot, sameRecord } from '../merkle/index.ts';
import { recordKey, type SyncRecord } from '../state/index.ts';
import { arbitrarySteps, keysOf, patch, runSteps, type Step, stateOf, Writer } from './history.test-helper.ts';
import {
  type ConflictExplanation,
  ConflictQueue,
  ConflictResolver,
  compareMutations,
  crapsPolicies,
  crapsRule,
  divergencesOf,
  hasSeen,
  idOf,
  MemoryConflictStore,
  type Mutation,
  type PolicyEntry,
  tokensIn,
} from './index.ts';

const policies: readonly PolicyEntry[] = [
  { collection: 'note/', policy: { kind: 'last-write' } },
  { collection: 'box/', fields: ['x', 'y'], policy: { kind: 'last-write' } },
  { collection: 'box/', fields: ['votes'], policy: { kind: 'merge', of: 'counter' } },
  { collection: 'box/', fields: ['tags'], policy: { kind: 'merge', of: 'set' } },
  { collection: 'box/', fields: ['items'], policy: { kind: 'merge', of: 'list', id: 'id' } },
  {
    collection: 'box/',
    fields: ['title'],
    policy: {
      kind: 'role',
      ranks: [
        { role: 'owner', rank: 2 },
        { role: 'editor', rank: 1 },
      ],
    },
  },
  { collection: 'plan/', whole: true, policy: { kind: 'human' } },
  ...crapsPolicies,
];
const ranks = [{ role: 'owner', rank: 1 }];
const resolver = new ConflictResolver({ policies, rules: [crapsRule(ranks)] });
const base = stateOf({
  'box/1': { x: 1, y: 1, votes: 5, tags: ['a'], items: [{ id: 1, text: 'one' }], title: 'box' },
  'note/1': { text: 'first', color: 'red' },
  'plan/1': { when: 'today' },
  'account/alice': { tokens: 100 },
  'account/bob': { tokens: 50 },
  'account/carol': { tokens: 30 },
  'account/dave': { tokens: 0 },
  'account/house': { tokens: 500 },
});
const roles = ['owner', 'editor', '', 'editor'];
const names = ['alice', 'bob', 'carol', 'dave'];

function writers(count: number): Writer[] {
  return names.slice(0, count).map((name, index) => new Writer(name, resolver, base, roles[index]));
}

/** Something that a writer might do: every policy, removal and creation included. */
function act(writer: Writer, what: number, pick: number, wall: number): Mutation | undefined {
  const { root } = writer;
  const box = root.get(recordKey('box/1'));
  const spot = `${writer.replica}${pick}`;
  const note = recordKey(`note/${pick % 3}`);
  switch (what % 12) {
    case 0:
      return box && writer.make(wall, [patch('box/1', { x: spot, y: spot })]);
    case 1:
      return box && writer.make(wall, [patch('box/1', { votes: Number(box.votes ?? 0) + (pick % 7) - 3 || 1 })]);
    case 2:
      return (
        box &&
        writer.make(wall, [patch('box/1', { tags: [...new Set([...(box.tags as string[]), `t${pick % 5}`, spot])] })])
      );
    case 3:
      return (
        box &&
        writer.make(wall, [
          patch('box/1', { items: [{ id: spot, text: 'new' }, ...(box.items as SyncRecord[]).slice(pick % 2)] }),
        ])
      );
    case 4:
      return box && writer.make(wall, [patch('box/1', { title: spot })]);
    case 5:
      return writer.make(wall, [{ op: 'put', key: note, record: { text: spot, by: writer.replica } }]);
    case 6:
      return root.has(note) ? writer.make(wall, [{ op: 'remove', key: note }]) : undefined;
    case 7:
      return root.has(note) ? writer.make(wall, [patch(note, { color: spot })]) : undefined;
    case 8:
      return writer.make(wall, [{ op: 'put', key: recordKey('plan/1'), record: { when: spot } }]);
    case 9:
      return writer.make(wall, [], 'transfer', { from: writer.replica, to: names[pick % 4]!, amount: 1 + (pick % 60) });
    case 10:
      return writer.make(wall, [], 'bet', {
        round: pick % 3,
        on: pick % 2 ? 'pass' : 'dont-pass',
        amount: 1 + (pick % 40),
      });
    default:
      return pick % 2
        ? writer.make(wall, [], 'roll', { round: pick % 3, first: 1 + (pick % 6), second: 1 + ((pick * 7) % 6) })
        : writer.make(wall, [], 'settle', { round: pick % 3 });
  }
}

function shuffled<T>(list: readonly T[], random: () => number): T[] {
  return list
    .map((one) => ({ one, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one);
}

const historyOf = (count: number, steps: readonly Step[]) => runSteps(writers(count), steps, act);

describe('merging a history', () => {
  test('gives the same state and the same outcomes in any order of arrival, doubled or not, for up to four writers', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 4 }).chain((count) => fc.tuple(fc.constant(count), arbitrarySteps(count, 40))),
        fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
        ([count, steps], random) => {
          const made = historyOf(count, steps);
          const merged = resolver.merge(base, made);
          const again = resolver.merge(
            base,
            shuffled([...made, ...made.slice(0, 3)], () => random.next().value as number),
          );
          expect(again.root.hash).toBe(merged.root.hash);
          expect(again.outcomes).toEqual(merged.outcomes);
          expect(again.conflicts).toEqual(merged.conflicts);
        },
      ),
    );
  });

  test('continues from any agreed point as from the start', () => {
    fc.assert(
      fc.property(arbitrarySteps(3, 40), (steps) => {
        const ordered = historyOf(3, steps).sort(compareMutations);
        for (const { start } of divergencesOf(ordered)) {
          const middle = resolver.merge(base, ordered.slice(0, start)).root;
          expect(resolver.merge(middle, ordered.slice(start)).root.hash).toBe(resolver.merge(base, ordered).root.hash);
        }
      }),
    );
  });

  test('cuts at exactly the points that everything after had seen', () => {
    fc.assert(
      fc.property(arbitrarySteps(4, 40), (steps) => {
        const ordered = historyOf(4, steps).sort(compareMutations);
        const isAgreed = (place: number) =>
          ordered.slice(place).every((later) => ordered.slice(0, place).every((earlier) => hasSeen(later, earlier)));
        const clear = ordered.map((_, index) => index).filter(isAgreed);
        expect(divergencesOf(ordered).map(({ start }) => start)).toEqual(clear);
      }),
    );
  });

  test('leaves no change without an outcome, and no rejected one without a reason', () => {
    fc.assert(
      fc.property(arbitrarySteps(4, 40), (steps) => {
        const made = historyOf(4, steps);
        const { outcomes } = resolver.merge(base, made);
        expect(outcomes.map(({ mutation }) => idOf(mutation)).sort()).toEqual(made.map(idOf).sort());
        for (const { parts } of outcomes) {
          expect(parts.length).toBeGreaterThan(0);
          for (const part of parts) if (part.state !== 'applied') expect(part.reason).not.toBe('');
        }
      }),
    );
  });

  test('conserves tokens and never overdraws', () => {
    fc.assert(
      fc.property(arbitrarySteps(4, 60), (steps) => {
        const money = steps.map((step) => (step.kind === 'act' ? { ...step, what: 9 + (step.what % 3) } : step));
        const { root } = resolver.merge(base, historyOf(4, money));
        expect(tokensIn(root)).toBe(tokensIn(base));
        for (const [, { tokens }] of root.entries('account/')) expect(tokens).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: Math.max(2_000, fc.readConfigureGlobal()?.numRuns ?? 0) },
    );
  });

  test('keeps a group of fields whole', () => {
    fc.assert(
      fc.property(arbitrarySteps(4, 40), (steps) => {
        const boxes = steps.map((step) => (step.kind === 'act' ? { ...step, what: 0 } : step));
        const box = resolver.merge(base, historyOf(4, boxes)).root.get(recordKey('box/1'))!;
        expect(box.x).toBe(box.y);
      }),
    );
  });

  test('adds up what everybody counted', () => {
    fc.assert(
      fc.property(arbitrarySteps(4, 40), (steps) => {
        const made = historyOf(
          4,
          steps.map((step) => (step.kind === 'act' ? { ...step, what: 1 } : step)),
        );
        const added = made.reduce((sum, { changes, before }) => {
          const [change] = changes;
          return change?.op === 'patch' ? sum + Number(change.fields.votes) - Number(before[0]!.votes) : sum;
        }, 5);
        expect(resolver.merge(base, made).root.get(recordKey('box/1'))!.votes).toBe(added);
      }),
    );
  });
});

/** Three writers who know nothing of each other. */
function apart(...acts: ((writer: Writer) => Mutation)[]): {
  made: Mutation[];
  root: StateRoot;
  outcomes: string[];
  conflicts: readonly ConflictExplanation[];
  all: Writer[];
} {
  const all = writers(acts.length);
  const made = acts.map((one, index) => one(all[index]!));
  const { root, outcomes, conflicts } = resolver.merge(base, made);
  const states = made.map((one) => outcomes.find(({ mutation }) => idOf(mutation) === idOf(one))!.state);
  return { made, root, outcomes: states, conflicts, all };
}

describe('the policies', () => {
  test('the last write is the latest stamp, not the fastest wall clock', () => {
    const [alice, bob] = writers(2) as [Writer, Writer];
    alice.make(9_000, [patch('note/1', { text: 'clock far ahead' })]);
    bob.hear(alice, 1_000);
    bob.make(1_000, [patch('note/1', { text: 'knew of it' })]);
    const { root } = resolver.merge(base, bob.known);
    expect(root.get(recordKey('note/1'))).toEqual({ text: 'knew of it', color: 'red' });
  });

  test('of three who knew nothing of each other one prevails, and the others are told by whom', () => {
    const { made, root, outcomes } = apart(
      (one) => one.make(30, [patch('note/1', { text: 'a' })]),
      (one) => one.make(20, [patch('note/1', { text: 'b' })]),
      (one) => one.make(10, [patch('note/1', { text: 'c' })]),
    );
    expect(root.get(recordKey('note/1'))!.text).toBe('a');
    expect(outcomes).toEqual(['applied', 'rejected', 'rejected']);
    const [conflict] = resolver.merge(base, made).conflicts.slice(-1);
    expect(conflict).toMatchObject({
      key: 'note/1',
      part: 'text',
      policy: 'last-write',
      winner: 'alice',
      base: { text: 'first' },
    });
    expect(conflict!.sides.map(({ record }) => record)).toEqual([{ text: 'c' }, { text: 'b' }, { text: 'a' }]);
  });

  test('the higher role prevails over the later write', () => {
    const { root, outcomes } = apart(
      (one) => one.make(10, [patch('box/1', { title: 'of the owner' })]),
      (one) => one.make(20, [patch('box/1', { title: 'of an editor' })]),
      (one) => one.make(30, [patch('box/1', { title: 'of anybody' })]),
    );
    expect(root.get(recordKey('box/1'))!.title).toBe('of the owner');
    expect(outcomes).toEqual(['applied', 'rejected', 'rejected']);
  });

  test('lists are combined and their items stand once, sets are united, counters added', () => {
    const { root, outcomes } = apart(
      (one) =>
        one.make(10, [
          patch('box/1', {
            votes: 7,
            tags: ['a', 'b'],
            items: [
              { id: 1, text: 'one' },
              { id: 2, text: 'two' },
            ],
          }),
        ]),
      (one) =>
        one.make(20, [
          patch('box/1', {
            votes: 4,
            tags: ['c'],
            items: [
              { id: 2, text: 'two' },
              { id: 1, text: 'one' },
            ],
          }),
        ]),
      (one) => one.make(30, [patch('box/1', { votes: 6, tags: ['a', 'd'], items: [] })]),
    );
    expect(root.get(recordKey('box/1'))).toMatchObject({
      votes: 7,
      tags: ['b', 'c', 'd'],
      items: [{ id: 2, text: 'two' }],
    });
    expect(outcomes).toEqual(['applied', 'applied', 'applied']);
  });

  test('a removal stands over a change that did not know of it, which is listed, be it earlier or later', () => {
    const { root, outcomes, conflicts, made } = apart(
      (one) => one.make(10, [patch('note/1', { text: 'late' })]),
      (one) => one.make(20, [{ op: 'remove', key: recordKey('note/1') }]),
      (one) => one.make(30, [patch('note/1', { text: 'later' })]),
    );
    expect(keysOf(root, 'note/')).toEqual([]);
    expect(outcomes).toEqual(['rejected', 'applied', 'rejected']);
    const [early, removal, late] = made.map(idOf);
    expect(conflicts.map(({ sides }) => sides.map(({ mutation }) => idOf(mutation)))).toEqual([
      [early, removal],
      [removal, late],
    ]);
    expect(conflicts).toMatchObject([
      { policy: 'removal', winner: made[1]!.writer, sides: [{ record: { text: 'late' } }, { record: null }] },
      { policy: 'removal', winner: made[1]!.writer, sides: [{ record: null }, { record: { text: 'later' } }] },
    ]);
  });

  test.each([
    [100, 60, 30, ['applied', 'applied']],
    [100, 60, 70, ['rejected', 'applied']],
    [100, 70, 60, ['applied', 'rejected']],
  ])('with %i tokens at the divergence, %i and %i: %j', (tokens, first, second, expected) => {
    // One account, spent from on both sides of a cut by its owner.
    const start = stateOf({ 'account/alice': { tokens }, 'account/bob': { tokens: 0 } });
    const left = new Writer('alice', resolver, start);
    const right = new Writer('bank', resolver, start, 'owner');
    const made = [
      left.make(10, [], 'transfer', { from: 'alice', to: 'bob', amount: first }),
      right.make(20, [], 'transfer', { from: 'alice', to: 'bob', amount: second }),
    ];
    const { root, outcomes } = resolver.merge(start, made);
    expect(outcomes.map(({ state }) => state)).toEqual(expected);
    expect(tokensIn(root)).toBe(tokens);
  });

  test('a round is rolled once: by the higher role, else by who was first', () => {
    const dice = (round: number) => ({ round, first: 3, second: 4 });
    const { outcomes } = apart(
      (one) => one.make(30, [], 'roll', dice(1)),
      (one) => one.make(10, [], 'roll', dice(1)),
      (one) => one.make(20, [], 'roll', dice(1)),
    );
    expect(outcomes).toEqual(['applied', 'rejected', 'rejected']);
  });

  test('what a rule owns is not written past it', () => {
    const { outcomes, root } = apart((one) => one.make(10, [patch('account/alice', { tokens: 1_000_000 })]));
    expect(outcomes).toEqual(['rejected']);
    expect(root.hash).toBe(base.hash);
  });
});

describe('the queue of conflicts', () => {
  const disagree = () =>
    apart(
      (one) => one.make(10, [{ op: 'put', key: recordKey('plan/1'), record: { when: 'monday' } }]),
      (one) => one.make(20, [{ op: 'put', key: recordKey('plan/1'), record: { when: 'tuesday' } }]),
    );
  const plan = (root: StateRoot) => root.get(recordKey('plan/1'))!.when;

  test('the base stands until somebody decides; the decision can be taken back', () => {
    const { root, outcomes, all } = disagree();
    const store = new MemoryConflictStore();
    const queue = new ConflictQueue(store);
    expect(outcomes).toEqual(['waiting', 'waiting']);
    expect(plan(root)).toBe('today');
    const [conflict] = queue.follow(root);
    // Another process, with what the store kept.
    expect(new ConflictQueue(store).waiting).toEqual([conflict]);

    const [alice, bob] = all as [Writer, Writer];
    alice.hear(bob, 100);
    const { command, args, changes } = queue.decide(conflict!.id, { writer: 'bob', counter: 1 });
    alice.make(100, changes, command, args);
    const decided = resolver.merge(base, alice.known);
    expect(plan(decided.root)).toBe('tuesday');
    expect(decided.outcomes.map(({ state }) => state)).toEqual(['rejected', 'applied', 'applied']);
    queue.follow(decided.root);
    expect(queue.waiting).toEqual([]);

    const back = queue.reopen(conflict!.id);
    alice.make(200, back.changes, back.command, back.args);
    expect(plan(alice.root)).toBe('today');
    expect(queue.follow(alice.root)).toHaveLength(1);
    expect(() => queue.decide(conflict!.id, { writer: 'carol', counter: 1 })).toThrow('no side');
  });

  test('of two decisions that knew nothing of each other the last write counts', () => {
    const { all, root } = disagree();
    const [alice, bob] = all as [Writer, Writer];
    alice.hear(bob, 100);
    bob.hear(alice, 100);
    const queue = new ConflictQueue(new MemoryConflictStore());
    const [conflict] = queue.follow(root);
    const one = queue.decide(conflict!.id, { writer: 'alice', counter: 1 });
    const other = queue.decide(conflict!.id, { writer: 'bob', counter: 1 });
    alice.make(300, one.changes, one.command, one.args);
    bob.make(200, other.changes, other.command, other.args);
    alice.hear(bob, 400);
    expect(plan(alice.root)).toBe('monday');
    queue.follow(alice.root);
    expect(queue.waiting).toEqual([]);
    expect(queue.decided[0]).toMatchObject({ by: 'alice', chosen: { when: 'monday' } });
  });

  test('a write that did not know of the decision opens the conflict again', () => {
    const { all, root } = disagree();
    const [alice, bob] = all as [Writer, Writer];
    alice.hear(bob, 100);
    const queue = new ConflictQueue(new MemoryConflictStore());
    const [conflict] = queue.follow(root);
    const { command, args, changes } = queue.decide(conflict!.id);
    alice.make(100, changes, command, args);
    bob.make(200, [{ op: 'put', key: recordKey('plan/1'), record: { when: 'friday' } }]);
    alice.hear(bob, 300);
    queue.follow(alice.root);
    expect(queue.waiting).toHaveLength(1);
    expect(sameRecord(queue.waiting[0]!.sides.at(-1)!.value, { when: 'friday' })).toBe(true);
  });
});

describe('a declaration', () => {
  test.each([
    [[{ collection: '', policy: { kind: 'last-write' } }], 'POLICY_INVALID'],
    [[{ collection: 'a/', fields: ['x', 'y'], policy: { kind: 'merge', of: 'set' } }], 'POLICY_INVALID'],
    [
      [
        { collection: 'a/', whole: true, policy: { kind: 'human' } },
        { collection: 'a/', fields: ['x'], policy: { kind: 'human' } },
      ],
      'POLICY_INVALID',
    ],
    [[{ collection: 'a/', policy: { kind: 'dice' } }], 'SCHEMA_MISMATCH'],
    [[{ collection: 'a/', policy: { kind: 'domain', rule: 'chess', version: 1 } }], 'RULE_UNKNOWN'],
  ])('%j is refused as %s', (wrong, code) => {
    expect(() => new ConflictResolver({ policies: wrong })).toThrow(expect.objectContaining({ code }));
  });
});
