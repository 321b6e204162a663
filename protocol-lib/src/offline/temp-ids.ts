import { SyncError } from '../errors/index.ts';
import type { IdMapping } from '../messages/index.ts';
import { type RecordKey, type ReplicaId, recordKey } from '../state/index.ts';

/**
 * An id that a device gives to a record which it makes without asking anybody: `~`, the device's name, `-`, and a number of the
 * device's own, from 1. Keys with it are `collection/~phone-7`. No two devices can make the same one.
 */
export interface TemporaryId {
  readonly device: ReplicaId;
  readonly number: number;
}

const PATTERN = /^~([A-Za-z0-9][A-Za-z0-9._-]{0,63})-([1-9][0-9]{0,15})$/;

export function temporaryId({ device, number }: TemporaryId): string {
  return `~${device}-${number}`;
}

/** A record key or a bare id, if it is a temporary one. */
export function parseTemporary(text: string): TemporaryId | undefined {
  const match = PATTERN.exec(text.slice(text.lastIndexOf('/') + 1));
  const number = Number(match?.[2]);
  return match && Number.isSafeInteger(number) ? { device: match[1] as ReplicaId, number } : undefined;
}

/** What a temporary id becomes: a pure function, so that the answer to a request that comes again is the same for ever. */
export type AssignId = (temporary: TemporaryId) => string;

/** `phone-7` for `~phone-7`: unique, as the temporary id was, and readable. */
export const readableId: AssignId = ({ device, number }) => `${device}-${number}`;

/** The key that a temporary one becomes. @throws SyncError `TEMP_ID_INVALID` where it is none, or what `assign` says is no key */
export function assignKey(temporary: RecordKey, assign: AssignId): RecordKey {
  const id = parseTemporary(temporary);
  if (id) {
    const key = temporary.slice(0, temporary.lastIndexOf('/') + 1) + assign(id);
    if (!parseTemporary(key)) return recordKey(key);
  }
  throw temporaryError('TEMP_ID_INVALID', `${JSON.stringify(temporary.slice(0, 80))} is no temporary key`, temporary);
}

export function temporaryError(code: string, message: string, key: string): SyncError {
  return new SyncError(code, message, { origin: 'state', place: { key: key.slice(0, 80) } });
}

/** Which temporary ids have become which; by the last part of the key alone, which is unique. */
export class IdMap {
  readonly #ids = new Map<string, string>();

  get size(): number {
    return this.#ids.size;
  }

  set({ temporary, key }: IdMapping): void {
    this.#ids.set(lastPart(temporary), lastPart(key));
  }

  /** A whole key, or a bare id, as it is now called; itself where it was not mapped. */
  rename(text: string): string {
    const slash = text.lastIndexOf('/');
    const id = this.#ids.get(text.slice(slash + 1));
    return id === undefined ? text : text.slice(0, slash + 1) + id;
  }

  has(text: string): boolean {
    return this.#ids.has(lastPart(text));
  }
}

function lastPart(key: string): string {
  return key.slice(key.lastIndexOf('/') + 1);
}
