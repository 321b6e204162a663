import { type ConflictResolver, resolveSides, type SideWriter, waitingSchema } from '../conflict/index.ts';
import { sameValue } from '../merkle/index.ts';
import type { SyncRecord, Value } from '../state/index.ts';
import { isSameModel } from './model.ts';
import type { ConflictDecision, DecidedConflict, ModelConflict } from './strategy.ts';

/** Who wrote a side, and whether it was before the other. */
export interface ModelWriters {
  readonly source: SideWriter;
  /** Another than that of the source. */
  readonly destination: SideWriter;
  /** Must not depend on which of the two is called the source. */
  readonly later: 'source' | 'destination';
}

/**
 * The policies that peers and devices have, for models: declared by collection, which begins with a type's name, and by field or atomic
 * group. The field of the parent is `PARENT`. A deletion stands over changes
 * that did not know of it.
 */
export interface PolicyStrategies {
  readonly resolver: ConflictResolver;
  readonly writersOf: (conflict: ModelConflict) => ModelWriters;
}

/** What both sides get, or the conflict that waits for a human. */
export type PolicyOutcome =
  | { readonly record: SyncRecord | undefined; readonly decided: DecidedConflict | undefined }
  | { readonly open: ModelConflict };

/** Merges a model that both sides changed. `human` is what somebody has decided of the fields that wait. */
export function mergeByPolicies(
  { resolver, writersOf }: PolicyStrategies,
  conflict: ModelConflict,
  human: ((open: ModelConflict) => ConflictDecision | undefined) | undefined,
): PolicyOutcome {
  const { key, base, source, destination } = conflict;
  const writers = writersOf(conflict);
  const [earlier, later] = writers.later === 'source' ? (['destination', 'source'] as const) : SOURCE_FIRST;
  const sides = { key, base: base ?? null, theirs: conflict[earlier] ?? null, mine: conflict[later] ?? null };
  const { record, waiting, explanations } = resolveSides(resolver, sides, {
    theirs: writers[earlier],
    mine: writers[later],
  });
  const strategy = [...new Set(explanations.map(({ policy }) => policy))].sort().join(', ');
  if (waiting.length === 0) return { record: record ?? undefined, decided: told(conflict, strategy, record) };
  const open = { ...conflict, fields: waitingFields(waiting, source, destination) };
  const decision = human?.(open);
  if (decision === undefined || decision === 'ask') return { open };
  const settled = settledBy(decision, open, record);
  return { record: settled, decided: { conflict: open, strategy: 'human', decision, result: settled ?? null } };
}

const SOURCE_FIRST = ['source', 'destination'] as const;

/** Nothing is told where nobody disagrees. */
function told(conflict: ModelConflict, strategy: string, record: SyncRecord | null): DecidedConflict | undefined {
  if (strategy === '') return undefined;
  const { source, destination } = conflict;
  const isOf = (side: SyncRecord | undefined) => isSameModel(record ?? undefined, side);
  const values = Object.entries(record ?? {}).filter(([name]) => conflict.fields.includes(name));
  const decision = isOf(source) ? 'source' : isOf(destination) ? 'destination' : { fields: Object.fromEntries(values) };
  return { conflict, strategy, decision, result: record };
}

/** What the conflicts that wait are about; of a whole model all that differs. */
function waitingFields(
  waiting: readonly { readonly key: string; readonly record: SyncRecord | null }[],
  source: SyncRecord | undefined,
  destination: SyncRecord | undefined,
): string[] {
  if (source === undefined || destination === undefined) return [];
  const named = waiting.map(({ key, record }) => waitingSchema.parse(record, key).fields);
  if (!named.includes(null)) return [...new Set(named.flatMap((fields) => fields ?? []))].sort();
  const all = new Set([...Object.keys(source), ...Object.keys(destination)]);
  return [...all].filter((name) => !isSameField(source, destination, name)).sort();
}

/** The merged record with the fields that waited as somebody has decided. */
function settledBy(
  decision: Exclude<ConflictDecision, 'ask'>,
  { source, destination, fields }: ModelConflict,
  merged: SyncRecord | null,
): SyncRecord | undefined {
  const side = decision === 'destination' ? destination : source;
  if (source === undefined || destination === undefined || merged === null || side === undefined) return side;
  const record: Record<string, Value> = { ...merged };
  for (const name of fields) {
    const value = Object.hasOwn(side, name) ? side[name] : undefined;
    if (value === undefined) delete record[name];
    else record[name] = value;
  }
  return typeof decision === 'object' ? { ...record, ...decision.fields } : record;
}

function isSameField(left: SyncRecord, right: SyncRecord, name: string): boolean {
  const [one, other] = [left, right].map((record) => (Object.hasOwn(record, name) ? record[name] : undefined));
  return sameValue(one, other);
}
