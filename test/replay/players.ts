import { monotonicClock, SyncClient } from '@syncscope/protocol/node';
import { randomOf } from '@syncscope/protocol/ports';
import { replicaId } from '@syncscope/protocol/state';
import { ClientState } from '@syncscope/protocol/sync';
import { SCENARIOS } from '@syncscope/sample-server';

const ROUNDS = 12;

/** Comes in, has the ticket stamped that it was given, twice at once, and leaves. */
export async function stampTicket(url: string, session: string, token: string, name: string): Promise<void> {
  const replica = replicaId(name);
  const definition = { name: 'adventure', initialRecords: () => [], commands: {}, reduce: () => [] };
  const state = new ClientState({ definition, replica, session, token });
  const client = new SyncClient({ url, state, clock: monotonicClock, token });
  const until = (isSo: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const stop = state.on(() => {
        if (!isSo()) return;
        stop();
        resolve();
      });
    });
  await until(() => state.version > 0);
  client.predict('join', null, { unchecked: true });
  await until(() => state.isSettled && ticketOf(state) !== undefined);
  for (let time = 0; time < 2; time++) client.predict('stamp', { ticket: ticketOf(state) ?? '' }, { unchecked: true });
  await until(() => state.isSettled);
  await client.close('stamped');
}

function ticketOf({ replica, committed }: ClientState): string | undefined {
  for (const [key, { of }] of committed.entries()) {
    if (key.startsWith('ticket/') && of === replica) return key.slice('ticket/'.length);
  }
  return undefined;
}

/** Comes in, and tries what is refused, in lines of text. */
export async function playText(url: string, session: string, token: string, name: string): Promise<void> {
  const socket = new WebSocket(url, 'syncscope.text.v1');
  const said: string[] = [];
  let look = (): void => undefined;
  socket.onmessage = ({ data }) => {
    said.push(String(data));
    look();
  };
  socket.onclose = () => look();
  const until = (line: RegExp): Promise<void> =>
    new Promise((resolve, reject) => {
      look = () => {
        if (said.some((text) => line.test(text))) resolve();
        else if (socket.readyState === WebSocket.CLOSED) reject(new Error(`closed behind ${said.join('')}`));
      };
      look();
    });
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  socket.send(`HELLO:1:1:${JSON.stringify({ session, replica: name, token, features: ['events'], next: 1 })}\n`);
  await until(/SNAPSHOT/);
  socket.send('CMD:join:1:{}\n');
  socket.send('CMD:take:2:{"item":"nothing"}\n');
  await until(/REJECT:2/);
  socket.close();
}

/**
 * Plays with minds of bots, all at once in each round, so that they get in each other's way; every third tries what is refused. Where `isBroken`, the connection of the
 * last one breaks in every fourth round.
 */
export async function playHouse(
  url: string,
  session: string,
  token: string,
  names: readonly string[],
  isBroken = false,
): Promise<void> {
  const { adventure } = SCENARIOS;
  if (!adventure) throw new Error('there is no adventure');
  const players = names.map((name) => {
    const replica = replicaId(name);
    const state = new ClientState({ definition: adventure.asPlayed, replica, session, token });
    const client = new SyncClient({ url, state, clock: monotonicClock, token });
    return { client, state, mind: adventure.mind(replica, randomOf(3, name)) };
  });
  const settled = (all = players): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        const [first] = all;
        const agree = all.every(({ state }) => state.isSettled && state.version === first?.state.version);
        if (!agree) return;
        for (const stop of stops) stop();
        resolve();
      };
      const stops = all.map(({ state }) => state.on(() => setImmediate(look)));
      look();
    });
  await settled();
  for (let round = 0; round < ROUNDS; round++) {
    const away = isBroken && round % 4 === 1 ? players.at(-1) : undefined;
    const there = players.filter((one) => one !== away);
    away?.client.interrupt();
    for (const [at, { client, state, mind }] of there.entries()) {
      if ((round + at) % 3 === 2) client.predict('take', { item: `nothing-${round}` }, { unchecked: true });
      const intent = mind.think(state.optimistic, round * 1_000);
      if (intent) client.predict(intent.command, intent.args);
    }
    await settled(there);
    away?.client.resume();
    await settled();
  }
  await Promise.all(players.map(({ client }) => client.close('played enough')));
}
