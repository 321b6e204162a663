import { canonicalBytes } from '../bytes/index.ts';
import { SyncError } from '../errors/index.ts';
import type { RecordKey, SyncRecord, Value } from '../state/index.ts';
import { type ModelSet, PARENT, typeName } from './model.ts';

/** Both sides changed the same model since they last agreed. A side's record is absent where it was deleted there. */
export interface ModelConflict {
  readonly key: RecordKey;
  /** `delete`: deleted on one side, changed on the other. `fields`: these were changed on both, to different values. */
  readonly kind: 'fields' | 'delete';
  /** Those in question, of the kind `fields`; the others are merged already. The parent goes by {@link PARENT}. */
  readonly fields: readonly string[];
  readonly base?: SyncRecord;
  readonly source?: SyncRecord;
  readonly destination?: SyncRecord;
}

/** Whose values count, other values for some of the fields in question, or that a human must say. */
export type ConflictDecision = 'source' | 'destination' | 'ask' | { readonly fields: SyncRecord };

/**
 * `newest`: the side whose stamp (see `ModelType.stamp`) is greater; of equal or no stamps the one whose canonical bytes are
 * greater, the same on both sides; a change wins over a deletion. `fail`: nothing is synced. `ask`: both sides keep what they
 * have until a decision is given. A function must not depend on anything but its argument.
 */
export type ConflictStrategy =
  | 'source'
  | 'destination'
  | 'newest'
  | 'fail'
  | 'ask'
  | ((conflict: ModelConflict) => ConflictDecision);

/** By `type.attribute`, by `type`, or for all others. Deletions go by type. */
export interface ConflictStrategies {
  readonly default: ConflictStrategy;
  readonly types?: Readonly<Record<string, ConflictStrategy>>;
  readonly attributes?: Readonly<Record<string, ConflictStrategy>>;
}

/** What was decided, and by what. */
export interface DecidedConflict {
  readonly conflict: ModelConflict;
  readonly strategy: string;
  readonly decision: ConflictDecision;
  /** The model as both have it then, where it is more than one side's; null where it is gone. */
  readonly result?: SyncRecord | null;
}

export function strategyFor(strategies: ConflictStrategies, key: RecordKey, field?: string): ConflictStrategy {
  const type = typeName(key);
  const own = field === undefined ? undefined : ownOf(strategies.attributes, `${type}.${field}`);
  return own ?? ownOf(strategies.types, type) ?? strategies.default;
}

/** Names come from data, so what every object inherits must not count. */
function ownOf<T>(table: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return table !== undefined && Object.hasOwn(table, name) ? table[name] : undefined;
}

export function strategyName(strategy: ConflictStrategy): string {
  return typeof strategy === 'string' ? strategy : 'function';
}

/** @throws SyncError `SYNC_CONFLICT` by the strategy `fail`, `CONFLICT_DECISION_INVALID` for what a function must not answer */
export function decide(conflict: ModelConflict, strategy: ConflictStrategy, models: ModelSet): ConflictDecision {
  switch (strategy) {
    case 'source':
    case 'destination':
    case 'ask':
      return strategy;
    case 'newest':
      return newest(conflict, models);
    case 'fail':
      throw new SyncError(
        'SYNC_CONFLICT',
        `${conflict.key} was changed on both sides (${conflict.fields.join(', ') || 'deleted on one'}); nothing was synced`,
        { origin: 'state', place: { key: conflict.key } },
      );
    default:
      return checkDecision(conflict, strategy(conflict), models);
  }
}

function newest({ key, source, destination }: ModelConflict, models: ModelSet): 'source' | 'destination' {
  if (source === undefined) return 'destination';
  if (destination === undefined) return 'source';
  const stamp = models.typeOf(key).stamp;
  const [left, right] = stamp === undefined ? [] : [source[stamp], destination[stamp]];
  if (isStamp(left) && isStamp(right) && typeof left === typeof right && left !== right) {
    return left > right ? 'source' : 'destination';
  }
  return compareBytes(canonicalBytes(source), canonicalBytes(destination)) > 0 ? 'source' : 'destination';
}

function isStamp(value: Value | undefined): value is number | string {
  return typeof value === 'string' || (typeof value === 'number' && !Number.isNaN(value));
}

function compareBytes(left: Uint8Array, right: Uint8Array): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index++) if (left[index] !== right[index]) return left[index]! - right[index]!;
  return left.length - right.length;
}

/** A decision from outside: of a function, or of a human. @throws SyncError `CONFLICT_DECISION_INVALID` */
export function checkDecision(conflict: ModelConflict, decision: ConflictDecision, models: ModelSet): ConflictDecision {
  if (decision === 'source' || decision === 'destination' || decision === 'ask') return decision;
  const { key, source, destination } = conflict;
  const fields: SyncRecord | undefined =
    typeof decision === 'object' && decision !== null ? decision.fields : undefined;
  if (fields === undefined) decisionInvalid(key, 'it is none of source, destination, ask and fields');
  if (source === undefined || destination === undefined) decisionInvalid(key, 'a deleted model has no fields to set');
  const wrong = Object.keys(fields).find((name) => name === PARENT || !conflict.fields.includes(name));
  if (wrong !== undefined) decisionInvalid(key, `${wrong.slice(0, 64)} is not an attribute in question`);
  models.read(key, { ...source, ...fields });
  return decision;
}

function decisionInvalid(key: RecordKey, what: string): never {
  throw new SyncError('CONFLICT_DECISION_INVALID', `the decision about ${key}: ${what}`, {
    origin: 'setting',
    place: { key },
  });
}
