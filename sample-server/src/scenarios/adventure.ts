import type { Random } from '@syncscope/protocol/ports';
import { object, secret, string } from '@syncscope/protocol/schema';
import {
  type Change,
  type RecordKey,
  recordKey,
  replicaId,
  type SyncRecord,
  type Value,
} from '@syncscope/protocol/state';
import type {
  CommandHandler,
  CommandOutcome,
  DomainEvent,
  FieldGroup,
  SessionDefinition,
  StateView,
  ViewFunction,
} from '@syncscope/protocol/sync';
import {
  DOORS,
  doorBetween,
  doorPlan,
  ITEMS,
  PLATE_ROOM,
  PLATES,
  type Plate,
  ROOMS,
  roomPlan,
  START_ROOM,
  VAULT_DOOR,
} from './adventure-map.ts';
import { viewByRoom } from './adventure-view.ts';

/**
 * The adventure: players walk through a house, carry things, are refused at locked doors, and two of them
 * together open the vault. Commands decide, events tell what happened, the reducer alone changes records.
 *
 * Records: `room/<id>` {name, visited, visits}, `door/<id>` {locked}, `item/<id>` {owner, room} of which one is
 * null, `player/<id>` {room, health, energy, carrying, score}, `puzzle/plates` {left, right, solved}, `guest/<id>` {email} of who signed the guest book.
 */

const FULL = 100;
const CARRY_MAX = 2;
const COST = { move: 4, take: 1, unlock: 2 } as const;
const REST = { energy: 30, health: 15 } as const;
const HEALTH_MIN = 20;
const PLATES_KEY = recordKey('puzzle/plates');

/** The authority's own name. It makes the caretaker's rounds; no player may bear it. */
export const AUTHORITY = replicaId('server');

/** What a client may leave to the authority when it predicts. */
interface Knowledge {
  /** Whether a locked door is known to be locked before it is tried. */
  readonly seesLocks: boolean;
  /** What a client gets of the house; all of it where absent. */
  readonly view?: ViewFunction;
}

function* initialRecords(random: Random): Iterable<readonly [RecordKey, SyncRecord]> {
  for (const { id, name } of ROOMS) yield [recordKey(`room/${id}`), { name, visited: false, visits: 0 }];
  for (const { id, name } of DOORS) yield [recordKey(`door/${id}`), { name, locked: true }];
  for (const { id, name, home } of ITEMS) {
    yield [recordKey(`item/${id}`), { name, owner: null, room: home, worth: 5 + Math.floor(random.next() * 20) }];
  }
  yield [PLATES_KEY, { left: null, right: null, solved: false }];
}

// What commands read. A record that is not there, or a field of another kind, reads as nothing.

function textOf(record: SyncRecord | undefined, field: string): string | null {
  const value = record?.[field];
  return typeof value === 'string' ? value : null;
}

function numberOf(record: SyncRecord | undefined, field: string): number {
  const value = record?.[field];
  return typeof value === 'number' ? value : 0;
}

function argument(args: Value, name: string): string {
  if (typeof args !== 'object' || args === null || Array.isArray(args) || args instanceof Uint8Array) return '';
  const value = Object.hasOwn(args, name) ? (args as SyncRecord)[name] : undefined;
  return typeof value === 'string' && value.length <= 64 ? value : '';
}

const refuse = (reason: string): CommandOutcome => ({ accepted: false, reason });
const happened = (...events: readonly DomainEvent[]): CommandOutcome => ({ accepted: true, events });

/** The key of a thing that was named by a player, or nothing where there is none of that name. */
function keyOf(collection: string, id: string): RecordKey | undefined {
  return /^[A-Za-z0-9._-]{1,64}$/.test(id) ? recordKey(`${collection}/${id}`) : undefined;
}

function find(state: StateView, collection: string, id: string): SyncRecord | undefined {
  const key = keyOf(collection, id);
  return key && state.get(key);
}

/** Runs a command for a player that is in the house. */
function asPlayer(
  decide: (state: StateView, player: SyncRecord, id: string, args: Value) => CommandOutcome,
): CommandHandler {
  return (state, args, writer) => {
    const player = find(state, 'player', writer);
    return player ? decide(state, player, writer, args) : refuse(`${writer} is not in the house`);
  };
}

