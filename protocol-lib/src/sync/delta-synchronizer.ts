import { answerMerkleQuery, type StateRoot } from '../merkle/index.ts';
import type { BodyOf, Feature, MessageOf } from '../messages/index.ts';
import type { SyncMetrics } from '../ports/index.ts';
import { fitText } from '../schema/index.ts';
import type { ReplicaId, StateHash, Version } from '../state/index.ts';
import type { Tap } from '../trace/index.ts';
import type { AuthorityState } from './authority-state.ts';
import { ClientHealth } from './client-health.ts';
import { LinkQueue } from './link-queue.ts';
import type { LinkId, Outbox, Receiver } from './outbox.ts';
import type { ReceiptBook } from './receipts.ts';
import {
  answerBytes,
  descentLimit,
  isSnapshotSmaller,
  isTooMuchForDelta,
  planRepair,
  planText,
  type RepairPlan,
} from './repair-cost.ts';
import { MAX_BACKOFF, type SyncSettings } from './settings.ts';
import type { SyncPoint } from './settlement.ts';
import { splitSnapshot } from './snapshot-parts.ts';
import type { StateSnapshot } from './snapshots.ts';
import type { ServedStanding } from './standing.ts';

/** A descent of a client's, what it has asked, and about how many bytes it was answered. */
interface Descent {
  readonly version: Version;
  readonly root: StateRoot;
  readonly until: number;
  queries: number;
  bytes: number;
}

/** Parts of a snapshot that one answer of a descent may be as large as. */
const MAX_ANSWER_PARTS = 16;

/** What is kept of one client while its connection lasts. */
export interface Client extends Receiver {
  readonly features: readonly Feature[];
  /**
   * Its last mutation that was decided when it was let in. It is given no state before that is durable: one that has lost
   * its memory counts on from the state, and would give the counter of a mutation that is still on its way into the log to another.
   */
  readonly decided: number;
  acknowledged: SyncPoint;
  lastSyncTime: number;
  sent: SyncPoint;
  /** When that was sent; 0 where it is acknowledged. */
  sentAt: number;
  /** What was sent and not acknowledged, oldest first. */
  unacknowledged: SyncPoint[];
  /** When what it has not acknowledged is sent again, and how long to wait after that. */
  resendAt: number;
  resendWait: number;
  needsFullSync: boolean;
  /** It asked for an answer, which goes out with the next round even where there is no news. */
  isDue: boolean;
  /** It left a whole chain unacknowledged: after its full sync, nothing new is sent before it answers. */
  isStalled: boolean;
  /** The state against which it descends. */
  repair: Descent | undefined;
  /** Since the last round: about how many bytes its descents were answered, and whether it was told all names. */
  answered: number;
  isNamed: boolean;
  /** `seq` of the record that makes the next frame necessary. */
  cause: number;
  readonly health: ClientHealth;
  /** Id of the view that was told into the trace last. */
  toldView: string | undefined;
}

/** What was sent and found, in all. */
export interface SyncTotals {
  /** Rounds in which anything was sent. */
  readonly syncs: number;
  readonly deltas: number;
  readonly fullSyncs: number;
  /** Acknowledgements and heartbeats whose hash was not ours. */
  readonly mismatches: number;
  /** Merkle exchanges that ended with equal roots. */
  readonly repairs: number;
}

/**
 * Keeps clients in step with the authority's state. A client's version is what it acknowledged; deltas follow upon each
 * other from what was last *sent*, and their chain may run ahead of the acknowledgements by `maxDeltaChain`. What is
 * lost on the way is found by the client's base check, or here when it stays unacknowledged.
 */
