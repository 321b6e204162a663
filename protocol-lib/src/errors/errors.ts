/**
 * The one error family of Syncscope. An error says what was wrong, where, and what to do about it;
 * `code` is stable and may be matched on, `message` is for people and may change.
 */

/** Where the fault arose: in the bytes, on the wire protocol, in the state, in a file, or at the attach endpoint. */
export type ErrorOrigin = 'bytes' | 'protocol' | 'state' | 'capture' | 'attach' | 'query' | 'setting';

/** Whether doing the same again can help. */
export type ErrorRetry = 'never' | 'now' | 'backoff';

/** The place of a fault. Offsets are bytes from the start of the input; lines and columns (UTF-16 units) of a text count from 1. */
export interface ErrorPlace {
  readonly offset?: number;
  readonly line?: number;
  readonly column?: number;
  readonly version?: number;
  readonly key?: string;
  readonly path?: string;
  readonly file?: string;
}

export class SyncError extends Error {
  readonly code: string;
  readonly origin: ErrorOrigin;
  readonly retry: ErrorRetry;
  readonly place: ErrorPlace;

  constructor(
    code: string,
    message: string,
    options: { origin: ErrorOrigin; retry?: ErrorRetry; place?: ErrorPlace; cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SyncError';
    this.code = code;
    this.origin = options.origin;
    this.retry = options.retry ?? 'never';
    this.place = options.place ?? {};
  }
}

/** Narrows an unknown thrown value to a {@link SyncError}, optionally of one code. */
export function isSyncError(error: unknown, code?: string): error is SyncError {
  return error instanceof SyncError && (code === undefined || error.code === code);
}

/** For the end of an exhaustive switch: a new case is then a compile error. */
export function unreachable(value: never): never {
  throw new TypeError(`unreachable case: ${JSON.stringify(value)}`);
}
