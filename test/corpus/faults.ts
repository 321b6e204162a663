import { type Change, recordKey } from '@syncscope/protocol/state';
import type { SessionDefinition } from '@syncscope/protocol/sync';
import type { TraceRecord } from '@syncscope/protocol/trace';
import { CORPUS_BUGS } from './bugs.ts';
import { decisionFaults } from './decision-faults.ts';
import { type CorpusFault, firstAfter, lastStateBefore, noted } from './fault.ts';
import { groupFaults } from './group-faults.ts';
import { market, marketReducer, nextIntent } from './market.ts';
import type { Deliver, Delivery, Marks } from './schedule.ts';
import type { CorpusRecording } from './session.ts';

const TARGET = 'bot-2';
const DELTA = 8;
const ACK = 11;
const COMMAND = 12;
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

/** Lets the n-th delta to the target be dealt with. */
function onDelta(draw: () => number, deal: (frame: Uint8Array, marks: Marks) => Delivery[]) {
  let wait = 10 + Math.floor(draw() * 40);
  return {
    deliver: (frame: Uint8Array, _from: string, to: string, marks: Marks) => {
      if (to !== TARGET || !isDelta(frame) || wait-- !== 0) return [{ frame, later: 0 }];
      return deal(frame, marks);
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
    isCause: lastStateBefore(TARGET),
  };
}

function flip(name: string, place: (length: number, draw: () => number) => number): CorpusFault {
  return onTheWay(name, (frame, draw) => {
    const flipped = frame.slice();
    flipped[place(frame.length, draw)]! ^= 1 << Math.floor(draw() * 8);
    return flipped;
  });
}

function onTheWay(name: string, change: (frame: Uint8Array, draw: () => number) => Uint8Array): CorpusFault {
  return {
    name,
    class: 'corrupted-in-transit',
    session: (draw) => onDelta(draw, (frame) => [{ frame: change(frame, draw), later: 0, note: 'arrived' }]),
    isCause: receiptNoted,
  };
}

/** A bit of a frame to the authority, behind its head. */
function toServer(name: string, type: number): CorpusFault {
  return {
    name,
    class: 'corrupted-in-transit',
    session: (draw) => {
      let wait = 10 + Math.floor(draw() * 20);
      return {
        deliver: (frame, from) => {
          if (from !== TARGET || frame[1] !== type || wait-- !== 0) return [{ frame, later: 0 }];
          const flipped = frame.slice();
          flipped[Math.floor(frame.length * (0.5 + draw() / 2))]! ^= 1 << Math.floor(draw() * 8);
          return [{ frame: flipped, later: 0, note: 'arrived' }];
        },
      };
    },
    isCause: (recording, index) =>
      index ===
      firstAfter(
        recording,
        recording.notes.get('arrived') ?? -1,
        ({ body, replica }) => replica === 'server' && (body.kind === 'receive' || body.kind === 'refused'),
      ),
  };
}

/** A run of other bytes somewhere behind the head of the frame. */
function overwritten(frame: Uint8Array, draw: () => number): Uint8Array {
  const length = Math.min(frame.length - 4, 12 + Math.floor(draw() * 36));
  const from = 2 + Math.floor(draw() * (frame.length - length - 2));
  return frame.map((byte, at) => (at >= from && at < from + length ? byte ^ (1 + Math.floor(draw() * 255)) : byte));
}

function lengthened(frame: Uint8Array, draw: () => number): Uint8Array {
  const from = 2 + Math.floor(draw() * (frame.length - 2));
  const more = Array.from({ length: 1 + Math.floor(draw() * 20) }, () => Math.floor(draw() * 256));
  return Uint8Array.from([...frame.subarray(0, from), ...more, ...frame.subarray(from)]);
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
        onDelta(draw, (frame, { notes, records }) => {
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
        onDelta(draw, (frame, { notes, records }) => {
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
    onTheWay('bytes overwritten', overwritten),
    toServer('acknowledgement changed on the way', ACK),
    toServer('command changed on the way', COMMAND),
    onTheWay('frame cut short', (frame, draw) => frame.slice(0, 12 + Math.floor(draw() * (frame.length - 12)))),
    onTheWay('bytes put in', lengthened),
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
    {
      name: 'value changed in the memory of the authority',
      class: 'corrupted-at-rest',
      bug: CORPUS_BUGS.ownState,
      // The last of its records that tells its root.
      isCause: ({ records }, index, struck) =>
        index ===
        records.findLastIndex(({ body, replica }, at) => at < struck && replica === 'server' && tellsRoot(body)),
    },
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
    {
      name: 'age measured with two clocks',
      class: 'clock',
      bug: CORPUS_BUGS.skewedAge,
      isCause: ({ records }, index) => index === records.findIndex((one) => isStall(one)),
    },
    {
      name: 'client takes nothing in',
      class: 'not-progressing',
      bug: CORPUS_BUGS.deaf,
      session: () => STUCK,
      isCause: ({ records }, index) => index === records.findIndex((one) => isStall(one)),
    },
    {
      name: 'commands swallowed on the way',
      class: 'pending-stuck',
      session: (draw) => ({ ...STUCK, deliver: swallowed(draw) }),
      isCause: noted('cause'),
    },
    ...groupFaults(),
    ...decisionFaults(),
  ];
}

function tellsRoot(body: TraceRecord['body']): boolean {
  return body.kind === 'snapshot' || body.kind === 'hash' || (body.kind === 'commit' && body.root !== undefined);
}

/** A stall has to last before it is one. */
const STUCK = { length: 24_000, pause: 250 } as const;

function isStall({ body }: TraceRecord): boolean {
  return body.kind === 'health' && body.target === TARGET && body.state === 'stalled';
}

/** From the n-th command of the target on, none arrives. Notes what made the first of them. */
function swallowed(draw: () => number): Deliver {
  let wait = 5 + Math.floor(draw() * 20);
  return (frame, from, to, { notes, records }) => {
    if (from !== TARGET || frame[1] !== COMMAND || wait-- > 0) return [{ frame, later: 0 }];
    if (!notes.has('cause')) {
      const sent = records.findLast(
        ({ body, wire }) => body.kind === 'send' && body.to === to && sameBytes(wire, frame),
      );
      notes.set(
        'cause',
        records.findIndex(({ seq }) => seq === sent?.cause[0]),
      );
    }
    return [];
  };
}

/** A frame is read before its receipt is told. */
function lastOrNextReceipt(recording: CorpusRecording, index: number, struck: number): boolean {
  return index === firstAfter(recording, struck, ({ body }) => body.kind === 'receive');
}
