import type { PlantedBug } from './planted-bugs.ts';

const roster = 'presence/roster.ts';

/** Bugs of heartbeats and of the exchange between two that differ. */
export const PRESENCE_BUGS: readonly PlantedBug[] = [
  {
    name: 'zombie-by-late-beat',
    what: 'a heartbeat that comes late brings back who has left',
    by: 'property',
    edits: [{ file: roster, find: "if (!isNew && before.state === 'left') return [];", put: '' }],
  },
  {
    name: 'lost-goodbye-never-noticed',
    what: 'who has left without being heard to say so stays disconnected for ever',
    by: 'property',
    edits: [{ file: roster, find: 'return silent >= disconnectAfter + leaveAfter', put: 'return false' }],
  },
  {
    name: 'silence-never-noticed',
    what: 'who is no longer heard counts as there',
    by: 'property',
    edits: [{ file: roster, find: 'if (silent >= disconnectAfter)', put: 'if (silent < 0)' }],
  },
  {
    name: 'exchange-lets-one-side-win',
    what: 'what comes from the other side replaces a record instead of being joined with it',
    by: 'property',
    edits: [
      {
        file: 'crdt/joined-records.ts',
        find: 'joined.set(key, before === undefined ? record : this.#join(before, record, key));',
        put: 'joined.set(key, record);',
      },
    ],
  },
  {
    name: 'checksum-over-a-part',
    what: 'heartbeats carry a hash over one record of the state',
    by: 'property',
    edits: [
      {
        file: 'presence/exchange.ts',
        find: 'root: state.root().hash,',
        put: "root: state.root().apply([...state.root().entries()].slice(1).map(([key]) => ({ op: 'remove' as const, key }))).hash,",
      },
    ],
  },
];
