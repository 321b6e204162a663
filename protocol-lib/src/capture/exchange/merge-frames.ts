import type { ReplicaId } from '../../state/index.ts';
import type { TraceRecord } from '../../trace/index.ts';
import type { OpenCapture } from '../engine.ts';
import type { CaptureInfo } from '../query.ts';
import type { Telling } from './merge-tellers.ts';
import { type Frame, SeenFrames } from './seen-frames.ts';

/** For each part when it saw each frame being sent, on its own clock. */
export type Sends = readonly SeenFrames[];

/** The frame that a record is about; undefined where it is about none. */
export function frameOf({ body, replica }: TraceRecord): Frame | undefined {
  if (body.kind === 'send') return { sender: body.sender, sequence: body.sequence, receiver: body.to };
  if (body.kind === 'receive') return { sender: body.sender, sequence: body.sequence, receiver: replica };
  return undefined;
}

/** Reads all parts once: who sent what when, and who tells of itself from when to when, each on its part's own clock. */
export async function surveyed(
  parts: readonly OpenCapture[],
): Promise<{ readonly sends: Sends; readonly tellings: readonly Telling[] }> {
  const sends = parts.map(() => new SeenFrames(true));
  const tellings: Telling[] = [];
  for (const [part, capture] of parts.entries()) {
    const own = new Map<ReplicaId, { first: number; last: number }>();
    for await (const { record } of capture.trace()) {
      const { body, replica, time } = record;
      const told = own.get(replica);
      if (told) told.last = time;
      else own.set(replica, { first: time, last: time });
      if (body.kind === 'send') sends[part]!.add(frameOf(record)!, time);
    }
    tellings.push(...[...own].map(([id, times]) => ({ part, id, ...times })));
  }
  return { sends, tellings };
}

/** The parts that saw a frame being sent. */
export function sendersOf(sends: Sends, frame: Frame): number[] {
  return sends.flatMap((seen, part) => (seen.get(frame) === undefined ? [] : [part]));
}

/** A receipt of one part of what others saw being sent. */
export interface Crossing {
  readonly part: number;
  readonly record: TraceRecord;
  /** The parts that saw it being sent, and when. */
  readonly from: ReadonlyArray<{ readonly part: number; readonly time: number }>;
}

/** Reads all parts once more for the receipts of which the frame was sent in others alone. */
export async function* crossings(parts: readonly OpenCapture[], sends: Sends): AsyncGenerator<Crossing> {
  for (const [part, capture] of parts.entries()) {
    for await (const { record } of capture.trace()) {
      if (record.body.kind !== 'receive') continue;
      const frame = frameOf(record)!;
      if (sends[part]!.get(frame) !== undefined) continue;
      const from = sendersOf(sends, frame).map((one) => ({ part: one, time: sends[one]!.get(frame)! }));
      if (from.length > 0) yield { part, record, from };
    }
  }
}

/**
 * Tells by how much the parts' clocks are apart. A message from A to B that took at least no time says that B's clock is ahead by at most (received − sent); one the
 * other way round bounds it from below.
 */
export class Clocks {
  readonly #infos: readonly CaptureInfo[];
  readonly #processes: readonly number[];
  /** The least that a message took from one part to another, by both clocks. */
  readonly #least = new Map<string, number>();

  constructor(infos: readonly CaptureInfo[], processes: readonly number[]) {
    this.#infos = infos;
    this.#processes = processes;
  }

  take({ part, record, from }: Crossing): void {
    for (const sent of from) {
      const way = `${sent.part} ${part}`;
      this.#least.set(way, Math.min(record.time - sent.time, this.#least.get(way) ?? Number.POSITIVE_INFINITY));
    }
  }

  /** For each part the offset that makes its times those of the first part it is connected with. */
  offsets(): number[] {
    const infos = this.#infos;
    const offsets: (number | undefined)[] = infos.map((_, part) => (part === 0 ? 0 : undefined));
    for (;;) {
      // Recordings of one process have one clock.
      for (const [part, process] of this.#processes.entries()) {
        offsets[part] ??= offsets.find((offset, other) => offset !== undefined && this.#processes[other] === process);
      }
      const next = offsets.findIndex(
        (offset, part) =>
          offset === undefined && offsets.some((known, other) => known !== undefined && this.#areLinked(part, other)),
      );
      const part = next >= 0 ? next : offsets.indexOf(undefined);
      if (part < 0) break;
      const other = offsets.findIndex((known, one) => known !== undefined && this.#areLinked(part, one));
      // Nothing passed between them: only the wall clocks in the headers are left.
      offsets[part] =
        other >= 0
          ? offsets[other]! - this.#aheadBy(other, part)
          : (infos[part]!.header.startedAt - infos[0]!.header.startedAt) * 1_000_000;
    }
    return offsets.map((offset) => offset ?? 0);
  }

  #areLinked(left: number, right: number): boolean {
    return this.#least.has(`${left} ${right}`) || this.#least.has(`${right} ${left}`);
  }

  /** By how much the clock of `right` is ahead of that of `left`. */
  #aheadBy(left: number, right: number): number {
    const there = this.#least.get(`${left} ${right}`);
    const back = this.#least.get(`${right} ${left}`);
    if (there === undefined) return -(back ?? 0);
    return back === undefined ? there : Math.round((there - back) / 2);
  }
}
