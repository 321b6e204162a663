import { SyncError } from '../errors/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import type { Change, RecordKey, SyncRecord } from '../state/index.ts';
import type { MutationId } from '../trace/index.ts';
import type { Mutation } from './mutation.ts';

/** A state that a rule may read. Entries come in the same order wherever the states are equal. */
export interface RuleState {
  get(key: RecordKey): SyncRecord | undefined;
  entries(prefix: string): Iterable<readonly [RecordKey, SyncRecord]>;
}

export interface DomainContext {
  readonly mutation: Mutation;
  /** With all mutations before this one, in the order of the merge. */
  readonly state: StateRoot;
  /** As it was when the writers last agreed: the base of everything concurrent. */
  readonly divergence: StateRoot;
  /** The commands of the same rule that neither knew of this one nor were known to it, before and after it in the order of the merge. */
  readonly rivals: readonly Mutation[];
}

export type DomainDecision =
  | { readonly changes: readonly Change[] }
  | {
      readonly rejected: string;
      /** What it had to give way to. */
      readonly by?: MutationId;
      /** The record that it is about. */
      readonly key?: RecordKey;
    };

/**
 * Decides on whole commands where the truth is what they add up to. Pure and deterministic; the same name and version mean the same
 * rule at every replica. What it throws becomes a rejection.
 */
export interface DomainRule {
  readonly name: string;
  readonly version: number;
  readonly commands: readonly string[];
  decide(context: DomainContext): DomainDecision;
}

/** The rules of a session, by name and version and by command. */
export class RuleRegistry {
  readonly #rules: readonly DomainRule[];

  /** @throws SyncError `RULE_INVALID` where two rules have one name and version, or one command */
  constructor(rules: readonly DomainRule[] = []) {
    this.#rules = rules;
    const names = rules.map(({ name, version }) => `${name}@${version}`);
    const commands = rules.flatMap((rule) => rule.commands);
    const twice = [...names, ...commands].find((one, index, all) => all.indexOf(one) !== index);
    if (twice !== undefined) {
      throw new SyncError('RULE_INVALID', `${twice} is registered twice; each rule and command has one meaning`, {
        origin: 'setting',
      });
    }
  }

  /** @throws SyncError `RULE_UNKNOWN` */
  get(name: string, version: number): DomainRule {
    const rule = this.#rules.find((one) => one.name === name && one.version === version);
    if (rule) return rule;
    throw new SyncError('RULE_UNKNOWN', `no rule ${name}@${version} is registered; all replicas need the same ones`, {
      origin: 'setting',
    });
  }

  forCommand(command: string): DomainRule | undefined {
    return this.#rules.find(({ commands }) => commands.includes(command));
  }
}
