import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { packMsgpack, unpackMsgpack } from '../../bytes/index.ts';
import { VersionVector } from '../../clock/index.ts';
import { type ReplicaId, recordKey, replicaId } from '../../state/index.ts';
import {
  decodeOperation,
  decodeRga,
  encodeOperation,
  encodeRga,
  RGA,
  type RgaOperation,
  recordsOfState,
  rgaOperationSchema,
  rgaStateSchema,
  stateOfRecords,
} from './index.ts';
import { SlowSequence } from './oracle.test-helper.ts';

const names = ['alice', 'bob', 'carol'].map(replicaId);
const [alice, bob, carol] = names as [ReplicaId, ReplicaId, ReplicaId];

/** What one replica does next; places are shares of what is there. */
const act = fc.record({
  replica: fc.nat(2),
  kind: fc.constantFrom('type', 'type', 'type', 'paste', 'erase', 'erase', 'hear', 'collect'),
  place: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.integer({ min: 1, max: 4 }),
  stays: fc.boolean(),
});
const history = fc.record({ acts: fc.array(act, { maxLength: 60 }), order: fc.infiniteStream(fc.nat()) });

interface Run {
  readonly live: RGA[];
  readonly told: RgaOperation<string>[];
}

/** Plays a history. Every replica's text is checked against plain text after every edit of its own. */
function play(acts: readonly (typeof act extends fc.Arbitrary<infer T> ? T : never)[], order: Iterator<number>): Run {
  const live = names.map((name) => RGA.text(name));
  const told: RgaOperation<string>[] = [];
  const carets = [0, 0, 0];
  let letter = 0;
  for (const { replica, kind, place, length, stays } of acts) {
    const one = live[replica]!;
    const at = stays ? Math.min(carets[replica]!, one.length) : Math.round(place * one.length);
    const before = one.content();
    if (kind === 'hear') {
      for (let count = 0; count < length && told.length > 0; count++)
        one.apply(told[order.next().value! % told.length]!);
    } else if (kind === 'collect') {
      one.collect(new Map(live.map((other) => [other.replica, other.vector])));
    } else if (kind === 'erase') {
      const from = Math.max(0, at - length);
      if (from === at) continue;
      told.push(one.delete(from, at - from) as RgaOperation<string>);
      expect(one.content()).toBe(before.slice(0, from) + before.slice(at));
      carets[replica] = from;
    } else {
      const text = Array.from({ length: kind === 'paste' ? length : 1 }, () =>
        String.fromCharCode(97 + (letter++ % 26)),
      ).join('');
      told.push(one.insert(at, text));
      expect(one.content()).toBe(before.slice(0, at) + text + before.slice(at));
      carets[replica] = at + text.length;
    }
    expect(one.length).toBe(one.content().length);
  }
  return { live, told };
}

const wire = (operation: RgaOperation<string>) => decodeOperation(encodeOperation(operation));
const sameState = (left: RGA, right: RGA) => {
  expect(right.content()).toBe(left.content());
  expect(right.state()).toEqual(left.state());
};
const without = <T extends { kind: string }>(kind: string, acts: readonly T[]) =>
  acts.filter((one) => one.kind !== kind);

