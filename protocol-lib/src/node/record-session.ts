import {
  isToldEarly,
  RecordRedactor,
  type RedactedAgain,
  type RedactionRules,
  recordedHeader,
  redactAgain,
  unredactedHeader,
  withMarks,
} from '../capture/exchange/index.ts';
import { CaptureWriter, type Compression, decodeTraceRecord, encodeTraceRecord } from '../capture/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import type { ByteSink } from '../ports/index.ts';
import { fitText } from '../schema/index.ts';
import type { TraceHeader, TraceRecord } from '../trace/index.ts';
import type { AttachClose, AttachConnection } from './attach-client.ts';
import { zstdDecompression } from './compression.ts';
import { keyedPseudonyms } from './pseudonyms.ts';

export interface RecordingOptions {
  /** None by default. */
  readonly compression?: Compression;
  /** Bytes that may wait for the sink; what comes beyond is counted in a `gap` record. Default 64 MiB. */
  readonly maxQueueBytes?: number;
  /** What is redacted beside what is secret by its name or by itself; false for nothing at all. Default: no more rules. */
  readonly redaction?: RedactionRules | false;
}

export interface RecordingResult {
  /** Records in the capture. */
  readonly records: number;
  /** Bytes of the capture. */
  readonly size: number;
  /** Records that the disk was too slow for; the capture says where. */
  readonly dropped: number;
  /** Values that were redacted. */
  readonly redacted: number;
  /** Why the recording ended. */
  readonly close: AttachClose;
}

export interface Recording {
  readonly records: number;
  /** Bytes written so far. */
  readonly size: number;
  /** Settles when the capture is closed; rejects with `CAPTURE_WRITE_FAILED` where the sink failed. */
  readonly done: Promise<RecordingResult>;
  /** Ends the recording with all that happened up to now, and the attachment. */
  stop(): Promise<RecordingResult>;
}

const FLUSH_MS = 500;
/** Nobody looks on: the session need not write to us as often as to somebody who does. */
const PACE_MS = 500;
const QUEUE_MAX_BYTES = 64 * 1024 * 1024;

/**
 * Writes what an attached session tells to a capture until the session ends or `stop` is called. What came
 * is on the disk after a second at most, so a crash of either side costs no more than that. Where the
 * connection breaks, the capture ends with a `gap` that says so. Secrets do not come into it, as `RecordRedactor` says, with a key for this recording alone.
 * @throws SyncError `REDACT_RULE` for a path or pattern that is none
 */
export function recordSession(connection: AttachConnection, sink: ByteSink, options: RecordingOptions = {}): Recording {
  const { redaction = {}, maxQueueBytes = QUEUE_MAX_BYTES } = options;
  const rules = redaction && withMarks({ ...redaction, pseudonym: keyedPseudonyms() }, connection.header);
  const header = rules ? recordedHeader(connection.header, rules) : unredactedHeader(connection.header);
  const redactor = rules ? new RecordRedactor(rules) : undefined;
  const recorder = new Recorder(sink, header, options, maxQueueBytes, redactor);
  const flushing = setInterval(() => {
    recorder.flush().catch(() => connection.close());
  }, FLUSH_MS);
  connection.onRecords((records) => recorder.append(records));
  connection.pace(PACE_MS);
  const done = connection.closed.then(async (close): Promise<RecordingResult> => {
    clearInterval(flushing);
    try {
      await recorder.end(close);
    } catch (error) {
      throw new SyncError(
        'CAPTURE_WRITE_FAILED',
        `the capture could not be written: ${error instanceof Error ? error.message : String(error)}. What was written before opens.`,
        { origin: 'capture', cause: error },
      );
    }
    return {
      records: recorder.records,
      size: recorder.size,
      dropped: recorder.dropped,
      redacted: recorder.redacted,
      close,
    };
  });
  // Told to whoever asks for `done`; it must not also end the process.
  done.catch(() => undefined);
  return {
    get records() {
      return recorder.records;
    },
    get size() {
      return recorder.size;
    },
    done,
    stop() {
      connection.end();
      return done;
    },
  };
}

class Recorder {
  readonly #sink: ByteSink;
  readonly #header: TraceHeader;
  readonly #options: RecordingOptions;
  readonly #writer: CaptureWriter;
  readonly #maxQueueBytes: number;
  readonly #redactor: RecordRedactor | undefined;
  /** Written last, and missing last since then. */
  #last: Uint8Array | undefined;
  #missing: Uint8Array | undefined;
  #droppedNow = 0;
  dropped = 0;
  /** What came of going through the file again. */
  #again: RedactedAgain = { values: 0, size: undefined };

