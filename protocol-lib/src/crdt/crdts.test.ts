import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { packMsgpack, unpackMsgpack } from '../bytes/index.ts';
import { HybridClock, type HybridStamp } from '../clock/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { type Change, type RecordKey, replicaId, type SyncRecord } from '../state/index.ts';
import {
  type AddWinsOperation,
  AddWinsSet,
  addWinsOperationSchema,
  CallState,
  GCounter,
  LWWElementSet,
  PNCounter,
  putsOf,
} from './index.ts';

const names = ['alice', 'bob', 'carol'].map(replicaId);
const [alice, bob] = names as [(typeof names)[0], (typeof names)[0]];

/** One kind of CRDT, so that all of them meet the same laws. */
interface Subject<S> {
  readonly make: (replica: number, root?: StateRoot) => S;
  /** Does something on a replica; answers what the others are to be told. */
  readonly act: (subject: S, replica: number, choice: number, now: number) => unknown[];
  readonly apply: (subject: S, told: unknown) => void;
  readonly merge: (subject: S, root: StateRoot) => void;
  readonly root: (subject: S) => StateRoot;
}

const clocks = () => names.map((name) => new HybridClock(name, { maxDrift: 10_000 }));

interface Joined {
  apply(delta: Iterable<readonly [RecordKey, SyncRecord]>): Change[];
  merge(root: StateRoot): Change[];
  root(): StateRoot;
}

/** Of a CRDT that is joined records: it tells its deltas, which go over the wire and come back. */
function joined<S extends Joined>(
  make: Subject<S>['make'],
  act: (subject: S, replica: number, choice: number, now: number) => Change[],
): Subject<S> {
  return {
    make,
    act: (subject, replica, choice, now) => {
      const puts = putsOf(act(subject, replica, choice, now));
      return puts.length === 0 ? [] : [unpackMsgpack(packMsgpack(puts))];
    },
    apply: (subject, told) => void subject.apply(told as [RecordKey, SyncRecord][]),
    merge: (subject, root) => void subject.merge(root),
    root: (subject) => subject.root(),
  };
}

/** Stamps from clocks that are up to a second wrong, as an element's writers may have them. */
function stamp(all: HybridClock[], replica: number, now: number): HybridStamp {
  return all[replica]!.tick(1_000_000 + now + replica * 700);
}

const element = (choice: number) => `e${choice % 3}`;

const subjects = {
  GCounter: () =>
    joined(
      (replica, root) => new GCounter('likes', names[replica]!, root),
      (counter, _, choice) => counter.increment(1 + (choice % 4)),
    ),
  PNCounter: () =>
    joined(
      (replica, root) => new PNCounter('votes', names[replica]!, root),
      (counter, _, choice) => (choice % 2 === 0 ? counter.increment(1 + choice) : counter.decrement(1 + choice)),
    ),
  LWWElementSet: () => {
    const all = clocks();
    return joined(
      (_, root) => new LWWElementSet('board', root),
      (set, replica, choice, now) =>
        choice % 2 === 0
          ? set.add(element(choice >> 1), stamp(all, replica, now), choice)
          : set.remove(element(choice >> 1), stamp(all, replica, now)),
    );
  },
  'LWWElementSet with stamps given twice': () =>
    joined(
      (_, root) => new LWWElementSet('board', root),
      (set, _, choice, now) => {
        const same = { time: now % 2, count: 0, replica: alice };
        return choice % 2 === 0 ? set.add(element(choice >> 1), same, choice) : set.remove(element(choice >> 1), same);
      },
    ),
  CallState: () => {
    const all = clocks();
    return joined(
      (_, root) => new CallState('call/17', root),
      (call, replica, choice, now) => {
        const who = names[choice % 3]!;
        if (choice < 6) return call.join(who);
        if (choice < 9) return call.leave(who);
        if (choice < 12) return call.mute(who, now % 2 === 0, stamp(all, replica, now));
        if (choice < 15) return call.hold(who, now % 2 === 0, stamp(all, replica, now));
        return call.hangUp(stamp(all, replica, now));
      },
    );
  },
  AddWinsSet: (): Subject<AddWinsSet> => ({
    make: (replica, root) => new AddWinsSet('tags', names[replica]!, root),
    act: (set, _, choice) => {
      const operation = choice % 2 === 0 ? set.add(element(choice >> 1)) : set.remove(element(choice >> 1));
      return operation === undefined ? [] : [unpackMsgpack(packMsgpack(operation))];
    },
    apply: (set, told) => void set.apply(addWinsOperationSchema.parse(told, 'operation')),
    merge: (set, root) => void set.merge(root),
    root: (set) => set.root(),
  }),
};

