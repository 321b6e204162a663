import { SyncError } from '../../errors/index.ts';
import { isInputs } from '../../replay/batches.ts';
import type { ReplicaId } from '../../state/index.ts';
import type { TraceHeader, TraceRecord } from '../../trace/index.ts';
import type { OpenCapture } from '../engine.ts';
import type { CaptureInfo } from '../query.ts';
import type { CaptureMaker } from './made-capture.ts';
import { Clocks, crossings, frameOf, type Sends, sendersOf, surveyed } from './merge-frames.ts';
import { renamedBody, Speakers, type Tellers, ToldTwice, tellersOf } from './merge-tellers.ts';
import { headerOf, isRedacted, unredactedHeader } from './redact.ts';
import { Renumbering, SeenFrames } from './seen-frames.ts';

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
  const captures = parts.map(({ capture }) => capture);
  const infos = await Promise.all(captures.map((capture) => capture.info()));
  const processes = processesOf(infos);
  const { sends, tellings } = await surveyed(captures);
  const clocks = new Clocks(infos, processes);
  const speakers = new Speakers();
  for await (const crossing of crossings(captures, sends)) {
    clocks.take(crossing);
    speakers.take(crossing);
  }
  const offsets = clocks.offsets();
  const least = Math.min(...offsets);
  const tellers = tellersOf(
    tellings.map(({ part, id, first, last }) => {
      return { part, id, first: first + offsets[part]!, last: last + offsets[part]! };
    }),
    processes,
  );
  const moves = offsets.map((offset) => offset - least);
  const merger = new Merger({ sends, tellers, speakers, moves, maker });
  const { paired, twice } = await merger.run(captures);
  return { records: maker.records, offsets: moves, paired, twice, renamed: tellers.renamed };
}

interface Known {
  readonly sends: Sends;
  readonly tellers: Tellers;
  readonly speakers: Speakers;
  /** Nanoseconds by which each part's times are moved. */
  readonly moves: readonly number[];
  readonly maker: CaptureMaker;
}

/** Writes the records of all parts in one order. */
class Merger {
  readonly #known: Known;
  readonly #toldTwice = new ToldTwice();
  /** The numbers in the merge of each part's records, and of the frames that were sent. */
  readonly #written: readonly Renumbering[];
  readonly #sent = new SeenFrames();
  #paired = 0;
  #twice = 0;

  constructor(known: Known) {
    this.#known = known;
    this.#written = known.moves.map(() => new Renumbering());
  }

  async run(captures: readonly OpenCapture[]): Promise<{ readonly paired: number; readonly twice: number }> {
    const readers = captures.map((capture) => capture.trace()[Symbol.asyncIterator]());
    const heads: (Head | undefined)[] = [];
    const advance = async (part: number): Promise<void> => {
      const { value, done } = await readers[part]!.next();
      heads[part] = done ? undefined : { part, record: value.record };
    };
    for (let part = 0; part < captures.length; part++) await advance(part);
    for (;;) {
      const head = this.#next(heads.filter((one) => one !== undefined));
      if (!head) return { paired: this.#paired, twice: this.#twice };
      await this.#take(head);
      await advance(head.part);
    }
  }

  #next(waiting: readonly Head[]): Head | undefined {
    const ready = waiting.length > 1 ? waiting.filter((head) => !this.#isEarly(head)) : waiting;
    // Where each waits for another, something was recorded wrongly: time has the last word, and nothing is lost.
    const [first, ...others] = ready.length > 0 ? ready : waiting;
    return first && others.reduce((one, other) => (this.#time(other) < this.#time(one) ? other : one), first);
  }

  #time({ part, record }: Head): number {
    return record.time + this.#known.moves[part]!;
  }

  /** Whether a receipt's frame is still to come from another part. */
  #isEarly({ part, record }: Head): boolean {
    if (record.body.kind !== 'receive') return false;
    const frame = frameOf(record)!;
    const { sends } = this.#known;
    if (sends[part]!.get(frame) !== undefined || this.#sent.get(frame) !== undefined) return false;
    return sendersOf(sends, frame).length > 0;
  }

  async #take(head: Head): Promise<void> {
    const { part, record } = head;
    const { seq, replica } = record;
    const isShared = this.#known.tellers.isToldTwice(part, replica);
    const known = isShared ? this.#toldTwice.taken(part, record) : undefined;
    if (known !== undefined) {
      this.#twice++;
      this.#written[part]!.set(seq, known);
      return;
    }
    if (isInputs(record)) return;
    const number = await this.#write(head);
    this.#written[part]!.set(seq, number);
    if (isShared) this.#toldTwice.wrote(part, record, number);
    if (record.body.kind === 'send') this.#sent.set(frameOf(record)!, number);
  }

  #write(head: Head): Promise<number> {
    const { part, record } = head;
    const { replica, body, cause, wire, source } = record;
    const { maker, tellers, speakers, sends } = this.#known;
    const causes = this.#written[part]!.of(cause);
    if (body.kind === 'receive') {
      const frame = frameOf(record)!;
      const sent = this.#sent.get(frame);
      if (sent !== undefined && sends[part]!.get(frame) === undefined) {
        this.#paired++;
        if (!causes.includes(sent)) causes.push(sent);
        speakers.hear(part, record, sendersOf(sends, frame));
      }
    }
    const nameOf = (id: ReplicaId): ReplicaId => {
      const told = tellers.isToldBy(part, id) ? part : speakers.partOf(part, replica, id);
      return tellers.nameOf(told, id);
    };
    return maker.add(nameOf(replica), this.#time(head), renamedBody(body, nameOf), causes, wire, source);
  }
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
