import { StateMerkleTree, type StateRoot } from '../merkle/index.ts';
import { fitText } from '../schema/index.ts';
import type { Change, RecordKey, SyncRecord } from '../state/index.ts';
import type { MutationId } from '../trace/index.ts';
import { areConcurrent, hasSeen, idOf, type Mutation, mutationId } from './mutation.ts';
import {
  type Amendment,
  type ConflictExplanation,
  type MutationOutcome,
  outcomeOf,
  type PartOutcome,
} from './outcome.ts';
import { type PolicyTable, policyName, type Unit } from './policy.ts';
import type { DomainContext, DomainDecision, DomainRule, RuleRegistry } from './rules.ts';
import { lossText, type Settlement, settle } from './settle.ts';
import { fieldsOf, REOPEN, UnitHistory, type Write, writeOf } from './unit-history.ts';
import { afterDecision, CONFLICT_COLLECTION, conflictKey, waitingRecord, waitingSchema } from './waiting.ts';

export interface DivergenceResult {
  readonly root: StateRoot;
  readonly outcomes: readonly MutationOutcome[];
  readonly conflicts: readonly ConflictExplanation[];
  /** What decisions of this stretch made of changes that waited before it. */
  readonly amendments: readonly Amendment[];
}

const REASON_MAX = 300;

/**
 * Merges the mutations between two agreed points into one state. They are carried out in the one order that all replicas give them
 * (hybrid stamp, then writer), which never puts a mutation before one that its writer had seen. Whatever is written
 * to a unit by writers who did not know of each other is settled by the unit's policy from the base and all sides at once, so the
 * number of writers does not matter, nor who merged with whom before.
 */
export class DivergenceMerge {
  readonly #policies: PolicyTable;
  readonly #rules: RuleRegistry;
  readonly #mutations: readonly Mutation[];
  readonly #base: StateRoot;
  readonly #tree: StateMerkleTree;
  readonly #units = new Map<RecordKey, Map<string, UnitHistory>>();
  readonly #removals = new Map<RecordKey, Mutation>();
  readonly #parts = new Map<Mutation, PartOutcome[]>();
  readonly #conflicts: ConflictExplanation[] = [];
  readonly #amendments: Amendment[] = [];

  constructor(base: StateRoot, mutations: readonly Mutation[], policies: PolicyTable, rules: RuleRegistry) {
    this.#base = base;
    this.#tree = new StateMerkleTree(base);
    this.#mutations = mutations;
    this.#policies = policies;
    this.#rules = rules;
  }

  run(): DivergenceResult {
    for (const mutation of this.#mutations) this.#take(mutation);
    return {
      root: this.#tree.root(),
      outcomes: this.#mutations.map((one) => outcomeOf(mutationId(one), this.#parts.get(one) ?? [])),
      conflicts: this.#conflicts,
      amendments: this.#amendments,
    };
  }

  #take(mutation: Mutation): void {
    this.#parts.set(mutation, []);
    const rule = this.#rules.forCommand(mutation.command);
    if (rule) this.#command(mutation, rule);
    else if (mutation.changes.length === 0) {
      const reason = `no rule knows the command ${mutation.command}, and it changes nothing`;
      this.#part(mutation, { part: 'command', state: 'rejected', reason });
    }
    mutation.changes.forEach((change, index) => {
      this.#change(mutation, change, mutation.before[index] ?? null);
    });
  }

  // — domain rules —

