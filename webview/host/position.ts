import type { CaptureQuery, StateAt } from '@syncscope/protocol/capture';
import { SyncError } from '@syncscope/protocol/errors';
import { type ReplicaId, replicaId } from '@syncscope/protocol/state';
import { seconds } from './print.ts';

/** A moment as it is given on the command line: a version of the replica, a record, or a time from the session's start. */
export type Moment =
  | { readonly kind: 'version'; readonly version: number }
  | { readonly kind: 'record'; readonly seq: number }
  | { readonly kind: 'time'; readonly nanoseconds: number }
  | { readonly kind: 'end' };

/**
 * Reads `118`, `v118`, `seq:4211`, `12.5s` or `12500ms`; `undefined` is the end of the capture.
 * @throws SyncError `AT_INVALID`
 */
export function parseMoment(text: string | undefined): Moment {
  if (text === undefined) return { kind: 'end' };
  const version = /^v?(\d{1,15})$/.exec(text);
  if (version) return { kind: 'version', version: Number(version[1]) };
  const record = /^seq:(\d{1,15})$/.exec(text);
  if (record) return { kind: 'record', seq: Number(record[1]) };
  const time = /^(\d{1,9}(?:\.\d{1,9})?)(s|ms)$/.exec(text);
  if (time) {
    return { kind: 'time', nanoseconds: Math.round(Number(time[1]) * (time[2] === 's' ? 1e9 : 1e6)) };
  }
  throw new SyncError(
    'AT_INVALID',
    `${JSON.stringify(text)} is no moment: give a version, 118, a record, seq:4211, or a time, 12.5s`,
    {
      origin: 'setting',
    },
  );
}

/** Reads `bot-2` or `bot-2@118`. @throws SyncError `AT_INVALID`, `REPLICA_INVALID` */
export function parseReplicaAt(text: string): { readonly replica: ReplicaId; readonly moment: Moment } {
  const at = text.indexOf('@');
  if (at < 0) return { replica: replicaId(text), moment: parseMoment(undefined) };
  return { replica: replicaId(text.slice(0, at)), moment: parseMoment(text.slice(at + 1)) };
}

/**
 * Where in the capture a replica was at a moment: for a version, the last position at which it had it.
 * @throws SyncError `REPLICA_UNKNOWN`, `TIME_OUTSIDE`, `VERSION_UNKNOWN`, `RECORD_UNKNOWN`, each naming what there is
 */
export async function locate(query: CaptureQuery, replica: ReplicaId, moment: Moment): Promise<StateAt> {
  const info = await query.info();
  if (!info.replicas.some(({ id }) => id === replica)) {
    throw new SyncError(
      'REPLICA_UNKNOWN',
      `no replica ${replica} in this capture; there are ${info.replicas.map(({ id }) => id).join(', ') || 'none'}`,
      { origin: 'query' },
    );
  }
  const last = info.records - 1;
  if (moment.kind === 'end') return { replica, position: last };
  if (moment.kind === 'record') return { replica, position: await positionOfRecord(query, moment.seq) };
  if (moment.kind === 'version')
    return { replica, position: await positionOfVersion(query, replica, moment.version, last) };
  const position = await query.positionAt(moment.nanoseconds);
  if (position < 0) {
    throw new SyncError('TIME_OUTSIDE', `the capture begins at ${seconds(info.range.from)}, after that moment`, {
      origin: 'query',
    });
  }
  return { replica, position };
}

/** After that record. */
async function positionOfRecord(query: CaptureQuery, seq: number): Promise<number> {
  const { rows } = await query.rows(`seq=${seq}`, 0, 1);
  const [row] = rows;
  if (row) return row.position;
  throw new SyncError('RECORD_UNKNOWN', `no record ${seq} in this capture: give the seq of one, as diagnose tells it`, {
    origin: 'query',
  });
}

/** A replica's version only grows, so the last position with at most `version` is found by halving. */
async function positionOfVersion(
  query: CaptureQuery,
  replica: ReplicaId,
  version: number,
  last: number,
): Promise<number> {
  const versionAt = async (position: number): Promise<number> => {
    const { replicas } = await query.status(position);
    return replicas.find((one) => one.replica === replica)?.version ?? -1;
  };
  let low = -1;
  let high = last;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((await versionAt(middle)) <= version) low = middle;
    else high = middle - 1;
  }
  const found = low < 0 ? -1 : await versionAt(low);
  const { versions } = await query.info();
  // Version 0 is also what is said of a replica of which nothing is known yet.
  if (found === version && version >= versions.first) return low;
  const next = low < last ? `, then at v${await versionAt(low + 1)}` : '';
  throw new SyncError(
    'VERSION_UNKNOWN',
    found < versions.first || version < versions.first || version > versions.last
      ? `${replica} is not at v${version} in this capture, which holds v${versions.first} to v${versions.last}`
      : `${replica} was never at v${version}: it was at v${found}${next}`,
    { origin: 'query', place: { version } },
  );
}
