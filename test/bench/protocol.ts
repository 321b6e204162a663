import { changesBetween, StateRoot } from '@syncscope/protocol/merkle';
import { FrameDecoder, FrameEncoder, type Message, type MessageBody } from '@syncscope/protocol/messages';
import { type Change, type RecordKey, recordKey, replicaId, type SyncRecord } from '@syncscope/protocol/state';
import { enableMapSet, produce } from 'immer';
import { Packr } from 'msgpackr';
import { create } from 'mutative';
import { alternate, heapOf } from './measure.ts';
import type { Bench, Figure } from './types.ts';

/**
 * The parts of the protocol, each beside what one would take for it else: the codec beside JSON, a snapshot beside msgpackr,
 * kept versions, diffs and rebases beside `mutative`, a walk by identity and `immer`. Records have five fields, a write changes two of them.
 */
const SIZES = [100, 1_000, 10_000, 100_000];
const MUTATIVE = 'mutative';
enableMapSet();
const server = replicaId('server');
const alice = replicaId('alice');

type Entries = (readonly [RecordKey, SyncRecord])[];

function recordAt(index: number): SyncRecord {
  return { name: `thing ${index}`, room: `room-${index % 97}`, x: index, y: index % 1_000, open: index % 2 === 0 };
}

function entriesOf(size: number): Entries {
  return Array.from({ length: size }, (_, index) => [recordKey(`thing/${index}`), recordAt(index)]);
}

/** The records that a round writes to: spread, and never twice in a round. */
function spread(size: number, count: number, round: number): number[] {
  const step = Math.floor(size / count);
  return Array.from({ length: count }, (_, place) => (place * step + ((round * 7_919) % step)) % size);
}

/** One for all, as in what `changesBetween` finds. */
const NONE: readonly string[] = [];

function patchesOf(entries: Entries, count: number, round: number): Change[] {
  return spread(entries.length, count, round).map((index, place) => {
    const fields = { x: (round * 31 + place * 17) % 5_000, y: -1 - ((round + place) % 5_000) };
    return { op: 'patch', key: entries[index]![0], fields, removed: NONE };
  });
}

const COMPARED = 10_000;

/** `name` for the size that is compared, `name.size` for those that say how the cost grows. */
function named(name: string, size: number, compared = COMPARED): string {
  return size === compared ? name : `${name}.${size}`;
}

export const benches: readonly Bench[] = [
  // The size that is compared comes first, before others have been at the engine's code.
  { name: 'codec', run: async () => [COMPARED, ...SIZES.filter((size) => size !== COMPARED)].flatMap(measureCodec) },
  { name: 'snapshot.bytes', run: async () => SIZES.map(measureSnapshot) },
  { name: 'diff.shared', run: async () => SIZES.map(measureDiff) },
  { name: 'version.retained', run: async () => measureVersions() },
  { name: 'memory.record', run: measureMemory },
  { name: 'rebase', run: async () => SIZES.map(measureRebase) },
];

const CODEC_CHANGES = 5;

/** Frames in a timed step: one alone is near what a clock can tell. */
const FRAMES = 20;

