import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type ErrorOrigin, type ErrorPlace, SyncError } from '@syncscope/protocol/errors';
import { clearProgress, progress } from './progress.ts';
import { type ReplayAnswer, type ReplayJob, runJob } from './replay-job.ts';

export interface DefinitionOptions {
  /** A module that exports the session's definition. */
  readonly definition?: string;
  /** Whether its code may run here. */
  readonly trust?: boolean;
  /** Seconds that it may take. */
  readonly timeout?: number;
}

const DEFAULT_TIMEOUT = 60;

type Progress = (done: number, total: number) => void;

type Told =
  | { readonly done: number; readonly total: number }
  | { readonly answer: ReplayAnswer }
  | { readonly error: { code: string; message: string; origin: ErrorOrigin; place: ErrorPlace } };

/**
 * Runs a job, with a module's definition in a thread of its own that is ended when its time is over.
 * @throws SyncError `TRUST_REQUIRED`, `REPLAY_TIMEOUT`, `DEFINITION_INVALID`, `DEFINITION_FAILED`, and as `runJob`
 */
export async function replayJob(
  job: ReplayJob,
  { definition, trust, timeout = DEFAULT_TIMEOUT }: DefinitionOptions,
  onProgress = progress(),
): Promise<ReplayAnswer> {
  if (definition === undefined) return runJob(job, undefined, onProgress);
  if (!trust) {
    const text = `${definition} is code that would run on this machine: say --trust if you trust it`;
    throw new SyncError('TRUST_REQUIRED', text, { origin: 'setting' });
  }
  const module = pathToFileURL(resolve(definition)).href;
  const worker = new Worker(workerUrl(), {
    workerData: { module, job, isWatched: onProgress !== undefined },
    stdout: true,
  });
  try {
    return await answerOf(worker, definition, timeout, onProgress);
  } finally {
    clearProgress();
    await worker.terminate();
  }
}

/** Beside this file: as it is in the source, or as it was bundled. */
function workerUrl(): URL {
  const { url } = import.meta;
  return new URL(url.endsWith('.ts') ? './replay-worker.ts' : './replay-worker.mjs', url);
}

function answerOf(
  worker: Worker,
  definition: string,
  seconds: number,
  onProgress: Progress | undefined,
): Promise<ReplayAnswer> {
  return new Promise((resolve, reject) => {
    const late = `${definition} did not come to an end within ${seconds} s: give it longer with --timeout`;
    const timer = setTimeout(
      () => reject(new SyncError('REPLAY_TIMEOUT', late, { origin: 'setting' })),
      seconds * 1_000,
    );
    const end = (run: () => void): void => {
      clearTimeout(timer);
      run();
    };
    worker.on('message', (told: Told) => {
      if ('done' in told) return onProgress?.(told.done, told.total);
      end(() => {
        if ('answer' in told) resolve(told.answer);
        else {
          const { code, message, origin, place } = told.error;
          reject(new SyncError(code, message, { origin, place }));
        }
      });
    });
    const failed = (message: string): void =>
      end(() => reject(new SyncError('DEFINITION_FAILED', `${definition}: ${message}`, { origin: 'setting' })));
    worker.once('error', (error: unknown) => failed(error instanceof Error ? error.message : String(error)));
    worker.once('exit', (code) => failed(`its thread ended with ${code}`));
  });
}
