import type { StateRoot } from '../merkle/index.ts';
import type { ReplicaId, Version } from '../state/index.ts';
import type { MutationId, Tap } from '../trace/index.ts';
import type { Decision } from './decide.ts';
import { shortEvent } from './settlement.ts';

/** Commits remembered by `seq`, as causes of the deltas that carry them. A trace record names at most 1,000 causes. */
const MAX_CAUSES = 1_000;

/** One commit, and its record in the trace. */
interface Traced {
  readonly version: Version;
  readonly seq: number;
}

/** What an authority reports of settlements into its tap, and which of its records made which version. Answers `seq` of a record, 0 where nobody listens. */
export class CommitTrace {
  readonly #replica: ReplicaId;
  readonly #tap: Tap;
  #commits: Traced[] = [];

  constructor(replica: ReplicaId, tap: Tap) {
    this.#replica = replica;
    this.#tap = tap;
  }

  get standing(): Traced[] {
    return [...this.#commits];
  }

  resume(commits: readonly Traced[]): void {
    this.#commits = [...commits];
  }

  /** `seq` of the commits that made the versions after `version`. */
  since(version: Version): number[] {
    return this.#commits.filter((commit) => commit.version > version).map((commit) => commit.seq);
  }

  rejection(mutation: MutationId, reason: string, version: Version, cause: readonly number[]): number {
    if (!this.#tap.isOpen) return 0;
    return this.#tap.emit(this.#replica, { kind: 'rejection', mutation, reason, version }, cause);
  }

  /** `after` is what the mutation led to. */
  commit(
    { events, changes }: Extract<Decision, { accepted: true }>,
    mutation: MutationId,
    after: { readonly version: Version; readonly root: StateRoot },
    cause: readonly number[],
  ): number {
    if (!this.#tap.isOpen) return 0;
    const { version, root } = after;
    const [first] = events;
    const event = {
      type: first?.type ?? 'nothing',
      player: first?.player ?? mutation.writer,
      detail: events.map((one) => one.detail).join('; '),
    };
    const { writer, counter } = mutation;
    const body = { kind: 'commit' as const, version, event: shortEvent(event), mutation: { writer, counter } };
    const seq = this.#tap.emit(this.#replica, { ...body, changes: [...changes], root: root.hash }, cause);
    this.#commits.push({ version, seq });
    if (this.#commits.length > MAX_CAUSES) this.#commits.shift();
    return seq;
  }
}
