import { PROTOCOL_VERSION } from '@syncscope/protocol/messages';
import { milliseconds, seededRandom } from '@syncscope/protocol/ports';
import { type Change, type ReplicaId, replicaId } from '@syncscope/protocol/state';
import { ClientState, type Outgoing, perLink, type SessionDefinition, SyncManager } from '@syncscope/protocol/sync';
import { TRACE_VERSION, type TraceHeader } from '@syncscope/protocol/trace';
import { type Deliver, type Marks, Schedule } from './schedule.ts';

export interface CorpusSession {
  readonly seed: number;
  readonly definition: SessionDefinition;
  /** The rules of one client; those of the authority for the others. */
  readonly asPlayed?: { readonly replica: string; readonly definition: SessionDefinition };
  /** Milliseconds one way. */
  readonly latency: number;
  /** Virtual milliseconds. */
  readonly length: number;
  /** Milliseconds between two intents of a bot, at least; twice that at most. 60 where absent. */
  readonly pause?: number;
  intent(draw: () => number): { readonly command: string; readonly args: Parameters<ClientState['predict']>[1] };
  /** What is on the way; the session is as it was when it was sent. */
  readonly deliver?: Deliver;
  /** Bots; 3 where absent. */
  readonly bots?: number;
  /** At this moment the clock of the second bot is set, by so many milliseconds. */
  readonly clock?: { readonly at: number; readonly by: number };
  /** At these moments the second bot's connection ends, and comes back after so many milliseconds. */
  readonly reconnects?: readonly { readonly at: number; readonly after: number }[];
  /** Changes a client's copy at this moment. */
  readonly strikeAt?: { readonly at: number; change(state: ClientState): readonly Change[] };
}

export interface CorpusRecording extends Marks {
  readonly header: TraceHeader;
}

/** Milliseconds. */
const DAY = 86_400_000;
/** More than a session has bots. */
const LINKS = 1_000;

/** Where the wall clock stands at time 0 of every session of the corpus. */
export const STARTED_AT = 1_767_225_600_000;

/** A session of one authority and some bots on a virtual clock; the same options give the same records. */
export function record(options: CorpusSession): CorpusRecording {
  const { seed, definition, latency, deliver } = options;
  const schedule = new Schedule({ random: seededRandom(seed), latency, ...(deliver ? { deliver } : {}) });
  const { random, hub } = schedule;
  const manager = new SyncManager({
    ...{ definition, replica: replicaId('server'), session: 'corpus', tap: hub },
    ...{ random: seededRandom(seed + 1), now: 0 },
  });
  const clients = Array.from({ length: options.bots ?? 3 }, (_, at) => {
    const link = at + 1;
    const replica = replicaId(`bot-${link}`);
    const own = options.asPlayed?.replica === replica ? options.asPlayed.definition : definition;
    return { link, client: new ClientState({ definition: own, replica, session: 'corpus', token: '', tap: hub }) };
  });
  /** A clock of its own began long before. */
  let step = options.clock ? DAY : 0;
  /** Where each bot's own clock stands. */
  const nowOf = ({ client }: (typeof clients)[number]): number =>
    schedule.now + (client === clients[1]?.client ? milliseconds(step) : 0);
  /** Connections are numbered anew each time. */
  let connections = 0;
  const linkOf = (link: number): number => (link === 2 ? link + connections * LINKS : link);
  const fromManager = (outgoing: readonly Outgoing[]): void => {
    for (const one of perLink(outgoing)) {
      const party = clients.find(({ link }) => linkOf(link) === one.link);
      if (!party || !('frame' in one)) continue;
      const { link } = one;
      schedule.send(one.frame, 'server', party.client.replica, (frame) => {
        // What a connection had on its way ends with it.
        if (linkOf(party.link) === link) fromClient(party, party.client.receive(frame, nowOf(party)));
      });
    }
  };
  const fromClient = (party: (typeof clients)[number], frames: readonly Uint8Array[]): void => {
    const link = linkOf(party.link);
    for (const frame of frames) {
      schedule.send(frame, party.client.replica, 'server', (bytes) => {
        if (linkOf(party.link) === link) fromManager(manager.receive(link, bytes, schedule.now));
      });
    }
  };
  manager.describe();
  for (const party of clients) {
    manager.connect(party.link, schedule.now);
    fromClient(party, party.client.open(nowOf(party)));
    const act = (): void => {
      const { command, args } = options.intent(() => random.next());
      const result = party.client.phase === 'live' ? party.client.predict(command, args, nowOf(party)) : undefined;
      if (result && 'frames' in result) fromClient(party, result.frames);
      schedule.after((options.pause ?? 60) * (1 + random.next()), act);
    };
    schedule.after(300 + random.next() * 100, act);
  }
  schedule.every(20, () => {
    fromManager(manager.tick(schedule.now));
    for (const party of clients) fromClient(party, party.client.tick(nowOf(party)));
  });
  for (const { at, after } of options.reconnects ?? []) {
    const party = clients[1]!;
    schedule.after(at, () => {
      manager.disconnect(linkOf(party.link), 'cut', schedule.now);
      party.client.closed('cut', nowOf(party));
      connections++;
    });
    schedule.after(at + after, () => {
      manager.connect(linkOf(party.link), schedule.now);
      fromClient(party, party.client.open(nowOf(party)));
    });
  }
  const { clock } = options;
  if (clock) {
    schedule.after(clock.at, () => {
      schedule.note('set');
      step = DAY + clock.by;
    });
  }
  const { strikeAt } = options;
  if (strikeAt) {
    schedule.after(strikeAt.at, () => {
      const { client } = clients[1]!;
      schedule.note('strike');
      client.corruptCommitted(strikeAt.change(client));
    });
  }
  schedule.run(options.length);
  return {
    header: headerOf(seed, definition.name, replicaId('server')),
    records: schedule.records,
    notes: schedule.notes,
  };
}

export function headerOf(seed: number, scenario: string, authority: ReplicaId | null): TraceHeader {
  return {
    ...{ sessionId: `corpus-${seed}`, title: 'Corpus', scenario, authority, build: 'corpus', startedAt: STARTED_AT },
    ...{ traceVersion: TRACE_VERSION, protocolVersion: PROTOCOL_VERSION },
  };
}
