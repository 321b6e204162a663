import { type VersionVector, vectorFromOutside } from '../clock/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import { answerMerkleQuery, MerkleDescent, type MerkleDifference } from '../merkle/index.ts';
import type { MessageOf } from '../messages/index.ts';
import type { SyncMetrics } from '../ports/index.ts';
import { fitText } from '../schema/index.ts';
import type { RecordKey, ReplicaId, SyncRecord } from '../state/index.ts';
import type { Tap } from '../trace/index.ts';
import {
  type Answering,
  type Claim,
  differenceOf,
  type Exchange,
  type ExplainedDifference,
  type Reconciliation,
  type Standing,
  standingNow,
  standingOf,
  statement,
  type ToPeer,
} from './exchange.ts';
import type { SharedState } from './shared-state.ts';

/** Questions of one exchange, at most: a trie of a million records needs some hundred. */
const MAX_QUERIES = 2_000;

export interface ReconcilerOptions {
  readonly replica: ReplicaId;
  readonly state: SharedState;
  readonly tap: Tap;
  /** Nanoseconds without an answer after which an exchange is given up. */
  readonly exchangeTimeout: number;
  /** Reconciliations that are kept. */
  readonly reports: number;
  /** Both sides have the same hash again. */
  readonly onAgreed: (peer: ReplicaId) => void;
  readonly metrics?: SyncMetrics;
}

/** The exchanges by which a replica comes to terms with others, one with each at a time, and what came of them. */
export class Reconciler {
  readonly replica: ReplicaId;
  readonly #options: ReconcilerOptions;
  readonly #state: SharedState;
  readonly #tap: Tap;
  readonly #exchanges = new Map<ReplicaId, Exchange>();
  readonly #reports: Reconciliation[] = [];
  #lastExchange = 0;

  constructor(options: ReconcilerOptions) {
    this.replica = options.replica;
    this.#options = options;
    this.#state = options.state;
    this.#tap = options.tap;
  }

  get reports(): readonly Reconciliation[] {
    return this.#reports;
  }

  /** The number of the last exchange that was begun here; undefined while one goes on. */
  get standing(): number | undefined {
    return this.#exchanges.size === 0 ? this.#lastExchange : undefined;
  }

  /** Goes on where another one was; for one that has begun no exchange. */
  resume(lastExchange: number): void {
    this.#lastExchange = lastExchange;
  }

  has(peer: ReplicaId): boolean {
    return this.#exchanges.has(peer);
  }

