import { SimulatedDisk } from '@syncscope/protocol/events';
import { StateRoot } from '@syncscope/protocol/merkle';
import { ConsensusPeer } from '@syncscope/protocol/peers';
import { milliseconds, seededRandom } from '@syncscope/protocol/ports';
import { type Change, type RecordKey, type ReplicaId, recordKey, replicaId } from '@syncscope/protocol/state';
import { type Deliver, Schedule } from './schedule.ts';
import { type CorpusRecording, headerOf } from './session.ts';

export interface GroupSession {
  readonly seed: number;
  /** Milliseconds one way. */
  readonly latency: number;
  /** Virtual milliseconds. */
  readonly length: number;
  readonly deliver?: Deliver;
  /** How often one member ends and comes back from its log, in milliseconds; never where absent. */
  readonly restarts?: number;
}

export const GROUP_TARGET = 'peer-2';
const MEMBERS = ['peer-1', GROUP_TARGET, 'peer-3', 'peer-4', 'peer-5'].map(replicaId);
const SEATS = 6;
const INITIAL = Array.from(
  { length: SEATS },
  (_, at) => [recordKey(`seat/${at}`), { holder: '', changes: 0 }] as const,
);
/** Short, so that members often outbid each other. */
const SETTINGS = {
  roundTimeout: milliseconds(300),
  resendInterval: milliseconds(100),
  backoff: milliseconds(20),
  backoffMax: milliseconds(300),
  heartbeatInterval: milliseconds(400),
  takeOver: milliseconds(300),
  givenWay: 1,
};

interface Member {
  readonly disk: SimulatedDisk;
  peer: ConsensusPeer | undefined;
}

/** Five members that decide by majority who sits where; the same options give the same records. */
export function record(options: GroupSession): CorpusRecording {
  const { seed, latency, deliver, restarts } = options;
  const schedule = new Schedule({ random: seededRandom(seed), latency, ...(deliver ? { deliver } : {}) });
  const { random } = schedule;
  const members = new Map<ReplicaId, Member>(MEMBERS.map((id) => [id, { disk: new SimulatedDisk(), peer: undefined }]));
  const open = (id: ReplicaId): void => {
    const member = members.get(id)!;
    const { disk } = member;
    const storage = { disk, contents: disk.durable };
    const ports = { clock: { now: () => schedule.now }, random, tap: schedule.hub, settings: SETTINGS };
    ConsensusPeer.open({ replica: id, members: MEMBERS, ...ports }, storage, StateRoot.from(INITIAL), (peer) => {
      if (peer instanceof Error) throw peer;
      member.peer = peer;
      for (const to of MEMBERS) if (to !== id) peer.attach(to, linkTo(to, id, peer));
    });
  };
  const linkTo = (to: ReplicaId, from: ReplicaId, sender: ConsensusPeer) => ({
    send: (frame: Uint8Array): void => {
      if (members.get(from)!.peer !== sender) return;
      schedule.send(frame, from, to, (bytes) => void members.get(to)!.peer?.receiveFrame(bytes, from));
    },
    close: () => {},
    onFrame: () => {},
    onClose: () => {},
  });
  for (const id of MEMBERS) {
    open(id);
    const act = (): void => {
      members.get(id)!.peer?.propose({ command: 'sit', changes: (root) => [seated(root, id, random.next())] });
      schedule.after(150 * (1 + 2 * random.next()), act);
    };
    schedule.after(200 + random.next() * 200, act);
  }
  schedule.every(50, () => {
    for (const { peer } of members.values()) peer?.tick();
  });
  if (restarts !== undefined) schedule.after(restarts, () => restart(replicaId(GROUP_TARGET)));
  const restart = (id: ReplicaId): void => {
    const member = members.get(id)!;
    member.peer?.close('its process ended');
    member.peer = undefined;
    schedule.after(30 + random.next() * 60, () => {
      open(id);
      schedule.after(restarts! * (0.5 + random.next()), () => restart(id));
    });
  };
  schedule.run(options.length);
  return { header: headerOf(seed, 'seats', null), records: schedule.records, notes: schedule.notes };
}

function seated(root: StateRoot, holder: ReplicaId, draw: number): Change {
  const key: RecordKey = recordKey(`seat/${Math.floor(draw * SEATS)}`);
  const changes = Number(root.get(key)?.changes ?? 0) + 1;
  return { op: 'patch', key, fields: { holder, changes }, removed: [] };
}
