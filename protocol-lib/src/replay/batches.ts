import { fromHex, unpackMsgpack } from '../bytes/index.ts';
import { fromBase64 } from '../capture/exchange/base64.ts';
import { COMPACT_INPUTS, CONTINUED_INPUTS, inputTextCount, inputTexts } from '../capture/inputs-text.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import { array, fitText, type Infer, object, uint } from '../schema/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { TraceHub, TraceRecord } from '../trace/index.ts';
import { type BatchBuilder, type CompactBatch, unpackBatch } from './compact-inputs.ts';
import { inputSchema } from './inputs.ts';

/** Inputs in order, of which the last made the `count` records before this one; the others made none. */
const batchSchema = object({ count: uint, inputs: array(inputSchema, 10_000) });
export type InputBatch = Infer<typeof batchSchema>;

/** How a batch in hex digits begins, as earlier recordings have them. */
const PREFIX = 'inputs ';
const PREFIXES = [PREFIX, CONTINUED_INPUTS, COMPACT_INPUTS];
/** Text of a `log` record in the place of one that carried inputs which may hold a secret. */
export const INPUTS_LEFT_OUT = 'left out: inputs, which may hold a secret';

/**
 * Tells a batch, behind whose last input `rest` records were made by none. One that cannot be written, such as for a command that is no text, is a gap: the
 * session must not notice that it is recorded.
 */
export function tellBatch(hub: TraceHub, witness: ReplicaId, batch: BatchBuilder, rest: number): void {
  let packed: Uint8Array;
  try {
    packed = batch.take(rest);
  } catch (error) {
    if (!isSyncError(error)) throw error;
    const reason = fitText(`inputs could not be written: ${error.message}`, 200);
    hub.emit(witness, { kind: 'gap', count: 1, reason });
    return;
  }
  hub.emitLogs(witness, { packed, count: inputTextCount(packed), texts: () => inputTexts(packed) });
}

/** Puts the texts of batches together from the records of a trace. */
class BatchTexts {
  #parts = '';

  forget(): void {
    this.#parts = '';
  }

  take({ body }: TraceRecord): { readonly text: string; readonly isCompact: boolean } | 'part' | undefined {
    if (body.kind !== 'log') return undefined;
    if (body.text.startsWith(CONTINUED_INPUTS)) {
      this.#parts += body.text.slice(CONTINUED_INPUTS.length);
      return 'part';
    }
    const isCompact = body.text.startsWith(COMPACT_INPUTS);
    if (!isCompact && !body.text.startsWith(PREFIX)) return undefined;
    const text = this.#parts + body.text.slice((isCompact ? COMPACT_INPUTS : PREFIX).length);
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
  const isWhole =
    isSyncError(error.cause, 'SCHEMA_MISMATCH') && body.kind === 'log' && body.text.startsWith(COMPACT_INPUTS);
  return !isWhole;
}

/** Whether a record only carries inputs, and says nothing of the session. */
export function isInputs({ body }: TraceRecord): boolean {
  return body.kind === 'log' && PREFIXES.some((prefix) => body.text.startsWith(prefix));
}
