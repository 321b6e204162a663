import type { ReplicaId } from '../state/index.ts';
import type { PlayDifference, PlayedClient, PlayResult } from './play-types.ts';

/** What was counted of a client that was played. */
export interface Counted {
  readonly replica: ReplicaId;
  readonly accepted: number;
  readonly refused: number;
  readonly hashes: number;
  readonly difference: PlayDifference | undefined;
}

type Rest = Omit<PlayResult, 'status' | 'intents' | 'hashes' | 'clients' | 'first'>;

/** The result of a play, from what each client found; `intentsOf`: how many of its commands were sent. */
export function summed(all: readonly Counted[], intentsOf: (replica: ReplicaId) => number, rest: Rest): PlayResult {
  const clients = all.map(({ replica, accepted, refused, hashes, difference }): PlayedClient => {
    const found = difference ? { difference } : {};
    return { replica, intents: intentsOf(replica), accepted, refused, hashes, ...found };
  });
  clients.sort((left, right) => (left.replica < right.replica ? -1 : 1));
  const differences = clients.flatMap(({ difference }) => (difference ? [difference] : []));
  const [first] = differences.sort((left, right) => left.seq - right.seq);
  return {
    status: first ? 'differs' : 'equal',
    intents: clients.reduce((sum, one) => sum + one.intents, 0),
    hashes: clients.reduce((sum, one) => sum + one.hashes, 0),
    ...rest,
    clients,
    ...(first ? { first } : {}),
  };
}
