import type { BodyOf } from '../../messages/index.ts';
import type { ReplicaId, StateHash, Version } from '../../state/index.ts';
import type { Core } from './core.ts';
import { type CatchUpStanding, momentOf, saidOf } from './member-standing.ts';
import type { StateProposal } from './proposal.ts';
import { fieldsOf } from './proposer.ts';

const MOST_DOUBLINGS = 5;

/** A version, and the hash of the state there. */
export interface StatedVersion {
  readonly version: Version;
  readonly root: StateHash;
}

/** The part of a member that finds out what it has missed, asks for it, and answers others that ask. */
export class CatchUp {
  readonly #core: Core;
  /** The highest version that each other member is known to have. */
  readonly #versions = new Map<ReplicaId, Version>();
  /** Decided changes whose predecessors are missing. */
  readonly #held = new Map<Version, StateProposal>();
  /** What each other member has said in its last heartbeat. */
  readonly stated = new Map<ReplicaId, StatedVersion>();
  /** The version that it had when it asked last. */
  #askedFrom = 0;
  /** Of each member that was asked since this one last got on, how often, and when it may be asked again. */
  readonly #asked = new Map<ReplicaId, { readonly times: number; readonly again: number }>();
  /** When any may be asked again. */
  #askAgain = Number.NEGATIVE_INFINITY;
  /** When it last had all that it knew of, or got on. */
  #progressAt = Number.NEGATIVE_INFINITY;
  #beatAt = Number.NEGATIVE_INFINITY;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Where it is, for another one to {@link resume} from; undefined while it holds what came before its turn. */
  get standing(): CatchUpStanding | undefined {
    if (this.#held.size > 0) return undefined;
    return {
      versions: Array.from(this.#versions, ([replica, version]) => ({ replica, version })),
      stated: Array.from(this.stated, ([replica, one]) => ({ replica, ...one })),
      askedFrom: this.#askedFrom,
      asked: Array.from(this.#asked, ([replica, one]) => ({ replica, ...one })),
      askAgain: saidOf(this.#askAgain),
      progressAt: saidOf(this.#progressAt),
      beatAt: saidOf(this.#beatAt),
    };
  }

  /** Goes on where another one was; for one that has heard nothing yet. */
  resume(standing: CatchUpStanding): void {
    for (const { replica, version } of standing.versions) this.#versions.set(replica, version);
    for (const { replica, version, root } of standing.stated) this.stated.set(replica, { version, root });
    for (const { replica, times, again } of standing.asked) this.#asked.set(replica, { times, again });
    this.#askedFrom = standing.askedFrom;
    this.#askAgain = momentOf(standing.askAgain);
    this.#progressAt = momentOf(standing.progressAt);
    this.#beatAt = momentOf(standing.beatAt);
  }

  get held(): number {
    return this.#held.size;
  }

  heard(from: ReplicaId, version: Version, now: number): void {
    if (this.#lag() <= 1) this.#progressAt = now;
    this.#versions.set(from, Math.max(version, this.#versions.get(from) ?? 0));
  }

  /**
   * Whether it lags and is getting on with what it lacks: what it would propose meanwhile, nobody could say yes to. Being one version
   * behind is nothing: its news is on the way.
   */
  isCatchingUp(now: number): boolean {
    return this.#lag() > 1 && now < this.#progressAt + this.#core.settings.takeOver;
  }

  /**
   * A version was learned from another member: where all that was asked for is here, and more is missing, it does not wait to ask for that.
   * It asks the one that has just answered, since others may be gone.
   */
  learned(from: ReplicaId, now: number): void {
    this.#progressAt = now;
    this.#asked.clear();
    const { version } = this.#core.standing;
    if (version < this.#askedFrom + this.#core.settings.perAnswer) return;
    if (this.#lag() <= this.#held.size) return;
    if ((this.#versions.get(from) ?? 0) > version) this.#ask(from, 'base', now);
    else this.#askSomebody(now);
  }

  tick(now: number): void {
    const { heartbeatInterval } = this.#core.settings;
    if (now >= this.#beatAt + heartbeatInterval) {
      this.#beatAt = now;
      const { version, root } = this.#core.standing;
      this.#core.send(this.#core.others, { type: 'HEARTBEAT', version, progress: version, root: root.hash });
    }
    if (now >= this.#askAgain) this.#askSomebody(now);
  }

  /** The state here does not fit what was decided: only a whole one helps. */
  askAll(from: ReplicaId, now: number): void {
    this.#ask(from, 'root', now);
  }

  /** Keeps a decided change until its turn comes. */
  hold(proposal: StateProposal): void {
    const { perAnswer } = this.#core.settings;
    const { version } = this.#core.standing;
    if (proposal.version <= version + perAnswer) this.#held.set(proposal.version, proposal);
  }

  /** The held change that is next, if it is there. */
  takeHeld(): StateProposal | undefined {
    const { version } = this.#core.standing;
    for (const held of this.#held.keys()) if (held <= version) this.#held.delete(held);
    const next = this.#held.get(version + 1);
    if (next) this.#held.delete(version + 1);
    return next;
  }

  /** What a member lacks: the changes since its version, or the whole state where there are too many, or its state is another. */
  answer(from: ReplicaId, { version, root, reason }: BodyOf<'SYNC_REQUEST'>): void {
    const { standing, settings, isDamaged } = this.#core;
    // Another member has the state that was decided.
    if (version >= standing.version || isDamaged) return;
    const first = standing.recent.findIndex((one) => one.version === version + 1);
    const missing = first < 0 ? undefined : standing.recent.slice(first, first + settings.perAnswer);
    const fits = missing?.[0]?.base === root && reason !== 'root';
    if (missing && fits && standing.version - version <= settings.kept) {
      for (const proposal of missing) this.#core.send([from], { type: 'DECIDED', ...fieldsOf(proposal) });
      return;
    }
    this.#core.send([from], {
      type: 'FULL_SYNC',
      version: standing.version,
      progress: standing.version,
      records: Array.from(standing.root.entries(), ([key, record]) => ({ key, record })),
      vector: Array.from(standing.writers, ([replica, counter]) => ({ replica, counter })),
      rejected: [],
      root: standing.root.hash,
    });
  }

  /** Versions that some other member is known to be ahead. */
  #lag(): number {
    return Math.max(0, Math.max(0, ...this.#versions.values()) - this.#core.standing.version);
  }

  #ahead(): ReplicaId[] {
    const { version } = this.#core.standing;
    return this.#core.others.filter((one) => (this.#versions.get(one) ?? 0) > version);
  }

  /** Any of those that are ahead, so that one that does not answer holds nothing up. */
  #askSomebody(now: number): void {
    const ahead = this.#ahead().filter((one) => now >= (this.#asked.get(one)?.again ?? now));
    if (ahead.length === 0) return;
    this.#ask(ahead[Math.floor(this.#core.random.next() * ahead.length)]!, 'base', now);
  }

  #ask(from: ReplicaId, reason: 'base' | 'root', now: number): void {
    const { version, root } = this.#core.standing;
    const { resendInterval } = this.#core.settings;
    const times = (this.#asked.get(from)?.times ?? 0) + 1;
    // A whole state may be on its way, and be larger than the link is fast: who was asked is asked again ever later.
    this.#asked.set(from, { times, again: now + resendInterval * 2 ** Math.min(times, MOST_DOUBLINGS) });
    this.#askAgain = now + resendInterval;
    this.#askedFrom = version;
    this.#core.send([from], { type: 'SYNC_REQUEST', version, progress: version, root: root.hash, reason });
  }
}