const join: CommandHandler = (state, _args, writer) =>
  find(state, 'player', writer)
    ? refuse(`${writer} is in the house already`)
    : happened({ type: 'PLAYER_JOINED', player: writer, detail: 'came in' });

const leave: CommandHandler = asPlayer((_state, _player, id) =>
  happened({ type: 'PLAYER_LEFT', player: id, detail: 'went home' }),
);

function moveWith({ seesLocks }: Knowledge): CommandHandler {
  return asPlayer((state, player, id, args) => {
    const to = argument(args, 'to');
    const from = textOf(player, 'room') ?? START_ROOM;
    const plan = roomPlan(to);
    if (!plan || !roomPlan(from)?.exits.includes(to)) return refuse(`no way from ${from} to ${to || 'nowhere'}`);
    const door = doorBetween(from, to);
    // From inside a door opens without its key.
    const isOutside = door?.between[0] === from;
    if (isOutside && seesLocks && find(state, 'door', door.id)?.locked === true) return refuse('door locked');
    if (numberOf(player, 'energy') < COST.move) return refuse('too tired');
    if (numberOf(player, 'health') - plan.danger < HEALTH_MIN) return refuse('too hurt');
    return happened({ type: 'PLAYER_MOVED', player: id, detail: to, data: { from, to } });
  });
}

const take: CommandHandler = asPlayer((state, player, id, args) => {
  const name = argument(args, 'item');
  const item = find(state, 'item', name);
  if (!item) return refuse(`no item ${name}`);
  const owner = textOf(item, 'owner');
  if (owner === id) return refuse('have it already');
  if (owner !== null) return refuse(`already taken by ${owner}`);
  if (textOf(item, 'room') !== textOf(player, 'room')) return refuse('not here');
  if (numberOf(player, 'carrying') >= CARRY_MAX) return refuse('hands full');
  if (numberOf(player, 'energy') < COST.take) return refuse('too tired');
  return happened({ type: 'ITEM_TAKEN', player: id, detail: name });
});

const drop: CommandHandler = asPlayer((state, player, id, args) => {
  const name = argument(args, 'item');
  if (textOf(find(state, 'item', name), 'owner') !== id) return refuse(`does not have ${name}`);
  return happened({ type: 'ITEM_DROPPED', player: id, detail: name, data: { room: textOf(player, 'room') } });
});

const unlock: CommandHandler = asPlayer((state, player, id, args) => {
  const name = argument(args, 'door');
  const door = find(state, 'door', name);
  const plan = doorPlan(name);
  if (!door || !plan) return refuse(`no door ${name}`);
  if (!plan.between.includes(textOf(player, 'room') ?? '')) return refuse('not here');
  if (door.locked === false) return refuse('not locked');
  if (plan.key === null) return refuse('no keyhole');
  if (textOf(find(state, 'item', plan.key), 'owner') !== id) return refuse(`needs the ${plan.key}`);
  if (numberOf(player, 'energy') < COST.unlock) return refuse('too tired');
  return happened({ type: 'DOOR_UNLOCKED', player: id, detail: name });
});

const step: CommandHandler = asPlayer((state, player, id, args) => {
  const plate = PLATES.find((one) => one === argument(args, 'plate'));
  if (!plate) return refuse('no such plate');
  if (textOf(player, 'room') !== PLATE_ROOM) return refuse('not here');
  const plates = state.get(PLATES_KEY);
  const holder = textOf(plates, plate);
  if (holder === id) return refuse('stands there already');
  if (holder !== null) return refuse(`${holder} stands there`);
  const stepped: DomainEvent = { type: 'PLATE_STEPPED', player: id, detail: plate };
  const other = textOf(plates, plate === 'left' ? 'right' : 'left');
  if (other === null || other === id || plates?.solved === true) return happened(stepped);
  return happened(stepped, { type: 'PUZZLE_SOLVED', player: id, detail: `with ${other}`, data: { with: other } });
});

const rest: CommandHandler = asPlayer((_state, player, id) =>
  numberOf(player, 'energy') >= FULL && numberOf(player, 'health') >= FULL
    ? refuse('not tired')
    : happened({ type: 'PLAYER_RESTED', player: id, detail: textOf(player, 'room') ?? '' }),
);

