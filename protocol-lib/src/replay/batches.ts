import { fromHex, unpackMsgpack } from '../bytes/index.ts';
import { fromBase64 } from '../capture/exchange/base64.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import { array, fitText, type Infer, object, uint } from '../schema/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { TraceHub, TraceRecord } from '../trace/index.ts';
import { type BatchBuilder, type CompactBatch, unpackBatch } from './compact-inputs.ts';
import { inputSchema } from './inputs.ts';

/** Inputs in order, of which the last made the `count` records before this one; the others made none. */
const batchSchema = object({ count: uint, inputs: array(inputSchema, 10_000) });
export type InputBatch = Infer<typeof batchSchema>;

/** Text of a `log` record that carries a batch, or a part of one that is continued in the next such record. */
const COMPACT = 'inputs= ';
const CONTINUED = 'inputs+ ';
/** The same of a batch in hex digits, as earlier recordings have them. */
const PREFIX = 'inputs ';
const PREFIXES = [PREFIX, CONTINUED, COMPACT];
/** Text of a `log` record in the place of one that carried inputs which may hold a secret. */
export const INPUTS_LEFT_OUT = 'left out: inputs, which may hold a secret';
/** A log's text may have 10,000 units. */
const PART_LENGTH = 9_900;

/** The texts of the `log` records that carry a batch, as `BatchBuilder` writes it. */
export function compactTexts(packed: string): string[] {
  const parts: string[] = [];
  for (let at = 0; at < packed.length; at += PART_LENGTH) parts.push(packed.slice(at, at + PART_LENGTH));
  return parts.map((part, at) => `${at === parts.length - 1 ? COMPACT : CONTINUED}${part}`);
}

/**
 * Tells a batch, behind whose last input `rest` records were made by none. One that cannot be written, such as for a command that is no text, is a gap: the
 * session must not notice that it is recorded.
 */
export function tellBatch(hub: TraceHub, witness: ReplicaId, batch: BatchBuilder, rest: number): void {
  let packed: string;
  try {
    packed = batch.take(rest);
  } catch (error) {
    if (!isSyncError(error)) throw error;
    const reason = fitText(`inputs could not be written: ${error.message}`, 200);
    hub.emit(witness, { kind: 'gap', count: 1, reason });
    return;
  }
  for (const text of compactTexts(packed)) hub.emit(witness, { kind: 'log', level: 'debug', text });
}

/** Puts the texts of batches together from the records of a trace. */
class BatchTexts {
  #parts = '';

  forget(): void {
    this.#parts = '';
  }

  take({ body }: TraceRecord): { readonly text: string; readonly isCompact: boolean } | 'part' | undefined {
    if (body.kind !== 'log') return undefined;
    if (body.text.startsWith(CONTINUED)) {
      this.#parts += body.text.slice(CONTINUED.length);
      return 'part';
    }
    const isCompact = body.text.startsWith(COMPACT);
    if (!isCompact && !body.text.startsWith(PREFIX)) return undefined;
    const text = this.#parts + body.text.slice((isCompact ? COMPACT : PREFIX).length);
    this.#parts = '';
    return { text, isCompact };
  }
}

/** Puts batches together from the records of a trace, as the bytes that they are packed in. */
export class BatchBytes {
  readonly #texts = new BatchTexts();

  /** As {@link BatchReader}; undefined also where a batch is damaged. */
  take(record: TraceRecord): Uint8Array | 'part' | undefined {
    const batch = this.#texts.take(record);
    if (batch === undefined || batch === 'part') return batch;
    try {
      return batch.isCompact ? fromBase64(batch.text) : fromHex(batch.text);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      return undefined;
    }
  }
}

/** Puts batches together from the records of a trace. */
export class BatchReader {
  readonly #texts = new BatchTexts();

  /** Records are missing: what there was of a batch before is no part of the next. */
  forget(): void {
    this.#texts.forget();
  }

  /**
   * Answers the batch that ends with this record, `part` where it carries one that goes on, undefined where it carries none.
   * @throws SyncError `REPLAY_INPUTS_DAMAGED`
   */
  take(record: TraceRecord): InputBatch | CompactBatch | 'part' | undefined {
    const batch = this.#texts.take(record);
    if (batch === undefined || batch === 'part') return batch;
    const { text, isCompact } = batch;
    try {
      return isCompact ? unpackBatch(text) : batchSchema.parse(unpackMsgpack(fromHex(text)), 'inputs');
    } catch (error) {
      if (!isSyncError(error)) throw error;
      const what = `the inputs in record ${record.seq} cannot be read: ${error.message}`;
      throw new SyncError('REPLAY_INPUTS_DAMAGED', what, { origin: 'capture', cause: error });
    }
  }
}

/** Whether a batch that cannot be read may be the end of one, of which a capture does not have the beginning. */
export function mayBeCut(error: SyncError, { body }: TraceRecord): boolean {
  const isWhole = isSyncError(error.cause, 'SCHEMA_MISMATCH') && body.kind === 'log' && body.text.startsWith(COMPACT);
  return !isWhole;
}

/** Whether a record only carries inputs, and says nothing of the session. */
export function isInputs({ body }: TraceRecord): boolean {
  return body.kind === 'log' && PREFIXES.some((prefix) => body.text.startsWith(prefix));
}
