import { SyncError } from '../errors/index.ts';
import type { Reducer } from './domain.ts';
import type { EventLog } from './event-log.ts';
import { readLogFile, writeLogFile } from './log-file.ts';
import { LogIndex, logError } from './log-index.ts';
import { type LogState, replay } from './replay.ts';

/** Everything durable that a log has, as bytes in the log's own format with their end marked. @throws SyncError `LOG_NOT_BEGUN` */
export function backupLog(log: EventLog): Uint8Array {
  const copy = new LogIndex();
  const base = log.snapshot(log.base);
  if (!base || log.durable < log.base) throw logError('LOG_NOT_BEGUN', 'there is nothing durable to back up');
  copy.putSnapshot(base);
  copy.append(copy.last, log.read(log.base, log.durable - log.base));
  for (let newer = log.snapshot(log.durable); newer && newer.position > log.base; ) {
    copy.putSnapshot(newer);
    newer = log.snapshot(newer.position - 1);
  }
  return writeLogFile(copy, true);
}

/**
 * Fills an empty log from a backup, after all of it was replayed and compared with its roots. Answers the state that it comes to.
 * @throws SyncError `BACKUP_INCOMPLETE` where its end is missing; `LOG_CONFLICT` where the log is not empty; and as
 * `readLogFile` and {@link replay}. The log is as it was then
 */
export function restoreLog(backup: Uint8Array, into: EventLog, reduce: Reducer): LogState {
  const { index, isEnded, cut } = readLogFile(backup);
  if (!isEnded || cut > 0) {
    throw new SyncError('BACKUP_INCOMPLETE', 'the end of the backup is missing, or something follows it', {
      origin: 'bytes',
      place: { offset: backup.length - cut },
    });
  }
  if (into.base >= 0) throw logError('LOG_CONFLICT', 'a backup is restored into an empty log only');
  const source = readOnly(index);
  const state = replay(source, reduce);
  const [base, ...newer] = index.snapshots.keys();
  into.putSnapshot(source.snapshot(base)!);
  into.append(into.last, source.read(index.base));
  for (const position of newer) into.putSnapshot(source.snapshot(position)!);
  return state;
}

function readOnly(index: LogIndex): EventLog {
  const refuse = (): never => {
    throw new TypeError('a backup is not written to');
  };
  return {
    durability: 'memory',
    base: index.base,
    last: index.last,
    durable: index.last,
    failure: undefined,
    read: (after, limit) => index.read(after, limit),
    snapshot: (atMost) => index.snapshot(atMost),
    append: refuse,
    putSnapshot: refuse,
    compact: refuse,
  };
}
