import { recordKey } from '@syncscope/protocol/state';
import type { SessionDefinition } from '@syncscope/protocol/sync';
import { PLAYERS } from './messages.ts';

/** Keys of the players, by their number. */
export const players = Array.from({ length: PLAYERS }, (_, index) => recordKey(`player/${index}`));

/** Players and their places, as a session. */
export const places: SessionDefinition = {
  name: 'places',
  initialRecords: () => players.map((key) => [key, { x: 0, y: 0, at: 0 }]),
  commands: {
    place: (_state, args, writer) => ({
      accepted: true,
      events: [{ type: 'PLACED', player: writer, detail: '', data: args }],
    }),
  },
  reduce(_state, { data }) {
    const { player, ...fields } = data as { readonly player: number; readonly x: number };
    return [{ op: 'patch', key: players[player]!, fields, removed: [] }];
  },
};
