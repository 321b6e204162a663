import type { PeerScenario } from '../peers/peer-scenario.ts';
import { adventure, adventureAsPlayed, adventureByRoom } from './adventure.ts';
import { GuestMind } from './adventure-guest.ts';
import { AdventureCaretaker, AdventureMind } from './adventure-mind.ts';
import { board } from './board.ts';
import { boardReconciling } from './board-conflicts.ts';
import { BoardCaretaker, BoardMind } from './board-mind.ts';
import { boardTap } from './board-trace.ts';
import { call } from './call.ts';
import { craps } from './craps.ts';
import type { Scenario } from './scenario.ts';

/** Every scenario with an authority by its name on the command line. */
export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  adventure: {
    name: 'adventure',
    title: 'Adventure',
    definition: adventure,
    asPlayed: adventureAsPlayed,
    byInterest: adventureByRoom,
    mind: (self, random) => new AdventureMind(self, random),
    guestMind: (self, random) => new GuestMind(self, new AdventureMind(self, random)),
    caretaker: (random) => new AdventureCaretaker(random),
  },
  board: {
    name: 'board',
    title: 'Board',
    definition: board,
    asPlayed: board,
    mind: (self, random) => new BoardMind(self, random),
    caretaker: (random) => new BoardCaretaker(random),
    reconciling: boardReconciling,
    devicesFrom: 2,
    tap: boardTap,
  },
};

/** Every scenario of peers without an authority. */
export const PEER_SCENARIOS: Readonly<Record<string, PeerScenario>> = { craps, call };

export const SCENARIO_NAMES: readonly string[] = [...Object.keys(SCENARIOS), ...Object.keys(PEER_SCENARIOS)];