/** `size` is that of the state, of which the encoder knows the names. */
function measureCodec(size: number): Figure[] {
  const entries = entriesOf(size);
  const bodies: MessageBody[] = Array.from({ length: 1_000 }, (_, round) => ({
    type: 'DELTA_SYNC',
    from: round,
    to: round + 1,
    since: round,
    progress: round + 1,
    changes: patchesOf(entries, CODEC_CHANGES, round),
    vector: [{ replica: alice, counter: round + 1 }],
    rejected: [],
    root: StateRoot.from([[recordKey('thing/0'), { round }]]).hash,
  }));
  const frameEncoder = new FrameEncoder(server);
  const frameDecoder = new FrameDecoder();
  const [utf8, text] = [new TextEncoder(), new TextDecoder()];
  const frames = bodies.map(
    (body) =>
      frameEncoder
        .encode(body)
        .map(({ frame }) => frame)
        .at(-1)!,
  );
  for (const { frame } of frameEncoder.encodeNames()) frameDecoder.decode(frame);
  const texts = bodies.map((body) => utf8.encode(JSON.stringify({ sender: server, sequence: 1, ...body })));
  bodies.forEach((body, index) => {
    const read: Message = frameDecoder.decode(frames[index]!);
    const { sender: _sender, sequence: _sequence, ...fields } = read;
    const same = JSON.stringify(fields) === JSON.stringify(body);
    if (!same) throw new Error('a frame was read as something else');
  });
  let used = 0;
  // Each side is elsewhere in the list, so that none finds in the cache what another has just brought there.
  const each = (step: (index: number) => number, side: number) => (round: number) => {
    const first = round * FRAMES + side * (bodies.length / 4);
    for (let frame = 0; frame < FRAMES; frame++) used += step((first + frame) % bodies.length);
  };
  const times = alternate(
    [
      each((index) => frameEncoder.encode(bodies[index]!)[0]!.frame.length, 0),
      each((index) => utf8.encode(JSON.stringify({ sender: server, sequence: index, ...bodies[index]! })).length, 1),
      each((index) => frameDecoder.decode(frames[index]!).sequence, 2),
      each((index) => (JSON.parse(text.decode(texts[index]!)) as Message).sequence, 3),
    ],
    { rounds: 3_000 },
  ).map((time) => time / FRAMES);
  if (used === 0) throw new Error('nothing was measured');
  const [encode, stringify, decode, parse] = times as [number, number, number, number];
  const setting = `a DELTA_SYNC of ${CODEC_CHANGES} patches of 2 fields, ${size} records`;
  const bytes = (list: readonly Uint8Array[]) => list.reduce((sum, one) => sum + one.length, 0) / list.length;
  return [
    {
      name: named('codec.encode', size),
      value: encode,
      unit: 'us',
      peer: 'JSON',
      ratio: encode / stringify,
      note: `${setting}; peer ${stringify.toFixed(2)} us`,
    },
    {
      name: named('codec.decode', size),
      value: decode,
      unit: 'us',
      peer: 'JSON',
      ratio: decode / parse,
      note: `the same, with every check; peer ${parse.toFixed(2)} us without any`,
    },
    {
      name: named('codec.bytes', size),
      value: bytes(frames),
      unit: 'B',
      peer: 'JSON',
      ratio: bytes(frames) / bytes(texts),
      note: `the same; peer ${bytes(texts).toFixed(0)} B`,
    },
  ];
}

/** Everything that a newcomer is sent: its names and the snapshot. */
function measureSnapshot(size: number): Figure {
  const entries = entriesOf(size);
  const encoder = new FrameEncoder(server);
  const records = entries.map(([key, record]) => ({ key, record }));
  const root = StateRoot.from(entries).hash;
  const body: MessageBody = { type: 'FULL_SYNC', version: 1, progress: 1, records, vector: [], rejected: [], root };
  const own = encoder.encode(body).reduce((sum, { frame }) => sum + frame.length, 0);
  // As a Map of records, which is the shortest that it can say it in.
  const packed = new Packr({ useRecords: true, structures: [], mapsAsObjects: false }).pack(new Map(entries)).length;
  return {
    name: named('snapshot.bytes', size),
    value: own,
    unit: 'B',
    peer: 'msgpackr',
    ratio: own / packed,
    note: `NAMES and FULL_SYNC of ${size} records; peer ${packed} B with shared records`,
  };
}

const DIFFERENT = 10;

