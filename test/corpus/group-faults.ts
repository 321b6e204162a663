import { type Change, recordKey } from '@syncscope/protocol/state';
import type { TraceRecord } from '@syncscope/protocol/trace';
import { CORPUS_BUGS } from './bugs.ts';
import { type CorpusFault, firstAfter, lastStateBefore, noted } from './fault.ts';
import { PEER_TARGET } from './peer-session.ts';
import type { Deliver } from './schedule.ts';
import type { CorpusRecording } from './session.ts';

const OPERATION = 45;

/** Faults of sessions without an authority. */
export function groupFaults(): readonly CorpusFault[] {
  return [
    {
      name: 'wall clock steps back',
      of: 'peers',
      class: 'clock',
      bug: CORPUS_BUGS.wallClock,
      session: (draw) => ({ clock: { at: 1_500 + draw() * 3_000, by: -3_000 - Math.floor(draw() * 40_000) } }),
      isCause: nextCommitOfTarget,
    },
    {
      name: 'clock far ahead',
      of: 'peers',
      class: 'clock',
      session: (draw) => ({ clock: { at: 1_500 + draw() * 3_000, by: 70_000 + Math.floor(draw() * 600_000) } }),
      isCause: nextCommitOfTarget,
    },
    {
      name: 'clock far behind',
      of: 'peers',
      class: 'clock',
      session: (draw) => ({ clock: { at: 1_500 + draw() * 3_000, by: -70_000 - Math.floor(draw() * 600_000) } }),
      isCause: (recording, index) => {
        const isRefusal = ({ body, replica }: TraceRecord) =>
          replica === PEER_TARGET && body.kind === 'refused' && body.code === 'CLOCK_TOO_FAR_AHEAD';
        return index === firstAfter(recording, recording.notes.get('strike') ?? -1, isRefusal);
      },
    },
    {
      name: 'peer with another policy',
      of: 'peers',
      class: 'conflict-resolved-differently',
      session: () => ({
        policies: [{ collection: 'note/', fields: ['votes'], policy: { kind: 'last-write' } }],
        deliver: cutAtTimes,
      }),
      isCause: decidedOtherwise,
    },
    {
      name: 'other write wins',
      of: 'peers',
      class: 'conflict-resolved-differently',
      bug: CORPUS_BUGS.otherWinner,
      chances: 5,
      session: () => ({ deliver: cutAtTimes }),
      // It may strike in a merge that is thrown away.
      mayMiss: ({ records }, struck) => struck < 0 || !records.some(({ body }) => body.kind === 'mismatch'),
      isCause: decidedOtherwise,
    },
    {
      name: 'checkpoint changed in memory',
      of: 'peers',
      class: 'corrupted-at-rest',
      session: (draw) => ({
        strikeAt: {
          at: 1_500 + draw() * 3_000,
          change: (keys): Change[] => [
            { op: 'put', key: recordKey(`strange/${Math.floor(draw() * keys.length)}`), record: { text: 'nobody' } },
          ],
        },
      }),
      isCause: lastStateBefore(PEER_TARGET),
    },
    {
      name: 'operation lost',
      of: 'crdt',
      class: 'lost',
      bug: CORPUS_BUGS.countsGaps,
      session: (draw) => ({
        deliver: onOperation(draw, (frame, to, { notes, records }) => {
          notes.set(
            'cause',
            records.findLastIndex(({ body, wire }) => body.kind === 'send' && body.to === to && wire === frame),
          );
          return [];
        }),
      }),
      isCause: noted('cause'),
    },
    {
      name: 'operation again',
      of: 'crdt',
      class: 'duplicated',
      bug: CORPUS_BUGS.countsTwice,
      session: (draw) => ({
        deliver: onOperation(draw, (frame) => [
          { frame, later: 0 },
          { frame: frame.slice(), later: 300 + draw() * 600, note: 'arrived' },
        ]),
      }),
      isCause: (recording, index) =>
        index === firstAfter(recording, recording.notes.get('arrived') ?? -1, ({ body }) => body.kind === 'receive'),
    },
    {
      name: 'join gives too much',
      of: 'crdt',
      class: 'conflict-resolved-differently',
      bug: CORPUS_BUGS.wrongJoin,
      isCause: (recording, index, struck) =>
        index === firstAfter(recording, struck, ({ body }) => body.kind === 'apply'),
    },
  ];
}

function nextCommitOfTarget(recording: CorpusRecording, index: number): boolean {
  const isOwn = ({ body, replica }: TraceRecord) => replica === PEER_TARGET && body.kind === 'commit';
  return index === firstAfter(recording, recording.notes.get('strike') ?? -1, isOwn);
}

/**
 * Where a replica decided in another way: the record with which it came to another state, or the conflict that tells of it; the frame that
 * it refused, where it came to that only to see.
 */
function decidedOtherwise(recording: CorpusRecording, index: number, struck: number): boolean {
  const { records, notes } = recording;
  const at = struck >= 0 ? struck : (notes.get('parted') ?? -1);
  const first = records[at];
  if (!first) return false;
  if (first.body.kind === 'mismatch') return index === records.findIndex(({ seq }) => seq === first.cause[0]);
  if (index === at) return true;
  // Conflicts are told of right after the change, and the vector between them.
  const one = records[index]!;
  const between = records.slice(at, index);
  return one.body.kind === 'conflict' && between.length > 0 && between.every(({ replica }) => replica === one.replica);
}

/** Cut off for a while again and again, peers write without knowing of each other. */
const cutAtTimes: Deliver = (frame, from, to, { records }) => {
  const now = (records.at(-1)?.time ?? 0) / 1_000_000;
  const isCut = now % 1_500 < 500 && (from === PEER_TARGET || to === PEER_TARGET);
  return isCut ? [] : [{ frame, later: 0 }];
};

/** Lets the n-th operation that is on its way be dealt with. */
function onOperation(
  draw: () => number,
  deal: (frame: Uint8Array, to: string, marks: Parameters<Deliver>[3]) => ReturnType<Deliver>,
): Deliver {
  let wait = 10 + Math.floor(draw() * 20);
  return (frame, _from, to, marks) =>
    frame[1] !== OPERATION || wait-- !== 0 ? [{ frame, later: 0 }] : deal(frame, to, marks);
}
