import { isSyncError, SyncError } from '../../errors/index.ts';
import { encodeFrame, FRAME_KINDS, joinBytes, type LogDisk, readFrame } from '../../events/index.ts';
import { type ConsensusRecord, checkpointOf, decodeRecord, encodeRecord, type LogOwner } from './records.ts';
import { checkOwner, recovered } from './recovery.ts';
import type { Standing } from './standing.ts';

/**
 * What a member has promised, accepted and learned, on a disk: eight bytes `SYNCVOT` and the format's version, then frames as
 * the event log has them, the first a checkpoint. Torn tails are cut; damage to what was known to be durable is an error.
 */
const MAGIC = [...'SYNCVOT'].map((letter) => letter.charCodeAt(0));
export const CONSENSUS_LOG_VERSION = 1;
const MAGIC_LENGTH = 8;
/** Of a frame, before its body. */
const FRAME_HEADER = 21;

/** What a member's file holds. */
export interface ConsensusLogContents {
  /** Undefined where nothing was ever made durable. */
  readonly standing: Standing | undefined;
  /** Bytes of the torn tail, 0 where there is none. */
  readonly cut: number;
}

/**
 * `owner`: whose log it must be, where that is known.
 * @throws SyncError `LOG_UNREADABLE` these are not the bytes of such a log, or of another format; `LOG_DAMAGED` something that was
 *   durable is no longer sound; `LOG_FOREIGN` it is another member's, or of another group. A member whose log is lost may not come back under its name: it would break promises.
 */
