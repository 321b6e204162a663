import type { NameSource } from '../messages/index.ts';
import { milliseconds } from '../ports/index.ts';
import { type Edit, editedFrame } from './edits.ts';

/** One time that a frame arrived: in which step, when, what its receiver's clock said, and the `seq` of the record that tells of it. */
export interface Arrival {
  readonly step: number;
  readonly time: number;
  readonly now: number;
  readonly seq: number;
}

/** How a frame fared: when it was sent, by which record, and each time that it arrived: none where it was lost, several where it was duplicated. */
export interface Travelled {
  readonly sent: number;
  readonly sentAt: number;
  readonly arrivals: readonly Arrival[];
}

/** An arrival in a branch: in which order among those of its moment, and what the receiver's clock says, where the recording knows. */
export interface PlannedArrival {
  readonly time: number;
  readonly order: number;
  readonly now: number | undefined;
  readonly seq: number;
}

export interface EditContext {
  /** The frame of the message that a record tells of. */
  readonly bySeq: (seq: number) => Travelled | undefined;
  /** When a frame arrives that was still on its way when the recording ended; undefined of any other. */
  readonly stillArrives: (journey: Travelled) => number | undefined;
  /** How long most frames take, in nanoseconds. */
  readonly usual: number;
  /** A place behind all that was recorded of a moment. */
  readonly nextOrder: () => number;
  /** Names that the frame refers to. */
  readonly names: NameSource;
}

const DUPLICATE_AFTER = milliseconds(1);

/** What becomes of a frame by the edits: what it says, when it arrives, and whether any of them was about it. */
export function editedJourney(edits: readonly Edit[], journey: Travelled, frame: Uint8Array, context: EditContext) {
  const later = (arrival: PlannedArrival, by: number): PlannedArrival => {
    return { ...arrival, time: arrival.time + by, order: context.nextOrder(), now: undefined };
  };
  let bytes = frame;
  let isEdited = false;
  const unrecorded = (time: number): PlannedArrival => ({ time, order: context.nextOrder(), now: undefined, seq: 0 });
  const still = context.stillArrives(journey);
  let arrivals: PlannedArrival[] =
    still === undefined
      ? journey.arrivals.map(({ step, time, now, seq }) => ({ time, order: step, now, seq }))
      : [unrecorded(still)];
  for (const edit of edits) {
    if (edit.kind === 'swap') {
      const place = exchanged(edit, journey, context);
      if (!place) continue;
      arrivals = arrivals.map((one) => ({ ...one, time: place.time, order: place.step, now: place.now }));
      isEdited = true;
      continue;
    }
    if (!isAbout(journey, edit.seq)) continue;
    isEdited = true;
    // The record of the sending means all copies, that of a receipt this one.
    const isMeant = ({ seq }: PlannedArrival): boolean => edit.seq === journey.sent || edit.seq === seq;
    if (edit.kind === 'drop') arrivals = arrivals.filter((one) => !isMeant(one));
    else if (edit.kind === 'delay' && arrivals.length === 0) {
      arrivals = [unrecorded(journey.sentAt + context.usual + edit.by)];
    } else if (edit.kind === 'delay') arrivals = arrivals.map((one) => (isMeant(one) ? later(one, edit.by) : one));
    else if (edit.kind === 'edit') bytes = editedFrame(frame, context.names, edit.path, edit.value);
    else arrivals = [...arrivals, ...arrivals.filter(isMeant).map((one) => later(one, DUPLICATE_AFTER))];
  }
  return { frame: bytes, arrivals, isEdited };
}

/**
 * The frames that were still on their way when the recording ended, as far as can be told: none that was sent behind them on their way has arrived, and
 * they are younger than the slowest frame was.
 * @param journeys in the order in which they were sent, under names that end with the number on their way, such as `ann/ben/17`
 * @param end the time of the last input, behind which nothing is run again
 */
export function underwayAt(journeys: ReadonlyMap<string, Travelled>, end: number): ReadonlySet<Travelled> {
  let slowest = 0;
  const open = new Map<string, Travelled[]>();
  for (const [name, journey] of journeys) {
    const way = name.slice(0, name.lastIndexOf('/'));
    const [first] = journey.arrivals;
    if (first) {
      slowest = Math.max(slowest, first.time - journey.sentAt);
      open.delete(way);
    } else {
      const before = open.get(way);
      if (before) before.push(journey);
      else open.set(way, [journey]);
    }
  }
  return new Set([...open.values()].flat().filter(({ sentAt }) => sentAt + slowest >= end));
}

/** Where the message arrived that this one is exchanged with. */
function exchanged(
  edit: Extract<Edit, { kind: 'swap' }>,
  journey: Travelled,
  { bySeq }: EditContext,
): Arrival | undefined {
  const other = isAbout(journey, edit.seq) ? edit.other : isAbout(journey, edit.other) ? edit.seq : undefined;
  return other === undefined ? undefined : bySeq(other)?.arrivals[0];
}

function isAbout({ sent, arrivals }: Travelled, seq: number): boolean {
  return sent === seq || arrivals.some((one) => one.seq === seq);
}
