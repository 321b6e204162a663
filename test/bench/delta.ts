import { Decoder as PeerDecoder, Encoder as PeerEncoder, schema, t } from '@colyseus/schema';
import { changesBetween, EMPTY_HASH, StateRoot } from '@syncscope/protocol/merkle';
import { FrameDecoder, FrameEncoder } from '@syncscope/protocol/messages';
import { type Change, type RecordKey, recordKey, replicaId } from '@syncscope/protocol/state';
import type { Bench, Figure } from './types.ts';

/**
 * One delta from end to end: 10 records of many get two new fields each by one list of changes, the delta is made from the two
 * kept versions, encoded as a whole DELTA_SYNC frame, decoded with all its checks, and applied on a second replica whose
 * version is kept as well. `@colyseus/schema` does the same work in its own way: it tracks changes as they are made,
 * encodes and decodes in place, and has neither versions nor history nor a hash.
 */
const SIZES = [100, 1_000, 10_000, 100_000];
/** The size that is compared; figures of the others are named by theirs. */
const COMPARED = 10_000;
const CHANGED = 10;
const PEER = '@colyseus/schema';
const ROUNDS = 4_000;

type Trip = (round: number) => number;

interface Fields {
  readonly name: string;
  readonly room: string;
  x: number;
  y: number;
  open: boolean;
}

function fieldsOf(index: number): Fields {
  return { name: `thing ${index}`, room: `room-${index % 97}`, x: index, y: index % 1_000, open: index % 2 === 0 };
}

/** The records that a round writes to: spread, and never twice in a round. */
function indexesOf(round: number, size: number): number[] {
  return Array.from({ length: CHANGED }, (_, place) => (place * (size / CHANGED) + round * 7_919) % size);
}

const valueAt = (round: number, place: number) => (round * 31 + place * 17) % 5_000;

/** Ours. Answers the bytes of the DELTA_SYNC frame. */
function ownTrip(size: number, isHashed: boolean): { trip: Trip; check: () => void } {
  const keys: RecordKey[] = Array.from({ length: size }, (_, index) => recordKey(`thing/${index}`));
  const entries = () => keys.map((key, index) => [key, { ...fieldsOf(index) }] as const);
  let authority = StateRoot.from(entries());
  let replica = StateRoot.from(entries());
  const encoder = new FrameEncoder(replicaId('server'));
  const decoder = new FrameDecoder();
  if (authority.hash !== replica.hash) throw new Error('the replicas begin apart');
  // Every name is known, as after the first full sync.
  for (const name of ['x', 'y', ...keys, 'bot-1']) encoder.names.reference(name);
  for (const { frame } of encoder.encodeNames()) decoder.decode(frame);
  encoder.encode({ type: 'BYE', reason: '' });

  const trip: Trip = (round) => {
    // As a reducer answers them.
    const made = indexesOf(round, size).map((index, place): Change => {
      const fields = { x: valueAt(round, place), y: -valueAt(round, place) };
      return { op: 'patch', key: keys[index]!, fields, removed: [] };
    });
    const root = authority.apply(made);
    const [encoded] = encoder.encode({
      type: 'DELTA_SYNC',
      from: round,
      to: round + 1,
      since: round,
      progress: round + 1,
      changes: changesBetween(authority, root),
      vector: [{ replica: replicaId('bot-1'), counter: round + 1 }],
      rejected: [],
      root: isHashed ? root.hash : EMPTY_HASH,
    });
    authority = root;
    const delta = decoder.decode(encoded!.frame);
    if (delta.type !== 'DELTA_SYNC' || delta.changes.length !== CHANGED) throw new Error('a delta was expected');
    const next = replica.apply(delta.changes);
    if (isHashed && next.hash !== delta.root) throw new Error('the roots differ');
    replica = next;
    return encoded!.frame.length;
  };
  const check = () => {
    if (authority.hash !== replica.hash) throw new Error('the replicas ended apart');
  };
  return { trip, check };
}

const Thing = schema({ name: t.string(), room: t.string(), x: t.number(), y: t.number(), open: t.boolean() }, 'Thing');
const World = schema({ things: t.map(Thing) }, 'World');

