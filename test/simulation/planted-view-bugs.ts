import type { PlantedBug } from './planted-bugs.ts';

const state = 'sync/authority-state.ts';
const views = 'sync/views.ts';

/** Bugs that show somebody what is another's, or keep showing what has gone out of sight. */
export const VIEW_BUGS: readonly PlantedBug[] = [
  {
    name: 'snapshot-shows-all',
    what: 'a full sync holds what its receiver may not see',
    edits: [{ file: state, find: 'const root = this.rootFor(receiver);', put: 'const { root } = this;' }],
  },
  {
    name: 'exit-not-told',
    what: 'what goes out of sight is kept for ever',
    edits: [
      {
        file: views,
        find: "else if (from.root.has(key)) changes.push({ op: 'remove', key });",
        put: "else if (right === undefined && from.root.has(key)) changes.push({ op: 'remove', key });",
      },
    ],
  },
  {
    name: 'view-of-another',
    what: 'views are told apart by nothing, so that one gets what was made for another',
    edits: [{ file: views, find: "return view === NOTHING_SEEN ? '' :", put: "return view ? '=' :" }],
  },
  {
    name: 'repair-shows-all',
    what: 'a Merkle repair is against the whole state',
    edits: [
      {
        file: 'sync/delta-synchronizer.ts',
        find: 'const root = this.#state.rootFor(client.replica, snapshot);',
        put: 'const { root } = snapshot;',
      },
    ],
  },
];
