import { monotonicClock } from '@syncscope/protocol/node';
import type { RunningServer } from '@syncscope/sample-server';

const TURNS = [
  ['move', { to: 'kitchen' }],
  ['rest', {}],
  ['move', { to: 'great_hall' }],
  ['rest', {}],
] as const;
/** Nobody has the server's own player, so that the adventure sends it away from time to time. */
const ENTRY = ['join', {}] as const;

/** Walks a player of the server's own to and fro: each call makes one change and answers its version. */
export function walker({ manager }: Pick<RunningServer, 'manager'>): () => number {
  let turn = 0;
  return () => {
    // A refused one changes nothing; the next in turn is tried instead.
    for (let tries = 0; tries <= TURNS.length; tries++) {
      const [command, args] = tries === TURNS.length ? ENTRY : TURNS[turn++ % TURNS.length]!;
      const settled = manager.mutate(command, args, monotonicClock.now());
      if (settled.accepted) return settled.version;
    }
    throw new Error('the adventure refuses every change');
  };
}
