import { isCanonical, ownCopy } from '../bytes/index.ts';
import type { VersionVector } from '../clock/index.ts';
import { draftMutation, type Intent, type Mutation, mutationId } from '../conflict/index.ts';
import { isSyncError } from '../errors/index.ts';
import type { MutationId } from '../trace/index.ts';
import type { FinalOutcomes } from './final-outcomes.ts';
import type { PeerHistory } from './history.ts';
import type { PeerCore } from './peer-core.ts';

/** The part of a replica that makes its own mutations. */
export class PeerWriter {
  readonly #core: PeerCore;
  readonly #final: FinalOutcomes;
  /** Why nothing may be made just now. */
  readonly #refusal: () => string | undefined;

  constructor(core: PeerCore, final: FinalOutcomes, refusal: () => string | undefined) {
    this.#core = core;
    this.#final = final;
    this.#refusal = refusal;
  }

  /** The mutation, told to everybody, or why there is none. */
  make(given: Intent, now: number): MutationId | string {
    const refusal = this.#refusal();
    if (refusal !== undefined) return refusal;
    // It is kept, and told again later, as it was meant now.
    const { command, args, changes } = isCanonical(given) ? ownCopy(given) : given;
    const { history: before, replica, role, resolver, trace } = this.#core;
    const stamp = this.#core.stamp(now);
    const counter = before.vector.get(replica) + 1;
    const seen = before.vector.entries();
    try {
      const draft = { state: before.root, stamp, counter, seen, role, command, args, changes };
      const mutation = draftMutation(resolver.policies, draft);
      if (!resolver.rules.forCommand(command) && mutation.changes.length === 0) {
        return changes.length === 0 ? `no rule knows the command ${command}` : 'nothing would change';
      }
      const next = before.added([mutation]);
      const outcome = next.outcomes.at(-1)!;
      if (outcome.state === 'rejected') return outcome.parts[0]?.reason ?? 'it was rejected';
      this.#core.history = next;
      const seq = trace.made(mutation, next.vector, before.root, next.root);
      this.#core.changed([seq]);
      this.#broadcast(mutation, before.vector, [seq]);
      return mutationId(mutation);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      return error.message;
    }
  }

  /** Makes anew, on the state that is, what nobody but us had of a history that is gone. */
  remake(before: PeerHistory, now: number): void {
    const { replica, trace } = this.#core;
    for (const { writer, counter, command, args, changes } of before.mutations) {
      if (writer !== replica || counter <= this.#core.vector.get(writer)) continue;
      const made = this.make({ command, args, changes }, now);
      const what = `${writer}:${counter} was made on a state that is gone`;
      if (typeof made !== 'string') {
        trace.log('info', `${what}; made anew as ${made.counter}`, []);
        continue;
      }
      this.#final.reject(counter, made);
      trace.log('warn', `${what}, and refused on the one that is: ${made}`, []);
    }
  }

  #broadcast(mutation: Mutation, before: VersionVector, cause: readonly number[]): void {
    const { links, vector, root } = this.#core;
    const body = { from: before.entries(), to: vector.entries(), root: root.hash, mutations: [mutation] };
    links.send(links.others, { type: 'PEER_CHANGES', ...body }, cause);
  }
}
