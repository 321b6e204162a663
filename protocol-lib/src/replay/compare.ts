import type { OpenCapture } from '../capture/index.ts';
import type { ReplicaId, StateHash, Version } from '../state/index.ts';
import type { TraceKind, TraceRecord } from '../trace/index.ts';
import { Aligner } from './compare-aligner.ts';
import { identityOf } from './compare-identity.ts';
import type { Parting, Side, Tally } from './compare-lane.ts';
import { type CommonStart, StartFinder } from './compare-start.ts';
import { firstDifferenceOf } from './difference.ts';
import type { Placed } from './steps.ts';

export type { Tally } from './compare-lane.ts';

/** Where two captures first part on one replica. */
export interface StructuralDifference {
  readonly replica: ReplicaId;
  /** `content`: the same happened with other values; `structure`: something else happened; `left`, `right`: only there did more happen. */
  readonly differs: 'content' | 'structure' | 'left' | 'right';
  /** Path into the record's body where the content differs, and what each has there; absent is undefined. */
  readonly path?: string;
  readonly values?: { readonly left: unknown; readonly right: unknown };
  readonly left?: ComparedRecord;
  readonly right?: ComparedRecord;
  /** Where both go on alike behind what only one has, or each has otherwise; absent where they do not. */
  readonly resumes?: { readonly left: ComparedRecord; readonly right: ComparedRecord };
}

export interface ComparedRecord {
  readonly position: number;
  readonly seq: number;
  readonly kind: TraceKind;
  /** What it is, by its identity: `send DELTA_SYNC 17 to bob`. */
  readonly identity: string;
}

export interface EndState {
  readonly replica: ReplicaId;
  readonly left?: { readonly version: Version; readonly root: StateHash };
  readonly right?: { readonly version: Version; readonly root: StateHash };
}

/** What a capture has from before the other was begun: no difference. */
export interface Earlier {
  readonly records: number;
  /** Position of the first record of the common part. */
  readonly position: number;
  /** The newest version before, where any record tells one. */
  readonly version?: Version;
}

/** Two captures of one session, or of two that should have gone alike. */
export interface Comparison {
  readonly isEqual: boolean;
  /** Which of the two begins earlier, where one does; then {@link differences} are those from where both tell. */
  readonly earlier?: { readonly left?: Earlier; readonly right?: Earlier };
  /** The difference that no other can have caused. */
  readonly first?: StructuralDifference;
  /** The first of each replica. */
  readonly differences: readonly StructuralDifference[];
  /** How many records of the common part are alike, changed, or in one capture only. */
  readonly aligned: Readonly<Tally>;
  readonly counts: ReadonlyArray<{ readonly kind: TraceKind; readonly left: number; readonly right: number }>;
  /** What each replica came to. */
  readonly ends: readonly EndState[];
}

/**
 * Aligns two captures by what happened on each replica, never by time or place, and names where they part. What only one of them has is passed over, and both go on where they are
 * alike again. Reads each capture twice at most, in order, in memory that does not grow with them. @throws SyncError as reading the captures does
 */
export async function compareCaptures(left: OpenCapture, right: OpenCapture): Promise<Comparison> {
  const finder = new StartFinder();
  const start = await takeTurns(left, right, (side, placed) => finder.take(side, placed));
  const aligner = new Aligner(start ?? finder.end());
  await takeTurns(left, right, (side, placed) => void aligner.take(side, placed), aligner);
  const at = async (side: Side, position: number): Promise<TraceRecord> =>
    (await (side === 'left' ? left : right).record(position)).record;
  const found = await Promise.all(
    aligner.partings.map(async ({ replica, parting }) => {
      const places = placesOf(parting);
      const records = await Promise.all(places.map(({ side, position }) => at(side, position)));
      return differenceOf(replica, parting, lookup(places, records));
    }),
  );
  return comparisonOf(aligner, found);
}

/** {@link compareCaptures} of traces at hand. */
export function compareTraces(left: readonly Placed[], right: readonly Placed[]): Comparison {
  const finder = new StartFinder();
  const start = turns(left, right, (side, placed) => finder.take(side, placed));
  const aligner = new Aligner(start ?? finder.end());
  turns(left, right, (side, placed) => void aligner.take(side, placed), aligner);
  const byPosition = { left: placedBy(left), right: placedBy(right) };
  const at = (side: Side, position: number): TraceRecord => byPosition[side].get(position)!;
  const found = aligner.partings.map(({ replica, parting }) => differenceOf(replica, parting, at));
  return comparisonOf(aligner, found);
}

function placedBy(trace: readonly Placed[]): Map<number, TraceRecord> {
  return new Map(trace.map(({ position, record }) => [position, record]));
}

type Take = (side: Side, placed: Placed) => CommonStart | undefined;

/** Whose turn it is where nobody says: theirs alternately. */
class Alternately {
  readonly #isEnded = { left: false, right: false };
  #last: Side = 'right';

