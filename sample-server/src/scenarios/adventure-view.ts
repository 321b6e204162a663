import { type ReplicaId, recordKey, type SyncRecord } from '@syncscope/protocol/state';
import type { DomainEvent, SessionView, StateView, ViewFunction } from '@syncscope/protocol/sync';
import { doorPlan, PLATE_ROOM, START_ROOM } from './adventure-map.ts';

/**
 * Interest by room: a client gets the room that it stands in, the doors and plates there, who else is in it, what lies in it, and its own
 * belongings. Nothing else of the house leaves the authority. Who is not in yet looks into the entrance.
 */
export const viewByRoom: ViewFunction = (state, replica) => {
  const room = roomOf(state.get(recordKey(`player/${replica}`))) ?? START_ROOM;
  return {
    // What somebody carries is its own, so no two views are alike.
    id: `${room} of ${replica}`,
    sees: (key, record) => isSeen(key, record, room, replica),
    hears: (event) => isHeard(state, event, room, replica),
  };
};

function isSeen(key: string, record: SyncRecord, room: string, replica: ReplicaId): ReturnType<SessionView['sees']> {
  const slash = key.indexOf('/');
  const id = key.slice(slash + 1);
  switch (key.slice(0, slash)) {
    case 'player':
      return id === replica || record.room === room;
    case 'guest':
      return id === replica;
    case 'item':
      return record.room === room || record.owner === replica;
    case 'room':
      return id === room;
    case 'door':
      return doorPlan(id)?.between.includes(room) === true;
    case 'puzzle':
      return room === PLATE_ROOM;
    default:
      return false;
  }
}

/** Steps are heard in the room that was left and in the one that was entered; everything else where whoever did it stands. */
function isHeard(state: StateView, { player, data }: DomainEvent, room: string, replica: ReplicaId): boolean {
  if (player === replica || roomOf(state.get(recordKey(`player/${player}`))) === room) return true;
  return typeof data === 'object' && data !== null && 'from' in data && data.from === room;
}

function roomOf(player: SyncRecord | undefined): string | undefined {
  return typeof player?.room === 'string' ? player.room : undefined;
}