/** What replicas do, and how what they told arrives: in any order, some of it twice. */
const history = fc.record({
  acts: fc.array(fc.record({ replica: fc.nat(2), choice: fc.nat(15), hears: fc.boolean() }), { maxLength: 25 }),
  order: fc.infiniteStream(fc.nat()),
});

describe.each(Object.keys(subjects) as (keyof typeof subjects)[])('%s', (name) => {
  // The replicas of one kind share no type that a table of kinds could name.
  const subjectOf = () => subjects[name]() as unknown as Subject<object>;

  test('operations in any order and as often as they come, and merged states, all end at one state', () => {
    fc.assert(
      fc.property(history, ({ acts, order }) => {
        const subject = subjectOf();
        const live = names.map((_, index) => subject.make(index));
        const told: unknown[] = [];
        acts.forEach(({ replica, choice, hears }, now) => {
          if (hears && told.length > 0) subject.apply(live[replica]!, told[order.next().value! % told.length]);
          told.push(...subject.act(live[replica]!, replica, choice, now));
        });
        const roots = live.map((one) => subject.root(one));

        // Every operation at every replica, shuffled, with duplicates.
        for (const one of live) {
          const shuffled = [...told, ...told].map((entry) => ({ entry, at: order.next().value! }));
          for (const { entry } of shuffled.sort((a, b) => a.at - b.at)) subject.apply(one, entry);
        }
        const [first] = live.map((one) => subject.root(one).hash);
        for (const one of live) expect(subject.root(one).hash).toBe(first);

        // A replica that heard only operations.
        const listener = subject.make(0);
        for (const entry of told) subject.apply(listener, entry);
        expect(subject.root(listener).hash).toBe(first);

        // The states before, merged: the delta-state form.
        const merged = subject.make(0, roots[0]);
        for (const root of roots) subject.merge(merged, root);
        expect(subject.root(merged).hash).toBe(first);
      }),
      { numRuns: 1_000 },
    );
  });

  test('merge is commutative, associative, idempotent and monotone, and survives saving and loading', () => {
    fc.assert(
      fc.property(history, ({ acts, order }) => {
        const subject = subjectOf();
        const live = names.map((_, index) => subject.make(index));
        const told: unknown[] = [];
        acts.forEach(({ replica, choice, hears }, now) => {
          if (hears && told.length > 0) subject.apply(live[replica]!, told[order.next().value! % told.length]);
          told.push(...subject.act(live[replica]!, replica, choice, now));
        });
        const [a, b, c] = live.map((one) => reloaded(subject.root(one))) as [StateRoot, StateRoot, StateRoot];
        const merge = (left: StateRoot, right: StateRoot) => {
          const one = subject.make(0, left);
          subject.merge(one, right);
          return subject.root(one);
        };
        const both = merge(a, b);
        expect(both.hash).toBe(merge(b, a).hash);
        expect(merge(both, c).hash).toBe(merge(a, merge(b, c)).hash);
        expect(merge(a, a).hash).toBe(a.hash);
        // Nothing that either has is news to both of them: merging goes only upwards.
        expect(merge(both, a).hash).toBe(both.hash);
        expect(merge(b, both).hash).toBe(both.hash);
      }),
      { numRuns: 500 },
    );
  });
});

function reloaded(root: StateRoot): StateRoot {
  const bytes = packMsgpack([...root.entries()]);
  return StateRoot.from(unpackMsgpack(bytes) as [RecordKey, SyncRecord][]);
}

test('counters count what every writer did', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ replica: fc.nat(2), by: fc.integer({ min: 1, max: 9 }) })), (steps) => {
      const grow = names.map((name) => new GCounter('likes', name));
      const both = names.map((name) => new PNCounter('votes', name));
      let sum = 0;
      let balance = 0;
      for (const { replica, by } of steps) {
        grow[replica]!.increment(by);
        sum += by;
        if (by % 2 === 0) both[replica]!.decrement(by);
        else both[replica]!.increment(by);
        balance += by % 2 === 0 ? -by : by;
      }
      for (const one of grow) grow[0]!.merge(one.root());
      for (const one of both) both[0]!.merge(one.root());
      expect(grow[0]!.value).toBe(sum);
      expect(both[0]!.value).toBe(balance);
    }),
  );
});

test('a counter refuses to go by nothing, by parts, or past what a number holds', () => {
  const counter = new GCounter('likes', alice);
  counter.increment(3);
  for (const by of [0, -1, 0.5, Number.MAX_SAFE_INTEGER]) expect(() => counter.increment(by)).toThrow(RangeError);
  expect(counter.value).toBe(3);
});

