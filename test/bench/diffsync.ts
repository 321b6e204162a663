import { type Diff, defineModel, diffModel, diffModels, recordOf } from '@syncscope/protocol/diffsync';
import { StateRoot } from '@syncscope/protocol/merkle';
import { boolean, string, uint } from '@syncscope/protocol/schema';
import type { RecordKey, SyncRecord } from '@syncscope/protocol/state';
import type { Bench, Figure } from './types.ts';

/**
 * The diff of two states of 100,000 models, of which 100 differ in one attribute of six. Both states stand, with their hashes, as
 * they do in stores between two syncs; they share no memory, so only the hashes can tell what is equal.
 */
const MODELS = 100_000;
const DIFFERENT = 100;

const device = defineModel({
  type: 'device',
  identifiers: { serial: string(20) },
  attributes: { name: string(40), room: string(40), vlan: uint, port: uint, isUp: boolean, note: string(100) },
});

export const benches: readonly Bench[] = [{ name: 'diffsync', run: measureDiff }];

async function measureDiff(): Promise<Figure[]> {
  const [left, right] = [modelsWith(0), modelsWith(DIFFERENT)];
  const [from, to] = [StateRoot.from(left), StateRoot.from(right)];
  const [leftMap, rightMap] = [new Map(left), new Map(right)];
  // Models are counted when a store first meets a state, and carried on by every change of it.
  diffModels(from, to);

  let diff: Diff | undefined;
  const own = medianMicroseconds(500, () => {
    diff = diffModels(from, to);
  });
  let found = 0;
  const theirs = medianMicroseconds(30, () => {
    found = compareEveryAttribute(leftMap, rightMap);
  });
  if (diff?.entries.length !== DIFFERENT || found !== DIFFERENT) {
    throw new Error(`found ${diff?.entries.length} and ${found} of ${DIFFERENT}`);
  }
  return [
    {
      name: 'diffsync',
      value: own,
      unit: 'us',
      peer: 'comparing every attribute',
      ratio: own / theirs,
      note: `${DIFFERENT} of ${MODELS} models differ, hashes known, diff with parents and counts; peer ${theirs.toFixed(0)} us`,
    },
  ];
}

/** The first attribute of so many models, spread over all, is another one. */
function modelsWith(changed: number): (readonly [RecordKey, SyncRecord])[] {
  const step = MODELS / DIFFERENT;
  return Array.from({ length: MODELS }, (_, index) => {
    const isChanged = index % step === 0 && index / step < changed;
    const model = diffModel(
      device,
      { serial: `s${index}` },
      {
        name: `device ${index}`,
        room: `room ${index % 97}`,
        vlan: isChanged ? 4_095 : index % 4_000,
        port: index % 48,
        isUp: index % 3 > 0,
        note: '',
      },
    );
    return [model.key, recordOf(model)] as const;
  });
}

function compareEveryAttribute(
  left: ReadonlyMap<RecordKey, SyncRecord>,
  right: ReadonlyMap<RecordKey, SyncRecord>,
): number {
  let different = 0;
  for (const [key, record] of left) {
    const other = right.get(key);
    if (other === undefined || !isSameFlat(record, other)) different++;
  }
  for (const key of right.keys()) if (!left.has(key)) different++;
  return different;
}

function isSameFlat(left: SyncRecord, right: SyncRecord): boolean {
  let attributes = 0;
  for (const name in left) {
    if (!Object.is(left[name], right[name])) return false;
    attributes++;
  }
  for (const _ in right) attributes--;
  return attributes === 0;
}

/** Median time of `step` over `rounds`, after a fifth of them for warming up. */
function medianMicroseconds(rounds: number, step: () => void): number {
  const times: number[] = [];
  const warm = Math.ceil(rounds / 5);
  for (let round = 0; round < warm + rounds; round++) {
    const start = process.hrtime.bigint();
    step();
    if (round >= warm) times.push(Number(process.hrtime.bigint() - start) / 1_000);
  }
  return times.sort((left, right) => left - right)[Math.floor(times.length / 2)]!;
}
