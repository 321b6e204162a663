import type { Random } from '@syncscope/protocol/ports';
import { type ReplicaId, recordKey, type SyncRecord } from '@syncscope/protocol/state';
import type { StateView } from '@syncscope/protocol/sync';
import { doorBetween, PLATE_ROOM, PLATES, ROOMS, roomPlan } from './adventure-map.ts';
import type { Caretaker, Intent, Mind } from './scenario.ts';

/** How long a player believes that a door is still locked, in milliseconds. */
const DOOR_MEMORY_MS = 4_000;
/** How long something done holds no more interest: a vault seen, a thing put down. */
const BORED_MS = 15_000;
const TIRED = 14;
const HURT = 45;

/**
 * A player like others: walks somewhere, picks up what lies there, puts it down again, snatches what somebody drops,
 * rattles at doors, waits on a plate for another.
 */
export class AdventureMind implements Mind {
  readonly #self: ReplicaId;
  readonly #random: Random;
  readonly #refusedDoors = new Map<string, number>();
  /** Until when rooms and items are of no interest. */
  readonly #boring = new Map<string, number>();
  #room: string | undefined;
  #goal: string | undefined;
  /** An item that caught the eye. */
  #wants: string | undefined;
  #lying = new Set<string>();

  constructor(self: ReplicaId, random: Random) {
    this.#self = self;
    this.#random = random;
  }

  pause(): number {
    const idles = this.#chance(0.1);
    return idles ? 2_000 + this.#random.next() * 2_500 : 400 + this.#random.next() * 900;
  }