  constructor(
    sink: ByteSink,
    header: TraceHeader,
    options: RecordingOptions,
    maxQueueBytes: number,
    redactor: RecordRedactor | undefined,
  ) {
    this.#sink = sink;
    this.#header = header;
    this.#options = options;
    this.#writer = new CaptureWriter(sink, header, options);
    this.#maxQueueBytes = maxQueueBytes;
    this.#redactor = redactor;
  }

  get records(): number {
    return this.#writer.records;
  }

  get size(): number {
    return this.#again.size ?? this.#writer.size;
  }

  /** Values that were replaced. */
  get redacted(): number {
    return (this.#redactor?.values ?? 0) + this.#again.values;
  }

  append(records: readonly Uint8Array[]): void {
    for (const record of records) this.#appendAll(this.#redactor?.take(record) ?? [record]);
  }

  #appendAll(records: readonly Uint8Array[]): void {
    for (const record of records) {
      const isTooMuch = this.#writer.queued > this.#maxQueueBytes;
      // Where records are missing, the next that can be read says up to where.
      const next = !isTooMuch && this.#droppedNow > 0 ? placeOf(record) : undefined;
      if (isTooMuch || (this.#droppedNow > 0 && !next)) this.#drop(record);
      else {
        this.#tellDropped(next);
        this.#appendOne(record);
      }
    }
  }

  flush(): Promise<void> {
    return this.#writer.flush();
  }

  async end(close: AttachClose): Promise<void> {
    this.#appendAll(this.#redactor?.end() ?? []);
    this.#tellDropped();
    if (close.kind === 'lost' || close.kind === 'refused') {
      const reason = `the recording ends here: ${close.reason}`;
      this.#appendGap(0, fitText(this.#redactor?.text(reason, 200) ?? reason, 200));
    }
    if (!(await this.#rewrite())) await this.#writer.end();
  }

  /**
   * Where a secret was told before it was known as one, the file is written again without it, before it has its end: one that was left in between is not
   * taken for redacted. Answers whether it was.
   */
  async #rewrite(): Promise<boolean> {
    const [redactor, sink] = [this.#redactor, this.#sink];
    if (!redactor?.hasLearnt || !sink.rewrite) return false;
    await this.#writer.flush();
    const options = { ...this.#options, decompressZstd: zstdDecompression };
    const header = redactor.header(this.#header);
    const isInHeader = JSON.stringify(header) !== JSON.stringify(this.#header);
    let isRewritten = false;
    try {
      await sink.rewrite(async (written, instead) => {
        if (!isInHeader && !(await isToldEarly(written, redactor, options))) return;
        isRewritten = true;
        this.#again = await redactAgain(written, await instead(), header, redactor, options);
      });
    } catch (error) {
      await sink.close();
      throw error;
    }
    if (isRewritten) await sink.close();
    return isRewritten;
  }

  #drop(record: Uint8Array): void {
    this.#droppedNow++;
    this.#missing = record;
  }

  #appendOne(record: Uint8Array): void {
    try {
      this.#writer.append(record);
      this.#last = record;
    } catch (error) {
      // A record that this build cannot read is missing, not the end of the recording.
      if (!isSyncError(error)) throw error;
      this.#drop(record);
    }
  }

  #tellDropped(next?: Place): void {
    if (this.#droppedNow === 0) return;
    this.dropped += this.#droppedNow;
    this.#appendGap(this.#droppedNow, 'the capture could not take them', next);
    this.#droppedNow = 0;
    this.#missing = undefined;
  }

  /** A gap stands in the place of the last record that is missing, or behind the last one that is not. `next`: what comes behind it. */
  #appendGap(count: number, reason: string, next?: Place): void {
    const last = this.#last && placeOf(this.#last);
    const missing = this.#missing && placeOf(this.#missing);
    const at = missing ?? last ?? next;
    if (!at) return;
    const behind = (last?.seq ?? 0) + 1;
    const seq = next ? Math.max(behind, next.seq - 1) : (missing?.seq ?? behind + Math.max(0, count - 1));
    const { time, replica } = at;
    const gap = encodeTraceRecord({ seq, time, replica, cause: [], body: { kind: 'gap', count, reason } });
    this.#writer.append(gap);
    this.#last = gap;
  }
}

type Place = Pick<TraceRecord, 'seq' | 'time' | 'replica'>;

/** Where a record stands; undefined where it cannot be read. */
function placeOf(record: Uint8Array): Place | undefined {
  try {
    return decodeTraceRecord(record);
  } catch (error) {
    if (!isSyncError(error)) throw error;
    return undefined;
  }
}