export function readConsensusLog(bytes: Uint8Array, kept: number, owner?: LogOwner): ConsensusLogContents {
  if (bytes.length === 0) return { standing: undefined, cut: 0 };
  if (bytes.length < MAGIC_LENGTH || MAGIC.some((byte, index) => bytes[index] !== byte)) {
    throw damage('LOG_UNREADABLE', 0, 'these are not the bytes of a consensus log');
  }
  if (bytes[MAGIC_LENGTH - 1] !== CONSENSUS_LOG_VERSION) {
    const text = `the log has format ${bytes[MAGIC_LENGTH - 1]}, this build reads ${CONSENSUS_LOG_VERSION}`;
    throw damage('LOG_UNREADABLE', MAGIC_LENGTH - 1, text);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let standing: Standing | undefined;
  let offset = MAGIC_LENGTH;
  let count = 0;
  while (offset < bytes.length) {
    const frame = readFrame(bytes, view, offset);
    if (!frame) break;
    standing = take(standing, frame.body, offset, { kept, owner });
    offset = frame.end;
    count++;
  }
  if (offset < bytes.length) checkTail(bytes, view, offset, count);
  return { standing, cut: bytes.length - offset };
}

interface Expected {
  readonly kept: number;
  readonly owner: LogOwner | undefined;
}

function take(standing: Standing | undefined, body: Uint8Array, offset: number, { kept, owner }: Expected): Standing {
  try {
    const record = decodeRecord(body);
    if (record.kind === 'checkpoint' && owner) checkOwner(record.owner, owner);
    return recovered(standing, record, kept);
  } catch (error) {
    if (!isSyncError(error) || error.code === 'LOG_FOREIGN') throw error;
    throw damage('LOG_DAMAGED', offset, `a sound frame holds what cannot be there: ${error.message}`, error);
  }
}

/** A sound frame behind the break that knows more to be durable than what is left tells damage from a torn tail. */
function checkTail(bytes: Uint8Array, view: DataView, offset: number, count: number): void {
  for (let at = offset + 1; at + FRAME_HEADER <= bytes.length; at++) {
    const frame = readFrame(bytes, view, at);
    if (!frame) continue;
    if (frame.known > count) throw damage('LOG_DAMAGED', offset, `record ${count} was durable and is not sound`);
    at = frame.end - 1;
  }
}

function damage(code: string, offset: number, text: string, cause?: unknown): SyncError {
  return new SyncError(code, `byte ${offset}: ${text}`, { origin: 'bytes', place: { offset }, cause });
}

export interface LogOptions {
  readonly owner: LogOwner;
  /** Decided changes in a checkpoint. */
  readonly kept: number;
  /** Called whenever more has become durable, or failed. */
  readonly onDurable: () => void;
}

/** Writes records to a disk, many to a flush, and tells when they are durable. */
export class ConsensusLog {
  readonly #disk: LogDisk;
  readonly #kept: number;
  readonly #owner: LogOwner;
  readonly #onDurable: () => void;
  #last = 0;
  #durable = 0;
  /** Frames of the present file, and those of them that are durable. */
  #inFile = 1;
  #durableInFile = 1;
  #size = 0;
  #waiting: Uint8Array[] = [];
  #rewrite: Standing | undefined;
  #isBusy = false;
  #failure: SyncError | undefined;

  private constructor(disk: LogDisk, { kept, owner, onDurable }: LogOptions) {
    this.#disk = disk;
    this.#kept = kept;
    this.#owner = owner;
    this.#onDurable = onDurable;
  }

  /**
   * Makes `standing`, which comes from {@link readConsensusLog} or is the first, durable as a checkpoint, and only then hands out
   * the log: nothing is built on what another crash could take away.
   */
  static open(
    disk: LogDisk,
    standing: Standing,
    options: LogOptions,
    done: (log: ConsensusLog | SyncError) => void,
  ): void {
    const log = new ConsensusLog(disk, options);
    const bytes = log.#fileOf(standing);
    log.#size = bytes.length;
    disk.replace(bytes, (error) => done(error === undefined ? log : diskError(error)));
  }

  /** Records appended since it was opened. */
  get last(): number {
    return this.#last;
  }

  /** Those of them that survive a crash. */
  get durable(): number {
    return this.#durable;
  }

  /** Bytes of the file, as far as they were begun to be written. */
  get size(): number {
    return this.#size;
  }

  get failure(): SyncError | undefined {
    return this.#failure;
  }

  append(record: ConsensusRecord): void {
    this.#last++;
    this.#waiting.push(encodeRecord(record));
    this.#write();
  }

  /** Writes the file anew as `standing`, which must be what all records so far come to. Counts as one record. */
  rewrite(standing: Standing): void {
    this.#last++;
    this.#rewrite = standing;
    this.#waiting = [];
    this.#write();
  }

  #write(): void {
    if (this.#isBusy || this.#failure || (!this.#rewrite && this.#waiting.length === 0)) return;
    this.#isBusy = true;
    const last = this.#last;
    const waiting = this.#waiting;
    this.#waiting = [];
    if (this.#rewrite) {
      // What was appended behind it goes out with the next flush.
      const upTo = last - waiting.length;
      const bytes = this.#fileOf(this.#rewrite);
      this.#rewrite = undefined;
      this.#waiting = waiting;
      this.#size = bytes.length;
      this.#disk.replace(bytes, (error) => {
        this.#inFile = 1;
        this.#onDone(upTo, error);
      });
      return;
    }
    const bytes = joinBytes(waiting.map((body) => encodeFrame(FRAME_KINDS.entry, this.#durableInFile, body)));
    this.#inFile += waiting.length;
    this.#size += bytes.length;
    this.#disk.append(bytes);
    this.#disk.flush((error) => this.#onDone(last, error));
  }

  #onDone(last: number, error: unknown): void {
    this.#isBusy = false;
    if (error === undefined) {
      this.#durable = last;
      this.#durableInFile = this.#inFile;
    } else {
      this.#failure = diskError(error);
    }
    this.#onDurable();
    this.#write();
  }

  #fileOf(standing: Standing): Uint8Array {
    const record = encodeRecord(checkpointOf(standing, this.#kept, this.#owner));
    const checkpoint = encodeFrame(FRAME_KINDS.snapshot, 1, record);
    return joinBytes([Uint8Array.of(...MAGIC, CONSENSUS_LOG_VERSION), checkpoint]);
  }
}

function diskError(cause: unknown): SyncError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const text = `votes cannot be made durable (${why}): end the process and start it again from its log`;
  return new SyncError('LOG_FAILED', text, { origin: 'state', cause });
}