  next(): Side | undefined {
    const other = this.#last === 'left' ? 'right' : 'left';
    const side = this.#isEnded[other] ? this.#last : other;
    this.#last = side;
    return this.#isEnded[side] ? undefined : side;
  }

  end(side: Side): void {
    this.#isEnded[side] = true;
  }
}

type Turns = Pick<Aligner, 'next' | 'end'>;

/** Hands over the records of both, up to the first answer. */
async function takeTurns(
  left: OpenCapture,
  right: OpenCapture,
  take: Take,
  whose: Turns = new Alternately(),
): Promise<CommonStart | undefined> {
  const readers = { left: left.trace()[Symbol.asyncIterator](), right: right.trace()[Symbol.asyncIterator]() };
  try {
    for (let side = whose.next(); side; side = whose.next()) {
      const { value, done } = await readers[side].next();
      if (done) whose.end(side);
      else {
        const answer = take(side, value);
        if (answer) return answer;
      }
    }
    return undefined;
  } finally {
    await Promise.all([readers.left.return?.(), readers.right.return?.()]);
  }
}

function turns(
  left: readonly Placed[],
  right: readonly Placed[],
  take: Take,
  whose: Turns = new Alternately(),
): CommonStart | undefined {
  const traces = { left, right };
  const next = { left: 0, right: 0 };
  for (let side = whose.next(); side; side = whose.next()) {
    const placed = traces[side][next[side]++];
    const answer = placed ? take(side, placed) : whose.end(side);
    if (answer) return answer;
  }
  return undefined;
}

function placesOf(parting: Parting): Array<{ readonly side: Side; readonly position: number }> {
  const { left, right } = parting;
  const resumes = parting.isPair ? undefined : parting.resumes;
  const places: Array<readonly [Side, number | undefined]> = [
    ['left', left],
    ['right', right],
    ['left', resumes?.left],
    ['right', resumes?.right],
  ];
  return places.flatMap(([side, position]) => (position === undefined ? [] : [{ side, position }]));
}

function lookup(places: ReturnType<typeof placesOf>, records: readonly TraceRecord[]) {
  const known = new Map(places.map(({ side, position }, at) => [`${side} ${position}`, records[at]!]));
  return (side: Side, position: number): TraceRecord => known.get(`${side} ${position}`)!;
}

function differenceOf(
  replica: ReplicaId,
  parting: Parting,
  at: (side: Side, position: number) => TraceRecord,
): StructuralDifference {
  const told = (side: Side, position: number): ComparedRecord => {
    const record = at(side, position);
    return { position, seq: record.seq, kind: record.body.kind, identity: identityOf(record) };
  };
  const { left, right } = parting;
  const sides = {
    ...(left === undefined ? {} : { left: told('left', left) }),
    ...(right === undefined ? {} : { right: told('right', right) }),
  };
  if (parting.isPair) {
    const found = firstDifferenceOf(at('left', parting.left).body, at('right', parting.right).body);
    const where = found ? { path: found.path, values: { left: found.left, right: found.right } } : {};
    return { replica, differs: 'content', ...where, ...sides };
  }
  const { resumes } = parting;
  return {
    replica,
    differs: right === undefined ? 'left' : left === undefined ? 'right' : 'structure',
    ...sides,
    ...(resumes ? { resumes: { left: told('left', resumes.left), right: told('right', resumes.right) } } : {}),
  };
}

function comparisonOf(aligner: Aligner, found: readonly StructuralDifference[]): Comparison {
  const { start, tally, left, right } = aligner;
  // Positions of one capture follow causes: of several, the one that stands first in both cannot have been caused by another.
  const place = (one: StructuralDifference): number =>
    Math.min(
      (one.left?.position ?? Number.POSITIVE_INFINITY) - start.left,
      (one.right?.position ?? Number.POSITIVE_INFINITY) - start.right,
    );
  const [first] = found.toSorted((a, b) => place(a) - place(b) || (a.replica < b.replica ? -1 : 1));
  const earlier = start.later && (start.later === 'right' ? 'left' : 'right');
  return {
    isEqual: found.length === 0,
    ...(earlier ? { earlier: { [earlier]: earlierOf(aligner, earlier) } } : {}),
    ...(first ? { first } : {}),
    differences: found,
    aligned: tally,
    counts: [...new Set([...left.counts.keys(), ...right.counts.keys()])]
      .sort()
      .map((kind) => ({ kind, left: left.counts.get(kind) ?? 0, right: right.counts.get(kind) ?? 0 })),
    ends: [...new Set([...left.ends.keys(), ...right.ends.keys()])].sort().map((replica) => {
      const [one, other] = [left.ends.get(replica), right.ends.get(replica)];
      return { replica, ...(one ? { left: one } : {}), ...(other ? { right: other } : {}) };
    }),
  };
}

function earlierOf(aligner: Aligner, side: Side): Earlier {
  const { records, version } = aligner[side].before;
  return { records, position: aligner.start[side], ...(version === undefined ? {} : { version }) };
}
