import { waitingSchema } from '@syncscope/protocol/conflict';
import { encodeOperation, RGA, type RgaOperation } from '@syncscope/protocol/crdt';
import { StateRoot } from '@syncscope/protocol/merkle';
import { seededRandom } from '@syncscope/protocol/ports';
import { type RecordKey, type ReplicaId, recordKey, replicaId, type Value } from '@syncscope/protocol/state';
import { decide, withWholeGroups } from '@syncscope/protocol/sync';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AUTHORITY } from './adventure.ts';
import { board } from './board.ts';
import { BoardCaretaker, BoardMind } from './board-mind.ts';
import { documentOf, shownText } from './board-text.ts';

const [anna, bert, cleo] = ['anna', 'bert', 'cleo'].map(replicaId) as [ReplicaId, ReplicaId, ReplicaId];
const plan = recordKey('note/plan');
const rules = withWholeGroups(board);

/** A board on which commands run as they do at the authority. */
class Board {
  state = StateRoot.from(board.initialRecords(seededRandom(1)));

  /** The reason of a refusal, or nothing. */
  run(who: ReplicaId, command: string, args: Value = null): string | undefined {
    const decision = decide(rules, this.state, command, args, who);
    if (!decision.accepted) return decision.reason;
    this.state = decision.root;
    return undefined;
  }

  type(who: ReplicaId, write: (document: RGA) => RgaOperation, seenIn = this.state): string | undefined {
    const document = documentOf(seenIn, who);
    const operation = encodeOperation(write(document));
    const seen = document.vector.entries().map((entry) => ({ ...entry }));
    return this.run(who, 'type', { operation, seen });
  }

  note(key: RecordKey = plan) {
    return this.state.get(key);
  }

  /** What a device asks for that saw the note as it is in `seenIn`. */
  back(who: ReplicaId, fields: Readonly<Record<string, Value>>, seenIn: StateRoot): string | undefined {
    const base = seenIn.get(plan)!;
    return this.run(who, 'reconcile', { changes: [{ key: plan, base, mine: { ...base, ...fields } }] });
  }

  get conflicts() {
    return [...this.state.entries('conflict/')].map(([id, record]) => ({ id, ...waitingSchema.parse(record, id) }));
  }
}

describe('the page of text', () => {
  test('is what any RGA makes of the same operations, whatever each writer had seen', () => {
    const edit = fc.record({
      who: fc.constantFrom(anna, bert, cleo),
      at: fc.nat(),
      lag: fc.nat(3),
      isDelete: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(edit, { maxLength: 25 }), (edits) => {
        const page = new Board();
        const states = [page.state];
        const operations: RgaOperation[] = [];
        const lastOf = new Map<ReplicaId, number>();
        for (const { who, at, lag, isDelete } of edits) {
          // A writer has seen its own work at least.
          const seen = states[Math.max(lastOf.get(who) ?? 0, states.length - 1 - lag)]!;
          const made: RgaOperation[] = [];
          const refusal = page.type(
            who,
            (document) => {
              const isDeletion = isDelete && document.length > 0;
              const operation = isDeletion
                ? document.delete(at % document.length, 1)
                : document.insert(at % (document.length + 1), `${who[0]}${operations.length} `);
              made.push(operation);
              return operation;
            },
            seen,
          );
          expect(refusal).toBeUndefined();
          operations.push(...made);
          states.push(page.state);
          lastOf.set(who, states.length - 1);
        }
        const oracle = RGA.text(replicaId('oracle'));
        for (const operation of operations.toReversed()) oracle.apply(operation);
        expect(shownText(page.state)).toBe(oracle.content());
      }),
    );
  });

  test('drops what was deleted once every writer has seen it, and refuses who still writes on it', () => {
    const page = new Board();
    page.type(anna, (document) => document.insert(0, 'one two '));
    page.type(bert, (document) => document.insert(8, 'three '));
    const stale = page.state;
    page.type(anna, (document) => document.delete(0, 8));
    expect(page.run(AUTHORITY, 'collect')).toBe('nothing is to be dropped');
    page.type(bert, (document) => document.insert(0, 'four '));
    const before = [...page.state.entries('text/')].length;
    expect(page.run(AUTHORITY, 'collect')).toBeUndefined();
    expect([...page.state.entries('text/')].length).toBeLessThan(before);
    expect(shownText(page.state)).toBe('four three ');
    expect(page.type(cleo, (document) => document.insert(4, 'late '), stale)).toContain('was collected');
    expect(page.type(cleo, (document) => document.insert(0, 'again '))).toBeUndefined();
  });

  test('takes no operation of another, none twice, and none without its cause', () => {
    const page = new Board();
    const document = RGA.text(anna);
    const [first, second] = [document.insert(0, 'a'), document.insert(1, 'b')];
    const run = (who: ReplicaId, operation: RgaOperation) =>
      page.run(who, 'type', { operation: encodeOperation(operation), seen: [] });
    expect(run(bert, first)).toBe('an operation of anna');
    expect(run(anna, second)).toBe('what it hangs on is missing');
    expect(run(anna, first)).toBeUndefined();
    expect(run(anna, first)).toBe('written already');
    expect(run(anna, second)).toBeUndefined();
    expect(page.run(anna, 'type', { operation: new Uint8Array([0xc1]), seen: [] })).toContain('type failed');
  });
});

