import type { ByteSink, ByteSource } from '../../ports/index.ts';
import type { TraceHeader } from '../../trace/index.ts';
import type { ZstdDecompress } from '../compression.ts';
import { rawRecords } from '../raw-records.ts';
import { CaptureWriter, type CaptureWriterOptions } from '../writer.ts';
import { recordedHeader, withMarks } from './redact.ts';
import { RecordRedactor } from './redact-stream.ts';
import type { RedactOptions } from './redaction.ts';

/** Bytes that wait for a sink before it is waited for. */
const QUEUE_MAX_BYTES = 4 * 1024 * 1024;

export interface RedactAgainOptions extends CaptureWriterOptions {
  readonly decompressZstd?: ZstdDecompress;
  /** Awaited between chunks. */
  readonly pause?: () => Promise<void>;
}

export interface RedactedAgain {
  /** Values that were replaced. */
  readonly values: number;
  /** Bytes of the capture. */
  readonly size: number | undefined;
}

/** Whether records that were redacted while they came hold something of which it was learnt only later that it is secret. Its end may be missing yet. */
export async function isToldEarly(
  written: ByteSource,
  redactor: RecordRedactor,
  { decompressZstd, pause }: RedactAgainOptions,
): Promise<boolean> {
  const again = redactor.again();
  const waiting: Uint8Array[] = [];
  const differs = (records: readonly Uint8Array[]): boolean =>
    records.some((record) => !isEqual(record, waiting.shift() ?? new Uint8Array(0)));
  for await (const records of rawRecords(written, decompressZstd)) {
    for (const record of records) {
      waiting.push(record);
      if (differs(again.take(record))) return true;
    }
    await pause?.();
  }
  return differs(again.end());
}

/** Writes records of a capture, whose end may be missing, once more, with all that a redactor has learnt known from the first one on. */
export async function redactAgain(
  written: ByteSource,
  sink: ByteSink,
  header: TraceHeader,
  redactor: RecordRedactor,
  options: RedactAgainOptions,
): Promise<RedactedAgain> {
  const again = redactor.again();
  const writer = new CaptureWriter(sink, header, options);
  const append = (records: readonly Uint8Array[]): void => {
    for (const record of records) writer.append(record);
  };
  for await (const records of rawRecords(written, options.decompressZstd)) {
    for (const record of records) append(again.take(record));
    if (writer.queued > QUEUE_MAX_BYTES) await writer.flush();
    await options.pause?.();
  }
  append(again.end());
  await writer.end();
  return { values: again.values, size: writer.size };
}

/**
 * Writes a capture whose secrets nobody has looked for, as a recording that is redacted would have been: what is learnt anywhere in it is known from its first record on.
 * @throws SyncError `REDACT_RULE`, or what reading throws
 */
export async function redactWritten(
  written: ByteSource,
  sink: ByteSink,
  header: TraceHeader,
  rules: RedactOptions,
  options: RedactAgainOptions,
): Promise<RedactedAgain> {
  const marked = withMarks(rules, header);
  const first = new RecordRedactor(marked);
  for await (const records of rawRecords(written, options.decompressZstd)) {
    for (const record of records) first.take(record);
    await options.pause?.();
  }
  return redactAgain(written, sink, first.header(recordedHeader(header, marked)), first, options);
}

function isEqual(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}