/** Two versions of which one came from the other, so that what is equal is the very same. */
function measureDiff(size: number): Figure {
  const entries = entriesOf(size);
  const base = StateRoot.from(entries);
  const map = new Map(entries);
  const rounds = 2_000_000 / size > 500 ? 500 : Math.max(50, 2_000_000 / size);
  let found = 0;
  let walked = 0;
  const [own, peer] = alternate(
    [
      (round) => {
        const patches = patchesOf(entries, DIFFERENT, round);
        // In two versions with a root each, so that what was written is not known between the two that are compared.
        const next = withRoot(withRoot(base.apply(patches.slice(0, 5))).apply(patches.slice(5)));
        return () => {
          found = changesBetween(base, next).length;
        };
      },
      (round) => {
        const next = new Map(map);
        for (const change of patchesOf(entries, DIFFERENT, round)) patchMap(next, change);
        return () => {
          walked = walkByIdentity(map, next).length;
        };
      },
    ],
    { rounds },
  ) as [number, number];
  if (found !== DIFFERENT || walked !== DIFFERENT) throw new Error(`found ${found} and ${walked} of ${DIFFERENT}`);
  return {
    name: named('diff.shared', size),
    value: own,
    unit: 'us',
    peer: 'walk by identity',
    ratio: own / peer,
    note: `${DIFFERENT} of ${size} records differ; peer ${peer.toFixed(1)} us`,
  };
}

function withRoot(root: StateRoot): StateRoot {
  if (root.hash.length !== 16) throw new Error('no hash');
  return root;
}

function patchMap(map: Map<RecordKey, SyncRecord>, change: Change): void {
  if (change.op === 'patch') map.set(change.key, { ...map.get(change.key)!, ...change.fields });
}

/** The same changes as ours, by looking at every key. */
function walkByIdentity(from: ReadonlyMap<RecordKey, SyncRecord>, to: ReadonlyMap<RecordKey, SyncRecord>): Change[] {
  const changes: Change[] = [];
  for (const [key, before] of from) {
    const after = to.get(key);
    if (after === before) continue;
    if (after === undefined) {
      changes.push({ op: 'remove', key });
      continue;
    }
    const fields: Record<string, SyncRecord[string]> = {};
    for (const name in after) if (!Object.is(before[name], after[name])) fields[name] = after[name]!;
    const removed = Object.keys(before).filter((name) => !Object.hasOwn(after, name));
    changes.push({ op: 'patch', key, fields, removed });
  }
  for (const [key, record] of to) if (!from.has(key)) changes.push({ op: 'put', key, record });
  return changes;
}

function measureVersions(): Figure[] {
  return [
    measureVersion('version.retained.100', 100, 10, false),
    measureVersion('version.retained.1000', 1_000, 100, false),
    measureVersion('version.retained', 10_000, 100, false),
    measureVersion('version.retained.100k', 100_000, 10, false),
    measureVersion('version.retained.hashed', 10_000, 100, true),
    measureVersion('version.retained.hashed.100k', 100_000, 10, true),
  ];
}

/** Loosely typed: what a draft of a value would be is a type without end. */
type Drafted = Map<string, Record<string, unknown>>;

/** A new version kept beside the last, and the delta from that one. Both sides verify nothing and keep one chain of versions. */
function measureVersion(name: string, size: number, changed: number, isHashed: boolean): Figure {
  const entries = entriesOf(size);
  let own = StateRoot.from(entries);
  let theirs: Drafted = new Map(entries);
  let length = 0;
  const [time, peer] = alternate(
    [
      (round) => {
        const patches = patchesOf(entries, changed, round);
        return () => {
          const next = own.apply(patches);
          length = changesBetween(own, next).length;
          // A root that nobody reads is not there.
          if (isHashed && next.hash === own.hash) throw new Error('the root did not change');
          own = next;
        };
      },
      (round) => {
        const patches = patchesOf(entries, changed, round);
        return () => {
          const [next, made] = create(theirs, (draft) => patchDraft(draft, patches), {
            enablePatches: true,
          });
          if (made.length === 0) throw new Error('no patches');
          theirs = next;
        };
      },
    ],
    { rounds: Math.max(30, Math.min(400, 1_000_000 / size)) },
  ) as [number, number];
  if (length !== changed) throw new Error(`${length} changes instead of ${changed}`);
  expectSame(own, theirs);
  return {
    name,
    value: time,
    unit: 'us',
    peer: MUTATIVE,
    ratio: time / peer,
    note: `${changed} of ${size} records changed, ${isHashed ? 'root read' : 'no root read'}; peer ${peer.toFixed(0)} us with patches`,
  };
}

