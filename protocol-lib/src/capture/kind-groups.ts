import { TRACE_KINDS, type TraceKind } from '../trace/index.ts';
import { KIND_GROUPS, type KindGroup } from './query.ts';

const GROUPS: Readonly<Record<TraceKind, KindGroup>> = {
  replica: 'other',
  gone: 'other',
  send: 'message',
  receive: 'message',
  refused: 'problem',
  names: 'other',
  commit: 'change',
  delta: 'change',
  apply: 'change',
  mismatch: 'problem',
  snapshot: 'change',
  hash: 'hash',
  vector: 'hash',
  prediction: 'prediction',
  confirmation: 'prediction',
  rollback: 'prediction',
  rejection: 'prediction',
  rebase: 'prediction',
  divergence: 'problem',
  repair: 'problem',
  fault: 'problem',
  gap: 'problem',
  log: 'other',
  health: 'problem',
  pressure: 'problem',
  view: 'other',
  proposal: 'change',
  vote: 'other',
  conflict: 'problem',
  partition: 'problem',
  presence: 'other',
  operation: 'change',
};

/** Number of each kind's group, by number of the kind. */
export const GROUP_OF_KIND = Uint8Array.from(TRACE_KINDS, (kind) => KIND_GROUPS.indexOf(GROUPS[kind]));
