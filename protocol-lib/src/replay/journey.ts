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
  let arrivals: PlannedArrival[] = journey.arrivals.map(({ step, time, now, seq }) => ({
    time,
    order: step,
    now,
    seq,
  }));
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
    else if (edit.kind === 'delay') arrivals = arrivals.map((one) => (isMeant(one) ? later(one, edit.by) : one));
    else if (edit.kind === 'edit') bytes = editedFrame(frame, context.names, edit.path, edit.value);
    else arrivals = [...arrivals, ...arrivals.filter(isMeant).map((one) => later(one, DUPLICATE_AFTER))];
  }
  return { frame: bytes, arrivals, isEdited };
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
