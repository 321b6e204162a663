import { adventure, adventureAsPlayed } from './adventure.ts';
import { AdventureCaretaker, AdventureMind } from './adventure-mind.ts';
import { board } from './board.ts';
import { boardReconciling } from './board-conflicts.ts';
import { BoardCaretaker, BoardMind } from './board-mind.ts';
import { boardTap } from './board-trace.ts';
import type { Scenario } from './scenario.ts';

/** Every scenario by its name on the command line. */
export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  adventure: {
    name: 'adventure',
    title: 'Adventure',
    definition: adventure,
    asPlayed: adventureAsPlayed,
    mind: (self, random) => new AdventureMind(self, random),
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