/** The peer's. Answers the bytes of its patch. */
function peerTrip(size: number): { trip: Trip; check: () => void } {
  PeerEncoder.BUFFER_SIZE = 32 * 1024 * 1024;
  const world = new World();
  const keys = Array.from({ length: size }, (_, index) => `thing/${index}`);
  keys.forEach((key, index) => {
    world.things.set(key, new Thing(fieldsOf(index)));
  });
  const encoder = new PeerEncoder(world);
  const copy = new World();
  const decoder = new PeerDecoder(copy);
  decoder.decode(encoder.encodeAll());
  encoder.discardChanges();

  const trip: Trip = (round) => {
    indexesOf(round, size).forEach((index, place) => {
      const thing = world.things.get(keys[index]!)!;
      thing.x = valueAt(round, place);
      thing.y = -valueAt(round, place);
    });
    // A copy, as whoever sends it must take one: the encoder's buffer is used again.
    const patch = encoder.encode().slice();
    encoder.discardChanges();
    decoder.decode(patch);
    return patch.length;
  };
  const check = () => {
    for (const key of keys) {
      const [left, right] = [world.things.get(key)!, copy.things.get(key)!];
      if (left.x !== right.x || left.y !== right.y) throw new Error(`the peer's ${key} differs`);
    }
  };
  return { trip, check };
}

interface Measured {
  readonly plain: number;
  readonly hashed: number;
  readonly peer: number;
  /** Means, which count what comes now and then too: a trie that is written at last, and the collection of garbage. */
  readonly plainMean: number;
  readonly peerMean: number;
  readonly bytes: number;
  readonly peerBytes: number;
}

/** Median microseconds of a trip for one changed record, and mean bytes of its frame. Trips alternate, so that both meet the same machine. */
function measure(size: number): Measured {
  const sides = [ownTrip(size, false), ownTrip(size, true), peerTrip(size)];
  const times: number[][] = sides.map(() => []);
  const bytes = sides.map(() => 0);
  const warm = ROUNDS / 2;
  for (let round = 0; round < warm + ROUNDS; round++) {
    sides.forEach(({ trip }, side) => {
      const start = process.hrtime.bigint();
      const length = trip(round);
      const time = Number(process.hrtime.bigint() - start) / 1_000 / CHANGED;
      if (round < warm) return;
      times[side]!.push(time);
      bytes[side]! += length / ROUNDS;
    });
  }
  for (const { check } of sides) check();
  const [plainMean, , peerMean] = times.map((list) => list.reduce((sum, time) => sum + time, 0) / list.length);
  const [plain, hashed, peer] = times.map((list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)]!);
  return {
    plain: plain!,
    hashed: hashed!,
    peer: peer!,
    plainMean: plainMean!,
    peerMean: peerMean!,
    bytes: bytes[0]!,
    peerBytes: bytes[2]!,
  };
}

function figuresOf(size: number): Figure[] {
  const { plain, hashed, peer, plainMean, peerMean, bytes, peerBytes } = measure(size);
  const setting = `${CHANGED} of ${size} records, 2 fields each, a record`;
  const named = (name: string) => (size === COMPARED ? name : `${name}.${size}`);
  return [
    {
      name: named('delta.trip'),
      value: plain,
      unit: 'us',
      peer: PEER,
      ratio: plain / peer,
      note: `${setting}, both versions kept, no root read; peer ${peer.toFixed(2)} us without history`,
    },
    {
      name: named('delta.trip.mean'),
      value: plainMean,
      unit: 'us',
      peer: PEER,
      ratio: plainMean / peerMean,
      note: `the mean, not the median: with garbage, and with the trie that is written now and then; peer ${peerMean.toFixed(2)} us`,
    },
    {
      name: named('delta.trip.hashed'),
      value: hashed,
      unit: 'us',
      peer: PEER,
      ratio: hashed / peer,
      note: `the same with the root read and verified; peer ${peer.toFixed(2)} us without any hash`,
    },
    {
      name: named('delta.bytes'),
      value: bytes,
      unit: 'B',
      peer: PEER,
      ratio: bytes / peerBytes,
      note: `the whole frame with versions, vector and root; peer ${peerBytes.toFixed(0)} B with the fields alone`,
    },
  ];
}

export const benches: readonly Bench[] = [{ name: 'delta', run: async () => SIZES.flatMap(figuresOf) }];