export class DeltaSynchronizer {
  readonly #state: AuthorityState;
  readonly #outbox: Outbox;
  readonly #receipts: ReceiptBook;
  readonly #replica: ReplicaId;
  readonly #tap: Tap;
  readonly #settings: SyncSettings;
  readonly #metrics: SyncMetrics | undefined;
  readonly #totals: { -readonly [K in keyof SyncTotals]: number } = {
    syncs: 0,
    deltas: 0,
    fullSyncs: 0,
    mismatches: 0,
    repairs: 0,
  };

  constructor(
    state: AuthorityState,
    outbox: Outbox,
    receipts: ReceiptBook,
    replica: ReplicaId,
    tap: Tap,
    settings: SyncSettings,
    metrics?: SyncMetrics,
  ) {
    this.#state = state;
    this.#outbox = outbox;
    this.#receipts = receipts;
    this.#replica = replica;
    this.#tap = tap;
    this.#settings = settings;
    this.#metrics = metrics;
  }

  get totals(): SyncTotals {
    return this.#totals;
  }

  /** What is kept of a client that was let in just now; `seq` is the record of its HELLO. */
  admit(receiver: Receiver, features: readonly Feature[], seq: number, now: number): Client {
    return {
      ...receiver,
      features,
      decided: this.#state.decided(receiver.replica),
      acknowledged: NOWHERE,
      lastSyncTime: now,
      sent: NOWHERE,
      sentAt: 0,
      unacknowledged: [],
      resendAt: 0,
      resendWait: this.#settings.resendTimeout,
      needsFullSync: true,
      isDue: true,
      isStalled: false,
      repair: undefined,
      answered: 0,
      isNamed: false,
      cause: seq,
      health: new ClientHealth(this.#settings, now),
      toldView: undefined,
    };
  }

  /** What is kept of a client, as data; undefined where the state against which it descends is no longer kept. */
  standingOf(client: Client): ServedStanding | undefined {
    const { repair, health, queue, unacknowledged, features, link: _, ...rest } = client;
    if (repair && !this.#state.snapshot(repair.version)) return undefined;
    return {
      ...rest,
      features: [...features],
      unacknowledged: [...unacknowledged],
      repair: repair ? withoutRoot(repair) : null,
      queue: queue.standing,
      health: health.standing,
      toldView: client.toldView ?? null,
    };
  }

  /** The client that another synchronizer has kept, in the state that it had. */
  resumed(link: LinkId, standing: ServedStanding): Client {
    const { repair, replica } = standing;
    const queue = new LinkQueue(this.#settings);
    queue.resume(standing.queue);
    const health = new ClientHealth(this.#settings, standing.health.since);
    health.resume(standing.health);
    const base = repair ? this.#state.snapshot(repair.version) : undefined;
    return {
      ...standing,
      ...{ link, queue, health, toldView: standing.toldView ?? undefined },
      ...{ answered: standing.answered ?? 0, isNamed: standing.isNamed ?? false },
      unacknowledged: [...standing.unacknowledged],
      repair: repair && base ? { bytes: 0, ...repair, root: this.#state.rootFor(replica, base) } : undefined,
    };
  }

  /** The next delta also tells again how the last mutation of this client ended. */
  tellAgain(client: Client, seq: number): void {
    const progress = Math.min(client.sent.progress, this.#state.ledger.progressBefore(client.replica));
    client.sent = { version: client.sent.version, progress };
    client.cause = seq;
  }

  /** A client says at which version it is, and with which hash. */
  onStanding(client: Client, message: MessageOf<'ACK' | 'HEARTBEAT'>, seq: number, now: number): void {
    const { version, progress, root } = message;
    const snapshot = this.#state.snapshot(version);
    // A version that was never kept, or is too long ago, cannot be compared: the chain limit deals with it.
    if (!snapshot) return;
    const reference = this.#state.rootFor(client.replica, snapshot).hash;
    const agrees = reference === root;
    if (this.#tap.isOpen) {
      this.#tap.emit(client.replica, { kind: 'hash', version, own: root, reference, agrees }, [seq]);
    }
    if (!agrees) {
      this.#onMismatch(client, version, root, seq, now);
      return;
    }
    client.lastSyncTime = now;
    const point = { version, progress };
    client.health.verified(version, progress, now);
    if (client.repair?.version === version) {
      client.repair = undefined;
      this.#totals.repairs++;
      this.#reconciled(client, true, now);
      this.#restart(client, point, seq);
      return;
    }
    // An answer that was overtaken by a newer one says nothing more.
    if (isBefore(point, client.acknowledged) || isBefore(client.sent, point)) return;
    if (isBefore(client.acknowledged, point)) {
      client.resendWait = this.#settings.resendTimeout;
      client.resendAt = now + client.resendWait;
    }
    this.#acknowledged(client, point);
    if (client.sentAt > 0 && !isBefore(point, client.sent)) {
      this.#metrics?.latency(client.replica, now - client.sentAt);
      client.sentAt = 0;
    }
    // What was sent grows from one to the next.
    const { unacknowledged } = client;
    let acknowledged = 0;
    while (acknowledged < unacknowledged.length && !isBefore(point, unacknowledged[acknowledged]!)) acknowledged++;
    unacknowledged.splice(0, acknowledged);
    if (unacknowledged.length === 0) client.isStalled = false;
  }

  #onMismatch(client: Client, version: Version, root: StateHash, seq: number, now: number): void {
    // While it is being repaired, or waits for a full sync, we know already.
    if (client.repair || client.needsFullSync || client.isStalled) return;
    this.#totals.mismatches++;
    if (this.#tap.isOpen) {
      const text = `${client.replica} has ${root} at version ${version}, which differs`;
      this.#tap.emit(this.#replica, { kind: 'log', level: 'warn', text }, [seq]);
    }
    this.#offerRepair(client, version, seq, now);
  }

  onSyncRequest(client: Client, request: MessageOf<'SYNC_REQUEST'>, seq: number, now: number): void {
    // What was asked for with more weight hides that names are missing as well, and nothing could ever be read.
    if (request.reason === 'names' || request.reason === 'merkle') this.#tellNames(client, seq);
    if (client.repair) this.#reconciled(client, false, now);
    client.repair = undefined;
    client.isStalled = false;
    client.cause = seq;
    const snapshot = this.#state.snapshot(request.version);
    if (!snapshot || request.reason === 'merkle' || request.reason === 'silence') {
      client.needsFullSync = true;
    } else {
      this.resume(client, request, snapshot, now);
    }
  }

  /** All names, at once. Who was told them already since the last round waits for the next: there may be many. */
  #tellNames(client: Client, seq: number): void {
    if (client.isNamed) client.queue.lacksNames = true;
    else this.#outbox.sendNames(client, [seq]);
    client.isNamed = true;
  }

  /** Carries on from the state that a client says it has, in whichever way is expected to cost least. */
  resume(client: Client, at: SyncPoint & { readonly root: StateHash }, snapshot: StateSnapshot, now: number): void {
    const isDifferent = this.#state.rootFor(client.replica, snapshot).hash !== at.root;
    if (isDifferent) this.#totals.mismatches++;
    const plan = planRepair({
      isDifferent,
      changes: this.#state.deltaFrom({ version: at.version, progress: at.progress }, client.replica)?.changes,
      root: this.#state.rootFor(client.replica),
      mayDescend: client.features.includes('merkle') && !client.queue.isSlow,
    });
    this.#tracePlan(client, at.version, plan);
    switch (plan.way) {
      case 'delta':
        this.#traceView(client);
        this.#restart(client, at, client.cause);
        // Even a delta of nothing, so that whoever asked has an answer.
        client.isDue = true;
        return;
      case 'merkle':
        this.#offerRepair(client, at.version, client.cause, now);
        return;
      case 'snapshot':
        client.needsFullSync = true;
    }
  }

  #tracePlan(client: Client, version: Version, plan: RepairPlan): void {
    if (!this.#tap.isOpen) return;
    const text = `${client.replica} at version ${version} goes on by ${planText(plan)}`;
    client.cause = this.#tap.emit(this.#replica, { kind: 'log', level: 'debug', text }, [client.cause]);
  }

  #reconciled({ replica }: Client, hasSucceeded: boolean, now: number): void {
    this.#metrics?.reconciliation({ client: replica, way: 'merkle', hasSucceeded, now });
  }

  /** The next round sends what is new since this point. */
  #restart(client: Client, { version, progress }: SyncPoint, cause: number): void {
    // More than ever was settled here was settled by an authority before this one.
    const point = { version, progress: progress > this.#state.ledger.progress ? 0 : progress };
    this.#acknowledged(client, point);
    client.sent = point;
    client.unacknowledged = [];
    client.needsFullSync = false;
    client.cause = cause;
  }

  /** A state that the client says it has, and of which the hash was found equal. */
  #acknowledged(client: Client, point: SyncPoint): void {
    client.acknowledged = point;
    this.#receipts.acknowledged(client.replica, point.version, point.progress);
  }

  #offerRepair(client: Client, version: Version, cause: number, now: number): void {
    const snapshot = this.#state.snapshot(version);
    if (!snapshot || !client.features.includes('merkle') || client.queue.isSlow) {
      client.needsFullSync = true;
      client.cause = cause;
      return;
    }
    this.#traceView(client);
    const root = this.#state.rootFor(client.replica, snapshot);
    client.repair = { version, root, until: now + this.#settings.repairTimeout, queries: 0, bytes: 0 };
    this.#outbox.send([client], { type: 'MERKLE_OFFER', version, root: root.hash }, [cause]);
  }

  onMerkleQuery(client: Client, message: MessageOf<'MERKLE_QUERY'>, seq: number, now: number): void {
    const { repair } = client;
    if (repair && repair.queries < this.#settings.maxRepairQueries && !client.queue.isSlow) {
      const answer = answerMerkleQuery(repair.root, message);
      const bytes = answerBytes(answer);
      const { snapshotPart } = this.#settings;
      // Who begins anew and anew is not given more by it than by one descent a round.
      const sum = Math.max(repair.bytes, client.answered) + bytes;
      if (bytes <= MAX_ANSWER_PARTS * snapshotPart && sum <= descentLimit(repair.root, snapshotPart)) {
        repair.queries++;
        repair.bytes += bytes;
        client.answered += bytes;
        this.#outbox.send([client], { type: 'MERKLE_ANSWER', nodes: answer.nodes }, [seq]);
        return;
      }
    }
    if (repair) this.#reconciled(client, false, now);
    client.repair = undefined;
    client.needsFullSync = true;
    client.cause = seq;
  }

  /** Whether a client is to be sent something in the next round, as far as it can be. */
  isNeeded({ isDue, needsFullSync, sent, queue }: Client): boolean {
    const { version, ledger } = this.#state;
    return isDue || needsFullSync || queue.lacksNames || sent.version < version || sent.progress < ledger.progress;
  }

  /** Brings clients up to date: one delta for all that stand at the same point, and full syncs where they are needed. */
  sync(clients: readonly Client[], now: number): void {
    this.#state.keep();
    const before = this.#totals.deltas + this.#totals.fullSyncs;
    const { point } = this.#state;
    const groups = new Groups(this.#state);
    for (const client of clients) {
      this.#metrics?.backlog(client.replica, Math.max(0, this.#state.version - client.acknowledged.version));
      const isBehind = isBefore(client.sent, point);
      client.answered = 0;
      client.isNamed = false;
      if (client.queue.isSlow) {
        this.#hold(client, isBehind, now);
        continue;
      }
      if (client.queue.lacksNames) this.#outbox.sendNames(client, [client.cause]);
      if (this.#isWaiting(client, now)) continue;
      if (isBehind && client.unacknowledged.length >= this.#settings.maxDeltaChain) {
        client.needsFullSync = true;
        client.isStalled = true;
      }
      if (client.needsFullSync) {
        this.#fullSync(client, now);
      } else if (isBehind || client.isDue) {
        groups.add(client);
      }
    }
    for (const group of groups.groups) this.#syncGroup(group, now);
    if (this.#totals.deltas + this.#totals.fullSyncs > before) this.#totals.syncs++;
  }

  /** Looks how everybody gets on. */
  followHealth(clients: readonly Client[], now: number): void {
    const { version } = this.#state;
    for (const { health, replica, acknowledged } of clients) {
      health.follow(replica, acknowledged.version, version, now, this.#tap, this.#replica);
    }
  }

  /** What is new waits until the link has room again; what it has waiting is not sent once more. */
  #hold(client: Client, isBehind: boolean, now: number): void {
    if (isBehind || client.needsFullSync || client.isDue) client.queue.hold();
    client.resendAt = now + client.resendWait;
  }

  #syncGroup(clients: readonly Client[], now: number): void {
    const [first] = clients;
    if (!first) return;
    const delta = this.#state.deltaFrom(first.sent, first.replica);
    const { snapshotPart } = this.#settings;
    const isDelta =
      delta &&
      !isSnapshotSmaller(delta.changes, this.#state.rootFor(first.replica)) &&
      !isTooMuchForDelta(delta.changes, snapshotPart);
    if (isDelta) this.#sendDelta(clients, delta, now);
    else for (const client of clients) this.#fullSync(client, now);
  }

  /** Whether nothing can be sent now. Gives up a repair, and goes back to what was acknowledged, when their time is over. */
  #isWaiting(client: Client, now: number): boolean {
    if (this.#state.ledger.settled(client.replica) < client.decided) return true;
    if (client.repair) {
      if (now < client.repair.until) return true;
      this.#reconciled(client, false, now);
      client.repair = undefined;
      client.needsFullSync = true;
    }
    if (client.needsFullSync || client.unacknowledged.length === 0) return false;
    if (now < client.resendAt) return client.isStalled;
    client.resendWait = Math.min(client.resendWait * 2, MAX_BACKOFF);
    if (client.isStalled || !this.#state.snapshot(client.acknowledged.version)) client.needsFullSync = true;
    else this.#restart(client, client.acknowledged, client.cause);
    return false;
  }

  #sendDelta(takers: readonly Client[], delta: BodyOf<'DELTA_SYNC'>, now: number): void {
    let seq = 0;
    if (this.#tap.isOpen) {
      const causes = takers.map((client) => client.cause);
      const { from, to, changes, root } = delta;
      const because = [...this.#state.commitsSince(from), ...causes].slice(-1_000);
      seq = this.#tap.emit(this.#replica, { kind: 'delta', from, to, count: changes.length, root }, because);
    }
    if (this.#tap.isOpen) for (const client of takers) this.#traceView(client);
    this.#outbox.send(takers, delta, [seq]);
    const { point } = this.#state;
    for (const client of takers) this.#markSent(client, point, now);
    this.#totals.deltas += takers.length;
  }

  #fullSync(client: Client, now: number): void {
    this.#traceView(client);
    for (const part of splitSnapshot(this.#state.fullSync(client.replica), this.#settings.snapshotPart)) {
      this.#outbox.send([client], part, [client.cause]);
    }
    client.unacknowledged = [];
    client.needsFullSync = false;
    this.#markSent(client, this.#state.point, now);
    this.#totals.fullSyncs++;
  }

  /** Tells of the client's view where it is another than told last. */
  #traceView(client: Client): void {
    const view = this.#state.viewFor(client.replica);
    if (!view || !this.#tap.isOpen || client.toldView === view.id) return;
    client.toldView = view.id;
    this.describeView(client);
  }

  /** Tells a capture that the client need not hold all that the authority holds. */
  describeView({ replica }: Client): void {
    const view = this.#state.viewFor(replica);
    if (!view || !this.#tap.isOpen) return;
    const { version } = this.#state;
    const { size, hash } = this.#state.rootFor(replica);
    this.#tap.emit(replica, { kind: 'view', view: fitText(view.id, 200), version, records: size, root: hash });
  }

  #markSent(client: Client, point: SyncPoint, now: number): void {
    if (client.unacknowledged.length === 0) client.resendAt = now + client.resendWait;
    client.sent = point;
    client.sentAt = now;
    client.unacknowledged.push(client.sent);
    client.isDue = false;
    client.cause = 0;
  }
}

/** Clients of one round by what they can be given together. */
class Groups {
  readonly #state: AuthorityState;
  readonly #byAudience = new Map<string, Client[]>();
  /** Where all see everything, those that were sent the last delta together stand at one and the same point. */
  #last: { readonly sent: SyncPoint; readonly together: Client[] } | undefined;

  constructor(state: AuthorityState) {
    this.#state = state;
  }

  get groups(): Iterable<Client[]> {
    return this.#byAudience.values();
  }

  add(client: Client): void {
    const { replica, sent } = client;
    const isMeant = this.#state.isMeant(replica, sent);
    if (!isMeant && this.#last?.sent === sent && !this.#state.viewFor(replica)) {
      this.#last.together.push(client);
      return;
    }
    const audience = this.#state.audience(replica, sent);
    const together = this.#byAudience.get(audience) ?? [];
    if (together.length === 0) this.#byAudience.set(audience, together);
    together.push(client);
    if (!isMeant) this.#last = { sent, together };
  }
}

function withoutRoot({ root: _, ...descent }: Descent): Omit<Descent, 'root'> {
  return descent;
}

/** Before anything was sent. */
const NOWHERE: SyncPoint = { version: 0, progress: 0 };

/** Whether `left` lacks something that `right` has. */
function isBefore(left: SyncPoint, right: SyncPoint): boolean {
  return left.version < right.version || left.progress < right.progress;
}