function patchDraft(draft: Drafted, patches: readonly Change[]): void {
  for (const change of patches) if (change.op === 'patch') Object.assign(draft.get(change.key)!, change.fields);
}

function expectSame(own: StateRoot, theirs: Drafted): void {
  if (StateRoot.from(theirs as Map<RecordKey, SyncRecord>).hash !== own.hash)
    throw new Error('the two sides ended apart');
}

const PENDING = 10;

/** A delta of 10 changes under 10 pending mutations: taken back, the delta applied, and each mutation made again on top. */
function measureRebase(size: number): Figure {
  const entries = entriesOf(size);
  let own = StateRoot.from(entries);
  let theirs: Drafted = new Map(entries);
  let optimistic = own;
  let drafted = theirs;
  const pendingOf = (round: number) => patchesOf(entries, PENDING, round + 3).map((change) => [change]);
  const [time, peer] = alternate(
    [
      (round) => {
        const delta = patchesOf(entries, PENDING, round);
        const pending = pendingOf(round);
        return () => {
          // Verified, as a client does with every delta.
          own = withRoot(own.apply(delta));
          optimistic = own;
          for (const mutation of pending) optimistic = optimistic.apply(mutation);
        };
      },
      (round) => {
        const delta = patchesOf(entries, PENDING, round);
        const pending = pendingOf(round);
        return () => {
          theirs = produce(theirs, (draft) => patchDraft(draft, delta));
          drafted = theirs;
          for (const mutation of pending) drafted = produce(drafted, (draft) => patchDraft(draft, mutation));
        };
      },
    ],
    { rounds: Math.max(20, Math.min(400, 200_000 / size)) },
  ) as [number, number];
  expectSame(own, theirs);
  expectSame(optimistic, drafted);
  return {
    name: named('rebase', size),
    value: time,
    unit: 'us',
    peer: 'immer',
    ratio: time / peer,
    note: `a delta of ${PENDING} under ${PENDING} pending mutations, ${size} records; peer ${peer.toFixed(0)} us`,
  };
}

async function measureMemory(): Promise<Figure[]> {
  const figures: Figure[] = [];
  // Once before, so that what an engine keeps of code is not counted with the smallest.
  await heapOf(() => [StateRoot.from(entriesOf(10)), new Map(entriesOf(10))]);
  for (const size of SIZES) {
    const own = await heapOf(() => StateRoot.from(entriesOf(size)));
    const peer = await heapOf(() => new Map(entriesOf(size)));
    figures.push({
      name: named('memory.record', size, 100_000),
      value: own / size,
      unit: 'B',
      peer: 'plain objects in a Map',
      ratio: own / peer,
      note: `${size} records with their keys; peer ${(peer / size).toFixed(0)} B`,
    });
  }
  const size = 100_000;
  const own = await heapOf(() => writtenState(size));
  const peer = await heapOf(() => new Map(entriesOf(size)));
  figures.push({
    name: 'memory.record.written',
    value: own / size,
    unit: 'B',
    peer: 'plain objects in a Map',
    ratio: own / peer,
    note: `${size} records, each written once since; peer ${(peer / size).toFixed(0)} B`,
  });
  return figures;
}

/** A state of which every record was written since it was made, so that its front is as large as it gets. */
function writtenState(size: number): StateRoot {
  const entries = entriesOf(size);
  let root = StateRoot.from(entries);
  for (let start = 0; start < size; start += 100) {
    const keys = entries.slice(start, start + 100).map(([key]) => key);
    root = root.apply(keys.map((key): Change => ({ op: 'patch', key, fields: { x: -1 }, removed: [] })));
  }
  return withRoot(root);
}
