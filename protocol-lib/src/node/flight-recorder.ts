import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { checkRules, type RedactionRules, type RedactOptions, unredactedHeader } from '../capture/exchange/index.ts';
import { LiveCapture, noCompression } from '../capture/index.ts';
import { SyncError } from '../errors/index.ts';
import type { Clock } from '../ports/index.ts';
import type { TraceHeader, TraceHub, TraceRecord } from '../trace/index.ts';
import { monotonicClock } from './clock.ts';
import { zstdCompression } from './compression.ts';
import { encodeOrGap } from './encode-or-gap.ts';
import { Mismatches } from './mismatches.ts';
import { keyedPseudonyms } from './pseudonyms.ts';
import { redactedFile } from './redact-written.ts';

export interface FlightRecorderSettings {
  /** Where captures are saved; made where it is not there. */
  readonly folder: string;
  /** So much time is in memory, at least, and up to half as much again: where its capture begins, all replicas say where they stand. Default 30. */
  readonly seconds?: number;
  /** And at most so many bytes, about. Default 32 MiB. */
  readonly maxBytes?: number;
  /** Captures that it leaves in the folder, the newest. Default 16. */
  readonly maxFiles?: number;
  /** Bytes of all of those together. Default 256 MiB. */
  readonly maxFolderBytes?: number;
  /** Milliseconds from a mismatch to the saving, so that the repair is in it. Default 1000. */
  readonly settle?: number;
  /** As of a recording: what is redacted beside what is secret by its name or by itself; false for nothing at all. Default: no more rules. */
  readonly redaction?: RedactionRules | false;
  /** Told of each capture saved by itself, and of each that could not be. */
  readonly onSaved?: (result: { readonly path: string } | { readonly error: SyncError }) => void;
}

export interface FlightRecorderOptions extends FlightRecorderSettings {
  readonly hub: TraceHub;
  readonly header: TraceHeader;
  /** Makes every replica of the process report itself and its state to the hub. */
  readonly describe: () => void;
  /** Tells the hub what is kept back to be told together. */
  readonly flush?: () => void;
  /** By which it sees what it takes of the process's time. Default: the machine's. */
  readonly clock?: Clock;
}

const NANOSECONDS_PER_SECOND = 1_000_000_000;
/** After so much of its time all replicas say once more where they stand, so that what is kept can be run again from its beginning. */
const SEGMENT = 1 / 3;
/** That may take so much of the process's time, and of the memory. */
const STANDING_TIME = 1 / 100;
const STANDING_BYTES = 1 / 8;
const DEFAULTS = {
  seconds: 30,
  maxBytes: 32 * 1024 * 1024,
  maxFiles: 16,
  maxFolderBytes: 256 * 1024 * 1024,
  settle: 1_000,
  clock: monotonicClock,
};

/**
 * Keeps the last seconds of a session in memory, and saves them when a replica is found to differ, with
 * the state of every replica of the process as it was right after. It listens as an observer does, so the
 * session pays what being watched costs. What it saves is redacted as a recording is, when it is saved. Every third of that time it asks all replicas where they stand, so that a saved capture can be run again from its
 * first record; less often where that costs much, and not at all where states are too large. Nothing that goes wrong here reaches the session.
 */
export class FlightRecorder {
  readonly #options: FlightRecorderOptions & typeof DEFAULTS;
  readonly #capture: LiveCapture;
  /** One key for all of its captures, so that equal secrets are equal in each of them. */
  readonly #rules: RedactOptions | false;
  readonly #stopListening: () => void;
  readonly #mismatches: Mismatches;
  #trigger: NodeJS.Timeout | undefined;
  #quietUntil = Number.NEGATIVE_INFINITY;
  #saving: Promise<unknown> = Promise.resolve();
  #isClosed = false;
  #missed = 0;
  /** Bytes that were taken. */
  #taken = 0;
  /** Trace time from which on all are asked again where they stand. */
  #segmentDue = Number.POSITIVE_INFINITY;