describe('two who changed one note without knowing of each other', () => {
  test('each field by its policy', () => {
    const page = new Board();
    expect(page.run(anna, 'join', { role: 'chair' })).toBeUndefined();
    expect(page.run(bert, 'join', { role: 'chair' })).toBe('there is a chair already');
    expect(page.run(bert, 'join', { role: 'writer' })).toBeUndefined();
    const seen = page.state;
    page.run(anna, 'edit', { key: plan, fields: { title: 'Of the chair', y: 9 } });
    page.run(anna, 'tag', { key: plan, add: ['soon'], remove: [] });
    const { y } = seen.get(plan)!;
    expect(page.back(bert, { title: 'Of a writer', x: 7, tags: ['late'] }, seen)).toBeUndefined();
    expect(page.note()).toMatchObject({ title: 'Of the chair', x: 7, y, tags: ['late', 'soon'] });
    const later = page.state;
    page.run(bert, 'edit', { key: plan, fields: { title: 'Of a writer' } });
    expect(page.back(anna, { title: 'Again' }, later)).toBeUndefined();
    expect(page.note()).toMatchObject({ title: 'Again' });
  });

  test('a text waits for somebody, takes in further sides, and is decided once', () => {
    const page = new Board();
    const seen = page.state;
    const { text } = seen.get(plan)!;
    page.run(anna, 'edit', { key: plan, fields: { text: 'of anna' } });
    expect(page.back(bert, { text: 'of bert', color: 'pink' }, seen)).toBeUndefined();
    expect(page.note()).toMatchObject({ text, color: 'pink' });
    expect(page.run(cleo, 'edit', { key: plan, fields: { text: 'of cleo', title: 'Hers' } })).toBeUndefined();
    expect(page.note()).toMatchObject({ text, title: 'Hers' });
    const [conflict] = page.conflicts;
    expect(conflict).toMatchObject({ state: 'waiting', base: { text }, key: plan });
    expect(conflict?.sides.map(({ writer, value }) => [writer, value.text])).toEqual([
      ['anna', 'of anna'],
      ['bert', 'of bert'],
      ['cleo', 'of cleo'],
    ]);
    const args = { conflict: conflict!.id, chosen: 'bert:2' };
    expect(page.run(anna, 'decide', { ...args, chosen: 'dora:1' })).toBe('it has no side dora:1');
    expect(page.run(anna, 'decide', args)).toBeUndefined();
    expect(page.note()).toMatchObject({ text: 'of bert', title: 'Hers' });
    expect(page.run(bert, 'decide', args)).toBe('anna has decided already');
    expect(page.run(anna, 'sweep', { conflict: conflict!.id })).toBe('only the server itself may');
    expect(page.run(AUTHORITY, 'sweep', { conflict: conflict!.id })).toBeUndefined();
    expect(page.conflicts).toEqual([]);
  });

  test('more tags than a note takes are refused, however they come', () => {
    const page = new Board();
    const seen = page.state;
    const tags = (letter: string, count: number) => Array.from({ length: count }, (_, index) => `${letter}${index}`);
    page.run(anna, 'tag', { key: plan, add: tags('a', 12), remove: [] });
    expect(page.run(anna, 'tag', { key: plan, add: ['more'], remove: [] })).toBe('too many tags');
    expect(page.back(bert, { tags: tags('b', 1) }, seen)).toBe('too many tags');
    page.run(anna, 'tag', { key: plan, add: [], remove: ['a0'] });
    expect(page.back(bert, { tags: tags('b', 1) }, seen)).toBeUndefined();
    expect(page.note()?.tags).toEqual([...tags('a', 12).slice(1), 'b0'].sort());
  });

  test('a conflict goes with its note', () => {
    const page = new Board();
    const seen = page.state;
    page.run(anna, 'edit', { key: plan, fields: { text: 'of anna' } });
    page.back(bert, { text: 'of bert' }, seen);
    expect(page.run(cleo, 'remove', { key: plan })).toBeUndefined();
    expect(page.conflicts).toEqual([]);
    expect(page.back(bert, { text: 'of bert' }, seen)).toBe('the note is gone');
  });
});

