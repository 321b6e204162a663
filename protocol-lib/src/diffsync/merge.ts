import { diffRoots, StateMerkleTree, type StateRoot, sameValue } from '../merkle/index.ts';
import type { RecordKey, SyncRecord, Value } from '../state/index.ts';
import { type Diff, diffModels } from './diff.ts';
import { type MergeRules, mendHierarchy } from './mend.ts';
import { isSameModel } from './model.ts';
import { mergeByPolicies, type PolicyStrategies } from './policies.ts';
import {
  type ConflictDecision,
  type ConflictStrategies,
  type ConflictStrategy,
  checkDecision,
  type DecidedConflict,
  decide,
  type ModelConflict,
  strategyFor,
  strategyName,
} from './strategy.ts';

export interface MergeOptions extends MergeRules {
  readonly strategies: ConflictStrategies | PolicyStrategies;
  /** What humans have decided of conflicts that were open. */
  readonly decisions?: ReadonlyMap<RecordKey, ConflictDecision>;
  /** Models that are left as they are on both sides. */
  readonly isLeftAlone?: (
    key: RecordKey,
    source: SyncRecord | undefined,
    destination: SyncRecord | undefined,
  ) => boolean;
  /** Only these, where it is known that nothing else has changed. */
  readonly keys?: Iterable<RecordKey>;
}

/** What brings both sides to one state. Each side has a diff of its own: one alone would only swap the two. */
export interface TwoWayPlan {
  readonly source: Diff;
  readonly destination: Diff;
  readonly decided: readonly DecidedConflict[];
  /** Conflicts that wait for a human; both sides keep what they have. */
  readonly open: readonly ModelConflict[];
  /** Models that were brought back, since something stands below them; and those whose move was taken back. */
  readonly mended: readonly RecordKey[];
}

/**
 * The three-way merge of two states that were once `base`. What one side alone changed goes to the other, field by field; what
 * both changed to different values a strategy decides.
 * @throws SyncError `SYNC_CONFLICT`, `CONFLICT_DECISION_INVALID`, `HASHER_DIFFERS`; it changes nothing itself
 */
export function planTwoWay(
  base: StateRoot,
  source: StateRoot,
  destination: StateRoot,
  options: MergeOptions,
): TwoWayPlan {
  const merged = new StateMerkleTree(source);
  const decided: DecidedConflict[] = [];
  const open: ModelConflict[] = [];
  const withheld: RecordKey[] = [];
  const keys = [...new Set(options.keys ?? changedKeys(base, source, destination))].sort();
  for (const key of keys) {
    const [from, left, right] = [base.get(key), source.get(key), destination.get(key)];
    if (isSameModel(left, right)) continue;
    const outcome = options.isLeftAlone?.(key, left, right)
      ? undefined
      : mergeRecord({ key, base: from, source: left, destination: right }, options, decided, open);
    if (outcome === undefined) withheld.push(key);
    const record = outcome === undefined ? (left ?? right) : outcome.record;
    if (record === undefined) merged.remove(key);
    else merged.put(key, record);
  }
  const mended = mendHierarchy(merged, keys, { base, source, destination }, options);
  const target = merged.root();
  return {
    source: diffModels(source, keeping(target, source, withheld)),
    destination: diffModels(destination, keeping(target, destination, withheld)),
    decided,
    open,
    mended,
  };
}

function changedKeys(base: StateRoot, source: StateRoot, destination: StateRoot): RecordKey[] {
  const changed = [...diffRoots(base, source), ...diffRoots(base, destination)];
  return changed.map(({ key }) => key);
}

/** The target, but with what a side has itself of these keys. */
function keeping(target: StateRoot, side: StateRoot, keys: readonly RecordKey[]): StateRoot {
  if (keys.length === 0) return target;
  const tree = new StateMerkleTree(target);
  for (const key of keys) {
    const own = side.get(key);
    if (own === undefined) tree.remove(key);
    else tree.put(key, own);
  }
  return tree.root();
}

interface Versions {
  readonly key: RecordKey;
  readonly base: SyncRecord | undefined;
  readonly source: SyncRecord | undefined;
  readonly destination: SyncRecord | undefined;
}

