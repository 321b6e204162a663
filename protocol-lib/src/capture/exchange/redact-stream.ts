import { isSyncError } from '../../errors/index.ts';
import { BatchBytes, isInputs } from '../../replay/batches.ts';
import type { TraceKind, TraceRecord } from '../../trace/index.ts';
import { MsgpackCursor } from '../cursor.ts';
import { decodeTraceRecord, encodeTraceRecord, recordKind } from '../record-codec.ts';
import { withoutBytes } from './redact.ts';
import { RedactedRoots } from './redacted-roots.ts';
import { hasRules, isSecretName, isSuspicious, Redaction, type RedactOptions } from './redaction.ts';

/** Bytes of records that may wait for the rest of a batch of inputs. */
const HELD_MAX_BYTES = 32 * 1024 * 1024;
const NOTHING = new Uint8Array(0);
const utf8 = new TextDecoder();

/** Records that tell of a state or carry inputs: all others are only looked at where they are suspicious. */
const FOLLOWED: ReadonlySet<TraceKind> = new Set([
  'commit',
  'apply',
  'snapshot',
  'hash',
  'mismatch',
  'divergence',
  'repair',
  'view',
  'log',
]);

/** A record that waits; `inputs` where it carries a part of a batch. */
interface Held {
  readonly bytes: Uint8Array;
  readonly inputs?: TraceRecord;
}

/**
 * Takes the secrets out of records while they come, in one pass, by the rules of `redactCapture`, but for long hex, which mostly is hashes. Where nothing is secret, records stay the very bytes that they
 * were. From the first secret on, or from the beginning where there are rules of its own, frames, operations as bytes and inputs are left out, since they hold the
 * values, and root hashes are those of the states as they are shown. What is secret by its name is found in later texts, and cannot be in earlier ones.
 */
export class RecordRedactor {
  readonly #redaction: Redaction;
  readonly #roots: RedactedRoots;
  readonly #cursor = new MsgpackCursor();
  readonly #batches = new BatchBytes();
  /** Whether something secret was there, or may be where it cannot be seen. */
  #isSecretSeen: boolean;
  /** From the first part of a batch of inputs that is not whole yet. */
  #held: Held[] = [];
  #heldBytes = 0;

  /** @throws SyncError `REDACT_RULE` */
  constructor(options: RedactOptions) {
    this.#redaction = new Redaction({ ...options, keepsHex: true });
    this.#roots = new RedactedRoots(options.pseudonym);
    this.#isSecretSeen = hasRules(options);
  }

  /** Values that were replaced. */
  get values(): number {
    return this.#redaction.values;
  }

  /** The records that can be written now, in order. One that may hold a secret and cannot be read comes out without a byte. */
  take(bytes: Uint8Array): readonly Uint8Array[] {
    const isSuspect = this.#isSecretSeen || isSuspicious(utf8.decode(bytes));
    let record: TraceRecord;
    try {
      if (!isSuspect && !FOLLOWED.has(recordKind(bytes, this.#cursor))) return this.#next({ bytes });
      record = decodeTraceRecord(bytes);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      return this.#next({ bytes: isSuspect ? NOTHING : bytes });
    }
    if (isInputs(record)) return this.#takeInputs({ bytes, inputs: record });
    return this.#next({ bytes: isSuspect ? this.#redacted(record, bytes) : this.#followed(record, bytes) });
  }

  /** What waits still: of a batch without its end nobody knows what is in it. */
  end(): readonly Uint8Array[] {
    if (this.#held.length > 0) this.#isSecretSeen = true;
    return this.#release();
  }

  #next(one: Held): readonly Uint8Array[] {
    if (this.#held.length === 0 && !one.inputs) return [one.bytes];
    this.#held.push(one);
    this.#heldBytes += one.bytes.length;
    if (this.#heldBytes > HELD_MAX_BYTES) this.#isSecretSeen = true;
    return this.#isSecretSeen ? this.#release() : [];
  }

  #takeInputs(one: Held & { readonly inputs: TraceRecord }): readonly Uint8Array[] {
    const batch = this.#isSecretSeen ? undefined : this.#batches.take(one.inputs);
    if (batch === 'part') return this.#next(one);
    if (batch === undefined || this.#redaction.isInBytes(batch)) this.#isSecretSeen = true;
    return [...this.#next(one), ...this.#release()];
  }

  #release(): readonly Uint8Array[] {
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    return held.map(({ bytes, inputs }) => (inputs && this.#isSecretSeen ? withoutInputs(inputs) : bytes));
  }

  #followed(record: TraceRecord, bytes: Uint8Array): Uint8Array {
    if (FOLLOWED.has(record.body.kind)) this.#roots.pass(record);
    return bytes;
  }

  #redacted(record: TraceRecord, bytes: Uint8Array): Uint8Array {
    const redaction = this.#redaction;
    redaction.learn(record.body);
    if (!this.#isSecretSeen && !this.#isSecret(record)) return this.#followed(record, bytes);
    this.#isSecretSeen = true;
    const { wire: _, source, body, ...head } = record;
    const shown = this.#roots.follow(record, redaction.body(withoutBytes(body)));
    return encodeTraceRecord({ ...head, body: shown, ...(source ? { source: redaction.source(source) } : {}) });
  }

  #isSecret({ body, wire, source }: TraceRecord): boolean {
    // Frames say these by a number from here on.
    if (body.kind === 'names' && body.names.some(isSecretName)) return true;
    return this.#redaction.isIn(body, source) || (wire !== undefined && this.#redaction.isInBytes(wire));
  }
}

/** A record in the place of one with inputs, so that the numbers of records have no gap. */
function withoutInputs({ seq, time, replica, cause }: TraceRecord): Uint8Array {
  const text = 'left out: inputs, which may hold a secret';
  return encodeTraceRecord({ seq, time, replica, cause, body: { kind: 'log', level: 'debug', text } });
}
