import type { StateRoot } from '../merkle/index.ts';
import type { ReplicaId, Version } from '../state/index.ts';
import type { MutationId, Tap } from '../trace/index.ts';
import type { Decision } from './decide.ts';
import { shortEvent } from './settlement.ts';
import type { AuthorityStanding } from './standing.ts';

/**
 * Versions of one round that are told with their root hash. Where more come, a round works out one hash for all of them, at its end; and
 * the round after such a one tells none but that.
 */
export const ROOTS_A_ROUND = 8;
/** Commits remembered by `seq`, as causes of the deltas that carry them. A trace record names at most 1,000 causes. */
const MAX_CAUSES = 1_000;

/** One commit, and its record in the trace. */
interface Traced {
  readonly version: Version;
  readonly seq: number;
}

type CommitTraceStanding = Pick<AuthorityStanding['state'], 'commits' | 'sinceRoot' | 'wasBusy'>;

/** What an authority reports of settlements into its tap, and which of its records made which version. Answers `seq` of a record, 0 where nobody listens. */
export class CommitTrace {
  readonly #replica: ReplicaId;
  readonly #tap: Tap;
  readonly #isHashed: boolean;
  #commits: Traced[] = [];
  /** Commits since a root was told at the end of a round; undefined where each tells its own. */
  #sinceRoot: number | undefined;
  /** Whether more came in the round before than tell their root; undefined where that changes nothing. */
  #wasBusy: boolean | undefined;

  /** `isHashed` where every version's root hash is worked out anyway. */
  constructor(replica: ReplicaId, tap: Tap, isHashed: boolean) {
    this.#replica = replica;
    this.#tap = tap;
    this.#isHashed = isHashed;
    this.#sinceRoot = isHashed ? undefined : 0;
    this.#wasBusy = isHashed ? undefined : false;
  }

  get standing(): CommitTraceStanding {
    const commits = [...this.#commits];
    if (this.#sinceRoot === undefined) return { commits };
    const standing = { commits, sinceRoot: this.#sinceRoot };
    return this.#wasBusy === undefined ? standing : { ...standing, wasBusy: this.#wasBusy };
  }

  /** Recordings from before there was `sinceRoot` tell every root, those from before there was `wasBusy` the first of each round. */
  resume({ commits, sinceRoot, wasBusy }: CommitTraceStanding): void {
    this.#commits = [...commits];
    this.#sinceRoot = this.#isHashed ? undefined : sinceRoot;
    this.#wasBusy = this.#isHashed ? undefined : wasBusy;
  }

  /** The whole state is told. */
  rootTold(): void {
    if (this.#sinceRoot !== undefined) this.#sinceRoot = 0;
  }

  /** A round ends: where the root of the newest version was not told, it is now. */
  endRound(newest: { readonly version: Version; readonly root: StateRoot }): void {
    const commits = this.#sinceRoot;
    this.tellRoot(newest);
    if (commits === 0 && this.#wasBusy) this.#wasBusy = false;
  }

  /** As at the end of a round; where nothing was done since the last, none has ended. */
  tellRoot({ version, root }: { readonly version: Version; readonly root: StateRoot }): void {
    if (this.#sinceRoot === undefined || this.#sinceRoot === 0) return;
    const isUntold = this.#sinceRoot > this.#rootsTold();
    if (this.#wasBusy !== undefined) this.#wasBusy = this.#sinceRoot > ROOTS_A_ROUND;
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
    const event = shortEvent({
      type: first?.type ?? 'nothing',
      player: first?.player ?? mutation.writer,
      detail: events.length === 1 ? first!.detail : events.map((one) => one.detail).join('; '),
    });
    const { writer, counter } = mutation;
    const body = { kind: 'commit' as const, version, event, mutation: { writer, counter }, changes: [...changes] };
    const told = this.#isTelling() ? { ...body, root: root.hash } : body;
    const seq = this.#tap.emit(this.#replica, told, cause);
    this.#commits.push({ version, seq });
    if (this.#commits.length > 2 * MAX_CAUSES) this.#commits.splice(0, MAX_CAUSES);
    return seq;
  }

  #isTelling(): boolean {
    if (this.#sinceRoot === undefined) return true;
    this.#sinceRoot++;
    return this.#sinceRoot <= this.#rootsTold();
  }

  /** How many commits of this round tell their root. */
  #rootsTold(): number {
    return this.#wasBusy ? 0 : ROOTS_A_ROUND;
  }
}
