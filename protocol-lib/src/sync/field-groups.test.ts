import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { patched, StateRoot } from '../merkle/index.ts';
import { seededRandom } from '../ports/index.ts';
import { type Change, recordKey, type SyncRecord, type Value } from '../state/index.ts';
import { TraceHub } from '../trace/index.ts';
import { wholeChange, withWholeGroups } from './field-groups.ts';
import { MemorySession } from './memory-link.test-helper.ts';
import type { FieldGroup, SessionDefinition } from './session.ts';

const PLACE: FieldGroup = { collection: 'pawn/', fields: ['x', 'y', 'facing'] };
const PAWNS = ['pawn/1', 'pawn/2'].map(recordKey);

type Args = Readonly<Record<string, Value>>;

/** Pawns that commands move along one axis, turn, lift off the board and paint. */
const board: SessionDefinition = {
  name: 'board',
  groups: [PLACE],
  *initialRecords() {
    for (const key of PAWNS) yield [key, { x: 0, y: 0, facing: 'n', colour: 'red' }];
  },
  commands: {
    change: (_state, args, writer) => ({
      accepted: true,
      events: [{ type: 'CHANGED', player: writer, detail: '', data: args }],
    }),
  },
  reduce(_state, event) {
    const { pawn, changes } = event.data as { readonly pawn: string; readonly changes: readonly Args[] };
    return changes.map(({ field, value }): Change => {
      const key = recordKey(pawn);
      if (value === null) return { op: 'patch', key, fields: {}, removed: [String(field)] };
      return { op: 'patch', key, fields: { [String(field)]: value ?? 0 }, removed: [] };
    });
  },
};

const value = fc.record({
  field: fc.constantFrom('x', 'y', 'facing', 'colour'),
  value: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 1, max: 1_000_000 }) },
    { weight: 1, arbitrary: fc.constant(null) },
  ),
});
const intent = fc.record({ pawn: fc.constantFrom(...PAWNS), changes: fc.array(value, { minLength: 1, maxLength: 3 }) });

/** What a record says of the group, as one text. */
function place(record: SyncRecord | undefined): string {
  return JSON.stringify(PLACE.fields.map((field) => (record && Object.hasOwn(record, field) ? record[field] : 'none')));
}

describe('a change that carries groups whole', () => {
  const record = fc.dictionary(fc.constantFrom('x', 'y', 'facing', 'colour'), fc.nat(9));
  const patch = fc
    .record({ fields: record, removed: fc.uniqueArray(fc.constantFrom('x', 'y', 'facing', 'colour')) })
    .map(({ fields, removed }) => ({
      op: 'patch' as const,
      key: PAWNS[0]!,
      fields,
      removed: removed.filter((field) => !Object.hasOwn(fields, field)),
    }));

  test('does to its record what it did before', () => {
    fc.assert(
      fc.property(record, patch, (before, change) => {
        const whole = wholeChange([PLACE], change, before);
        if (whole.op !== 'patch') throw new Error('it is a patch no more');
        expect(patched(before, whole.fields, whole.removed)).toEqual(patched(before, change.fields, change.removed));
      }),
    );
  });

  test('of two writers, merged in any order, leaves what one of them meant', () => {
    fc.assert(
      fc.property(record, record, record, patch, patch, (common, left, right, first, second) => {
        const wholes = [wholeChange([PLACE], first, left), wholeChange([PLACE], second, right)];
        const meant = [place(common), place(apply(left, first)), place(apply(right, second))];
        for (const order of [wholes, [...wholes].reverse()]) {
          expect(meant).toContain(place(order.reduce(apply, common)));
        }
      }),
    );
  });

  test('is the very same where it touches none, or all', () => {
    const paint: Change = { op: 'patch', key: PAWNS[0]!, fields: { colour: 1 }, removed: [] };
    expect(wholeChange([PLACE], paint, { x: 1 })).toBe(paint);
    const other: Change = { op: 'patch', key: recordKey('tree/1'), fields: { x: 1 }, removed: [] };
    expect(wholeChange([PLACE], other, { x: 2, y: 3 })).toBe(other);
    const all: Change = { op: 'patch', key: PAWNS[0]!, fields: { x: 1, y: 2 }, removed: ['facing'] };
    expect(wholeChange([PLACE], all, { x: 2, y: 3 })).toBe(all);
  });

  test('a group that is none is refused', () => {
    const withGroups = (...groups: FieldGroup[]) => withWholeGroups({ ...board, groups });
    expect(() => withGroups({ collection: 'a/', fields: ['x'] })).toThrow(RangeError);
    expect(() => withGroups({ collection: 'a/', fields: ['x', 'x'] })).toThrow(RangeError);
    expect(() =>
      withGroups({ collection: 'a/', fields: ['x', 'y'] }, { collection: 'a/b', fields: ['y', 'z'] }),
    ).toThrow('y of a/b stands in two groups');
    expect(withWholeGroups({ ...board, groups: [] }).reduce).toBe(board.reduce);
  });

  test('an event that touches one record twice builds upon itself', () => {
    const state = StateRoot.from(board.initialRecords(seededRandom(1)));
    const data = {
      pawn: 'pawn/1',
      changes: [
        { field: 'x', value: 5 },
        { field: 'y', value: 6 },
      ],
    };
    const changes = withWholeGroups(board).reduce(state, { type: 'CHANGED', player: '', detail: '', data });
    expect(place(state.apply(changes).get(PAWNS[0]!))).toBe('[5,6,"n"]');
  });
});

