import { PROTOCOL_VERSION } from '@syncscope/protocol/messages';
import { milliseconds, seededRandom } from '@syncscope/protocol/ports';
import { type Change, replicaId } from '@syncscope/protocol/state';
import { ClientState, type Outgoing, type SessionDefinition, SyncManager } from '@syncscope/protocol/sync';
import { TRACE_VERSION, type TraceHeader, TraceHub, type TraceRecord } from '@syncscope/protocol/trace';

/** What becomes of a frame of the authority to a client: milliseconds later than usual, for each time that it arrives. */
export type Delivery = { readonly frame: Uint8Array; readonly later: number; readonly note?: string };

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
  /** What is on the way to a client; the session is as it was when it was sent. */
  deliver?(frame: Uint8Array, to: string, now: number, marks: Marks): readonly Delivery[];
  /** Changes a client's copy at this moment. */
  readonly strikeAt?: { readonly at: number; change(state: ClientState): readonly Change[] };
}

/** Where in the trace something happened, for saying what the truth is. */
export interface Marks {
  readonly records: readonly TraceRecord[];
  /** Index of the next record when this was noted. */
  readonly notes: Map<string, number>;
}

export interface CorpusRecording extends Marks {
  readonly header: TraceHeader;
}

/** A session of one authority and three bots on a virtual clock; the same options give the same records. */
export function record(options: CorpusSession): CorpusRecording {
  const { seed, definition, latency } = options;
  const random = seededRandom(seed);
  const records: TraceRecord[] = [];
  const notes = new Map<string, number>();
  const marks = { records, notes };
  const queue: { at: number; order: number; run: () => void }[] = [];
  let now = 0;
  let order = 0;
  const after = (delay: number, run: () => void): void => {
    queue.push({ at: now + milliseconds(delay), order: order++, run });
  };
  const hub = new TraceHub({ now: () => Math.round(now) });
  hub.listen((one) => records.push(one));
  const manager = new SyncManager({
    ...{
      definition,
      replica: replicaId('server'),
      session: 'corpus',
      random: seededRandom(seed + 1),
      now: 0,
      tap: hub,
    },
  });
  const clients = [1, 2, 3].map((link) => {
    const replica = replicaId(`bot-${link}`);
    const own = options.asPlayed?.replica === replica ? options.asPlayed.definition : definition;
    return { link, client: new ClientState({ definition: own, replica, session: 'corpus', token: '', tap: hub }) };
  });
  const lastArrival = new Map<string, number>();
  const travel = (way: string, later: number, run: () => void): void => {
    const drawn = now + milliseconds(latency * (0.7 + random.next() * 0.6) + 0.01);
    const at = later > 0 ? drawn + milliseconds(later) : Math.max(drawn, (lastArrival.get(way) ?? 0) + 1);
    if (later === 0) lastArrival.set(way, at);
    queue.push({ at, order: order++, run });
  };
  const fromManager = (outgoing: readonly Outgoing[]): void => {
    for (const one of outgoing) {
      const party = clients.find(({ link }) => link === one.link);
      if (!party || !('frame' in one)) continue;
      const plain = [{ frame: one.frame, later: 0 }];
      const deliveries: readonly Delivery[] =
        options.deliver?.(one.frame, party.client.replica, now / milliseconds(1), marks) ?? plain;
      for (const { frame, later, note } of deliveries) {
        travel(`>${party.link}`, later, () => {
          if (note !== undefined) notes.set(note, records.length);
          fromClient(party, party.client.receive(frame, now));
        });
      }
    }
  };
  const fromClient = (party: (typeof clients)[number], frames: readonly Uint8Array[]): void => {
    for (const frame of frames) {
      travel(`${party.link}>`, 0, () => fromManager(manager.receive(party.link, frame, now)));
    }
  };
  manager.describe();
  for (const party of clients) {
    manager.connect(party.link, now);
    fromClient(party, party.client.open(now));
    const act = (): void => {
      const { command, args } = options.intent(() => random.next());
      const result = party.client.phase === 'live' ? party.client.predict(command, args, now) : undefined;
      if (result && 'frames' in result) fromClient(party, result.frames);
      after((options.pause ?? 60) * (1 + random.next()), act);
    };
    after(300 + random.next() * 100, act);
  }
  const tick = (): void => {
    fromManager(manager.tick(now));
    for (const party of clients) fromClient(party, party.client.tick(now));
    after(20, tick);
  };
  after(20, tick);
  const { strikeAt } = options;
  if (strikeAt) {
    after(strikeAt.at, () => {
      const { client } = clients[1]!;
      notes.set('strike', records.length);
      client.corruptCommitted(strikeAt.change(client));
    });
  }
  runUntil(milliseconds(options.length));
  const header = {
    ...{ sessionId: `corpus-${seed}`, title: 'Corpus', scenario: definition.name, traceVersion: TRACE_VERSION },
    ...{
      protocolVersion: PROTOCOL_VERSION,
      startedAt: 1_767_225_600_000,
      authority: replicaId('server'),
      build: 'corpus',
    },
  };
  return { header, records, notes };

  function runUntil(end: number): void {
    for (;;) {
      let first = -1;
      queue.forEach((one, at) => {
        const best = queue[first];
        if (!best || one.at < best.at || (one.at === best.at && one.order < best.order)) first = at;
      });
      const [next] = first < 0 ? [] : queue.splice(first, 1);
      if (!next || next.at > end) return;
      now = Math.max(now, Math.round(next.at));
      next.run();
    }
  }
}
