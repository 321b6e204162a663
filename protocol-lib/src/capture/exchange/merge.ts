import { SyncError } from '../../errors/index.ts';
import { isInputs } from '../../replay/batches.ts';
import type { ReplicaId } from '../../state/index.ts';
import type { TraceHeader, TraceRecord } from '../../trace/index.ts';
import type { OpenCapture } from '../engine.ts';
import type { CaptureInfo } from '../query.ts';
import type { CaptureMaker } from './made-capture.ts';
import { renamedBody, type Tellers, type Telling, ToldTwice, tellersOf } from './merge-tellers.ts';
import { headerOf, isRedacted, unredactedHeader } from './redact.ts';

/** A capture to be merged, with its name for errors. */
export interface MergePart {
  readonly name: string;
  readonly capture: OpenCapture;
}

export interface Merged {
  readonly records: number;
  /** Nanoseconds by which each part's clock was moved, in the order given. */
  readonly offsets: readonly number[];
  /** Messages whose two ends came from different parts. */
  readonly paired: number;
  /** Records that a second part told as well. */
  readonly twice: number;
  /** Replicas of two processes under one name: the later part's have another one. */
  readonly renamed: Tellers['renamed'];
}

interface Head {
  readonly part: number;
  readonly record: TraceRecord;
}

/**
 * The header of a merged capture. @throws SyncError `MERGE_SESSION` where the parts are not of one session
 */
export async function mergedHeader(parts: readonly MergePart[]): Promise<TraceHeader> {
  const headers = await Promise.all(
    parts.map(async ({ name, capture }) => ({ name, header: headerOf(await capture.info()) })),
  );
  const [first, ...others] = headers;
  if (!first) throw new SyncError('MERGE_SESSION', 'there is nothing to merge', { origin: 'setting' });
  for (const { name, header } of others) {
    if (header.sessionId === first.header.sessionId) continue;
    throw new SyncError(
      'MERGE_SESSION',
      `${name} is of session ${header.sessionId}, ${first.name} of ${first.header.sessionId}: only captures of one session have one order`,
      { origin: 'capture', place: { file: name } },
    );
  }
  const authority = headers.find(({ header }) => header.authority !== null)?.header.authority ?? null;
  // What holds one part that was not redacted is not to go out as if it were.
  const isClean = headers.every(({ header }) => isRedacted(header));
  const secrets = [...new Set(headers.flatMap(({ header }) => header.secrets ?? []))];
  const marks = secrets.length > 0 ? { secrets } : {};
  return { ...(isClean ? first.header : unredactedHeader(first.header)), authority, ...marks };
}

/**
 * Captures of several processes of one session, as one. Each keeps its own order; a receipt comes after what was sent, whichever process saw
 * that; beyond that, times decide, moved by the offset between the clocks that the messages in both directions allow (the middle, as NTP has it).
 * So no clock is trusted with what came first. What two recordings of one process both tell is there once; replicas of two processes that are called alike are
 * two ({@link tellersOf}). Inputs for running a session again count the records of their own part, and are left out.
 */
export async function mergeCaptures(parts: readonly MergePart[], maker: CaptureMaker): Promise<Merged> {
  const infos = await Promise.all(parts.map(({ capture }) => capture.info()));
  const processes = processesOf(infos);
  const { sends, tellings } = await surveyed(parts);
  const offsets = await clockOffsets(parts, infos, sends, processes);
  const least = Math.min(...offsets);
  const tellers = tellersOf(
    tellings.map(({ part, id, first, last }) => {
      return { part, id, first: first + offsets[part]!, last: last + offsets[part]! };
    }),
    processes,
  );
  const toldTwice = new ToldTwice();
  const readers = parts.map(({ capture }) => capture.trace()[Symbol.asyncIterator]());
  const heads: (Head | undefined)[] = [];
  const advance = async (part: number): Promise<void> => {
    const { value, done } = await readers[part]!.next();
    heads[part] = done ? undefined : { part, record: value.record };
  };
  for (let part = 0; part < parts.length; part++) await advance(part);
  const written = parts.map(() => new Map<number, number>());
  const sentNumbers = new Map<string, number>();
  let [paired, twice] = [0, 0];
  for (;;) {
    const waiting = heads.filter((head) => head !== undefined);
    if (waiting.length === 0) break;
    const moved = ({ part, record }: Head): number => record.time + offsets[part]! - least;
    const ready = waiting.filter((head) => !isEarly(head, sends, sentNumbers));
    // Where each waits for another, something was recorded wrongly: time has the last word, and nothing is lost.
    const { part, record } = (ready.length > 0 ? ready : waiting).reduce((first, head) =>
      moved(head) < moved(first) ? head : first,
    );
    const { seq, replica, body, cause, wire, source } = record;
    const isShared = tellers.isToldTwice(part, replica);
    const known = isShared ? toldTwice.taken(part, record) : undefined;
    if (known !== undefined) {
      twice++;
      written[part]!.set(seq, known);
    } else if (!isInputs(record)) {
      const causes = cause.flatMap((one) => written[part]!.get(one) ?? []);
      if (body.kind === 'receive') {
        const frame = frameOf(body.sender, body.sequence, replica);
        const sent = sentNumbers.get(frame);
        if (sent !== undefined && !sends.get(frame)?.has(part)) {
          paired++;
          if (!causes.includes(sent)) causes.push(sent);
        }
      }
      const nameOf = (id: ReplicaId): ReplicaId => tellers.nameOf(part, id);
      const at = moved({ part, record });
      const number = await maker.add(nameOf(replica), at, renamedBody(body, nameOf), causes, wire, source);
      written[part]!.set(seq, number);
      if (isShared) toldTwice.wrote(part, record, number);
      if (body.kind === 'send') sentNumbers.set(frameOf(body.sender, body.sequence, body.to), number);
    }
    await advance(part);
  }
  return {
    records: maker.records,
    offsets: offsets.map((offset) => offset - least),
    paired,
    twice,
    renamed: tellers.renamed,
  };
}