test('a task that two claimed goes to the first, unless he has two more already', () => {
  const page = new Board();
  for (const title of ['a', 'b', 'c']) page.run(AUTHORITY, 'post', { title });
  const claim = (who: ReplicaId, number: number, seen: string | null = null) =>
    page.run(who, 'claim', { key: `task/${number}`, seen });
  expect(claim(anna, 1)).toBeUndefined();
  expect(claim(bert, 1)).toBe('anna was first, and has few tasks');
  expect(claim(anna, 2)).toBeUndefined();
  expect(claim(bert, 2, 'anna')).toBe('anna has it');
  expect(claim(bert, 2)).toBeUndefined();
  expect(page.run(anna, 'finish', { key: 'task/2' })).toBe('not yours');
  expect(page.run(bert, 'finish', { key: 'task/2' })).toBeUndefined();
});

const names = fc.constantFrom(
  'note/plan',
  'note/x',
  'task/1',
  'conflict/0',
  'text/main',
  'member/anna',
  'nonsense',
  '__proto__',
);
const args = fc.oneof(
  fc.record(
    {
      key: names,
      conflict: names,
      fields: fc.record({ text: fc.string(), x: fc.double(), title: fc.string() }, { requiredKeys: [] }),
      add: fc.array(fc.string()),
      remove: fc.array(fc.string()),
      title: fc.string(),
      color: fc.constantFrom('pink', 'red'),
      x: fc.double(),
      y: fc.double(),
      operation: fc.uint8Array(),
      seen: fc.constantFrom(null, []),
      role: fc.constantFrom('chair', 'writer', 'king'),
      changes: fc.array(fc.record({ key: names, base: fc.constantFrom(null, {}), mine: fc.constantFrom(null, {}) })),
      chosen: fc.string(),
      writer: names,
    },
    { requiredKeys: [] },
  ),
  fc.constantFrom<Value>(null, 7, [], new Uint8Array(2)),
);

describe('whatever is asked for', () => {
  test('records keep their shapes, and the same commands give the same board', () => {
    const commands = fc.tuple(
      fc.constantFrom(anna, bert, AUTHORITY),
      fc.constantFrom(...Object.keys(board.commands)),
      args,
    );
    fc.assert(
      fc.property(fc.array(commands, { maxLength: 40 }), (script) => {
        const boards = [new Board(), new Board()];
        for (const one of boards) for (const [who, command, given] of script) one.run(who, command, given as Value);
        expect(boards[1]!.state.hash).toBe(boards[0]!.state.hash);
        const { state, conflicts } = boards[0]!;
        for (const [key, { title, text, tags, x }] of state.entries('note/')) {
          expect([key, typeof title, typeof text, typeof x, Array.isArray(tags)]).toEqual([
            key,
            'string',
            'string',
            'number',
            true,
          ]);
        }
        expect(conflicts.length).toBeLessThanOrEqual(50);
        expect(shownText(state)).toBe('');
      }),
    );
  });
});

test('people of one seed do the same on the same board', () => {
  const play = (seed: number): string => {
    const page = new Board();
    const minds = [anna, bert].map((who) => ({ who, mind: new BoardMind(who, seededRandom(seed)) }));
    const caretaker = new BoardCaretaker(seededRandom(seed));
    for (let now = 0; now < 60_000; now += 500) {
      for (const { who, mind } of minds) {
        mind.pause();
        const intent = mind.think(page.state, now);
        const refusal = intent && page.run(who, intent.command, intent.args);
        if (intent && refusal !== undefined) mind.refused(intent);
      }
      if (now % 1_000 > 0) continue;
      for (const { command, args: given } of caretaker.due(page.state, new Set(), now))
        page.run(AUTHORITY, command, given);
    }
    expect([...page.state.entries('text/')].length).toBeLessThan(400);
    return page.state.hash;
  };
  expect(play(5)).toBe(play(5));
  expect(play(5)).not.toBe(play(6));
});

describe('somebody at a board', () => {
  test('whose copy of the page makes no sense any more does something else, and throws nothing', () => {
    const page = new Board();
    const mind = new BoardMind(anna, seededRandom(3));
    page.run(anna, 'join', { role: 'writer' });
    page.type(anna, (document) => document.insert(0, 'we meet at noon'));
    const [key, run] = [...page.state.entries('text/main/')].find(([, record]) => 'counter' in record)!;
    page.state = page.state.apply([{ op: 'put', key, record: { ...run, counter: Number(run.counter) + 7 } }]);
    expect(() => documentOf(page.state, anna)).toThrowError(expect.objectContaining({ code: 'CRDT_STATE_INVALID' }));
    const commands = new Set<string | undefined>();
    for (let at = 0; at < 200; at++) commands.add(mind.think(page.state, at * 1_000)?.command);
    expect(commands.has('type')).toBe(false);
    expect(commands.size).toBeGreaterThan(3);
  });
});