  /** @throws SyncError `REDACT_RULE` for a path or pattern that is none */
  constructor(options: FlightRecorderOptions) {
    this.#options = { ...DEFAULTS, ...options };
    const { maxBytes, seconds, header, hub, redaction = {} } = this.#options;
    if (redaction) checkRules(redaction);
    this.#rules = redaction && { ...redaction, pseudonym: keyedPseudonyms() };
    this.#capture = new LiveCapture(unredactedHeader(header), {
      maxBytes,
      maxAge: seconds * NANOSECONDS_PER_SECOND,
      // What is redacted is packed when it is written for good.
      compression: this.#rules ? noCompression : zstdCompression,
      pause: () => new Promise((resolve) => setImmediate(resolve)),
    });
    this.#mismatches = new Mismatches(header.authority);
    this.#stopListening = hub.listen((record) => this.#take(record));
    this.#ask(hub.now());
  }

  /** Records that are in memory now, and those that could not be taken. */
  get records(): { readonly kept: number; readonly missed: number } {
    return { kept: this.#capture.kept, missed: this.#missed };
  }

  /**
   * Saves what is in memory, with every replica's state as of now, and returns the path.
   * @throws SyncError `FLIGHT_NOT_SAVED`
   */
  saveNow(): Promise<string> {
    this.#describe();
    return this.#save();
  }

  /** Stops listening; a capture that is waiting to be saved is saved first. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#tellRest();
    this.#isClosed = true;
    this.#stopListening();
    if (this.#trigger) {
      clearTimeout(this.#trigger);
      await this.#saveByItself();
    }
    await this.#saving;
    await this.#capture.close();
  }

  #take(record: TraceRecord): void {
    const isMismatch = this.#mismatches.take(record);
    try {
      const bytes = encodeOrGap(record);
      this.#capture.append(bytes);
      this.#taken += bytes.length;
    } catch {
      this.#missed++;
      return;
    }
    if (isMismatch) this.#arm(record.time);
    if (record.time >= this.#segmentDue) this.#beginSegment(record.time);
  }

  #beginSegment(now: number): void {
    this.#segmentDue = Number.POSITIVE_INFINITY;
    // The session is in the middle of something.
    setImmediate(() => {
      if (!this.#isClosed) this.#ask(now);
    });
  }

  /** Begins a segment with where everybody stands; when the next does, is a matter of what that costs. */
  #ask(now: number): void {
    this.#capture.beginSegment();
    const { seconds, maxBytes, clock } = this.#options;
    const [taken, began] = [this.#taken, clock.now()];
    this.#describe();
    const took = clock.now() - began;
    if (this.#taken - taken > maxBytes * STANDING_BYTES) return;
    this.#segmentDue = now + Math.max(seconds * NANOSECONDS_PER_SECOND * SEGMENT, took / STANDING_TIME);
  }

  /** One capture holds all that is found within its seconds. */
  #arm(time: number): void {
    if (this.#trigger || this.#isClosed || time < this.#quietUntil) return;
    this.#quietUntil = time + this.#options.seconds * NANOSECONDS_PER_SECOND;
    // The session is in the middle of something now; what its replicas hold is asked right after.
    setImmediate(() => this.#describe());
    this.#trigger = setTimeout(() => {
      this.#saveByItself();
    }, this.#options.settle).unref();
  }

  async #saveByItself(): Promise<void> {
    this.#trigger = undefined;
    try {
      const path = await this.#save();
      this.#options.onSaved?.({ path });
    } catch (error) {
      this.#options.onSaved?.({ error: error instanceof SyncError ? error : notSaved(this.#options.folder, error) });
    }
  }

  #describe(): void {
    try {
      if (!this.#isClosed) this.#options.describe();
    } catch {
      // A session that is being closed cannot be described; what it told before is there.
    }
  }

  #tellRest(): void {
    try {
      if (!this.#isClosed) this.#options.flush?.();
    } catch {
      // As above.
    }
  }

  /** One after the other, so that two never want the same name. */
  #save(): Promise<string> {
    const saving = this.#saving.then(() => this.#write());
    this.#saving = saving.catch(() => undefined);
    return saving;
  }

  /** Nothing that was not redacted reaches the disk, where it is to be. */
  async #file(): Promise<Uint8Array> {
    const file = this.#capture.save();
    return this.#rules ? redactedFile(file, this.#capture.header, this.#rules, zstdCompression) : file;
  }

  async #write(): Promise<string> {
    const { folder, header, maxFiles, maxFolderBytes } = this.#options;
    try {
      this.#tellRest();
      const bytes = await this.#file();
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const newest = await makeRoom(folder, maxFiles - 1, maxFolderBytes - bytes.length);
      const number = String(newest + 1).padStart(6, '0');
      const path = join(folder, `flight-${number}-${header.sessionId.replaceAll(/[^\w.-]/g, '_')}.mcap`);
      await writeWhole(path, bytes);
      return path;
    } catch (error) {
      throw notSaved(folder, error);
    }
  }
}

const FLIGHT_FILE = /^flight-(\d{6,12})-[\w.-]+\.mcap$/;

/** Takes the oldest of its own captures away until the rest is within the limits. Returns the highest number there was. */
async function makeRoom(folder: string, maxFiles: number, maxBytes: number): Promise<number> {
  const files: { path: string; number: number; size: number }[] = [];
  for (const name of await readdir(folder)) {
    const number = Number(FLIGHT_FILE.exec(name)?.[1] ?? Number.NaN);
    if (Number.isNaN(number)) continue;
    const path = join(folder, name);
    files.push({ path, number, size: (await stat(path)).size });
  }
  files.sort((a, b) => b.number - a.number);
  let bytes = 0;
  for (const [at, file] of files.entries()) {
    bytes += file.size;
    if (at >= maxFiles || bytes > maxBytes) await rm(file.path, { force: true });
  }
  return files[0]?.number ?? 0;
}

/** The file is there whole or not at all. */
async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const part = `${path}.part`;
  const handle = await open(part, 'w', 0o600);
  try {
    await handle.writeFile(bytes);
    await handle.datasync();
  } finally {
    await handle.close();
  }
  await rename(part, path);
}

function notSaved(folder: string, cause: unknown): SyncError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new SyncError('FLIGHT_NOT_SAVED', `the flight recorder could not save to ${folder}: ${reason}`, {
    origin: 'capture',
    place: { file: folder },
    cause,
  });
}