/** The record that both sides get, absent where both lose it; undefined where it stays open. */
function mergeRecord(
  versions: Versions,
  options: MergeOptions,
  decided: DecidedConflict[],
  open: ModelConflict[],
): { readonly record: SyncRecord | undefined } | undefined {
  const { key, base, source, destination } = versions;
  if (isSameModel(source, base)) return { record: destination };
  if (isSameModel(destination, base)) return { record: source };
  const sides = {
    key,
    ...(base === undefined ? {} : { base }),
    ...(source === undefined ? {} : { source }),
    ...(destination === undefined ? {} : { destination }),
  };
  const { strategies } = options;
  if ('resolver' in strategies) return mergeAsDeclared(sides, strategies, options, decided, open);
  const judge = new Judge(options, decided, open);
  if (source === undefined || destination === undefined) {
    const decision = judge.of({ ...sides, kind: 'delete', fields: [] }, strategyFor(strategies, key));
    if (decision === 'ask') return undefined;
    return { record: decision === 'source' ? source : destination };
  }
  const { record, fields } = mergeFields(base ?? {}, source, destination);
  for (const [strategy, names] of byStrategy(strategies, key, fields)) {
    const decision = judge.of({ ...sides, kind: 'fields', fields: names }, strategy);
    if (decision === 'ask') return undefined;
    const values = decision === 'destination' ? destination : source;
    for (const name of names) setField(record, name, fieldOf(values, name));
    if (typeof decision === 'object') for (const [name, value] of Object.entries(decision.fields)) record[name] = value;
  }
  return { record };
}

/** By the policies of a resolver, which see the whole model: a group may be in question though no field of it is. */
function mergeAsDeclared(
  sides: Omit<ModelConflict, 'kind' | 'fields'>,
  strategies: PolicyStrategies,
  { decisions, models }: MergeOptions,
  decided: DecidedConflict[],
  open: ModelConflict[],
): { readonly record: SyncRecord | undefined } | undefined {
  const { key, base, source, destination } = sides;
  const conflict: ModelConflict =
    source === undefined || destination === undefined
      ? { ...sides, kind: 'delete', fields: [] }
      : { ...sides, kind: 'fields', fields: mergeFields(base ?? {}, source, destination).fields };
  const outcome = mergeByPolicies(strategies, conflict, (waiting) => {
    const human = decisions?.get(key);
    return human === undefined ? undefined : checkDecision(waiting, human, models);
  });
  if ('open' in outcome) {
    open.push(outcome.open);
    return undefined;
  }
  if (outcome.record !== undefined) models.read(key, outcome.record);
  if (outcome.decided) decided.push(outcome.decided);
  return outcome;
}

class Judge {
  readonly #options: MergeOptions;
  readonly #decided: DecidedConflict[];
  readonly #open: ModelConflict[];

  constructor(options: MergeOptions, decided: DecidedConflict[], open: ModelConflict[]) {
    this.#options = options;
    this.#decided = decided;
    this.#open = open;
  }

  of(conflict: ModelConflict, strategy: ConflictStrategy): ConflictDecision {
    const { decisions, models } = this.#options;
    let decision = decide(conflict, strategy, models);
    let name = strategyName(strategy);
    const human = decisions?.get(conflict.key);
    if (decision === 'ask' && human !== undefined) {
      decision = checkDecision(conflict, human, models);
      name = 'human';
    }
    if (decision === 'ask') this.#open.push(conflict);
    else this.#decided.push({ conflict, strategy: name, decision });
    return decision;
  }
}

/** Merges what only one side changed; `fields` are those that both did, to different values. */
function mergeFields(
  base: SyncRecord,
  source: SyncRecord,
  destination: SyncRecord,
): { readonly record: Record<string, Value>; readonly fields: string[] } {
  const record: Record<string, Value> = { ...source };
  const fields: string[] = [];
  for (const name of new Set([...Object.keys(source), ...Object.keys(destination)])) {
    const [from, left, right] = [fieldOf(base, name), fieldOf(source, name), fieldOf(destination, name)];
    if (sameValue(left, right) || sameValue(right, from)) continue;
    if (sameValue(left, from)) setField(record, name, right);
    else fields.push(name);
  }
  return { record, fields: fields.sort() };
}

function byStrategy(
  strategies: ConflictStrategies,
  key: RecordKey,
  fields: readonly string[],
): Map<ConflictStrategy, string[]> {
  const groups = new Map<ConflictStrategy, string[]>();
  for (const field of fields) {
    const strategy = strategyFor(strategies, key, field);
    groups.set(strategy, [...(groups.get(strategy) ?? []), field]);
  }
  return groups;
}

function fieldOf(record: SyncRecord, name: string): Value | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

function setField(record: Record<string, Value>, name: string, value: Value | undefined): void {
  if (value === undefined) delete record[name];
  else record[name] = value;
}

/**
 * What two sides have in common after a sync: where they are equal, that; where they still differ, what they had in common before, so
 * that the next sync sees both changes again.
 */
export function commonState(base: StateRoot, source: StateRoot, destination: StateRoot): StateRoot {
  const tree = new StateMerkleTree(source);
  for (const { key } of diffRoots(source, destination)) {
    const before = base.get(key);
    if (before === undefined) tree.remove(key);
    else tree.put(key, before);
  }
  return tree.root();
}
