import { StateRoot } from '@syncscope/protocol/merkle';
import { seededRandom } from '@syncscope/protocol/ports';
import { type ReplicaId, recordKey, replicaId, type Value } from '@syncscope/protocol/state';
import type { SessionDefinition } from '@syncscope/protocol/sync';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AUTHORITY, adventure, adventureAsPlayed } from './adventure.ts';
import { DOORS, ITEMS, PLATES, ROOMS } from './adventure-map.ts';
import { AdventureCaretaker } from './adventure-mind.ts';

const anna = replicaId('anna');
const bert = replicaId('bert');

/** A house in which commands run as they do at the authority. */
class House {
  state = StateRoot.from(adventure.initialRecords(seededRandom(1)));
  readonly #rules: SessionDefinition;

  constructor(rules: SessionDefinition = adventure) {
    this.#rules = rules;
  }

  /** The reason of a refusal, or nothing. */
  run(who: ReplicaId, command: string, args: Value = null): string | undefined {
    const outcome = this.#rules.commands[command]!(this.state, args, who);
    if (!outcome.accepted) return outcome.reason;
    for (const event of outcome.events) this.state = this.state.apply(this.#rules.reduce(this.state, event));
    return undefined;
  }

  walk(who: ReplicaId, ...rooms: readonly string[]): void {
    for (const to of rooms) expect(this.run(who, 'move', { to })).toBeUndefined();
  }

  record(key: string): Record<string, unknown> {
    return { ...this.state.get(recordKey(key)) };
  }
}

function entered(...players: readonly ReplicaId[]): House {
  const house = new House();
  for (const player of players) expect(house.run(player, 'join')).toBeUndefined();
  return house;
}

describe('the house', () => {
  test('has ways both ways, doors between neighbours and items in rooms', () => {
    expect(ROOMS.length).toBeGreaterThanOrEqual(8);
    for (const { id, exits } of ROOMS) {
      for (const to of exits) expect(ROOMS.find((room) => room.id === to)?.exits).toContain(id);
    }
    for (const { between, key } of DOORS) {
      expect(ROOMS.find(({ id }) => id === between[0])?.exits).toContain(between[1]);
      if (key !== null) expect(ITEMS.map(({ id }) => id)).toContain(key);
    }
    for (const { home } of ITEMS) expect(ROOMS.map(({ id }) => id)).toContain(home);
  });

  test('a player comes in once, and what it carries stays when it goes', () => {
    const house = entered(anna);
    expect(house.run(anna, 'join')).toBe('anna is in the house already');
    expect(house.run(bert, 'move', { to: 'kitchen' })).toBe('bert is not in the house');
    house.run(anna, 'take', { item: 'silver_coin' });
    house.walk(anna, 'kitchen');
    expect(house.run(anna, 'leave')).toBeUndefined();
    expect(house.record('item/silver_coin')).toMatchObject({ owner: null, room: 'kitchen' });
    expect(house.record('player/anna')).toEqual({});
  });
});

describe('moving', () => {
  test('names the new room on the record, marks the room as visited, and costs', () => {
    const house = entered(anna);
    house.walk(anna, 'kitchen');
    expect(house.record('player/anna')).toMatchObject({ room: 'kitchen', energy: 96, health: 100 });
    expect(house.record('room/kitchen')).toMatchObject({ visited: true, visits: 1 });
    expect(house.record('room/study')).toMatchObject({ visited: false });
  });

  test.each([
    ['vault', 'no way from great_hall to vault'],
    ['__proto__', 'no way from great_hall to __proto__'],
    ['', 'no way from great_hall to nowhere'],
  ])('to %j is refused', (to, reason) => {
    expect(entered(anna).run(anna, 'move', { to })).toBe(reason);
  });

  test('through a locked door is refused until somebody unlocks it, and from inside it opens', () => {
    const house = entered(anna, bert);
    house.walk(anna, 'courtyard');
    expect(house.run(anna, 'move', { to: 'tower' })).toBe('door locked');
    expect(house.run(anna, 'unlock', { door: 'tower_door' })).toBe('needs the golden_key');
    house.walk(bert, 'ancient_library');
    expect(house.run(bert, 'take', { item: 'golden_key' })).toBeUndefined();
    house.walk(bert, 'great_hall', 'courtyard');
    expect(house.run(bert, 'unlock', { door: 'tower_door' })).toBeUndefined();
    expect(house.run(bert, 'unlock', { door: 'tower_door' })).toBe('not locked');
    house.walk(anna, 'tower');
    expect(house.run(AUTHORITY, 'shut', { door: 'tower_door' })).toBeUndefined();
    expect(house.run(bert, 'move', { to: 'tower' })).toBe('door locked');
    house.walk(anna, 'courtyard');
  });

  test('is predicted by a player that does not see the lock, and refused by the authority', () => {
    const state = entered(anna).state;
    const { move } = adventureAsPlayed.commands;
    const courtyard = state.apply([
      { op: 'patch', key: recordKey('player/anna'), fields: { room: 'courtyard' }, removed: [] },
    ]);
    expect(move!(courtyard, { to: 'tower' }, anna)).toMatchObject({ accepted: true });
    expect(adventure.commands.move!(courtyard, { to: 'tower' }, anna)).toEqual({
      accepted: false,
      reason: 'door locked',
    });
  });

  test('tires, and resting helps', () => {
    const house = entered(anna);
    for (let step = 0; step < 12; step++) house.walk(anna, 'kitchen', 'great_hall');
    expect(house.run(anna, 'move', { to: 'kitchen' })).toBeUndefined();
    expect(house.run(anna, 'move', { to: 'great_hall' })).toBe('too tired');
    expect(house.run(anna, 'rest')).toBeUndefined();
    house.walk(anna, 'great_hall');
    expect(entered(anna).run(anna, 'rest')).toBe('not tired');
  });
});

describe('items', () => {
  test('have one owner or one room', () => {
    const house = entered(anna, bert);
    expect(house.run(anna, 'take', { item: 'silver_coin' })).toBeUndefined();
    expect(house.record('item/silver_coin')).toMatchObject({ owner: 'anna', room: null });
    expect(house.run(bert, 'take', { item: 'silver_coin' })).toBe('already taken by anna');
    expect(house.run(anna, 'take', { item: 'silver_coin' })).toBe('have it already');
    expect(house.run(bert, 'drop', { item: 'silver_coin' })).toBe('does not have silver_coin');
    expect(house.run(anna, 'drop', { item: 'silver_coin' })).toBeUndefined();
    expect(house.record('item/silver_coin')).toMatchObject({ owner: null, room: 'great_hall' });
    expect(house.run(anna, 'take', { item: 'crown' })).toBe('not here');
    expect(house.run(anna, 'take', { item: 'constructor' })).toBe('no item constructor');
  });
});

describe('the plates', () => {
  test('open the vault when two players stand on them, and not when one steps from one to the other', () => {
    const house = entered(anna, bert);
    house.walk(anna, 'gallery', 'antechamber');
    house.walk(bert, 'gallery');
    expect(house.run(bert, 'step', { plate: 'left' })).toBe('not here');
    expect(house.run(anna, 'step', { plate: 'left' })).toBeUndefined();
    expect(house.run(anna, 'step', { plate: 'right' })).toBeUndefined();
    expect(house.record('puzzle/plates')).toEqual({ left: null, right: 'anna', solved: false });
    house.walk(bert, 'antechamber');
    expect(house.run(bert, 'step', { plate: 'right' })).toBe('anna stands there');
    expect(house.run(bert, 'move', { to: 'vault' })).toBe('door locked');
    expect(house.run(bert, 'step', { plate: 'left' })).toBeUndefined();
    expect(house.record('puzzle/plates')).toEqual({ left: 'bert', right: 'anna', solved: true });
    house.walk(anna, 'vault');
    expect(house.record('puzzle/plates')).toEqual({ left: 'bert', right: null, solved: true });
  });
});

test('a plate on which somebody waits in vain clicks back', () => {
  const house = entered(anna);
  const caretaker = new AdventureCaretaker(seededRandom(1));
  const connected = new Set(['anna']);
  const released = (now: number) =>
    caretaker.due(house.state, connected, now).filter(({ command }) => command === 'release');
  house.walk(anna, 'gallery', 'antechamber');
  expect(released(0)).toEqual([]);
  house.run(anna, 'step', { plate: 'left' });
  expect(released(1_000)).toEqual([]);
  expect(released(20_999)).toEqual([]);
  expect(released(21_000)).toEqual([{ command: 'release', args: { plate: 'left' } }]);
  expect(house.run(AUTHORITY, 'release', { plate: 'left' })).toBeUndefined();
  expect(house.record('puzzle/plates')).toMatchObject({ left: null });
  expect(house.run(AUTHORITY, 'release', { plate: 'left' })).toBe('nobody stands there');
});

test("only the authority makes the caretaker's rounds", () => {
  const house = entered(anna);
  for (const [command, args] of [
    ['restore', null],
    ['shut', { door: 'tower_door' }],
    ['release', { plate: 'left' }],
    ['evict', { player: 'anna' }],
  ] as const) {
    expect(house.run(anna, command, args)).toBe('only the caretaker may');
  }
  expect(house.run(AUTHORITY, 'evict', { player: 'anna' })).toBeUndefined();
});

const names = fc.constantFrom(
  ...[...ROOMS, ...ITEMS, ...DOORS].map(({ id }) => id),
  ...PLATES,
  'anna',
  '__proto__',
  'toString',
  '',
  '../x',
);
const commands = fc.tuple(
  fc.constantFrom(anna, bert, AUTHORITY),
  fc.constantFrom(...Object.keys(adventure.commands)),
  fc.oneof(
    fc.record({ to: names, item: names, door: names, plate: names, player: names }, { requiredKeys: [] }),
    fc.constantFrom<Value>(null, 7, 'x', [], new Uint8Array(2)),
  ),
);

describe('whatever is asked for', () => {
  test('the world stays whole, and the same commands give the same world', () => {
    fc.assert(
      fc.property(fc.array(commands, { maxLength: 60 }), (script) => {
        const houses = [entered(anna, bert), entered(anna, bert)];
        for (const house of houses) for (const [who, command, args] of script) house.run(who, command, args as Value);
        const [house, again] = houses;
        expect(again!.state.hash).toBe(house!.state.hash);
        for (const { id } of ITEMS) {
          const { owner, room } = house!.record(`item/${id}`);
          expect([owner, room].filter((place) => place === null)).toHaveLength(1);
        }
        for (const [, player] of house!.state.entries('player/')) {
          expect(ROOMS.map(({ id }) => id)).toContain(player.room);
          expect(player.energy).toBeGreaterThanOrEqual(0);
          expect(player.health).toBeGreaterThan(0);
          expect(player.carrying).toBeLessThanOrEqual(2);
        }
        expect([...house!.state.entries('item/')]).toHaveLength(ITEMS.length);
      }),
    );
  });
});