/** The guest book asks for something that no capture is to have unless it is asked for. */
const sign: CommandHandler = asPlayer((state, _player, id, args) => {
  const email = argument(args, 'email');
  if (!/^[^@\s]+@[^@\s]+$/.test(email)) return refuse('no address');
  if (find(state, 'guest', id)) return refuse('signed already');
  return happened({ type: 'BOOK_SIGNED', player: id, detail: '', data: { email } });
});

/** The caretaker's round, which only the server itself may make: doors locked, lost things carried home. */
const restore: CommandHandler = (_state, _args, writer) =>
  writer === AUTHORITY
    ? happened({ type: 'HOUSE_RESTORED', player: writer, detail: 'doors locked, things carried home' })
    : refuse('only the caretaker may');

/** A door that was unlocked falls shut again. */
const shut: CommandHandler = (state, args, writer) => {
  const door = argument(args, 'door');
  if (writer !== AUTHORITY) return refuse('only the caretaker may');
  if (find(state, 'door', door)?.locked !== false) return refuse(`${door} is not open`);
  return happened({ type: 'DOOR_SHUT', player: writer, detail: door });
};

/** A plate on which somebody waited in vain clicks back. */
const release: CommandHandler = (state, args, writer) => {
  const plate = PLATES.find((one) => one === argument(args, 'plate'));
  if (writer !== AUTHORITY) return refuse('only the caretaker may');
  const holder = plate && textOf(state.get(PLATES_KEY), plate);
  if (!plate || !holder) return refuse('nobody stands there');
  return happened({ type: 'PLATE_RELEASED', player: holder, detail: plate });
};

/** Sends home who has been gone too long. */
const evict: CommandHandler = (state, args, writer) => {
  const player = argument(args, 'player');
  if (writer !== AUTHORITY) return refuse('only the caretaker may');
  if (!find(state, 'player', player)) return refuse(`${player} is not in the house`);
  return happened({ type: 'PLAYER_LEFT', player, detail: 'was gone too long' });
};

function reduce(state: StateView, event: DomainEvent): readonly Change[] {
  const playerKey = recordKey(`player/${event.player}`);
  const player = state.get(playerKey);
  switch (event.type) {
    case 'PLAYER_JOINED':
      return [
        put(playerKey, { room: START_ROOM, health: FULL, energy: FULL, carrying: 0, score: 0 }),
        ...visit(state, START_ROOM),
      ];
    case 'PLAYER_LEFT':
      return [
        ...dropAll(state, event.player, player),
        ...stepOff(state, event.player),
        ...(find(state, 'guest', event.player) ? [{ op: 'remove', key: guestKey(event.player) } as const] : []),
        { op: 'remove', key: playerKey },
      ];
    case 'BOOK_SIGNED':
      return [put(guestKey(event.player), { email: argument(event.data ?? null, 'email') })];
    case 'PLAYER_MOVED':
      return [
        patch(playerKey, {
          room: event.detail,
          energy: numberOf(player, 'energy') - COST.move,
          health: numberOf(player, 'health') - (roomPlan(event.detail)?.danger ?? 0),
        }),
        ...visit(state, event.detail),
        ...stepOff(state, event.player),
      ];
    case 'ITEM_TAKEN':
      return [
        patch(recordKey(`item/${event.detail}`), { owner: event.player, room: null }),
        patch(playerKey, {
          carrying: numberOf(player, 'carrying') + 1,
          energy: numberOf(player, 'energy') - COST.take,
          score: numberOf(player, 'score') + numberOf(find(state, 'item', event.detail), 'worth'),
        }),
      ];
    case 'ITEM_DROPPED':
      return [
        patch(recordKey(`item/${event.detail}`), { owner: null, room: textOf(player, 'room') }),
        patch(playerKey, { carrying: numberOf(player, 'carrying') - 1 }),
      ];
    case 'DOOR_UNLOCKED':
      return [
        patch(recordKey(`door/${event.detail}`), { locked: false }),
        patch(playerKey, { energy: numberOf(player, 'energy') - COST.unlock }),
      ];
    case 'PLATE_STEPPED': {
      const plate: Plate = event.detail === 'left' ? 'left' : 'right';
      const other: Plate = plate === 'left' ? 'right' : 'left';
      const leaves = textOf(state.get(PLATES_KEY), other) === event.player;
      return [patch(PLATES_KEY, { [plate]: event.player, ...(leaves ? { [other]: null } : {}) })];
    }
    case 'PLATE_RELEASED':
      return [patch(PLATES_KEY, { [event.detail]: null })];
    case 'DOOR_SHUT':
      return [
        patch(recordKey(`door/${event.detail}`), { locked: true }),
        ...(event.detail === VAULT_DOOR ? [patch(PLATES_KEY, { solved: false })] : []),
      ];
    case 'PUZZLE_SOLVED':
      return [patch(PLATES_KEY, { solved: true }), patch(recordKey(`door/${VAULT_DOOR}`), { locked: false })];
    case 'PLAYER_RESTED':
      return [
        patch(playerKey, {
          energy: Math.min(FULL, numberOf(player, 'energy') + REST.energy),
          health: Math.min(FULL, numberOf(player, 'health') + REST.health),
        }),
      ];
    case 'HOUSE_RESTORED':
      return restoreHouse(state);
    default:
      return [];
  }
}

