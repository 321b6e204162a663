import { PNCounter } from '@syncscope/protocol/crdt';
import { decodeMessage, FrameEncoder, NameTables } from '@syncscope/protocol/messages';
import { CrdtReplica } from '@syncscope/protocol/peers';
import { seededRandom } from '@syncscope/protocol/ports';
import { type ReplicaId, replicaId } from '@syncscope/protocol/state';
import { type Deliver, Schedule } from './schedule.ts';
import { type CorpusRecording, headerOf } from './session.ts';

export interface CrdtSession {
  readonly seed: number;
  /** Milliseconds one way. */
  readonly latency: number;
  /** Virtual milliseconds. */
  readonly length: number;
  readonly deliver?: Deliver;
}

const MEMBERS = ['peer-1', 'peer-2', 'peer-3'].map(replicaId);
const TALLY = 'tally';

/** Three replicas of a counter that goes both ways, which send each other their operations and nothing else. */
export function record(options: CrdtSession): CorpusRecording {
  const { seed, latency, deliver } = options;
  const schedule = new Schedule({ random: seededRandom(seed), latency, ...(deliver ? { deliver } : {}) });
  const { random, hub } = schedule;
  const replicas = new Map<ReplicaId, { readonly crdt: CrdtReplica<PNCounter>; readonly encoder: FrameEncoder }>();
  for (const id of MEMBERS) {
    const state = new PNCounter(TALLY, id);
    const crdt = new CrdtReplica({ replica: id, crdt: TALLY, state, tap: hub });
    const encoder = new FrameEncoder(id);
    encoder.names.seal();
    replicas.set(id, { crdt, encoder });
    hub.emit(id, { kind: 'replica', role: 'peer' }, []);
    const root = crdt.root();
    hub.emit(id, { kind: 'snapshot', reason: 'attach', version: 0, records: [], root: root.hash, vector: [] }, []);
  }
  const receive = (to: ReplicaId, from: ReplicaId, frame: Uint8Array): void => {
    const message = decodeMessage(frame, new NameTables().of(from));
    if (message.type !== 'OPERATION') return;
    const { type, sender, sequence } = message;
    const seq = hub.emit(to, { kind: 'receive', from, type, sender, sequence }, [], frame);
    replicas.get(to)!.crdt.receive(message, seq);
  };
  for (const [id, { crdt, encoder }] of replicas) {
    const act = (): void => {
      const by = 1 + Math.floor(random.next() * 9);
      const isUp = random.next() < 0.7;
      const operation = crdt.operate(isUp ? `add ${by}` : `take ${by}`, (state) =>
        isUp ? state.increment(by) : state.decrement(by),
      );
      for (const { type, sender, sequence, frame } of operation ? encoder.encode(operation) : []) {
        for (const to of MEMBERS) {
          if (to === id) continue;
          hub.emit(id, { kind: 'send', to, type, sender, sequence }, [], frame);
          schedule.send(frame, id, to, (bytes) => receive(to, id, bytes));
        }
      }
      schedule.after(300 * (1 + random.next()), act);
    };
    schedule.after(300 + random.next() * 100, act);
  }
  schedule.run(options.length);
  return { header: headerOf(seed, TALLY, null), records: schedule.records, notes: schedule.notes };
}