describe('last writer wins', () => {
  test('a write that has seen another overrides it, however wrong the clocks are', () => {
    const [fast, slow] = [new HybridClock(alice), new HybridClock(bob)];
    const [left, right] = [new LWWElementSet('board'), new LWWElementSet('board')];
    const added = fast.tick(10_000);
    right.apply(putsOf(left.add('card', added)));
    slow.observe(added, 9_000);
    left.apply(putsOf(right.remove('card', slow.tick(9_000))));
    expect(left.has('card')).toBe(false);
    expect(right.has('card')).toBe(false);
  });

  test('equal stamps: in doubt the element stays', () => {
    const set = new LWWElementSet('board');
    const same = { time: 1, count: 0, replica: alice };
    set.remove('card', same);
    set.add('card', same, 'red');
    expect(set.get('card')).toBe('red');
    expect(set.values()).toEqual([['card', 'red']]);
  });

  test('forgets what is removed and known to all, and nothing else', () => {
    const set = new LWWElementSet('board');
    const at = (time: number): HybridStamp => ({ time, count: 0, replica: alice });
    set.add('stays', at(1));
    set.add('goes', at(1));
    set.remove('goes', at(2));
    set.remove('late', at(5));
    expect(set.collect(at(3))).toBe(1);
    expect(set.root().size).toBe(2);
    expect(set.values()).toEqual([['stays', null]]);
  });
});

test('an addition outlives a removal that had not seen it', () => {
  const [left, right] = [new AddWinsSet('tags', alice), new AddWinsSet('tags', bob)];
  right.apply(left.add('red'));
  const removal = right.remove('red') as AddWinsOperation;
  const again = left.add('red');
  left.apply(removal);
  right.apply(again);
  expect(left.values()).toEqual(['red']);
  expect(right.root().hash).toBe(left.root().hash);
  expect(left.remove('blue')).toBeUndefined();
});

describe('a call', () => {
  const at = (time: number): HybridStamp => ({ time, count: 0, replica: alice });

  test('a lost hang-up is made good by the next merge', () => {
    const here = new CallState('call/17');
    here.join(alice);
    here.join(bob);
    const there = new CallState('call/17', here.root());
    here.hangUp(at(5));
    expect(there.participants()).toHaveLength(2);
    there.mute(alice, true, at(9));
    there.merge(here.root());
    here.merge(there.root());
    expect(there.ended).toEqual(at(5));
    expect(there.participants()).toEqual([]);
    expect(there.root().hash).toBe(here.root().hash);
  });

  test('who has left does not come back by a late mute, and comes back unmuted', () => {
    const here = new CallState('call/17');
    here.join(bob);
    const there = new CallState('call/17', here.root());
    const late = there.mute(bob, true, at(50));
    here.leave(bob);
    here.apply(putsOf(late));
    expect(here.participants()).toEqual([]);
    expect(here.mute(bob, true, at(60))).toEqual([]);
    here.join(bob);
    expect(here.participants()).toEqual([{ replica: bob, isMuted: false, isHeld: false }]);
  });
});

describe('records that are none of theirs', () => {
  const refused = (act: () => unknown) => expect(act).toThrow(expect.objectContaining({ name: 'SyncError' }));
  const record = (key: string, fields: SyncRecord) => [[key as RecordKey, fields]] as const;

  test('are refused, and nothing changes', () => {
    const counter = new GCounter('likes', alice);
    counter.increment();
    const set = new LWWElementSet('board');
    set.add('card', { time: 1, count: 0, replica: alice });
    const tags = new AddWinsSet('tags', alice);
    tags.add('red');
    const call = new CallState('call/17');
    call.join(alice);
    const before = [counter, set, tags, call].map((one) => one.root().hash);

    refused(() =>
      counter.apply([...record('likes/bob', { increments: 1 }), ...record('likes/carol', { increments: -1 })]),
    );
    refused(() => counter.apply(record('likes/bob', { increments: 0.5 })));
    refused(() => counter.apply(record('dislikes/bob', { increments: 1 })));
    refused(() =>
      set.apply(record('board/card', { added: { time: -1, count: 0, replica: 'bob' }, removed: null, payload: 1 })),
    );
    refused(() => set.merge(StateRoot.from(record('board/x', { added: null }))));
    refused(() => tags.apply({ op: 'add', element: 'x', dot: { replica: bob, counter: -1 }, seen: [] }));
    refused(() => tags.apply({ op: 'remove', element: '@/bob', seen: [] }));
    refused(() => tags.merge(StateRoot.from(record('tags/@/bob', { upTo: -3, beyond: [] }))));
    refused(() => call.apply(record('call/17/bob', { joined: 1, left: 2, muted: null, held: null })));
    expect([counter, set, tags, call].map((one) => one.root().hash)).toEqual(before);
  });

  test('fields that no CRDT of the kind has are not kept, so that merging stays commutative', () => {
    const counter = new GCounter('likes', alice);
    counter.apply(record('likes/bob', { increments: 2, colour: 'red' }));
    expect([...counter.root().entries()]).toEqual([['likes/bob', { increments: 2 }]]);
  });
});
