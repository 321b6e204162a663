import { PROTOCOL_VERSION } from '../../messages/index.ts';
import type { ByteSink } from '../../ports/index.ts';
import type { ReplicaId } from '../../state/index.ts';
import {
  type SourceLocation,
  TRACE_VERSION,
  type TraceBody,
  type TraceHeader,
  type TraceRecord,
} from '../../trace/index.ts';
import { encodeTraceRecord } from '../record-codec.ts';
import { CaptureWriter, type CaptureWriterOptions } from '../writer.ts';

/** Writes a capture that is made of something else, numbering its records anew. */
export class CaptureMaker {
  readonly #writer: CaptureWriter;
  #seq = 0;
  #time = 0;

  constructor(sink: ByteSink, header: TraceHeader, options: CaptureWriterOptions = {}) {
    this.#writer = new CaptureWriter(sink, header, options);
  }

  get records(): number {
    return this.#seq;
  }

  /** Appends a record and answers its number. Times may not go back: an earlier one counts as the last. */
  async add(
    replica: ReplicaId,
    time: number,
    body: TraceBody,
    cause: readonly number[] = [],
    wire?: Uint8Array,
    source?: SourceLocation,
  ): Promise<number> {
    this.#time = Math.max(this.#time, time);
    const record: TraceRecord = {
      seq: ++this.#seq,
      time: this.#time,
      replica,
      cause: cause.filter((one) => one > 0),
      body,
      ...(wire ? { wire } : {}),
      ...(source ? { source } : {}),
    };
    this.#writer.append(encodeTraceRecord(record));
    // What the sink has not taken yet is all that is held.
    if (this.#writer.queued > 4 * 1024 * 1024) await this.#writer.flush();
    return this.#seq;
  }

  end(): Promise<void> {
    return this.#writer.end();
  }
}

/** A header for what was no session of ours. */
export function importedHeader(title: string, startedAt: number): TraceHeader {
  return {
    sessionId: 'imported',
    title: title.slice(0, 200),
    scenario: 'imported',
    traceVersion: TRACE_VERSION,
    protocolVersion: PROTOCOL_VERSION,
    startedAt,
    authority: null,
    build: 'imported',
  };
}
