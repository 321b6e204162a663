import { PROTOCOL_VERSION } from '@syncscope/protocol/messages';
import { seededRandom } from '@syncscope/protocol/ports';
import { type Change, type ReplicaId, replicaId } from '@syncscope/protocol/state';
import { ClientState, type Outgoing, type SessionDefinition, SyncManager } from '@syncscope/protocol/sync';
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
  /** Changes a client's copy at this moment. */
  readonly strikeAt?: { readonly at: number; change(state: ClientState): readonly Change[] };
}

export interface CorpusRecording extends Marks {
  readonly header: TraceHeader;
}

/** Where the wall clock stands at time 0 of every session of the corpus. */
export const STARTED_AT = 1_767_225_600_000;

/** A session of one authority and three bots on a virtual clock; the same options give the same records. */
export function record(options: CorpusSession): CorpusRecording {
  const { seed, definition, latency, deliver } = options;
  const schedule = new Schedule({ random: seededRandom(seed), latency, ...(deliver ? { deliver } : {}) });
  const { random, hub } = schedule;
  const manager = new SyncManager({
    ...{ definition, replica: replicaId('server'), session: 'corpus', tap: hub },
    ...{ random: seededRandom(seed + 1), now: 0 },
  });
  const clients = [1, 2, 3].map((link) => {
    const replica = replicaId(`bot-${link}`);
    const own = options.asPlayed?.replica === replica ? options.asPlayed.definition : definition;
    return { link, client: new ClientState({ definition: own, replica, session: 'corpus', token: '', tap: hub }) };
  });
  const fromManager = (outgoing: readonly Outgoing[]): void => {
    for (const one of outgoing) {
      const party = clients.find(({ link }) => link === one.link);
      if (!party || !('frame' in one)) continue;
      schedule.send(one.frame, 'server', party.client.replica, (frame) =>
        fromClient(party, party.client.receive(frame, schedule.now)),
      );
    }
  };
  const fromClient = (party: (typeof clients)[number], frames: readonly Uint8Array[]): void => {
    for (const frame of frames) {
      schedule.send(frame, party.client.replica, 'server', (bytes) =>
        fromManager(manager.receive(party.link, bytes, schedule.now)),
      );
    }
  };
  manager.describe();
  for (const party of clients) {
    manager.connect(party.link, schedule.now);
    fromClient(party, party.client.open(schedule.now));
    const act = (): void => {
      const { command, args } = options.intent(() => random.next());
      const result = party.client.phase === 'live' ? party.client.predict(command, args, schedule.now) : undefined;
      if (result && 'frames' in result) fromClient(party, result.frames);
      schedule.after((options.pause ?? 60) * (1 + random.next()), act);
    };
    schedule.after(300 + random.next() * 100, act);
  }
  schedule.every(20, () => {
    fromManager(manager.tick(schedule.now));
    for (const party of clients) fromClient(party, party.client.tick(schedule.now));
  });
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
