/** The house of the adventure: what is there before anyone comes. */

export interface RoomPlan {
  readonly id: string;
  readonly name: string;
  readonly exits: readonly string[];
  /** Health that coming in costs. */
  readonly danger: number;
}

export interface DoorPlan {
  readonly id: string;
  readonly name: string;
  /** Outside and inside; the lock is outside. */
  readonly between: readonly [outside: string, inside: string];
  /** The item that unlocks it; null where only the puzzle opens it. */
  readonly key: string | null;
}

export interface ItemPlan {
  readonly id: string;
  readonly name: string;
  readonly home: string;
}

export const START_ROOM = 'great_hall';
export const PLATE_ROOM = 'antechamber';
export const VAULT_DOOR = 'vault_gate';
export const PLATES = ['left', 'right'] as const;
export type Plate = (typeof PLATES)[number];

export const ROOMS: readonly RoomPlan[] = [
  { id: 'great_hall', name: 'Great Hall', exits: ['ancient_library', 'kitchen', 'courtyard', 'gallery'], danger: 0 },
  { id: 'ancient_library', name: 'Ancient Library', exits: ['great_hall', 'study'], danger: 0 },
  { id: 'study', name: 'Study', exits: ['ancient_library', 'gallery'], danger: 0 },
  { id: 'kitchen', name: 'Kitchen', exits: ['great_hall', 'cellar'], danger: 0 },
  { id: 'cellar', name: 'Cellar', exits: ['kitchen', 'crypt'], danger: 4 },
  { id: 'crypt', name: 'Crypt', exits: ['cellar', 'antechamber'], danger: 12 },
  { id: 'courtyard', name: 'Courtyard', exits: ['great_hall', 'tower', 'gallery'], danger: 0 },
  { id: 'tower', name: 'Tower', exits: ['courtyard'], danger: 2 },
  { id: 'gallery', name: 'Gallery', exits: ['great_hall', 'study', 'courtyard', 'antechamber'], danger: 0 },
  { id: 'antechamber', name: 'Antechamber', exits: ['gallery', 'crypt', 'vault'], danger: 0 },
  { id: 'vault', name: 'Vault', exits: ['antechamber'], danger: 0 },
];

export const DOORS: readonly DoorPlan[] = [
  { id: 'tower_door', name: 'the tower door', between: ['courtyard', 'tower'], key: 'golden_key' },
  { id: 'cellar_hatch', name: 'the cellar hatch', between: ['kitchen', 'cellar'], key: 'iron_key' },
  { id: VAULT_DOOR, name: 'the vault gate', between: ['antechamber', 'vault'], key: null },
];

export const ITEMS: readonly ItemPlan[] = [
  { id: 'golden_key', name: 'golden key', home: 'ancient_library' },
  { id: 'iron_key', name: 'iron key', home: 'courtyard' },
  { id: 'lantern', name: 'lantern', home: 'kitchen' },
  { id: 'silver_coin', name: 'silver coin', home: 'great_hall' },
  { id: 'old_map', name: 'old map', home: 'study' },
  { id: 'violin', name: 'violin', home: 'gallery' },
  { id: 'spyglass', name: 'spyglass', home: 'tower' },
  { id: 'crown', name: 'crown', home: 'vault' },
];

/** The door between two rooms, whichever way one goes. */
export function doorBetween(from: string, to: string): DoorPlan | undefined {
  return DOORS.find(({ between: [a, b] }) => (a === from && b === to) || (a === to && b === from));
}

export function doorPlan(id: string): DoorPlan | undefined {
  return DOORS.find((door) => door.id === id);
}

export function roomPlan(id: string): RoomPlan | undefined {
  return ROOMS.find((room) => room.id === id);
}
