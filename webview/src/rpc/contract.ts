import type { CaptureQuery } from '@syncscope/protocol/capture';
import { literal, type Schema, string, uint } from '@syncscope/protocol/schema';
import { recordKeySchema, replicaIdSchema } from '@syncscope/protocol/state';
import * as results from './results.ts';
import { integer, maybe, tuple } from './values.ts';

/** The requests are the methods of `CaptureQuery`; nothing is declared twice. */
export type QueryMethod = keyof CaptureQuery;

/** Methods whose last argument is an `AbortSignal`, without it: a cancelled request aborts the host's own signal. */
interface AbortableArguments {
  rows: [filter: string, offset: number, limit: number];
  rowsSoFar: [filter: string, offset: number, limit: number];
  rowIndex: [filter: string, position: number];
}

export type QueryArguments<K extends QueryMethod> = K extends keyof AbortableArguments
  ? AbortableArguments[K]
  : Parameters<CaptureQuery[K]>;

export type QueryResult<K extends QueryMethod> = Awaited<ReturnType<CaptureQuery[K]>>;

export interface MethodContract<K extends QueryMethod> {
  readonly args: Schema<QueryArguments<K>>;
  readonly result: Schema<QueryResult<K>>;
  readonly abortable: K extends keyof AbortableArguments ? true : false;
}

const filter = string(10_000);
const prefix = string(256);
const field = string(65_536);

export const METHODS: { readonly [K in QueryMethod]: MethodContract<K> } = {
  info: { args: tuple(), result: results.captureInfo, abortable: false },
  overview: { args: tuple(results.timeRange, uint), result: results.overview, abortable: false },
  lanes: { args: tuple(results.timeRange, uint, uint), result: results.lanesWindow, abortable: false },
  rows: { args: tuple(filter, uint, uint), result: results.rowsPage, abortable: true },
  rowsSoFar: { args: tuple(filter, uint, uint), result: results.rowsSoFar, abortable: true },
  rowIndex: { args: tuple(filter, integer), result: integer, abortable: true },
  record: { args: tuple(integer), result: results.recordDetail, abortable: false },
  positionAt: { args: tuple(integer), result: integer, abortable: false },
  related: { args: tuple(integer), result: results.related, abortable: false },
  status: { args: tuple(integer), result: results.captureStatus, abortable: false },
  state: { args: tuple(replicaIdSchema, integer, prefix, uint), result: results.statePage, abortable: false },
  history: {
    args: tuple(replicaIdSchema, recordKeySchema, maybe(field), integer, uint),
    result: results.historyEntries,
    abortable: false,
  },
  diff: { args: tuple(results.stateAt, results.stateAt, uint), result: results.stateDiff, abortable: false },
  vectors: { args: tuple(integer), result: results.vectorMatrix, abortable: false },
  merkleDiff: { args: tuple(results.stateAt, results.stateAt, uint), result: results.merkleDiff, abortable: false },
  markers: { args: tuple(results.timeRange, uint), result: results.markersPage, abortable: false },
  nextMarker: {
    args: tuple(integer, literal(1, -1), maybe(results.markerKind)),
    result: maybe(results.marker),
    abortable: false,
  },
  explain: { args: tuple(integer), result: maybe(results.explanation), abortable: false },
};

export function isQueryMethod(name: string): name is QueryMethod {
  return Object.hasOwn(METHODS, name);
}
