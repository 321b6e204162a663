import { adventure, adventureAsPlayed } from './adventure.ts';
import { AdventureCaretaker, AdventureMind } from './adventure-mind.ts';
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
};
