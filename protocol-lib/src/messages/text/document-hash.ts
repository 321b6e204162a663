import { compareUtf8 } from '../../bytes/index.ts';
import type { Value, Version } from '../../state/index.ts';
import type { SnapshotEntry } from '../replication.ts';

/** What the document's hash is taken over. Its world has no more than this. */
export interface DocumentWorld {
  /** The room of each player, in the order of their numbers. */
  readonly playerRooms: readonly string[];
  /** The player number that owns each item, -1 for nobody. */
  readonly itemOwners: readonly number[];
  readonly version: Version;
}

const utf8 = new TextEncoder();

/**
 * The document's `sync_calculate_state_hash`: `hash = hash*31 + …` over the bytes of all rooms, the owners of all items and the
 * version, in unsigned 32-bit arithmetic.
 *
 * It is weak, and of use only to talk to what knows no other. Nothing parts one room from the next, so `ab`, `c` hashes as `a`, `bc` does;
 * health, energy, locations, visited rooms and all other records are not in it; anyone can make two states
 * of one hash (`Aa` and `BB`); and 32 bits collide by chance among some 77,000 states. State hashes elsewhere are `StateHash`.
 */
export function documentWorldHash({ playerRooms, itemOwners, version }: DocumentWorld): number {
  let hash = 0;
  const add = (value: number): void => {
    hash = (Math.imul(hash, 31) + value) | 0;
  };
  for (const room of playerRooms) for (const byte of utf8.encode(room)) add(byte);
  for (const owner of itemOwners) add(owner);
  // `(uint32_t) version` of a version that may have more bits.
  add(version % 2 ** 32);
  return hash >>> 0;
}

/**
 * {@link documentWorldHash} of the adventure's records: players `player/<id>` and items `item/<id>` in the order of their keys' UTF-8
 * bytes, a player's number being its place. A room or owner that is not text counts as none, an owner that is no player as nobody.
 */
export function documentHash(records: Iterable<SnapshotEntry>, version: Version): number {
  return documentWorldHash(documentWorld(records, version));
}

/** The part of a state that the document's hash sees. */
export function documentWorld(records: Iterable<SnapshotEntry>, version: Version): DocumentWorld {
  const sorted = [...records].sort((left, right) => compareUtf8(left.key, right.key));
  const players = sorted.filter(({ key }) => key.startsWith('player/'));
  const items = sorted.filter(({ key }) => key.startsWith('item/'));
  const numbers = new Map<Value, number>(players.map(({ key }, index) => [key.slice('player/'.length), index]));
  return {
    playerRooms: players.map(({ record }) => textOf(own(record, 'room'))),
    itemOwners: items.map(({ record }) => numbers.get(own(record, 'owner') ?? null) ?? -1),
    version,
  };
}

function own(record: SnapshotEntry['record'], name: string): Value | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

function textOf(value: Value | undefined): string {
  return typeof value === 'string' ? value : '';
}
