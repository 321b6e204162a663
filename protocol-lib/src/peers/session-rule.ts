import type { DomainRule } from '../conflict/index.ts';
import type { Change } from '../state/index.ts';
import type { SessionDefinition } from '../sync/index.ts';

/**
 * The commands of a session as a rule of the merge: each is decided again on the state that it meets there, so that one that
 * was allowed where it was made, but not beside what others did, is rejected with the command's own reason.
 */
export function sessionRule(definition: SessionDefinition): DomainRule {
  return {
    name: definition.name,
    version: 1,
    commands: Object.keys(definition.commands),
    decide({ mutation, state }) {
      const handler = definition.commands[mutation.command]!;
      const outcome = handler(state, mutation.args, mutation.writer);
      if (!outcome.accepted) return { rejected: outcome.reason };
      const changes: Change[] = [];
      let root = state;
      for (const event of outcome.events) {
        const made = definition.reduce(root, event);
        root = root.apply(made);
        changes.push(...made);
      }
      return { changes };
    },
  };
}