  /** Gives up what got no answer. */
  tick(now: number): void {
    for (const [peer, exchange] of this.#exchanges) {
      if (now - exchange.heard >= this.#options.exchangeTimeout) this.giveUp(peer, 'timed out', now);
    }
  }

  /** Gives up everything. */
  end(now: number): void {
    for (const peer of this.#exchanges.keys()) this.giveUp(peer, 'timed out', now);
  }

  /** Begins an exchange with a peer that states another hash. */
  claim(peer: ReplicaId, own: Standing, theirs: Standing, now: number, cause: number): ToPeer[] {
    const exchange = ++this.#lastExchange;
    const begun = this.#tap.isOpen
      ? this.#tap.emit(
          this.replica,
          {
            kind: 'mismatch',
            reason: 'heartbeat',
            version: own.version,
            from: own.version,
            to: own.version,
            own: own.root,
            expected: theirs.root,
          },
          [cause],
        )
      : 0;
    this.#exchanges.set(peer, {
      role: 'claimant',
      exchange,
      started: now,
      heard: now,
      base: this.#state.root(),
      own,
      theirs: undefined,
      descent: undefined,
      differences: [],
      result: undefined,
      cause: begun,
    });
    return [{ to: peer, body: statement(exchange, 'claim', own), cause: [begun] }];
  }

  onReconcile(peer: ReplicaId, message: MessageOf<'RECONCILE'>, now: number, cause: number): ToPeer[] {
    const theirs = standingOf(message);
    vectorFromOutside(message.vector);
    switch (message.step) {
      case 'claim':
        return this.#onClaim(peer, message.exchange, theirs, now, cause);
      case 'counter':
        return this.#onCounter(peer, this.#claimOf(peer, message.exchange), theirs, now, cause);
      case 'difference':
        return this.#onDifference(peer, message, now, cause);
      case 'agreed':
        return this.#onAgreed(peer, this.#claimOf(peer, message.exchange), theirs, now, cause);
    }
  }

  #onClaim(peer: ReplicaId, exchange: number, theirs: Standing, now: number, cause: number): ToPeer[] {
    const current = this.#exchanges.get(peer);
    // Both claimed: the first by name goes on, and gives no answer; the other drops its own claim and answers.
    if (current?.role === 'claimant' && this.replica < peer) return [];
    const own = standingNow(this.#state);
    this.#exchanges.set(peer, {
      role: 'answerer',
      exchange,
      started: now,
      heard: now,
      base: this.#state.root(),
      own,
      theirs,
      cause,
    });
    return [{ to: peer, body: statement(exchange, 'counter', own), cause: [cause] }];
  }

  #onCounter(peer: ReplicaId, claim: Claim, theirs: Standing, now: number, cause: number): ToPeer[] {
    // A counter that comes twice must not begin the descent again.
    if (claim.descent) return [];
    claim.heard = now;
    claim.theirs = theirs;
    claim.descent = new MerkleDescent(claim.base, theirs.root);
    return this.#descend(peer, claim, theirs, claim.descent, now, cause);
  }

  onQuery(peer: ReplicaId, message: MessageOf<'MERKLE_QUERY'>, now: number, cause: number): ToPeer[] {
    const exchange = this.#exchanges.get(peer);
    if (exchange?.role !== 'answerer') return unknownExchange(peer, 'a MERKLE_QUERY without a claim before it');
    exchange.heard = now;
    return [
      { to: peer, body: { type: 'MERKLE_ANSWER', ...answerMerkleQuery(exchange.base, message) }, cause: [cause] },
    ];
  }

  onAnswer(peer: ReplicaId, message: MessageOf<'MERKLE_ANSWER'>, now: number, cause: number): ToPeer[] {
    const claim = this.#exchanges.get(peer);
    if (claim?.role !== 'claimant' || !claim.descent || !claim.theirs || claim.descent.isDone) {
      return unknownExchange(peer, 'a MERKLE_ANSWER that nobody asked for');
    }
    claim.heard = now;
    try {
      claim.descent.receive(message);
    } catch (error) {
      this.giveUp(peer, 'refused', now);
      throw error;
    }
    return this.#descend(peer, claim, claim.theirs, claim.descent, now, cause);
  }

  /** Asks on, or joins what was found and sends what the other lacks. */
  #descend(
    peer: ReplicaId,
    claim: Claim,
    theirs: Standing,
    descent: MerkleDescent,
    now: number,
    cause: number,
  ): ToPeer[] {
    const query = descent.rounds < MAX_QUERIES ? descent.next() : undefined;
    if (query) return [{ to: peer, body: { type: 'MERKLE_QUERY', ...query }, cause: [cause] }];
    if (!descent.isDone) {
      this.giveUp(peer, 'refused', now);
      throw new SyncError('EXCHANGE_TOO_LONG', `${peer}: no end of the difference after ${MAX_QUERIES} questions`, {
        origin: 'protocol',
        retry: 'backoff',
      });
    }
    const differences = descent.differences;
    claim.differences = this.#explained(differences);
    const found = this.#traceDivergence(peer, claim, descent, cause);
    this.#join(peer, entriesOf(differences), vectorFromOutside(theirs.vector), now, [found]);
    const after = standingNow(this.#state);
    claim.result = after.root;
    return [{ to: peer, body: differenceOf(claim.exchange, after, differences, this.#state.root()), cause: [found] }];
  }

  #onDifference(peer: ReplicaId, message: MessageOf<'RECONCILE'>, now: number, cause: number): ToPeer[] {
    const exchange = this.#exchanges.get(peer);
    if (exchange?.role !== 'answerer' || exchange.exchange !== message.exchange) {
      return unknownExchange(peer, `the difference of exchange ${message.exchange}, which is not under way`);
    }
    const differences = this.#explained(differencesIn(message, exchange));
    const entries = message.entries.map(({ key, record }) => [key, record] as const);
    const found = this.#traceDivergence(peer, { ...exchange, differences }, undefined, cause);
    this.#join(peer, entries, vectorFromOutside(message.vector), now, [found]);
    const after = standingNow(this.#state);
    this.#finish(peer, exchange, differences, after.root === message.root, now, undefined, found);
    return [{ to: peer, body: statement(exchange.exchange, 'agreed', after), cause: [cause] }];
  }

  #onAgreed(peer: ReplicaId, claim: Claim, theirs: Standing, now: number, cause: number): ToPeer[] {
    if (claim.result === undefined) return unknownExchange(peer, 'an agreement before the difference was known');
    this.#finish(peer, claim, claim.differences, theirs.root === claim.result, now, claim.descent, cause);
    return [];
  }

  /** @throws SyncError as the state's join does; the exchange has ended then */
  #join(
    peer: ReplicaId,
    entries: readonly (readonly [RecordKey, SyncRecord])[],
    vector: VersionVector,
    now: number,
    cause: readonly number[],
  ): void {
    try {
      this.#state.join(entries, vector, cause);
    } catch (error) {
      this.giveUp(peer, 'refused', now);
      if (isSyncError(error) && this.#tap.isOpen) {
        this.#tap.emit(
          this.replica,
          { kind: 'refused', from: peer, code: error.code, message: fitText(error.message, 2_000) },
          cause,
        );
      }
      throw error;
    }
  }

  #finish(
    peer: ReplicaId,
    exchange: Exchange,
    differences: readonly ExplainedDifference[],
    agrees: boolean,
    now: number,
    descent: MerkleDescent | undefined,
    cause: number,
  ): void {
    this.#exchanges.delete(peer);
    if (agrees) this.#options.onAgreed(peer);
    this.#report(peer, exchange, differences, agrees ? 'agreed' : 'still different', now, descent);
    if (!agrees || !this.#tap.isOpen) return;
    const { version } = this.#state;
    this.#tap.emit(
      this.replica,
      { kind: 'repair', version, method: 'merkle', root: this.#state.root().hash, bytes: descent?.bytes ?? 0 },
      [cause],
    );
  }

  /** Ends an exchange without agreement; nothing where there is none. */
  giveUp(peer: ReplicaId, outcome: 'timed out' | 'refused', now: number): void {
    const exchange = this.#exchanges.get(peer);
    if (!exchange) return;
    this.#exchanges.delete(peer);
    const differences = exchange.role === 'claimant' ? exchange.differences : [];
    this.#report(
      peer,
      exchange,
      differences,
      outcome,
      now,
      exchange.role === 'claimant' ? exchange.descent : undefined,
    );
  }

  #report(
    peer: ReplicaId,
    exchange: Exchange,
    differences: readonly ExplainedDifference[],
    outcome: Reconciliation['outcome'],
    now: number,
    descent: MerkleDescent | undefined,
  ): void {
    this.#reports.push({
      with: peer,
      isClaimant: exchange.role === 'claimant',
      started: exchange.started,
      ended: now,
      own: exchange.own,
      theirs: exchange.theirs,
      differences,
      outcome,
      result: this.#state.root().hash,
      rounds: descent?.rounds ?? 0,
      hashes: descent?.hashes ?? 0,
      bytes: descent?.bytes ?? 0,
    });
    const hasSucceeded = outcome === 'agreed';
    this.#options.metrics?.reconciliation({ client: peer, way: 'heartbeat', hasSucceeded, now });
    const excess = this.#reports.length - this.#options.reports;
    if (excess > 0) this.#reports.splice(0, excess);
  }

  #claimOf(peer: ReplicaId, exchange: number): Claim {
    const current = this.#exchanges.get(peer);
    if (current?.role === 'claimant' && current.exchange === exchange) return current;
    return unknownExchange(peer, `an answer to exchange ${exchange}, which is not under way`);
  }

  #explained(differences: readonly MerkleDifference[]): ExplainedDifference[] {
    const writersOf = (key: RecordKey, record: SyncRecord | null) =>
      record === null ? [] : (this.#state.writersOf?.(key, record) ?? []);
    return differences.map((one) => ({
      ...one,
      ownWriters: writersOf(one.key, one.own),
      theirWriters: writersOf(one.key, one.theirs),
    }));
  }

  #traceDivergence(
    peer: ReplicaId,
    exchange: { readonly own: Standing; readonly differences: readonly MerkleDifference[]; readonly cause: number },
    descent: MerkleDescent | undefined,
    cause: number,
  ): number {
    if (!this.#tap.isOpen || exchange.differences.length === 0) return cause;
    return this.#tap.emit(
      this.replica,
      {
        kind: 'divergence',
        against: peer,
        version: exchange.own.version,
        differences: exchange.differences.map(({ key, own, theirs }) => ({ key, own, theirs })),
        rounds: descent?.rounds ?? 0,
        hashes: descent?.hashes ?? 0,
        bytes: descent?.bytes ?? 0,
      },
      [cause, exchange.cause],
    );
  }
}

function entriesOf(differences: readonly MerkleDifference[]): (readonly [RecordKey, SyncRecord])[] {
  return differences.flatMap(({ key, theirs }) => (theirs === null ? [] : [[key, theirs] as const]));
}

/** What the answerer learns of the difference: what it lacked, and which of its own records the claimant took over. */
function differencesIn(message: MessageOf<'RECONCILE'>, { base }: Answering): MerkleDifference[] {
  const received = new Map(message.entries.map(({ key, record }) => [key, record] as const));
  const keys = new Set([...received.keys(), ...message.learned]);
  return [...keys]
    .sort((a, b) => (a < b ? -1 : 1))
    .map((key) => ({ key, own: base.get(key) ?? null, theirs: received.get(key) ?? null }));
}

function unknownExchange(peer: ReplicaId, what: string): never {
  throw new SyncError('EXCHANGE_UNKNOWN', `${peer} sent ${what}; it begins anew with the next heartbeat`, {
    origin: 'protocol',
    retry: 'backoff',
  });
}
