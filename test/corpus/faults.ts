import type { DivergenceClass } from '@syncscope/protocol/capture';
import { type Change, recordKey } from '@syncscope/protocol/state';
import type { SessionDefinition } from '@syncscope/protocol/sync';
import type { TraceRecord } from '@syncscope/protocol/trace';
import type { PlantedBug } from '../simulation/planted-bugs.ts';
import { CORPUS_BUGS } from './bugs.ts';
import { market, marketReducer, nextIntent } from './market.ts';
import type { CorpusRecording, CorpusSession, Delivery } from './session.ts';

/** One kind of fault, how it is made, and which record made it happen. */
export interface CorpusFault {
  readonly name: string;
  readonly class: DivergenceClass;
  readonly bug?: PlantedBug;
  /** A bug that goes on strikes at every chance. */
  readonly goesOn?: boolean;
  session?(draw: () => number): Partial<CorpusSession>;
  /** Whether a record is the one. `struck`: index of the next record when the bug struck; -1 where it did not. */
  isCause(recording: CorpusRecording, index: number, struck: number): boolean;
}

const TARGET = 'bot-2';
const DELTA = 8;
/** Two results can be compared where nobody else did anything in between. */
const QUIET = { pause: 700, length: 30_000, intent: touchMostly } as const;

function touchMostly(draw: () => number): ReturnType<typeof nextIntent> {
  return draw() < 0.7
    ? { command: 'touch', args: { key: `item/${Math.floor(draw() * 24)}`, seen: Math.floor(draw() * 1_000) } }
    : nextIntent(draw);
}

function isDelta(frame: Uint8Array): boolean {
  return frame[1] === DELTA;
}

/** Lets the n-th delta to the target after the first second be dealt with. */
function onDelta(
  draw: () => number,
  deal: (frame: Uint8Array, records: CorpusRecording['notes'], now: TraceRecord[]) => Delivery[],
) {
  let wait = 10 + Math.floor(draw() * 40);
  return {
    deliver: (
      frame: Uint8Array,
      to: string,
      _now: number,
      marks: { records: readonly TraceRecord[]; notes: Map<string, number> },
    ) => {
      if (to !== TARGET || !isDelta(frame) || wait-- !== 0) return [{ frame, later: 0 }];
      return deal(frame, marks.notes, [...marks.records]);
    },
  };
}

function sentAs(frame: Uint8Array, records: readonly TraceRecord[]): number {
  return records.findLastIndex(
    ({ body, wire }) => body.kind === 'send' && body.to === TARGET && sameBytes(wire, frame),
  );
}

function sameBytes(left: Uint8Array | undefined, right: Uint8Array): boolean {
  return left !== undefined && Buffer.compare(left, right) === 0;
}

function firstAfter(recording: CorpusRecording, from: number, fits: (one: TraceRecord) => boolean): number {
  return from < 0 ? -1 : recording.records.findIndex((one, index) => index >= from && fits(one));
}

const noted =
  (name: string) =>
  ({ notes }: CorpusRecording, index: number): boolean =>
    notes.get(name) === index;

const lastReceipt = ({ records }: CorpusRecording, index: number, struck: number): boolean =>
  struck >= 0 && index === records.findLastIndex(({ body }, at) => at < struck && body.kind === 'receive');

const nextDelta = (recording: CorpusRecording, index: number, struck: number): boolean =>
  index === firstAfter(recording, struck, ({ body }) => body.kind === 'delta');

/** A frame that could not be read is told of as refused. */
const receiptNoted = (recording: CorpusRecording, index: number): boolean => {
  const from = recording.notes.get('arrived') ?? -1;
  const arrived = ({ body, replica }: TraceRecord) =>
    replica === TARGET && (body.kind === 'receive' || body.kind === 'refused');
  return index === firstAfter(recording, from, arrived);
};

const lastState = ({ records, notes }: CorpusRecording, index: number): boolean => {
  const struck = notes.get('strike') ?? -1;
  const tells = ({ body, replica }: TraceRecord) =>
    replica === TARGET && (body.kind === 'apply' || body.kind === 'snapshot' || body.kind === 'repair');
  return index === records.findLastIndex((one, at) => at < struck && tells(one));
};

function atRest(name: string, change: (keys: readonly string[], draw: () => number) => Change): CorpusFault {
  return {
    name,
    class: 'corrupted-at-rest',
    session: (draw) => ({
      strikeAt: {
        at: 1_500 + Math.floor(draw() * 3_000),
        change: (client) => [
          change(
            Array.from(client.committed.entries(), ([key]) => key),
            draw,
          ),
        ],
      },
    }),
    isCause: lastState,
  };
}

function flip(name: string, place: (length: number, draw: () => number) => number): CorpusFault {
  return {
    name,
    class: 'corrupted-in-transit',
    session: (draw) =>
      onDelta(draw, (frame) => {
        const flipped = frame.slice();
        flipped[place(frame.length, draw)]! ^= 1 << Math.floor(draw() * 8);
        return [{ frame: flipped, later: 0, note: 'arrived' }];
      }),
    isCause: receiptNoted,
  };
}