describe('random histories', () => {
  test('operations in any order, also twice, end where the slow definition ends', () => {
    fc.assert(
      fc.property(history, ({ acts, order }) => {
        const { live, told } = play(without('collect', acts), order);
        const slow = new SlowSequence();
        for (const operation of told) slow.apply(operation);
        const expected = slow.values().join('');
        for (const one of [...live, RGA.text(replicaId('late'))]) {
          const shuffled = [...told, ...told].map((operation) => ({ operation, at: order.next().value! }));
          for (const { operation } of shuffled.sort((a, b) => a.at - b.at)) one.apply(wire(operation));
          expect(one.held).toBe(0);
          expect(one.content()).toBe(expected);
          expect(one.state()).toEqual(live[0]!.state());
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test('states merge commutatively, associatively, idempotently, to what operations make; also where some was collected', () => {
    fc.assert(
      fc.property(history, ({ acts, order }) => {
        const { live, told } = play(acts, order);
        const states = live.map((one) => one.state());
        const merged = (...parts: number[]) => {
          const one = RGA.text(replicaId('reader'));
          for (const part of parts) one.merge(states[part]!);
          return one;
        };
        const all = merged(0, 1, 2);
        sameState(all, merged(2, 1, 0));
        sameState(all, merged(1, 0, 2, 1, 0));
        const pair = merged(1, 2);
        pair.merge(states[0]!);
        sameState(all, pair);
        for (const operation of told) live[0]!.apply(operation);
        expect(live[0]!.content()).toBe(all.content());
        expect(live[0]!.vector.entries()).toEqual(all.vector.entries());
        // Up only: what one has seen is no news to all.
        expect(all.vector.covers(live[1]!.vector)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  test('a delta brings a replica from its vector to the whole', () => {
    fc.assert(
      fc.property(history, ({ acts, order }) => {
        const { live } = play(without('collect', acts), order);
        const [one, other] = live as [RGA, RGA];
        // What waits there for its cause would join in, and is in no state yet.
        fc.pre(other.held === 0);
        const whole = RGA.text(replicaId('reader'));
        whole.merge(one.state());
        whole.merge(other.state());
        const delta = rgaStateSchema.parse(unpackMsgpack(packMsgpack(one.state(other.vector))), 'delta');
        other.merge(delta);
        sameState(whole, other);
        other.merge(delta);
        sameState(whole, other);
      }),
      { numRuns: 500 },
    );
  });

  test('saved and loaded, as bytes and as records, it is the same and goes on the same', () => {
    fc.assert(
      fc.property(history, ({ acts, order }) => {
        const { live } = play(acts, order);
        const [one] = live as [RGA];
        const state = one.state();
        expect(decodeRga(encodeRga(state))).toEqual(state);
        const root = recordsOfState(state, 'note/1');
        const [saved, kept] = [RGA.text(alice), RGA.text(alice)];
        saved.merge(decodeRga(encodeRga(state)));
        kept.merge(stateOfRecords(root, 'note/1'));
        sameState(one, saved);
        sameState(one, kept);
        expect(recordsOfState(saved.state(), 'note/1').hash).toBe(root.hash);
        const half = one.length >> 1;
        expect(saved.insert(half, 'x')).toEqual(one.insert(half, 'x'));
        sameState(one, saved);
      }),
      { numRuns: 500 },
    );
  });

  test('collecting changes nothing that can be seen, and leaves fewer tombstones than visible runs', () => {
    fc.assert(
      fc.property(history, ({ acts, order }) => {
        const { live, told } = play(acts, order);
        for (const one of live) for (const operation of told) one.apply(operation);
        const before = live[0]!.content();
        for (const one of live) {
          one.collect(new Map(live.map((other) => [other.replica, other.vector])));
          const { runs } = one.state();
          const seen = runs.filter(({ content }) => content !== null).length;
          expect(runs.length - seen).toBeLessThanOrEqual(Math.max(0, seen - 1));
          expect(one.content()).toBe(before);
        }
        // What comes after still fits everywhere.
        const next = live[1]!.insert(before.length >> 1, 'new');
        for (const one of live) one.apply(next);
        expect(live[0]!.content()).toBe(live[1]!.content());
        expect(live[2]!.content()).toBe(live[1]!.content());
      }),
      { numRuns: 1_000 },
    );
  });

  test('edits that are told lead a plain text to the same', () => {
    fc.assert(
      fc.property(history, ({ acts, order }) => {
        const { told } = play(acts, order);
        let text = '';
        const one = RGA.text(replicaId('reader'), {
          onEdit: ({ index, removed, inserted }) => {
            text = text.slice(0, index) + (inserted ?? '') + text.slice(index + removed);
          },
        });
        for (const operation of told.toReversed()) one.apply(operation);
        for (const operation of told) one.apply(operation);
        expect(text).toBe(one.content());
      }),
      { numRuns: 500 },
    );
  });
});

describe('concurrent runs', () => {
  const both = (start: string, type: (one: RGA, text: string) => RgaOperation<string>[]) => {
    const [left, right] = [RGA.text(alice), RGA.text(bob)];
    if (start !== '') right.apply(left.insert(0, start));
    const [ours, theirs] = [type(left, 'AAAA'), type(right, 'bbbb')];
    for (const operation of theirs) left.apply(operation);
    for (const operation of ours) right.apply(operation);
    expect(left.content()).toBe(right.content());
    return left.content();
  };

  test.each(['', '--'])('typed forwards into %j do not interleave', (start) => {
    const at = start.length >> 1;
    const text = both(start, (one, run) => [...run].map((letter, index) => one.insert(at + index, letter)));
    expect(text).toMatch(/AAAAbbbb|bbbbAAAA/);
  });

  test.each(['', '--'])('typed backwards into %j do not interleave', (start) => {
    const at = start.length >> 1;
    const text = both(start, (one, run) => [...run].map((letter) => one.insert(at, letter)));
    expect(text).toMatch(/AAAAbbbb|bbbbAAAA/);
  });

  test('typed with corrections do not interleave', () => {
    const text = both('--', (one, run) =>
      [...run].flatMap((letter, index) => [
        one.insert(1 + index, 'x'),
        one.delete(1 + index) as RgaOperation<string>,
        one.insert(1 + index, letter),
      ]),
    );
    expect(text).toMatch(/AAAAbbbb|bbbbAAAA/);
  });
});

test('a list holds any values', () => {
  const [left, right] = [RGA.list(alice), RGA.list(bob)];
  right.apply(left.insert(0, [1, { a: [null] }, 'x']));
  left.apply(right.insert(1, [[2]]));
  left.delete(0);
  right.merge(rgaStateSchema.parse(unpackMsgpack(packMsgpack(left.state())), 'state'));
  expect(right.content()).toEqual([[2], { a: [null] }, 'x']);
  const saved = RGA.list(carol);
  saved.merge(decodeRga(encodeRga(right.state())));
  expect(saved.content()).toEqual(right.content());
});

test('a long history with jumps, pastes and deletions keeps up with plain text', () => {
  const one = RGA.text(alice);
  const copy = RGA.text(bob);
  let text = '';
  let seed = 7;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return seed % below;
  };
  let caret = 0;
  for (let step = 0; step < 20_000; step++) {
    if (random(15) === 0) caret = random(text.length + 1);
    if (random(5) === 0 && caret > 0) {
      copy.apply(one.delete(caret - 1));
      text = text.slice(0, caret - 1) + text.slice(caret);
      caret--;
    } else {
      copy.apply(one.insert(caret, 'q'));
      text = `${text.slice(0, caret)}q${text.slice(caret)}`;
      caret++;
    }
  }
  expect(one.content()).toBe(text);
  expect(copy.content()).toBe(text);
  expect(copy.state()).toEqual(one.state());
});

describe('bad input', () => {
  const code = (text: string) => expect.objectContaining({ name: 'SyncError', code: text });
  const refused = (one: RGA, operation: unknown, why: string) => {
    const before = one.state();
    expect(() => one.apply(rgaOperationSchema.parse(operation, 'operation'))).toThrow(code(why));
    expect(one.state()).toEqual(before);
  };
  const insert = { op: 'insert', replica: bob, counter: 1, parent: null, side: 'right', content: 'x' } as const;

  test('a cause that does not arrive: held, bounded, and named', () => {
    const one = RGA.text(alice, { held: { operations: 2 } });
    const missing = { replica: carol, counter: 3 };
    expect(one.apply({ ...insert, parent: missing })).toEqual({ outcome: 'held', missing });
    expect(one.apply({ ...insert, parent: missing })).toEqual({ outcome: 'held', missing });
    expect(one.apply({ ...insert, counter: 2 })).toEqual({ outcome: 'held', missing: { replica: bob, counter: 1 } });
    expect(one.apply({ ...insert, counter: 3 })).toEqual({
      outcome: 'overflow',
      missing: { replica: bob, counter: 2 },
    });
    expect(one.held).toBe(2);
    expect(one.missing()).toEqual([missing, { replica: bob, counter: 1 }]);
    refused(one, { ...insert, parent: missing, content: 'y' }, 'CRDT_DUPLICATE_DIFFERS');
    expect(one.content()).toBe('');
  });

  test('a duplicate with another body', () => {
    const one = RGA.text(alice);
    one.apply({ ...insert, content: 'xyz' });
    expect(one.apply({ ...insert, content: 'xyz' })).toEqual({ outcome: 'duplicate' });
    refused(one, { ...insert, content: 'xyq' }, 'CRDT_DUPLICATE_DIFFERS');
    refused(one, { ...insert, content: 'xyzz' }, 'CRDT_DUPLICATE_DIFFERS');
    refused(one, { ...insert, parent: { replica: alice, counter: 1 }, content: 'xyz' }, 'CRDT_DUPLICATE_DIFFERS');
    refused(
      one,
      { op: 'delete', replica: bob, counter: 1, ranges: [{ replica: bob, counter: 1, length: 1 }] },
      'CRDT_DUPLICATE_DIFFERS',
    );
  });

  test('operations that no replica makes', () => {
    const one = RGA.text(alice);
    one.insert(0, 'a\u{1f600}b');
    for (const operation of [
      { ...insert, counter: 0 },
      { ...insert, content: '' },
      { ...insert, content: [1] },
      { ...insert, side: 'left' },
      { ...insert, counter: Number.MAX_SAFE_INTEGER },
      { ...insert, parent: { replica: alice, counter: 2 } },
      { ...insert, parent: { replica: alice, counter: 3 }, side: 'left' },
      { op: 'delete', replica: bob, counter: 1, ranges: [] },
      { op: 'delete', replica: bob, counter: 1, ranges: [{ replica: alice, counter: 1, length: 0 }] },
      { op: 'delete', replica: bob, counter: 1, ranges: [{ replica: alice, counter: 2, length: 1 }] },
    ]) {
      refused(one, operation, 'CRDT_OPERATION_INVALID');
    }
    for (const operation of [
      { ...insert, counter: -1 },
      { ...insert, counter: 1.5 },
      { ...insert, side: 'up' },
    ]) {
      refused(one, operation, 'SCHEMA_MISMATCH');
    }
    refused(one, { ...insert, content: '\ud800' }, 'VALUE_INVALID');
    expect(() => one.insert(2, 'x')).toThrow(RangeError);
    expect(() => one.delete(2, 1)).toThrow(RangeError);
    expect(() => one.insert(9, 'x')).toThrow(RangeError);
    expect(() => one.delete(0.5, 1)).toThrow(RangeError);
  });

  test('an element that was collected is not named again', () => {
    const [one, other] = [RGA.text(alice), RGA.text(bob)];
    other.apply(one.insert(0, 'abc'));
    one.delete(2);
    one.collect(new Map([[alice, one.vector]]));
    refused(one, other.insert(3, 'x'), 'CRDT_CAUSE_COLLECTED');
  });

  test('states that lie', () => {
    const one = RGA.text(alice);
    one.insert(0, 'abc');
    const before = one.state();
    const run = {
      replica: bob,
      counter: 1,
      length: 1,
      parent: null,
      side: 'right',
      place: { replica: bob, counter: 1 },
      content: 'x',
      deletion: null,
    } as const;
    const vector = [...before.vector, { replica: bob, counter: 2 }];
    const lies = [
      { vector, runs: [...before.runs, run, run] },
      { vector, runs: [...before.runs, { ...run, length: 2 }] },
      { vector, runs: [...before.runs, { ...run, counter: 3 }] },
      { vector, runs: [...before.runs, { ...run, content: null }] },
      { vector, runs: [...before.runs, { ...run, side: 'left' }] },
      { vector, runs: [...before.runs, { ...run, parent: { replica: bob, counter: 1 } }] },
      { vector, runs: [...before.runs, { ...run, content: ['x'] }] },
      { vector: [{ replica: bob, counter: 2 ** 40 }], runs: [] },
    ];
    for (const lie of lies) {
      const state = rgaStateSchema.parse({ since: [], deletions: [], ...lie }, 'state');
      expect(() => one.merge(state)).toThrow(code('CRDT_STATE_INVALID'));
    }
    expect(() => one.merge({ since: [], vector: before.vector, runs: [], deletions: [] })).toThrow(
      code('CRDT_CAUSE_COLLECTED'),
    );
    expect(() => one.merge({ since: [{ replica: bob, counter: 1 }], vector, runs: [], deletions: [] })).toThrow(
      code('CRDT_BASE_MISSING'),
    );
    expect(one.state()).toEqual(before);
  });

  test('a state or records whose vector has a negative or fractional counter', () => {
    const one = RGA.text(alice);
    one.insert(0, 'abc');
    const { runs, deletions, vector } = one.state();
    for (const counter of [-1, 0.5, 2 ** 53]) {
      const wrong = [{ replica: bob, counter }];
      for (const vectors of [
        { since: wrong, vector },
        { since: [], vector: wrong },
      ]) {
        const merge = () => one.merge(rgaStateSchema.parse({ runs, deletions, ...vectors }, 'state'));
        expect(merge).toThrow(code('SCHEMA_MISMATCH'));
      }
      const put = { op: 'put', key: recordKey('text/@vector'), record: { entries: wrong } } as const;
      const records = recordsOfState(one.state(), 'text').apply([put]);
      expect(() => stateOfRecords(records, 'text')).toThrow(code('SCHEMA_MISMATCH'));
    }
    expect(one.content()).toBe('abc');
  });

  test('saved bytes cut or changed anywhere are a typed error or another text', () => {
    const one = RGA.text(alice);
    one.insert(0, 'hello');
    one.apply({ ...insert, parent: { replica: alice, counter: 2 }, content: 'yy' });
    one.delete(1, 2);
    const bytes = encodeRga(one.state());
    for (let length = 0; length < bytes.length; length++) {
      expect(() => RGA.text(alice).merge(decodeRga(bytes.subarray(0, length)))).toThrow(
        expect.objectContaining({ name: 'SyncError' }),
      );
    }
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = bytes.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      const loaded = RGA.text(alice);
      try {
        loaded.merge(decodeRga(changed));
      } catch (error) {
        expect(error).toMatchObject({ name: 'SyncError' });
        expect(loaded.length).toBe(0);
      }
    }
  });

  test('bytes that are no operation', () => {
    for (const value of [
      null,
      [],
      [0, 'bob'],
      [0, 'bob', 1, null, 0],
      [2, 'bob', 1, 'alice', 1],
      [7, 'bob', 1],
      [0, 'b!', 1, null, 0, 'x'],
    ]) {
      expect(() => decodeOperation(packMsgpack(value))).toThrow(expect.objectContaining({ name: 'SyncError' }));
    }
  });
});

test('vectors of documents are version vectors', () => {
  const one = RGA.text(alice);
  one.insert(0, 'ab');
  one.delete(0);
  expect(one.vector.compare(VersionVector.from([{ replica: alice, counter: 3 }]))).toBe('equal');
});