/** For each part the first one that is a recording of the same process: begun at the same moment, and telling of somebody alike. */
function processesOf(infos: readonly CaptureInfo[]): number[] {
  const isOne = (left: CaptureInfo, right: CaptureInfo): boolean =>
    left.header.startedAt === right.header.startedAt &&
    left.replicas.some(({ id }) => right.replicas.some((other) => other.id === id));
  const processes: number[] = [];
  for (const [part, info] of infos.entries()) {
    const same = infos.findIndex((other, earlier) => earlier < part && isOne(other, info));
    processes.push(same < 0 ? part : processes[same]!);
  }
  return processes;
}

function frameOf(sender: string, sequence: number, receiver: string): string {
  return `${sender} ${sequence} ${receiver}`;
}

/** Which parts saw a frame being sent. */
type Sends = ReadonlyMap<string, ReadonlySet<number>>;

/** Reads all parts once: who sent what, and who tells of itself from when to when, each on its part's own clock. */
async function surveyed(parts: readonly MergePart[]): Promise<{ readonly sends: Sends; readonly tellings: Telling[] }> {
  const sends = new Map<string, Set<number>>();
  const tellings: Telling[] = [];
  for (const [part, { capture }] of parts.entries()) {
    const only = new Set([part]);
    const own = new Map<ReplicaId, { first: number; last: number }>();
    for await (const { record } of capture.trace()) {
      const { body, replica, time } = record;
      const told = own.get(replica);
      if (told) told.last = time;
      else own.set(replica, { first: time, last: time });
      if (body.kind !== 'send') continue;
      const frame = frameOf(body.sender, body.sequence, body.to);
      const known = sends.get(frame);
      // Nearly every frame was seen by one: those share a set.
      sends.set(frame, known ? new Set([...known, part]) : only);
    }
    tellings.push(...[...own].map(([id, times]) => ({ part, id, ...times })));
  }
  return { sends, tellings };
}

/** Whether a receipt's frame is still to come from another part. */
function isEarly({ part, record }: Head, sends: Sends, sent: ReadonlyMap<string, number>): boolean {
  const { body, replica } = record;
  if (body.kind !== 'receive') return false;
  const frame = frameOf(body.sender, body.sequence, replica);
  const from = sends.get(frame);
  return from !== undefined && !from.has(part) && !sent.has(frame);
}

/**
 * For each part the offset that makes its times those of the first part it is connected with. A message from A to B that took at least no time says that B's clock
 * is ahead by at most (received − sent); one the other way round bounds it from below.
 */
async function clockOffsets(
  parts: readonly MergePart[],
  infos: readonly CaptureInfo[],
  sends: Sends,
  processes: readonly number[],
): Promise<number[]> {
  const sentAt = new Map<string, number>();
  const least = new Map<string, number>();
  const receipts: { frame: string; part: number; time: number }[] = [];
  for (const [part, { capture }] of parts.entries()) {
    for await (const { record } of capture.trace()) {
      const { body, time, replica } = record;
      if (body.kind === 'send') sentAt.set(frameOf(body.sender, body.sequence, body.to), time);
      if (body.kind !== 'receive') continue;
      const frame = frameOf(body.sender, body.sequence, replica);
      const from = sends.get(frame);
      if (from && !from.has(part)) receipts.push({ frame, part, time });
    }
  }
  for (const { frame, part, time } of receipts) {
    const travelled = time - sentAt.get(frame)!;
    for (const from of sends.get(frame) ?? []) {
      const way = `${from} ${part}`;
      least.set(way, Math.min(travelled, least.get(way) ?? Number.POSITIVE_INFINITY));
    }
  }
  const offsets: (number | undefined)[] = parts.map((_, part) => (part === 0 ? 0 : undefined));
  for (;;) {
    // Recordings of one process have one clock.
    for (const [part, process] of processes.entries()) {
      offsets[part] ??= offsets.find((offset, other) => offset !== undefined && processes[other] === process);
    }
    const next = offsets.findIndex(
      (offset, part) =>
        offset === undefined && offsets.some((known, other) => known !== undefined && isLinked(least, part, other)),
    );
    const part = next >= 0 ? next : offsets.indexOf(undefined);
    if (part < 0) break;
    const other = offsets.findIndex((known, one) => known !== undefined && isLinked(least, part, one));
    // Nothing passed between them: only the wall clocks in the headers are left.
    offsets[part] =
      other >= 0
        ? offsets[other]! - aheadBy(least, other, part)
        : (infos[part]!.header.startedAt - infos[0]!.header.startedAt) * 1_000_000;
  }
  return offsets.map((offset) => offset ?? 0);
}

function isLinked(least: ReadonlyMap<string, number>, left: number, right: number): boolean {
  return least.has(`${left} ${right}`) || least.has(`${right} ${left}`);
}

/** By how much the clock of `right` is ahead of that of `left`. */
function aheadBy(least: ReadonlyMap<string, number>, left: number, right: number): number {
  const there = least.get(`${left} ${right}`);
  const back = least.get(`${right} ${left}`);
  if (there === undefined) return -(back ?? 0);
  return back === undefined ? there : Math.round((there - back) / 2);
}