function apply(record: SyncRecord, change: Change): SyncRecord {
  return change.op === 'patch' ? patched(record, change.fields, change.removed) : record;
}

test('with concurrent writers, predictions, rebases and losses, no place is seen that nobody wrote whole', () => {
  const step = fc.record({
    name: fc.constantFrom('alice', 'bob', 'server'),
    intent,
    run: fc.nat(6),
    corrupt: fc.boolean(),
  });
  const network = fc.record({ seed: fc.nat(1_000_000), loss: fc.constantFrom(0, 0.2), latency: fc.nat(300) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), network, (steps, { seed, loss, latency }) => {
      let time = 0;
      const hub = new TraceHub({ now: () => time++ });
      const written = new Set([place({ x: 0, y: 0, facing: 'n' })]);
      hub.listen(({ body }) => {
        const lists =
          body.kind === 'rebase'
            ? body.pending.map(({ changes }) => changes)
            : body.kind === 'commit' || body.kind === 'prediction' || body.kind === 'apply'
              ? [body.changes]
              : [];
        for (const change of lists.flat()) {
          if (change.op !== 'patch' || !PLACE.fields.some((field) => isSaid(change, field))) continue;
          // Whole: what it says is all that there is to say of the place.
          expect(PLACE.fields.every((field) => isSaid(change, field))).toBe(true);
          if (body.kind !== 'apply') written.add(place(change.fields));
        }
      });
      const session = new MemorySession({ definition: board, tap: hub, verifyReducer: true });
      for (const name of ['alice', 'bob']) session.join(name, { definition: board });
      const random = seededRandom(seed);
      session.latency = () => Math.floor(random.next() * latency) * 1_000_000;
      session.fate = (frame) => (random.next() < loss ? [] : [frame]);
      const look = (root: StateRoot) => {
        for (const key of PAWNS) if (root.has(key)) expect(written).toContain(place(root.get(key)));
      };
      for (const { name, intent: args, run } of steps) {
        if (name === 'server') session.manager.mutate('change', args, session.now);
        else session.predict(name, 'change', args);
        session.run(run * 50);
        for (const root of [
          session.manager.root,
          ...session.clients.flatMap((one) => [one.committed, one.optimistic]),
        ]) {
          look(root);
        }
      }
      session.fate = (frame) => [frame];
      for (let round = 0; round < 3; round++) {
        for (const name of ['alice', 'bob']) if (!session.isConnected(name)) session.connect(name);
        session.run(20_000);
      }
      for (const client of session.clients) {
        look(client.optimistic);
        expect(client.committed.hash).toBe(session.manager.root.hash);
        expect(client.pending).toEqual([]);
      }
    }),
    { numRuns: 60 },
  );
});

function isSaid(change: Extract<Change, { op: 'patch' }>, field: string): boolean {
  return Object.hasOwn(change.fields, field) || change.removed.includes(field);
}
