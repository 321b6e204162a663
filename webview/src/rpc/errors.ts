import { type ErrorOrigin, type ErrorRetry, SyncError } from '@syncscope/protocol/errors';
import { type Infer, literal, object, optional, string } from '@syncscope/protocol/schema';
import { integer } from './values.ts';

const ORIGINS = [
  'bytes',
  'protocol',
  'state',
  'capture',
  'attach',
  'query',
  'setting',
] as const satisfies ErrorOrigin[];
const RETRIES = ['never', 'now', 'backoff'] as const satisfies ErrorRetry[];

/** A {@link SyncError} as it crosses a port, where a class would not survive. */
export const wireErrorSchema = object({
  code: string(100),
  message: string(20_000),
  origin: literal(...ORIGINS),
  retry: literal(...RETRIES),
  place: object({
    offset: optional(integer),
    version: optional(integer),
    key: optional(string(1_000)),
    path: optional(string(4_000)),
    file: optional(string(4_000)),
  }),
});
export type WireError = Infer<typeof wireErrorSchema>;

/** An error of any kind, ready to cross a port. What is not a `SyncError` becomes `INTERNAL`. */
export function toWireError(error: unknown): WireError {
  if (error instanceof SyncError) {
    const { code, message, origin, retry, place } = error;
    return { code, message: message.slice(0, 20_000), origin, retry, place };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'INTERNAL', message: message.slice(0, 20_000), origin: 'query', retry: 'never', place: {} };
}

export function fromWireError(error: WireError): SyncError {
  return new SyncError(error.code, error.message, { origin: error.origin, retry: error.retry, place: error.place });
}

/** A request that its asker gave up: never shown to anyone. */
export function cancelled(): SyncError {
  return new SyncError('QUERY_CANCELLED', 'the request was cancelled', { origin: 'query', retry: 'now' });
}
