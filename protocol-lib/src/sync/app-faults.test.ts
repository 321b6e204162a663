import { describe, expect, test } from 'vitest';
import type { Change, Value } from '../state/index.ts';
import { coinSession, MemorySession } from './memory-link.test-helper.ts';
import type { CommandOutcome, SessionDefinition } from './session.ts';

/**
 * What an app's own code answers although its types forbid it, as plain JavaScript or a cast may: one command is refused, with a reason that says what is
 * wrong, and neither the authority nor a client ends or is left behind.
 */

/** A session in which the command `odd` answers this, and its event makes these changes. */
function odd(outcome: unknown, changes: unknown = []): SessionDefinition {
  return {
    ...coinSession,
    commands: { ...coinSession.commands, odd: () => outcome as CommandOutcome },
    reduce: (state, event) => (event.type === 'ODD' ? (changes as Change[]) : coinSession.reduce(state, event)),
  };
}

const accepted = { accepted: true, events: [{ type: 'ODD', player: 'x', detail: '' }] };
const put = (record: unknown, key = 'note/1') => [{ op: 'put', key, record }];

class Money {
  readonly amount = 5;
}

/** Answers why `odd` was refused at the authority, of whom all go on in step. */
function refusalOf(definition: SessionDefinition): string {
  const session = new MemorySession({ definition });
  const alice = session.join('alice', { definition });
  session.run(100);
  const before = session.manager.root;
  const settlement = session.manager.mutate('odd', null, session.now);
  session.predict('alice', 'odd', null, { unchecked: true });
  session.run(200);
  expect(session.manager.root).toBe(before);
  expect(alice.receipts.map(({ outcome }) => outcome.state)).toEqual(['rejected']);
  session.manager.mutate('note', { id: 2, text: 'still here' }, session.now);
  session.run(200);
  expect(alice.committed.hash).toBe(session.manager.root.hash);
  expect(alice.isSettled).toBe(true);
  expect(session.manager.stats).toMatchObject({ fullSyncs: 1, refused: 0 });
  if (settlement.accepted) throw new Error('it was accepted');
  return settlement.reason;
}

describe('a command that answers', () => {
  const said = (event: object) => ({ accepted: true, events: [event] });
  test.each([
    ['nothing', undefined, 'odd failed'],
    ['a promise', Promise.resolve(accepted), 'odd failed'],
    ['no events', { accepted: true }, 'odd failed'],
    ['no event', { accepted: true, events: [null] }, 'odd failed'],
    ['a reason that is no text', { accepted: false, reason: 5 }, 'odd failed'],
    ['an event without a player', said({ type: 'ODD', detail: '' }), 'type, player or detail is no text'],
    ['an event of a number', said({ type: 'ODD', player: 'x', detail: 5 }), 'type, player or detail is no text'],
  ])('%s', (_what, outcome, reason) => {
    expect(refusalOf(odd(outcome))).toContain(reason);
  });
});

describe('a reducer that makes', () => {
  let deep: Value = 1;
  for (let depth = 0; depth < 55; depth++) deep = [deep];
  test.each([
    ['nothing', null, 'odd failed'],
    ['a change that is none', [null], 'odd failed'],
    ['a change of an unknown kind', [{ op: 'zap', key: 'note/1' }], 'odd makes of "note/1" what is no record'],
    ['a record under a key that is none', put({}, 'note'), 'puts a record under "note", which is not of the form'],
    ['a record under a number', [{ op: 'put', key: 7, record: {} }], 'puts a record under "7"'],
    ['null for a record', put(null), 'odd makes of "note/1" what is no record'],
    ['a list for a record', put([1]), 'odd makes of "note/1" what is no record'],
    ['bytes for a record', put(new Uint8Array(2)), 'odd makes of "note/1" what is no record'],
    ['a record of a class', put(new Money()), 'odd makes of "note/1" what is no record'],
    ['a function in a record', put({ f() {} }), 'odd puts into "note/1" what cannot be sent: a function'],
    ['an absent field', put({ text: undefined }), 'odd puts into "note/1" what cannot be sent: a undefined'],
    ['a lone surrogate', put({ text: '\ud800' }), 'lone surrogate'],
    ['a field __proto__', put(JSON.parse('{"__proto__":1}')), '__proto__'],
    ['a date', put({ at: new Date(0) }), 'neither a plain value nor a list or map of such'],
    ['a map of a class', put({ at: new Map([[1, 2]]) }), 'neither a plain value nor a list or map of such'],
    ['something of a class within a list', put({ all: [{ one: new Money() }] }), 'neither a plain value nor'],
    ['what is nested too deep', put({ text: deep }), 'odd nests "note/1" deeper than 48'],
    ['a patch of nothing', [{ op: 'patch', key: 'note/1', fields: {}, removed: [] }], 'no such record'],
    ['a patch without its list', [{ op: 'patch', key: 'door/north', fields: { x: 1 } }], 'odd failed'],
    ['a removal of nothing', [{ op: 'remove', key: 'note' }], 'no such record'],
  ])('%s', (_what, changes, reason) => {
    expect(refusalOf(odd(accepted, changes))).toContain(reason);
  });
});

test('objects of another realm, and those without a prototype, are plain', () => {
  const record: unknown = Object.assign(Object.create(null), { inner: Object.assign(Object.create(null), { n: 1 }) });
  const definition = odd(accepted, put(record));
  const session = new MemorySession({ definition });
  const alice = session.join('alice', { definition });
  session.run(100);
  expect(session.manager.mutate('odd', null, session.now)).toMatchObject({ accepted: true });
  session.run(200);
  expect(alice.committed.hash).toBe(session.manager.root.hash);
});

test('a first state with a key that is none, or something of a class, begins no session', () => {
  for (const [key, record, code] of [
    ['note', {}, 'KEY_INVALID'],
    ['note/1', { at: new Date(0) }, 'VALUE_INVALID'],
  ] as const) {
    const first = [[key, record]] as unknown as ReturnType<SessionDefinition['initialRecords']>;
    const definition = { ...coinSession, initialRecords: () => first };
    expect(() => new MemorySession({ definition })).toThrow(expect.objectContaining({ code }));
  }
});