  #command(mutation: Mutation, rule: DomainRule): void {
    const decision = this.#decide(mutation, rule);
    if ('rejected' in decision) {
      const { by, key } = decision;
      const reason = fitText(decision.rejected, REASON_MAX);
      this.#part(mutation, {
        part: 'command',
        state: 'rejected',
        reason,
        ...(key ? { key } : {}),
        ...(by ? { by } : {}),
      });
      if (by) this.#explainCommand(mutation, rule, by, reason, key);
      return;
    }
    this.#part(mutation, { part: 'command', state: 'applied', reason: '' });
  }

  /** Decides, and applies what was accepted. A rule that fails, or writes where it may not, rejects. */
  #decide(mutation: Mutation, rule: DomainRule): DomainDecision {
    const rivals = this.#mutations.filter((one) => rule.commands.includes(one.command) && areConcurrent(one, mutation));
    const context: DomainContext = { mutation, state: this.#tree.root(), divergence: this.#base, rivals };
    try {
      const decision = rule.decide(context);
      if ('rejected' in decision) return decision;
      const stranger = decision.changes.find(({ key }) => !this.#isOwned(rule, key));
      if (stranger) return { rejected: `${rule.name} may not write ${stranger.key}`, key: stranger.key };
      this.#tree.apply(decision.changes);
      return decision;
    } catch (error) {
      return { rejected: `${rule.name} failed: ${error instanceof Error ? error.message : String(error)}` };
    }
  }

  #isOwned(rule: DomainRule, key: RecordKey): boolean {
    const owner = this.#policies.domainOf(key);
    return owner?.rule === rule.name && owner.version === rule.version;
  }

  #explainCommand(mutation: Mutation, rule: DomainRule, by: MutationId, reason: string, key?: RecordKey): void {
    const other = this.#mutations.find((one) => idOf(one) === idOf(by));
    const about = key ?? mutation.changes[0]?.key;
    if (!other || !about) return;
    const sides = [other, mutation].map((one) => ({
      mutation: mutationId(one),
      record: { command: one.command, args: one.args },
    }));
    this.#conflicts.push({
      key: about,
      part: 'command',
      policy: `${rule.name}@${rule.version}`,
      state: 'resolved',
      base: this.#base.get(about) ?? null,
      sides,
      result: this.#tree.get(about) ?? null,
      winner: by.writer,
      reason,
    });
  }

  // — records —

  #change(mutation: Mutation, change: Change, before: SyncRecord | null): void {
    const { key } = change;
    const owner = ownerOf(this.#policies, key);
    if (owner !== undefined) {
      const reason = `${key} belongs to ${owner}, which does not know this change`;
      this.#part(mutation, { key, part: 'record', state: 'rejected', reason });
    } else if (change.op === 'remove') {
      this.#remove(mutation, key, before);
    } else if (change.op === 'put' && !this.#tree.has(key)) {
      this.#create(mutation, change);
    } else if (!this.#tree.has(key)) {
      this.#rejectMissing(mutation, change, before);
    } else {
      this.#write(mutation, change, before);
    }
  }

  /** A removal stands over whatever was done to the record without knowing of it; that is listed as rejected. */
  #remove(mutation: Mutation, key: RecordKey, before: SyncRecord | null): void {
    const lost: Write[] = [];
    for (const { writes, unit } of this.#units.get(key)?.values() ?? []) {
      for (const write of writes) {
        if (hasSeen(mutation, write.mutation)) continue;
        lost.push(write);
        this.#reject(write.mutation, key, unit.name, `the record was removed by ${idOf(mutation)}`, mutation);
      }
    }
    for (const name of this.#units.get(key)?.keys() ?? []) this.#close(key, name);
    this.#units.delete(key);
    this.#removals.set(key, mutation);
    const result = this.#tree.get(key) ?? null;
    this.#tree.remove(key);
    this.#part(mutation, { key, part: 'record', state: 'applied', reason: '' });
    if (lost.length === 0) return;
    const lostSides = lost.map((write) => ({ mutation: mutationId(write.mutation), record: write.after }));
    const sides = [...lostSides, { mutation: mutationId(mutation), record: null }];
    this.#explainRemoval(mutation, key, before ?? result, sides);
  }

  #explainRemoval(
    { writer: winner }: Mutation,
    key: RecordKey,
    base: SyncRecord | null,
    sides: ConflictExplanation['sides'],
  ): void {
    const reason = 'a removal stands over changes that did not know of it';
    this.#conflicts.push({
      key,
      part: 'record',
      policy: 'removal',
      state: 'resolved',
      base,
      sides,
      result: null,
      winner,
      reason,
    });
  }

  #create(mutation: Mutation, change: Extract<Change, { op: 'put' }>): void {
    const { key, record } = change;
    this.#tree.put(key, record);
    for (const unit of this.#policies.unitsOf(key, Object.keys(record))) {
      const history = this.#history(key, unit);
      history.writes.push(writeOf(mutation, unit, change, null));
      this.#part(mutation, { key, part: unit.name, state: 'applied', reason: '' });
    }
    if (Object.keys(record).length === 0) this.#part(mutation, { key, part: 'record', state: 'applied', reason: '' });
  }

  #rejectMissing(mutation: Mutation, change: Change, before: SyncRecord | null): void {
    const { key } = change;
    const removal = this.#removals.get(key);
    const reason = removal ? `the record was removed by ${idOf(removal)}` : 'there is no such record';
    this.#part(mutation, {
      key,
      part: 'record',
      state: 'rejected',
      reason,
      ...(removal ? { by: mutationId(removal) } : {}),
    });
    if (!removal || change.op !== 'patch') return;
    const after = Object.fromEntries(
      Object.entries({ ...before, ...change.fields }).filter(([name]) => !change.removed.includes(name)),
    );
    const sides = [
      { mutation: mutationId(removal), record: null },
      { mutation: mutationId(mutation), record: after },
    ];
    this.#explainRemoval(removal, key, before, sides);
  }

  #write(mutation: Mutation, change: Exclude<Change, { op: 'remove' }>, before: SyncRecord | null): void {
    const { key } = change;
    const fields =
      change.op === 'put'
        ? new Set([...Object.keys(change.record), ...Object.keys(before ?? {})])
        : new Set([...Object.keys(change.fields), ...change.removed]);
    const units = this.#policies.unitsOf(key, fields);
    for (const unit of units) this.#writeUnit(writeOf(mutation, unit, change, before), key, unit);
    if (units.length === 0) this.#part(mutation, { key, part: 'record', state: 'applied', reason: '' });
  }

  #writeUnit(write: Write, key: RecordKey, unit: Unit): void {
    const history = this.#history(key, unit);
    const standing = fieldsOf(unit, this.#tree.get(key)!);
    history.writes.push(write);
    const settlement = settle(history, standing);
    this.#setUnit(key, unit, settlement.value);
    this.#followQueue(write, key, unit, settlement);
    this.#tell(write, key, unit, settlement);
  }

  #setUnit(key: RecordKey, unit: Unit, value: SyncRecord): void {
    if (unit.fields === undefined) {
      this.#tree.put(key, value);
      return;
    }
    this.#tree.patch(
      key,
      value,
      unit.fields.filter((field) => !Object.hasOwn(value, field)),
    );
  }

  /** The record of the conflict: put where one waits, marked where it was decided, taken out where a write that knew of it all has ended it. */
  #followQueue(write: Write, key: RecordKey, unit: Unit, { kind, sides, base, value, winner }: Settlement): void {
    if (unit.policy.kind !== 'human') return;
    const id = conflictKey(key, unit.name);
    const known = this.#tree.get(id);
    if (kind === 'waiting') this.#tree.put(id, waitingRecord(key, unit, base, sides));
    else if (known && write.isDecision) {
      this.#tree.put(id, afterDecision(known, winner ?? write, value));
      this.#tellDecided(winner ?? write, key, unit, known);
    } else if (known) {
      // Somebody wrote who knew of all sides: that ends it as a decision would, for none of them.
      this.#tellDecided(write, key, unit, known);
      this.#close(key, unit.name);
    }
  }

  #close(key: RecordKey, unit: string): void {
    this.#tree.remove(conflictKey(key, unit));
  }

  // — outcomes —

  #tell(write: Write, key: RecordKey, unit: Unit, settlement: Settlement): void {
    const { mutation } = write;
    const { kind, winner, sides, reason } = settlement;
    if (kind === 'plain') {
      this.#part(mutation, { key, part: unit.name, state: 'applied', reason: '' });
      return;
    }
    if (kind === 'merged') this.#part(mutation, { key, part: unit.name, state: 'merged', reason });
    if (kind === 'waiting') {
      for (const side of sides) this.#setPart(side.mutation, key, unit.name, { state: 'waiting', reason });
    }
    if (winner) {
      for (const side of sides) {
        if (side === winner) this.#setPart(side.mutation, key, unit.name, { state: 'applied', reason: '' });
        else this.#reject(side.mutation, key, unit.name, lossText(unit.policy, winner), winner.mutation);
      }
    }
    this.#explain(key, unit, settlement);
  }

  /** What waited is applied where a decision chose it, and rejected where not; where the decision is taken back it waits again. */
  #tellDecided(decision: Write, key: RecordKey, unit: Unit, waited: SyncRecord): void {
    const by = mutationId(decision.mutation);
    for (const side of waitingSchema.parse(waited, conflictKey(key, unit.name)).sides) {
      const outcome: Pick<PartOutcome, 'state' | 'reason' | 'by'> =
        decision.mutation.command === REOPEN
          ? { state: 'waiting', reason: `${idOf(by)} took the decision back`, by }
          : isChosen(decision, side)
            ? { state: 'applied', reason: '' }
            : { state: 'rejected', reason: `${idOf(by)} decided otherwise`, by };
      const own = this.#mutations.find((one) => idOf(one) === idOf(side));
      if (own) this.#setPart(own, key, unit.name, outcome);
      else
        this.#amendments.push({
          mutation: { writer: side.writer, counter: side.counter },
          part: { key, part: unit.name, ...outcome },
        });
    }
  }

  #explain(key: RecordKey, unit: Unit, { kind, winner, sides, base, value, reason }: Settlement): void {
    this.#conflicts.push({
      key,
      part: unit.name,
      policy: policyName(unit.policy),
      state: kind === 'waiting' ? 'waiting' : sides.some(({ isDecision }) => isDecision) ? 'decided' : 'resolved',
      base,
      sides: sides.map(({ mutation, after }) => ({ mutation: mutationId(mutation), record: after })),
      result: value,
      winner: winner?.mutation.writer ?? null,
      reason,
    });
  }

  #history(key: RecordKey, unit: Unit): UnitHistory {
    let units = this.#units.get(key);
    if (!units) {
      units = new Map();
      this.#units.set(key, units);
    }
    let history = units.get(unit.name);
    if (!history) {
      history = new UnitHistory(unit, fieldsOf(unit, this.#base.get(key) ?? {}));
      units.set(unit.name, history);
    }
    return history;
  }

  #partsOf(mutation: Mutation): PartOutcome[] {
    return this.#parts.get(mutation)!;
  }

  #part(mutation: Mutation, part: PartOutcome): void {
    this.#partsOf(mutation).push(part);
  }

  #reject(mutation: Mutation, key: RecordKey, part: string, reason: string, by: Mutation): void {
    this.#setPart(mutation, key, part, { state: 'rejected', reason, by: mutationId(by) });
  }

  #setPart(
    mutation: Mutation,
    key: RecordKey,
    part: string,
    outcome: Pick<PartOutcome, 'state' | 'reason' | 'by'>,
  ): void {
    const parts = this.#partsOf(mutation);
    const at = parts.findIndex((one) => one.key === key && one.part === part);
    const next = { key, part, ...outcome };
    if (at === -1) parts.push(next);
    else parts[at] = next;
  }
}

/** Who alone may change the record, where that is not everybody. */
function ownerOf(policies: PolicyTable, key: RecordKey): string | undefined {
  if (key.startsWith(CONFLICT_COLLECTION)) return 'the queue of conflicts';
  const owner = policies.domainOf(key);
  return owner && `the rule ${policyName(owner)}`;
}

/** Whether a decision is for this side. */
function isChosen({ mutation: { args } }: Write, side: MutationId): boolean {
  if (typeof args !== 'object' || args === null || Array.isArray(args) || args instanceof Uint8Array) return false;
  return 'chosen' in args && args.chosen === idOf(side);
}