/** A reducer that puts a result of its own into a field. */
function unsteady(name: string, value: () => number): CorpusFault {
  return {
    name,
    class: 'nondeterministic-reducer',
    session: () => ({ ...QUIET, definition: market({ reduce: touched(value) }) }),
    isCause: ({ records }, index) => {
      const body = records[index]?.body;
      return body?.kind === 'commit' && body.event.type === 'TOUCHED';
    },
  };
}

function touched(
  value: (data: Readonly<Record<string, unknown>>) => number,
  more: object = {},
): SessionDefinition['reduce'] {
  return (state, event) => {
    if (event.type !== 'TOUCHED') return marketReducer(state, event);
    const data = event.data as { readonly key: string; readonly seen: number };
    return [{ op: 'patch', key: recordKey(data.key), fields: { seen: value(data), ...more }, removed: [] }];
  };
}

/** A client of a build with other rules. */
function skewed(name: string, reduce: SessionDefinition['reduce']): CorpusFault {
  return {
    name,
    class: 'build-skew',
    session: () => ({ ...QUIET, asPlayed: { replica: TARGET, definition: market({ reduce }) } }),
    isCause: ({ records }, index) => {
      const one = records[index];
      return one?.replica === TARGET && one.body.kind === 'prediction' && one.body.command === 'touch';
    },
  };
}

/** Faults are planted where real ones are: on the wire, in the copy, in the rules, in the code. */
export function corpusFaults(random: () => number): readonly CorpusFault[] {
  let clock = 0;
  return [
    {
      name: 'delta lost, base unchecked',
      class: 'lost',
      bug: CORPUS_BUGS.noBaseCheck,
      session: (draw) =>
        onDelta(draw, (frame, notes, records) => {
          notes.set('cause', sentAs(frame, records));
          return [];
        }),
      isCause: noted('cause'),
    },
    {
      name: 'old delta again',
      class: 'duplicated',
      bug: CORPUS_BUGS.noOrder,
      session: (draw) =>
        onDelta(draw, (frame) => [
          { frame, later: 0 },
          { frame: frame.slice(), later: 700 + draw() * 600, note: 'arrived' },
        ]),
      isCause: receiptNoted,
    },
    {
      name: 'delta overtaken',
      class: 'reordered',
      bug: CORPUS_BUGS.noOrder,
      session: (draw) =>
        onDelta(draw, (frame, notes, records) => {
          notes.set('sent', sentAs(frame, records));
          return [{ frame, later: 500 }];
        }),
      isCause: (recording, index) => {
        const sent = recording.notes.get('sent') ?? -1;
        const held = recording.records[sent]?.body;
        if (held?.kind !== 'send') return false;
        const overtakes = ({ body, replica }: TraceRecord) =>
          replica === TARGET && body.kind === 'receive' && body.type === 'DELTA_SYNC' && body.sequence > held.sequence;
        return index === firstAfter(recording, sent, overtakes);
      },
    },
    flip('bit flipped in a value', (length, draw) => length - 10 - Math.floor(draw() * Math.min(20, length / 3))),
    flip('bit flipped anywhere', (length, draw) => 2 + Math.floor(draw() * (length - 2))),
    atRest('value changed in memory', (keys, draw) => ({
      op: 'patch',
      key: recordKey(keys[Math.floor(draw() * keys.length)]!),
      fields: { room: 7 },
      removed: [],
    })),
    atRest('record lost in memory', (keys, draw) => ({
      op: 'remove',
      key: recordKey(keys[Math.floor(draw() * keys.length)]!),
    })),
    { name: 'client applies to an old state', class: 'wrong-base', bug: CORPUS_BUGS.staleBase, isCause: lastReceipt },
    {
      name: 'authority makes from another version',
      class: 'wrong-base',
      bug: CORPUS_BUGS.wrongRing,
      isCause: nextDelta,
    },
    { name: 'applier skips a change', class: 'missed-change', bug: CORPUS_BUGS.skipped, isCause: lastReceipt },
    {
      name: 'view misses an exit',
      class: 'missed-change',
      bug: CORPUS_BUGS.exit,
      session: () => ({ definition: market({ hasViews: true }) }),
      isCause: nextDelta,
    },
    unsteady('reducer with randomness', () => Math.floor(random() * 1e9)),
    unsteady('reducer with a clock', () => {
      clock += 1 + Math.floor(random() * 5_000);
      return clock;
    }),
    skewed(
      'client with a newer field',
      touched(({ seen }) => Number(seen), { shade: 'grey' }),
    ),
    skewed(
      'client with another rule',
      touched(({ seen }) => Number(seen) + 1),
    ),
    {
      name: 'codec cuts to 16 bits',
      class: 'codec-fault',
      bug: CORPUS_BUGS.cutIntegers,
      goesOn: true,
      isCause: lastOrNextReceipt,
    },
    {
      name: 'codec reads with sign',
      class: 'codec-fault',
      bug: CORPUS_BUGS.signedIntegers,
      isCause: lastOrNextReceipt,
    },
    {
      name: 'codec of single precision',
      class: 'codec-fault',
      bug: CORPUS_BUGS.singlePrecision,
      isCause: lastOrNextReceipt,
    },
  ];
}

/** A frame is read before its receipt is told. */
function lastOrNextReceipt(recording: CorpusRecording, index: number, struck: number): boolean {
  return index === firstAfter(recording, struck, ({ body }) => body.kind === 'receive');
}
