import { VersionVector } from '@syncscope/protocol/clock';
import {
  ConflictResolver,
  compareMutations,
  idOf,
  type Mutation,
  type PolicyEntry,
} from '@syncscope/protocol/conflict';
import { StateRoot } from '@syncscope/protocol/merkle';
import { decodeMessage, noNames } from '@syncscope/protocol/messages';
import { type PeerFrame, PeerHistory, PeerReplica } from '@syncscope/protocol/peers';
import { milliseconds, seededRandom } from '@syncscope/protocol/ports';
import { type Change, type RecordKey, type ReplicaId, recordKey, replicaId } from '@syncscope/protocol/state';
import type { TraceRecord } from '@syncscope/protocol/trace';
import { type Deliver, Schedule } from './schedule.ts';
import { type CorpusRecording, headerOf, STARTED_AT } from './session.ts';

export interface PeerSession {
  readonly seed: number;
  /** Milliseconds one way. */
  readonly latency: number;
  /** Virtual milliseconds. */
  readonly length: number;
  readonly deliver?: Deliver;
  /** At this moment one peer's clock is set, by so many milliseconds. */
  readonly clock?: { readonly at: number; readonly by: number };
  /** At this moment one peer's copy is changed. */
  readonly strikeAt?: { readonly at: number; change(keys: readonly RecordKey[]): readonly Change[] };
  /** The policies of one peer, where they are others. */
  readonly policies?: readonly PolicyEntry[];
}

export const PEER_TARGET = 'peer-2';
const MEMBERS = ['peer-1', PEER_TARGET, 'peer-3'].map(replicaId);
const NOTES = 8;
/** A clock may be set back by so much before it is before its own beginning. */
const BEFORE = 1_000_000;

export const PEER_POLICIES: readonly PolicyEntry[] = [
  { collection: 'note/', fields: ['votes'], policy: { kind: 'merge', of: 'counter' } },
  { collection: 'note/', fields: ['text'], policy: { kind: 'last-write' } },
];

function resolverOf(policies: readonly PolicyEntry[]): ConflictResolver {
  return new ConflictResolver({ policies, rules: [] });
}

/** Three peers that write notes; the same options give the same records. */
export function record(options: PeerSession): CorpusRecording {
  const { seed, latency, deliver } = options;
  const schedule = new Schedule({ random: seededRandom(seed), latency, ...(deliver ? { deliver } : {}) });
  const { random } = schedule;
  const keys = Array.from({ length: NOTES }, (_, at) => recordKey(`note/${at}`));
  const peers = new Map<ReplicaId, PeerReplica>();
  let step = 0;
  for (const id of MEMBERS) {
    const policies = id === PEER_TARGET ? (options.policies ?? PEER_POLICIES) : PEER_POLICIES;
    const peer = new PeerReplica({
      ...{ replica: id, session: 'corpus', members: MEMBERS, epoch: STARTED_AT - BEFORE, tap: schedule.hub },
      resolver: resolverOf(policies),
      records: keys.map((key) => [key, { text: '', votes: 0 }] as const),
    });
    peers.set(id, peer);
  }
  const clockOf = (id: ReplicaId): number =>
    Math.round(schedule.now) + milliseconds(BEFORE + (id === PEER_TARGET ? step : 0));
  const send = (from: ReplicaId, frames: readonly PeerFrame[]): void => {
    for (const { to, frame } of frames) {
      schedule.send(frame, from, to, (bytes) => send(to, peers.get(to)!.receive(from, bytes, clockOf(to))));
    }
  };
  for (const [id, peer] of peers) {
    const act = (): void => {
      const key = keys[Math.floor(random.next() * keys.length)]!;
      const votes = Number(peer.root.get(key)?.votes ?? 0) + 1 + Math.floor(random.next() * 5);
      const fields = random.next() < 0.6 ? { text: `${id} ${Math.floor(random.next() * 1e6)}` } : { votes };
      const made = peer.write([{ op: 'patch', key, fields, removed: [] }], clockOf(id));
      if ('frames' in made) send(id, made.frames);
      schedule.after(80 * (1 + random.next()), act);
    };
    schedule.after(300 + random.next() * 100, act);
  }
  schedule.every(100, () => {
    for (const [id, peer] of peers) send(id, peer.tick(clockOf(id)));
  });
  const { clock, strikeAt } = options;
  if (clock) {
    schedule.after(clock.at, () => {
      schedule.note('strike');
      step = clock.by;
    });
  }
  if (strikeAt) {
    schedule.after(strikeAt.at, () => {
      schedule.note('strike');
      peers.get(replicaId(PEER_TARGET))!.corruptCheckpoint(strikeAt.change(keys));
    });
  }
  schedule.run(options.length);
  if (options.policies) {
    const initial = keys.map((key) => [key, { text: '', votes: 0 }] as const);
    schedule.notes.set('parted', partedAt(schedule.records, StateRoot.from(initial)));
  }
  return { header: headerOf(seed, 'notes', null), records: schedule.records, notes: schedule.notes };
}

/** The first record at which a peer of other policies has, or tries, another state than those of the others would give it. */
function partedAt(records: readonly TraceRecord[], initial: StateRoot): number {
  const mutations = sentIn(records);
  const base = { vector: VersionVector.empty, root: initial };
  let history = PeerHistory.from(resolverOf(PEER_POLICIES), base);
  return records.findIndex(({ replica, body }, at) => {
    if (replica !== PEER_TARGET) return false;
    if (body.kind === 'mismatch') return true;
    if (body.kind !== 'commit' && body.kind !== 'apply') return false;
    const told = records.slice(at).find((one) => one.replica === replica && one.body.kind === 'vector')?.body;
    const seen = VersionVector.from(told?.kind === 'vector' ? told.vector : []);
    const has = ({ writer, counter }: Mutation) => history.vector.get(writer) >= counter;
    history = history.added(mutations.filter((one) => seen.get(one.writer) >= one.counter && !has(one)));
    return history.root.hash !== body.root;
  });
}

/** Every mutation that somebody sent, in an order in which each comes after all that its writer had seen. */
function sentIn(records: readonly TraceRecord[]): Mutation[] {
  const known = new Map<string, Mutation>();
  for (const { body, wire } of records) {
    if (body.kind !== 'send' || body.type !== 'PEER_CHANGES' || !wire) continue;
    const message = decodeMessage(wire, noNames);
    if (message.type === 'PEER_CHANGES') for (const one of message.mutations) known.set(idOf(one), one);
  }
  return [...known.values()].sort(compareMutations);
}
