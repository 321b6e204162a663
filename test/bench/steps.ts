import { monotonicClock } from '@syncscope/protocol/node';
import { recordKey } from '@syncscope/protocol/state';
import type { RunningServer } from '@syncscope/sample-server';

const TURNS = [
  ['move', { to: 'kitchen' }],
  ['rest', {}],
  ['move', { to: 'great_hall' }],
  ['rest', {}],
] as const;
const ENTRY = ['join', {}] as const;

/**
 * Walks a player of the server's own to and fro: each call makes one change and answers its version. Nobody is connected as that player, so that the
 * adventure sends it away from time to time, and it comes in again. It asks for nothing that is refused: clients would be told of that as well.
 */
export function walker({ manager }: Pick<RunningServer, 'manager'>): () => number {
  const player = recordKey(`player/${manager.replica}`);
  let turn = 0;
  return () => {
    const isThere = manager.root.has(player);
    // It comes in where the first turn begins.
    if (!isThere) turn = 0;
    const [command, args] = isThere ? TURNS[turn++ % TURNS.length]! : ENTRY;
    const settled = manager.mutate(command, args, monotonicClock.now());
    if (settled.accepted) return settled.version;
    throw new Error(`the adventure refuses ${command}: ${settled.reason}`);
  };
}
