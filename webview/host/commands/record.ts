import { isSyncError, SyncError } from '@syncscope/protocol/errors';
import { checkRules, type RedactionRules } from '@syncscope/protocol/exchange';
import {
  attach,
  type Recording,
  type RecordingResult,
  recordingSink,
  recordSession,
  zstdCompression,
} from '@syncscope/protocol/node';
import { printDocument } from '../json.ts';
import { count, escapeText, size } from '../print.ts';
import { clearProgress, showProgress } from '../progress.ts';
import { findSession, type SessionTarget, targetOfUrl } from '../target.ts';

export interface RecordOptions {
  readonly session?: string;
  readonly url?: string;
  readonly token?: string;
  readonly seconds?: number;
  readonly output: string;
  /** Writes over a file that is there. */
  readonly force?: boolean;
  readonly redactPath: readonly string[];
  readonly redactPattern: readonly string[];
  readonly unredacted?: boolean;
  readonly json?: boolean;
}

/**
 * `record`: writes a running session to a capture until it ends, `seconds` are over or Ctrl-C; the capture is
 * finished in each case. Answers the exit code: 0, or 3 where the connection broke and the end is missing.
 */
export async function record(options: RecordOptions): Promise<number> {
  const redaction = redactionOf(options);
  const found = await target(options);
  // Listened for from here on, so that no signal is missed.
  const { signal, release } = endAsked();
  return recordUntil(signal, found, redaction, options).finally(release);
}

async function recordUntil(
  end: AbortSignal,
  { url, token }: SessionTarget,
  redaction: RedactionRules | false,
  options: RecordOptions,
): Promise<number> {
  const connection = await attach({ url, token, signal: end });
  // Only now: a session that cannot be attached to leaves no empty file behind.
  const sink = await recordingSink(options.output, { isNew: !options.force }).catch((error: unknown) => {
    connection.close();
    throw isSyncError(error, 'OUTPUT_EXISTS') ? existing(options.output) : error;
  });
  const recording = recordSession(connection, sink, { compression: zstdCompression, redaction });
  // A second signal changes nothing: the file is being finished.
  const stop = (): void => void recording.stop();
  if (end.aborted) stop();
  else end.addEventListener('abort', stop);
  if (options.seconds !== undefined) setTimeout(stop, options.seconds * 1_000).unref();
  const length = options.seconds === undefined ? 'until Ctrl-C' : `for ${options.seconds} s`;
  console.error(escapeText(`recording ${connection.header.title} to ${options.output} ${length}`));
  const result = await shown(recording);
  const { close } = result;
  const isWhole = close.kind === 'ended' || close.kind === 'left';
  if (options.json) {
    printDocument('record', { file: options.output, session: connection.header.sessionId, ...result });
  } else {
    console.log(escapeText(`${options.output}: ${count(result.records, 'record')}, ${size(result.size)}`));
    if (result.redacted > 0)
      console.log(`${count(result.redacted, 'value')} redacted, no frames or inputs from the first one on`);
    if (result.dropped > 0) console.log(`${count(result.dropped, 'record')} dropped: the disk was too slow`);
  }
  if (!isWhole)
    console.error(escapeText(`the recording ends early: ${close.reason}. What came before is in the capture.`));
  else if (close.kind === 'ended') console.error(escapeText(`the session has ended: ${close.reason}`));
  return isWhole ? 0 : 3;
}

function existing(output: string): SyncError {
  const text = `${output} is there already: name a new file, or say --force to record over it`;
  return new SyncError('OUTPUT_EXISTS', text, { origin: 'setting', place: { file: output } });
}

/** Refused before anything is written where it is no rule. @throws SyncError `REDACT_RULE`, `REDACT_NOTHING` */
function redactionOf({ redactPath, redactPattern, unredacted }: RecordOptions): RedactionRules | false {
  const rules = { paths: redactPath, patterns: redactPattern };
  checkRules(rules);
  if (!unredacted) return rules;
  if (redactPath.length + redactPattern.length === 0) return false;
  throw new SyncError('REDACT_NOTHING', '--unredacted redacts nothing: leave it out, or the rules of what to redact', {
    origin: 'setting',
  });
}

async function target({ session, url, token }: RecordOptions): Promise<SessionTarget> {
  if (session !== undefined && url === undefined) return findSession(session);
  if (url !== undefined && session === undefined) return targetOfUrl(url, token);
  throw new SyncError(
    'TARGET_MISSING',
    'give either --session ID (see: syncscope sessions) or --url URL --token TOKEN',
    {
      origin: 'setting',
    },
  );
}

/** Aborted when somebody asks for the end. */
function endAsked(): { readonly signal: AbortSignal; release(): void } {
  const end = new AbortController();
  const asked = (): void => end.abort();
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, asked);
  const release = (): void => {
    for (const signal of signals) process.off(signal, asked);
  };
  return { signal: end.signal, release };
}

/** Waits for the end of a recording; where somebody looks on, with its progress. */
async function shown(recording: Recording): Promise<RecordingResult> {
  const progress = process.stderr.isTTY ? setInterval(() => showRecording(recording), 500) : undefined;
  try {
    return await recording.done;
  } finally {
    clearInterval(progress);
    clearProgress();
  }
}

function showRecording({ records, size: bytes }: Recording): void {
  showProgress(() => `${count(records, 'record')}, ${size(bytes)}`);
}
