import { SyncError } from '../../errors/index.ts';
import type { TraceHeader, TraceRecord } from '../../trace/index.ts';
import type { OpenCapture } from '../engine.ts';
import type { CaptureMaker } from './made-capture.ts';
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
 * So no clock is trusted with what came first. What two parts tell of the very same thing, such as names, stays twice.
 */
export async function mergeCaptures(parts: readonly MergePart[], maker: CaptureMaker): Promise<Merged> {
  const sends = await sendsOf(parts);
  const offsets = await clockOffsets(parts, sends);
  const least = Math.min(...offsets);
  const readers = parts.map(({ capture }) => capture.trace()[Symbol.asyncIterator]());
  const heads: (Head | undefined)[] = [];
  const advance = async (part: number): Promise<void> => {
    const { value, done } = await readers[part]!.next();
    heads[part] = done ? undefined : { part, record: value.record };
  };
  for (let part = 0; part < parts.length; part++) await advance(part);
  const written = parts.map(() => new Map<number, number>());
  const sentNumbers = new Map<string, number>();
  let paired = 0;
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
    const causes = cause.flatMap((one) => written[part]!.get(one) ?? []);
    if (body.kind === 'receive') {
      const frame = frameOf(body.sender, body.sequence, replica);
      const sent = sentNumbers.get(frame);
      if (sent !== undefined && sends.get(frame) !== part) {
        paired++;
        if (!causes.includes(sent)) causes.push(sent);
      }
    }
    const number = await maker.add(replica, moved({ part, record }), body, causes, wire, source);
    written[part]!.set(seq, number);
    if (body.kind === 'send') sentNumbers.set(frameOf(body.sender, body.sequence, body.to), number);
    await advance(part);
  }
  return { records: maker.records, offsets: offsets.map((offset) => offset - least), paired };
}

function frameOf(sender: string, sequence: number, receiver: string): string {
  return `${sender} ${sequence} ${receiver}`;
}

/** Which part saw a frame being sent. */
async function sendsOf(parts: readonly MergePart[]): Promise<Map<string, number>> {
  const sends = new Map<string, number>();
  for (const [part, { capture }] of parts.entries()) {
    for await (const { record } of capture.trace()) {
      const { body } = record;
      if (body.kind === 'send') sends.set(frameOf(body.sender, body.sequence, body.to), part);
    }
  }
  return sends;
}

/** Whether a receipt's frame is still to come from another part. */
function isEarly(
  { part, record }: Head,
  sends: ReadonlyMap<string, number>,
  sent: ReadonlyMap<string, number>,
): boolean {
  const { body, replica } = record;
  if (body.kind !== 'receive') return false;
  const frame = frameOf(body.sender, body.sequence, replica);
  const from = sends.get(frame);
  return from !== undefined && from !== part && !sent.has(frame);
}

/**
 * For each part the offset that makes its times those of the first part it is connected with. A message from A to B that took at least no time says that B's clock
 * is ahead by at most (received − sent); one the other way round bounds it from below.
 */
async function clockOffsets(parts: readonly MergePart[], sends: ReadonlyMap<string, number>): Promise<number[]> {
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
      if (from !== undefined && from !== part) receipts.push({ frame, part, time });
    }
  }
  for (const { frame, part, time } of receipts) {
    const way = `${sends.get(frame)} ${part}`;
    const travelled = time - sentAt.get(frame)!;
    least.set(way, Math.min(travelled, least.get(way) ?? Number.POSITIVE_INFINITY));
  }
  const offsets: (number | undefined)[] = parts.map((_, part) => (part === 0 ? 0 : undefined));
  const headers = await Promise.all(parts.map(async ({ capture }) => (await capture.info()).header));
  for (;;) {
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
        : (headers[part]!.startedAt - headers[0]!.startedAt) * 1_000_000;
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
