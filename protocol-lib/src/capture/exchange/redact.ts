import { maskedFrame } from '../../messages/index.ts';
import { BatchBytes, isInputs } from '../../replay/batches.ts';
import { fitText } from '../../schema/index.ts';
import type { TraceBody, TraceHeader } from '../../trace/index.ts';
import type { OpenCapture } from '../engine.ts';
import type { CaptureInfo } from '../query.ts';
import type { KnownSecrets } from './known-secrets.ts';
import type { CaptureMaker } from './made-capture.ts';
import { RedactedRoots } from './redacted-roots.ts';
import { hasRules, Redaction, type RedactOptions } from './redaction.ts';

export interface Redacted {
  readonly records: number;
  /** Values that were replaced. */
  readonly values: number;
}

/**
 * Writes a capture without its secrets: values by name, by path and by pattern give way to pseudonyms, so that what was equal stays equal
 * and diagnosis works as before. Frames are left out, since they hold the values; root hashes are those of the states as they are shown then.
 * @throws SyncError `REDACT_RULE` for a path or pattern that is none
 */
export async function redactCapture(
  capture: OpenCapture,
  maker: CaptureMaker,
  options: RedactOptions,
): Promise<Redacted> {
  const known = options.known ?? (await learnSecrets(capture, options));
  const redaction = new Redaction({ ...withMarks(options, (await capture.info()).header), known });
  const roots = new RedactedRoots(options.pseudonym);
  const numbers = new Map<number, number>();
  for await (const { record } of capture.trace()) {
    // What was handed to the state machines stands there in bytes, secrets included, and leads to other states than are shown.
    if (isInputs(record)) continue;
    const { seq, replica, time, body, cause, source } = record;
    const redacted = roots.follow(record, redaction.body(withoutBytes(body)));
    const causes = cause.flatMap((one) => numbers.get(one) ?? []);
    numbers.set(
      seq,
      await maker.add(
        redaction.replica(replica),
        time,
        redacted,
        causes,
        undefined,
        source && redaction.source(source),
      ),
    );
  }
  return { records: maker.records, values: redaction.values };
}

/**
 * What in a capture is known to be secret, by names and by what texts say, also in what is left out then: it may have been told before that, and in the title.
 * @throws SyncError `REDACT_RULE`
 */
export async function learnSecrets(capture: OpenCapture, options: RedactOptions): Promise<KnownSecrets> {
  const redaction = new Redaction(withMarks(options, (await capture.info()).header));
  const batches = new BatchBytes();
  for await (const { record } of capture.trace()) {
    const bytes = isInputs(record) ? batches.take(record) : record.wire;
    if (bytes instanceof Uint8Array && redaction.isInBytes(bytes)) redaction.learnBytes(bytes);
    if (record.wire) for (const secret of maskedFrame(record.wire)?.secrets ?? []) redaction.known.learn(secret);
    if (!isInputs(record)) redaction.learn(record.body);
  }
  return redaction.known;
}

/** The options, with the fields that the app marked as secret. */
export function withMarks(options: RedactOptions, { secrets = [] }: TraceHeader): RedactOptions {
  return { ...options, marks: [...(options.marks ?? []), ...secrets] };
}

/** The header of a redacted capture, by which it is known as one; without what `options.known` has. @throws SyncError `REDACT_RULE` */
export function redactedHeader(header: TraceHeader, options: RedactOptions): TraceHeader {
  const bare = { ...unredactedHeader(header) };
  const { title, ...rest } = recordedHeader(bare, options);
  return { ...rest, title: `${fitText(title, 200 - REDACTED.length)}${REDACTED}` };
}

/** The header of a capture that is redacted while it is written, by which it is known as one. @throws SyncError `REDACT_RULE` */
export function recordedHeader(header: TraceHeader, options: RedactOptions): TraceHeader {
  return { ...headerTexts(header, new Redaction(options)), redaction: hasRules(options) ? 'rules' : 'names' };
}

/** The header of a capture that is made of what can be read of another. One that was redacted while it was written, but has not its end, was not gone through again. */
export function headerOf({ header, cut }: CaptureInfo): TraceHeader {
  return cut && header.redaction !== undefined ? unredactedHeader(header) : header;
}

/** A header without what is known to be secret. */
export function headerTexts(header: TraceHeader, redaction: Redaction): TraceHeader {
  const { title, sessionId, scenario, build, authority } = header;
  return {
    ...header,
    authority: authority && redaction.replica(authority),
    title: redaction.text(title, 200),
    sessionId: redaction.text(sessionId, 100),
    scenario: redaction.text(scenario, 100),
    build: redaction.text(build, 100),
  };
}

const REDACTED = ' (redacted)';

/** Whether a capture is one without secrets: they were taken out of it, or while it was written. */
export function isRedacted({ redaction }: TraceHeader): boolean {
  return redaction !== undefined;
}

/** The header of a capture that is not, or no longer, without secrets, whatever it said. */
export function unredactedHeader({ redaction: _, ...header }: TraceHeader): TraceHeader {
  return { ...header, title: unredactedTitle(header.title) };
}

function unredactedTitle(title: string): string {
  return title.endsWith(REDACTED) ? title.slice(0, -REDACTED.length) : title;
}

/** An operation as its type encodes it holds what was written, as frames do. */
export function withoutBytes(body: TraceBody): TraceBody {
  if (body.kind !== 'operation' || !body.data) return body;
  const { data: _, ...told } = body;
  return told;
}
