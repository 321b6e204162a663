import { isSyncError } from '../../errors/index.ts';
import { maskedFrame, SECRET_MESSAGES } from '../../messages/index.ts';
import { BatchBytes, INPUTS_LEFT_OUT, isInputs } from '../../replay/batches.ts';
import type { TraceHeader, TraceKind, TraceRecord } from '../../trace/index.ts';
import { MsgpackCursor } from '../cursor.ts';
import { decodeTraceRecord, encodeTraceRecord, recordKind } from '../record-codec.ts';
import { headerTexts, withoutBytes } from './redact.ts';
import { RedactedRoots } from './redacted-roots.ts';
import { hasRules, Redaction, type RedactOptions } from './redaction.ts';

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

/** And a frame that was refused may be one that is to be masked, whatever is said of it. */
const LOOKED_AT: ReadonlySet<TraceKind> = new Set([...FOLLOWED, 'refused']);

/** A record that waits; `inputs` where it carries a part of a batch. */
interface Held {
  readonly bytes: Uint8Array;
  readonly inputs?: TraceRecord;
}

/**
 * Takes the secrets out of records while they come, in one pass, by the rules of `redactCapture`, but for long hex, which mostly is hashes. Where nothing is secret, records stay the very bytes that they
 * were. From the first secret on, or from the beginning where there are rules of its own, frames, operations as bytes and inputs are left out, since they hold the
 * values, and root hashes are those of the states as they are shown. What is secret by its name is found in later texts; for earlier ones the records have to be gone through
 * {@link again}. What comes out stays the same bytes then where nothing more is known. The token of a HELLO is masked, and is no reason to leave anything else out.
 */
export class RecordRedactor {
  readonly #options: RedactOptions;
  readonly #redaction: Redaction;
  readonly #roots: RedactedRoots;
  readonly #cursor = new MsgpackCursor();
  readonly #batches = new BatchBytes();
  /** Whether something secret was there, or may be where it cannot be seen. */
  #isSecretSeen: boolean;
  /** From the first part of a batch of inputs that is not whole yet. */
  #held: Held[] = [];
  #heldBytes = 0;

  /** `roots`: what stood for hashes of which nothing was known, when the records were gone through before. @throws SyncError `REDACT_RULE` */
  constructor(options: RedactOptions, roots?: ReadonlySet<string>) {
    this.#options = options;
    this.#redaction = new Redaction({ ...options, keepsHex: true });
    this.#roots = new RedactedRoots(options.pseudonym, roots);
    this.#isSecretSeen = hasRules(options);
  }

  /** Values that were replaced. */
  get values(): number {
    return this.#redaction.values;
  }

  /** Whether values are known to be secret, which may stand in records that came before it was known. */
  get hasLearnt(): boolean {
    return this.#redaction.known.size > 0;
  }

  /** One that knows what this one does from the first record on, with the same pseudonyms. */
  again(): RecordRedactor {
    return new RecordRedactor({ ...this.#options, known: this.#redaction.known }, this.#roots.made);
  }

  /** The header of what is written with all that is known now. */
  header(header: TraceHeader): TraceHeader {
    return headerTexts(header, this.#redaction);
  }

  /** A text that stands beside the records. */
  text(text: string, max: number): string {
    return this.#redaction.text(text, max);
  }

  /** The records that can be written now, in order. One that may hold a secret and cannot be read comes out without a byte. */
  take(bytes: Uint8Array): readonly Uint8Array[] {
    const isSuspect = this.#isSecretSeen || this.#isSuspicious(utf8.decode(bytes));
    let record: TraceRecord;
    try {
      if (!isSuspect && !LOOKED_AT.has(recordKind(bytes, this.#cursor))) return this.#next({ bytes });
      record = decodeTraceRecord(bytes);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      return this.#next({ bytes: isSuspect ? NOTHING : bytes });
    }
    if (isInputs(record)) return this.#takeInputs({ bytes, inputs: record });
    return this.#next({
      bytes: isSuspect || record.wire ? this.#redacted(record, bytes) : this.#followed(record, bytes),
    });
  }

  #isSuspicious(text: string): boolean {
    return SECRET_MESSAGES.some((type) => text.includes(type)) || this.#redaction.isSuspicious(text);
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
    const batch = this.#batches.take(one.inputs);
    if (batch === 'part' && !this.#isSecretSeen) return this.#next(one);
    if (batch instanceof Uint8Array && this.#redaction.isInBytes(batch)) {
      this.#redaction.learnBytes(batch);
      this.#isSecretSeen = true;
    } else if (batch === undefined) this.#isSecretSeen = true;
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

  #redacted(told: TraceRecord, bytes: Uint8Array): Uint8Array {
    const redaction = this.#redaction;
    const { record, isMasked, isUnreadable } = this.#masked(told);
    redaction.learn(record.body);
    if (record.wire && redaction.isInBytes(record.wire)) redaction.learnBytes(record.wire);
    if (!this.#isSecretSeen && !isUnreadable && !this.#isSecret(record))
      return this.#followed(record, isMasked ? encodeTraceRecord(record) : bytes);
    this.#isSecretSeen = true;
    const { wire: _, source, body, replica, ...head } = record;
    const shown = this.#roots.follow(record, redaction.body(withoutBytes(body)));
    const of = redaction.replica(replica);
    return encodeTraceRecord({
      ...head,
      replica: of,
      body: shown,
      ...(source ? { source: redaction.source(source) } : {}),
    });
  }

  /** The record with its frame as it may be shown, but for what stands in it as a field of the session. */
  #masked(record: TraceRecord): { record: TraceRecord; isMasked: boolean; isUnreadable: boolean } {
    const { wire } = record;
    if (!wire) return { record, isMasked: false, isUnreadable: false };
    const masked = maskedFrame(wire);
    if (!masked) return { record, isMasked: false, isUnreadable: true };
    for (const secret of masked.secrets) this.#redaction.known.learn(secret);
    const isMasked = masked.frame !== wire;
    return { record: isMasked ? { ...record, wire: masked.frame } : record, isMasked, isUnreadable: false };
  }

  #isSecret(record: TraceRecord): boolean {
    const { body, wire } = record;
    // Frames say these by a number from here on.
    if (body.kind === 'names' && body.names.some((name) => this.#redaction.isName(name))) return true;
    return this.#redaction.isIn(record) || (wire !== undefined && this.#redaction.isInBytes(wire));
  }
}

/** A record in the place of one with inputs, so that the numbers of records have no gap. */
function withoutInputs({ seq, time, replica, cause }: TraceRecord): Uint8Array {
  return encodeTraceRecord({ seq, time, replica, cause, body: { kind: 'log', level: 'debug', text: INPUTS_LEFT_OUT } });
}