  startle(view: StateView, now: number): number | undefined {
    const player = this.#player(view);
    if (!player) return undefined;
    const lying = new Set(itemsIn(view, String(player.room)));
    const fresh = [...lying].filter((item) => !this.#lying.has(item) && !this.#isBoring(item, now));
    const isSameRoom = this.#lying.size > 0 || fresh.length < lying.size;
    this.#lying = lying;
    const [item] = fresh;
    if (item === undefined || !isSameRoom || Number(player.carrying) >= 2 || !this.#chance(0.9)) return undefined;
    this.#wants = item;
    return 60 + this.#random.next() * 130;
  }

  refused(intent: Intent, reason: string, now: number): void {
    // Commands without arguments are refused as well.
    const to = (intent.args as { readonly to?: string } | null)?.to;
    if (intent.command === 'move' && reason === 'door locked' && to !== undefined) this.#refusedDoors.set(to, now);
    if (intent.command === 'move') this.#goal = undefined;
  }

  think(view: StateView, now: number): Intent | undefined {
    const player = this.#player(view);
    if (!player) return { command: 'join', args: null };
    const room = String(player.room);
    if (room !== this.#room) this.#boring.set(room, now + BORED_MS);
    this.#room = room;
    const urgent = this.#recover(player) ?? this.#snatch(view, room) ?? this.#useKey(view, room);
    if (urgent) return urgent;
    // Stands on a plate and waits for another; now and then loses patience.
    if (this.#isOnPlate(view) && this.#chance(0.8)) return undefined;
    return this.#puzzle(view, room, now) ?? this.#handle(view, player, room, now) ?? this.#walk(view, room, now);
  }

  #player(view: StateView): SyncRecord | undefined {
    return view.get(recordKey(`player/${this.#self}`));
  }

  #recover(player: SyncRecord): Intent | undefined {
    const isWeak = Number(player.energy) < TIRED || Number(player.health) < HURT;
    return isWeak ? { command: 'rest', args: null } : undefined;
  }

  #snatch(view: StateView, room: string): Intent | undefined {
    const item = this.#wants;
    this.#wants = undefined;
    return item !== undefined && itemsIn(view, room).includes(item) ? { command: 'take', args: { item } } : undefined;
  }

  #useKey(view: StateView, room: string): Intent | undefined {
    for (const to of roomPlan(room)?.exits ?? []) {
      const door = doorBetween(room, to);
      if (!door?.key || ownerOf(view, door.key) !== this.#self || !this.#refusedDoors.has(to)) continue;
      this.#refusedDoors.delete(to);
      this.#goal = to;
      return { command: 'unlock', args: { door: door.id } };
    }
    return undefined;
  }

  #puzzle(view: StateView, room: string, now: number): Intent | undefined {
    if (room !== PLATE_ROOM) return undefined;
    const plates = view.get(recordKey('puzzle/plates'));
    if (plates?.solved === true) {
      return this.#isBoring('vault', now) ? undefined : { command: 'move', args: { to: 'vault' } };
    }
    if (this.#isOnPlate(view)) return undefined;
    const free = PLATES.filter((plate) => plates?.[plate] === null);
    const plate = this.#pick(free);
    return plate && this.#chance(0.8) ? { command: 'step', args: { plate } } : undefined;
  }

  #isOnPlate(view: StateView): boolean {
    const plates = view.get(recordKey('puzzle/plates'));
    return plates?.solved !== true && PLATES.some((plate) => plates?.[plate] === this.#self);
  }

  #handle(view: StateView, player: SyncRecord, room: string, now: number): Intent | undefined {
    const carrying = Number(player.carrying);
    const item = this.#pick(itemsIn(view, room).filter((one) => !this.#isBoring(one, now)));
    if (item !== undefined && carrying < 2 && this.#chance(0.5)) return { command: 'take', args: { item } };
    if (carrying === 0) return undefined;
    const hasCompany = playersIn(view, room).length > 1;
    if (!this.#chance(hasCompany ? 0.4 : 0.08)) return undefined;
    const own = this.#pick(itemsOf(view, this.#self));
    if (own === undefined) return undefined;
    this.#boring.set(own, now + BORED_MS);
    return { command: 'drop', args: { item: own } };
  }

  #walk(view: StateView, room: string, now: number): Intent | undefined {
    const exits = (roomPlan(room)?.exits ?? []).filter((to) => !this.#isShut(view, room, to, now));
    const tempting = exits.find((to) => doorBetween(room, to) !== undefined && !this.#isBoring(to, now));
    if (tempting !== undefined && this.#chance(0.6)) return { command: 'move', args: { to: tempting } };
    if (this.#goal === undefined || this.#goal === room) this.#goal = this.#chooseGoal(view, now);
    const next = firstStep(room, this.#goal, (from, to) => !this.#isShut(view, from, to, now)) ?? this.#pick(exits);
    return next === undefined ? undefined : { command: 'move', args: { to: next } };
  }

  /** Company draws, so does the puzzle; else anywhere. */
  #chooseGoal(view: StateView, now: number): string | undefined {
    if (!this.#isBoring(PLATE_ROOM, now) && this.#chance(0.3)) return PLATE_ROOM;
    if (this.#chance(0.4)) {
      const others = [...view.entries('player/')].map(([, { room }]) => String(room)).sort();
      return this.#pick(others);
    }
    return this.#pick(ROOMS.map(({ id }) => id));
  }

  /** The vault is known to be shut until the puzzle is solved; another door only once it was tried. */
  #isShut(view: StateView, from: string, to: string, now: number): boolean {
    const door = doorBetween(from, to);
    if (!door) return false;
    const refusedAt = this.#refusedDoors.get(to);
    if (refusedAt !== undefined && now - refusedAt < DOOR_MEMORY_MS) return true;
    return door.key === null && view.get(recordKey('puzzle/plates'))?.solved !== true && !this.#chance(0.2);
  }

  #isBoring(name: string, now: number): boolean {
    return now < (this.#boring.get(name) ?? 0);
  }

  #chance(share: number): boolean {
    return this.#random.next() < share;
  }

  #pick<T>(choices: readonly T[]): T | undefined {
    return choices[Math.floor(this.#random.next() * choices.length)];
  }
}

const RESTORE_AFTER_MS = { least: 18_000, most: 28_000 };
const EVICT_AFTER_MS = 10_000;
const SHUT_AFTER_MS = 6_000;
/** How long a plate holds who waits on it for another. */
const RELEASE_AFTER_MS = 20_000;

/** Lets doors fall shut, locks up and tidies every half minute or so, and sends home who has lost the connection. */
export class AdventureCaretaker implements Caretaker {
  readonly #random: Random;
  readonly #goneSince = new Map<string, number>();
  readonly #openSince = new Map<string, number>();
  readonly #heldSince = new Map<string, number>();
  #restoreAt: number | undefined;

  constructor(random: Random) {
    this.#random = random;
  }

  due(view: StateView, connected: ReadonlySet<string>, now: number): readonly Intent[] {
    const gone = idsWhere(view, 'player/', () => true).filter((player) => !connected.has(player));
    const open = idsWhere(view, 'door/', (door) => door.locked === false);
    const plates = view.get(recordKey('puzzle/plates'));
    const held = plates?.solved === true ? [] : PLATES.filter((plate) => typeof plates?.[plate] === 'string');
    // Another who steps on it is held anew.
    const holds = held.map((plate) => `${plate} ${plates?.[plate]}`);
    const vain = lasting(holds, this.#heldSince, RELEASE_AFTER_MS, now).map((hold) => hold.slice(0, hold.indexOf(' ')));
    const intents: Intent[] = [
      ...vain.map((plate) => ({ command: 'release', args: { plate } })),
      ...lasting(gone, this.#goneSince, EVICT_AFTER_MS, now).map((player) => ({ command: 'evict', args: { player } })),
      ...lasting(open, this.#openSince, SHUT_AFTER_MS, now).map((door) => ({ command: 'shut', args: { door } })),
    ];
    this.#restoreAt ??= this.#next(now);
    if (now >= this.#restoreAt) {
      this.#restoreAt = this.#next(now);
      intents.push({ command: 'restore', args: null });
    }
    return intents;
  }

  #next(now: number): number {
    const { least, most } = RESTORE_AFTER_MS;
    return now + least + this.#random.next() * (most - least);
  }
}

/** Those of `names` that have been there for `duration`; `since` keeps how long each has. */
function lasting(names: readonly string[], since: Map<string, number>, duration: number, now: number): string[] {
  for (const name of since.keys()) if (!names.includes(name)) since.delete(name);
  for (const name of names) if (!since.has(name)) since.set(name, now);
  return names.filter((name) => now - (since.get(name) ?? now) >= duration);
}

// Entries come in no promised order: what a bot chooses from is sorted, so that a seed plays alike.

function itemsIn(view: StateView, room: string): string[] {
  return idsWhere(view, 'item/', (item) => item.room === room);
}

function itemsOf(view: StateView, player: string): string[] {
  return idsWhere(view, 'item/', (item) => item.owner === player);
}

function playersIn(view: StateView, room: string): string[] {
  return idsWhere(view, 'player/', (player) => player.room === room);
}

function idsWhere(view: StateView, prefix: string, test: (record: SyncRecord) => boolean): string[] {
  const found: string[] = [];
  for (const [key, record] of view.entries(prefix)) if (test(record)) found.push(key.slice(prefix.length));
  return found.sort();
}

function ownerOf(view: StateView, item: string): unknown {
  return view.get(recordKey(`item/${item}`))?.owner;
}

/** The first room on a shortest way, by breadth. */
function firstStep(
  from: string,
  goal: string | undefined,
  isOpen: (from: string, to: string) => boolean,
): string | undefined {
  const seen = new Set([from]);
  let ways = [{ room: from, first: undefined as string | undefined }];
  while (ways.length > 0) {
    const next: typeof ways = [];
    for (const { room, first } of ways) {
      for (const to of roomPlan(room)?.exits ?? []) {
        if (seen.has(to) || !isOpen(room, to)) continue;
        seen.add(to);
        if (to === goal) return first ?? to;
        next.push({ room: to, first: first ?? to });
      }
    }
    ways = next;
  }
  return undefined;
}
