import type { StateRoot } from '../merkle/index.ts';
import type { ReplicaId, Version } from '../state/index.ts';
import type { MutationId, Tap } from '../trace/index.ts';
import type { Decision } from './decide.ts';
import { shortEvent } from './settlement.ts';
import type { AuthorityStanding } from './standing.ts';

/** Versions of one round that are told with their root hash. Where more come, a round works out one hash for all of them, at its end. */
export const ROOTS_A_ROUND = 8;
/** Commits remembered by `seq`, as causes of the deltas that carry them. A trace record names at most 1,000 causes. */
const MAX_CAUSES = 1_000;

/** One commit, and its record in the trace. */
interface Traced {
  readonly version: Version;
  readonly seq: number;
}

type CommitTraceStanding = Pick<AuthorityStanding['state'], 'commits' | 'sinceRoot'>;

/** What an authority reports of settlements into its tap, and which of its records made which version. Answers `seq` of a record, 0 where nobody listens. */
export class CommitTrace {
  readonly #replica: ReplicaId;
  readonly #tap: Tap;
  readonly #isHashed: boolean;
  #commits: Traced[] = [];
  /** Commits since a root was told at the end of a round; undefined where each tells its own. */
  #sinceRoot: number | undefined;

  /** `isHashed` where every version's root hash is worked out anyway. */
  constructor(replica: ReplicaId, tap: Tap, isHashed: boolean) {
    this.#replica = replica;
    this.#tap = tap;
    this.#isHashed = isHashed;
    this.#sinceRoot = isHashed ? undefined : 0;
  }

  get standing(): CommitTraceStanding {
    const commits = [...this.#commits];
    return this.#sinceRoot === undefined ? { commits } : { commits, sinceRoot: this.#sinceRoot };
  }

  /** Recordings from before there was `sinceRoot` tell every root. */
  resume({ commits, sinceRoot }: CommitTraceStanding): void {
    this.#commits = [...commits];
    this.#sinceRoot = this.#isHashed ? undefined : sinceRoot;
  }

  /** The whole state is told. */
  rootTold(): void {
    if (this.#sinceRoot !== undefined) this.#sinceRoot = 0;
  }

  /** A round ends: where the root of the newest version was not told, it is now. */
  endRound({ version, root }: { readonly version: Version; readonly root: StateRoot }): void {
    if (this.#sinceRoot === undefined) return;
    const isUntold = this.#sinceRoot > ROOTS_A_ROUND;
    this.#sinceRoot = 0;
    const newest = this.#commits.at(-1);
    if (!isUntold || !newest || !this.#tap.isOpen) return;
    this.#tap.emit(this.#replica, { kind: 'hash', version, own: root.hash }, [newest.seq]);
  }

  /** `seq` of the commits that made the versions after `version`. */
  since(version: Version): number[] {
    // Versions rise, and a delta begins near the end.
    const before = this.#commits.findLastIndex((commit) => commit.version <= version);
    return this.#commits.slice(before + 1).map((commit) => commit.seq);
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
    const told = this.#isTelling() ? { root: root.hash } : undefined;
    const seq = this.#tap.emit(this.#replica, { ...body, changes: [...changes], ...told }, cause);
    this.#commits.push({ version, seq });
    if (this.#commits.length > 2 * MAX_CAUSES) this.#commits.splice(0, MAX_CAUSES);
    return seq;
  }

  #isTelling(): boolean {
    if (this.#sinceRoot === undefined) return true;
    this.#sinceRoot++;
    return this.#sinceRoot <= ROOTS_A_ROUND;
  }
}
