import { StateRoot } from '@syncscope/protocol/merkle';
import { seededRandom } from '@syncscope/protocol/ports';
import { type ReplicaId, recordKey, replicaId } from '@syncscope/protocol/state';
import { ClientState, perLink, SyncManager } from '@syncscope/protocol/sync';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AUTHORITY, adventureAsPlayed, adventureByRoom } from './adventure.ts';
import { DOORS, ROOMS } from './adventure-map.ts';
import { AdventureMind } from './adventure-mind.ts';
import { viewByRoom } from './adventure-view.ts';

const TICK = 100_000_000;
const names = ['anna', 'bert', 'cleo'].map(replicaId);

/** A house with players whose links deliver at once, when `tick` says so. */
class House {
  readonly manager = new SyncManager({
    definition: adventureByRoom,
    replica: AUTHORITY,
    session: 'house',
    random: seededRandom(3),
    now: 0,
  });
  readonly clients = names.map((replica) => {
    return new ClientState({ definition: adventureAsPlayed, replica, session: 'house', token: '' });
  });
  now = 0;

  constructor() {
    for (const [link, client] of this.clients.entries()) {
      this.manager.connect(link, 0);
      this.#up(link, client.open(0));
    }
    this.tick();
  }

  client(who: ReplicaId): ClientState {
    return this.clients[names.indexOf(who)]!;
  }

  /** The reason for which it is not even predicted, or nothing. */
  predict(who: ReplicaId, command: string, args: Record<string, string> | null = null): string | undefined {
    const result = this.client(who).predict(command, args, this.now);
    if ('rejected' in result) return result.rejected;
    this.#up(names.indexOf(who), result.frames);
    return undefined;
  }

  tick(): void {
    this.now += TICK;
    for (const out of perLink(this.manager.tick(this.now))) if ('frame' in out) this.#down(out.link, out.frame);
  }

  #up(link: number, frames: readonly Uint8Array[]): void {
    for (const frame of frames) {
      for (const out of perLink(this.manager.receive(link, frame, this.now)))
        if ('frame' in out) this.#down(out.link, out.frame);
    }
  }

  #down(link: number, frame: Uint8Array): void {
    this.#up(link, this.clients[link]!.receive(frame, this.now));
  }
}

function keysOf(client: ClientState): string[] {
  return Array.from(client.committed.entries(), ([key]) => key).sort();
}

const [anna, bert] = names as [ReplicaId, ReplicaId];

describe('interest by room', () => {
  test('gives a client its room, the doors there, who and what is in it, and its own things', () => {
    const house = new House();
    expect(keysOf(house.client(anna))).toEqual(['item/silver_coin', 'room/great_hall']);
    for (const who of names) expect(house.predict(who, 'join')).toBeUndefined();
    house.tick();
    expect(house.predict(anna, 'take', { item: 'silver_coin' })).toBeUndefined();
    expect(house.predict(anna, 'move', { to: 'courtyard' })).toBeUndefined();
    // What is not there yet is not made up.
    expect(house.client(anna).optimistic.get(recordKey('player/anna'))).toMatchObject({
      room: 'courtyard',
      energy: 95,
    });
    expect(house.client(anna).optimistic.get(recordKey('room/courtyard'))).toBeUndefined();
    house.tick();
    house.tick();
    expect(keysOf(house.client(anna))).toEqual([
      'door/tower_door',
      'item/iron_key',
      'item/silver_coin',
      'player/anna',
      'room/courtyard',
    ]);
    expect(keysOf(house.client(bert))).toEqual(['player/bert', 'player/cleo', 'room/great_hall']);
  });

  test('still predicts a step through a door that is locked, and takes it back', () => {
    const house = new House();
    house.predict(anna, 'join');
    house.tick();
    house.predict(anna, 'move', { to: 'courtyard' });
    house.tick();
    house.tick();
    const refused: string[] = [];
    house.client(anna).on((event) => {
      if (event.type === 'rejected') refused.push(event.reason);
    });
    expect(house.predict(anna, 'move', { to: 'tower' })).toBeUndefined();
    house.tick();
    expect(refused).toEqual(['door locked']);
    expect(house.client(anna).optimistic.get(recordKey('player/anna'))).toMatchObject({ room: 'courtyard' });
  });

  test('whatever players do: each has exactly what a plain filter of the whole state gives it', () => {
    fc.assert(
      fc.property(fc.nat(1_000), (seed) => {
        const house = new House();
        const minds = names.map((who, index) => new AdventureMind(who, seededRandom(seed + index)));
        for (let turn = 0; turn < 60; turn++) {
          for (const [index, who] of names.entries()) {
            const intent = minds[index]!.think(house.client(who).optimistic, turn * 700);
            if (intent) house.predict(who, intent.command, intent.args as Record<string, string> | null);
          }
          house.tick();
        }
        house.tick();
        for (const who of names) {
          const { sees } = viewByRoom(house.manager.root, who);
          const plain = [...house.manager.root.entries()].filter(([key, record]) => sees(key, record));
          expect(house.client(who).committed.hash).toBe(StateRoot.from(plain).hash);
        }
      }),
      { numRuns: 20 },
    );
  });

  test('shows nothing of another room, whatever record is asked about', () => {
    const root = new House().manager.root;
    const { sees } = viewByRoom(root, anna);
    for (const { id } of ROOMS.filter((room) => room.id !== 'great_hall')) {
      expect(sees(recordKey(`room/${id}`), root.get(recordKey(`room/${id}`))!)).toBe(false);
      expect(sees(recordKey('item/x'), { room: id, owner: null })).toBe(false);
      expect(sees(recordKey('player/x'), { room: id })).toBe(false);
    }
    for (const { id } of DOORS) expect(sees(recordKey(`door/${id}`), { locked: true })).toBe(false);
    expect(sees(recordKey('puzzle/plates'), {})).toBe(false);
    expect(sees(recordKey('other/x'), { room: 'great_hall' })).toBe(false);
  });
});