const guestKey = (player: string): RecordKey => recordKey(`guest/${player}`);
const put = (key: RecordKey, record: SyncRecord): Change => ({ op: 'put', key, record });
const patch = (key: RecordKey, fields: SyncRecord): Change => ({ op: 'patch', key, fields, removed: [] });

/** A client that is shown rooms one by one predicts its step into one that it does not have yet. */
function visit(state: StateView, room: string): Change[] {
  const key = recordKey(`room/${room}`);
  if (!state.get(key)) return [];
  return [patch(key, { visited: true, visits: numberOf(state.get(key), 'visits') + 1 })];
}

function stepOff(state: StateView, player: string): Change[] {
  const plates = state.get(PLATES_KEY);
  return PLATES.filter((plate) => textOf(plates, plate) === player).map((plate) =>
    patch(PLATES_KEY, { [plate]: null }),
  );
}

function dropAll(state: StateView, id: string, player: SyncRecord | undefined): Change[] {
  return [...state.entries('item/')]
    .filter(([, item]) => textOf(item, 'owner') === id)
    .map(([key]) => patch(key, { owner: null, room: textOf(player, 'room') ?? START_ROOM }));
}

/** Doors are locked, the puzzle is to be solved anew, and what nobody carries goes home. */
function restoreHouse(state: StateView): Change[] {
  const changes: Change[] = DOORS.filter(({ id }) => find(state, 'door', id)?.locked === false).map(({ id }) =>
    patch(recordKey(`door/${id}`), { locked: true }),
  );
  for (const { id, home } of ITEMS) {
    const item = find(state, 'item', id);
    if (textOf(item, 'owner') === null && textOf(item, 'room') !== home) {
      changes.push(patch(recordKey(`item/${id}`), { room: home }));
    }
  }
  const plates = state.get(PLATES_KEY);
  if (plates?.solved === true) changes.push(patch(PLATES_KEY, { solved: false }));
  return changes;
}

/** Where a thing is: in somebody's hands or in a room. */
const GROUPS: readonly FieldGroup[] = [{ collection: 'item/', fields: ['owner', 'room'] }];

/** What of it is secret is marked: recordings have pseudonyms in its place. */
const SCHEMAS = { guest: object({ email: secret(string(64)) }) };

/** The rules as the authority has them. */
export const adventure: SessionDefinition = adventureWith({ seesLocks: true });

/**
 * The rules as a player's client predicts them. One sees a door, not its lock: the client walks on, and the authority
 * calls it back where the door is locked. Nothing else differs, and the reducer is the same.
 */
export const adventureAsPlayed: SessionDefinition = adventureWith({ seesLocks: false });

/** The same house, of which each client gets what can be seen from where it stands. */
export const adventureByRoom: SessionDefinition = adventureWith({ seesLocks: true, view: viewByRoom });

function adventureWith(knowledge: Knowledge): SessionDefinition {
  return {
    name: 'adventure',
    initialRecords,
    commands: {
      join,
      leave,
      move: moveWith(knowledge),
      take,
      drop,
      unlock,
      step,
      rest,
      sign,
      restore,
      shut,
      release,
      evict,
    },
    reduce,
    groups: GROUPS,
    recordSchemas: SCHEMAS,
    ...(knowledge.view ? { view: knowledge.view } : {}),
  };
}
