import { compareHybrid, HybridClock, type HybridClockState, type HybridStamp, VersionVector } from '../clock/index.ts';
import {
  ConflictQueue,
  type ConflictResolver,
  MemoryConflictStore,
  type Mutation,
  stampOf,
} from '../conflict/index.ts';
import { StateRoot } from '../merkle/index.ts';
import type { SyncMetrics } from '../ports/index.ts';
import type { ReplicaId } from '../state/index.ts';
import { closedTap } from '../trace/index.ts';
import { PeerHistory } from './history.ts';
import { PeerLinks } from './peer-links.ts';
import type { PeerEvent, PeerReplicaOptions } from './peer-options.ts';
import { PEER_DEFAULTS, type PeerSettings } from './peer-settings.ts';
import { Stability } from './peer-sync.ts';
import { PeerTrace } from './peer-trace.ts';

const MAX_COUNT = 2 ** 32;

/** What the parts of one replica share: its history, its clock, and whom it tells of what. */
export class PeerCore {
  readonly replica: ReplicaId;
  readonly session: string;
  readonly resolver: ConflictResolver;
  readonly settings: PeerSettings;
  readonly role: string;
  readonly members: ReadonlySet<ReplicaId>;
  readonly links: PeerLinks;
  readonly trace: PeerTrace;
  readonly metrics: SyncMetrics | undefined;
  readonly stability: Stability;
  readonly conflicts: ConflictQueue;
  /** What everybody began with. */
  readonly initial: StateRoot;
  history: PeerHistory;
  readonly #clock: HybridClock;
  readonly #epoch: number;
  /** What was sent or asked last, and when, so that nothing is said twice at once. */
  readonly #said = new Map<string, { readonly what: string; readonly at: number }>();
  #events: PeerEvent[] = [];

  /** @throws SyncError as `PeerHistory.added` for what was saved */
  constructor(options: PeerReplicaOptions) {
    const { saved, maxDrift } = options;
    const drift = maxDrift === undefined ? {} : { maxDrift };
    this.replica = options.replica;
    this.session = options.session;
    this.resolver = options.resolver;
    this.settings = { ...PEER_DEFAULTS, ...options.settings };
    this.role = options.role ?? '';
    this.metrics = options.metrics;
    this.members = new Set([...options.members, options.replica]);
    this.trace = new PeerTrace(options.tap ?? closedTap, options.replica);
    this.links = new PeerLinks(options.replica, [...this.members], this.trace);
    this.stability = new Stability(this.links.others);
    this.conflicts = new ConflictQueue(options.conflicts ?? new MemoryConflictStore());
    this.initial = StateRoot.from(options.records ?? []);
    this.#clock = new HybridClock(options.replica, { ...drift, ...(saved ? { saved: saved.clock } : {}) });
    this.#epoch = options.epoch;
    const base = saved?.base ?? { vector: VersionVector.empty, root: this.initial };
    this.history = PeerHistory.from(this.resolver, base).added(saved?.mutations ?? []);
  }

  get vector(): VersionVector {
    return this.history.vector;
  }

  get root(): StateRoot {
    return this.history.root;
  }

  get clock(): HybridClockState {
    return this.#clock.state;
  }

  /** A stamp for a mutation that is made now. */
  stamp(now: number): HybridStamp {
    return this.#clock.tick(this.#wallTime(now));
  }

  /** Stamps made from now on are later than those of the mutations. @throws SyncError as `HybridClock.observe`; the clock is then as before */
  observe(mutations: readonly Mutation[], now: number): void {
    const stamps = mutations.map(stampOf);
    const latest = stamps.reduce((best, one) => (compareHybrid(best, one) < 0 ? one : best));
    const wrong = stamps.find(({ count }) => count >= MAX_COUNT);
    this.#clock.observe(wrong ?? latest, this.#wallTime(now));
  }

  /** The state is another: tells who wants to know. */
  changed(cause: readonly number[]): void {
    this.trace.vector(this.vector, cause);
    this.trace.conflicts(this.history.conflicts, cause);
    for (const conflict of this.conflicts.follow(this.root)) this.#events.push({ type: 'conflict', conflict });
    this.#events.push({ type: 'changed', root: this.root, vector: this.vector });
  }

  tell(event: PeerEvent): void {
    this.#events.push(event);
  }

  takeEvents(): readonly PeerEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  sendStatus(to: Iterable<ReplicaId>, cause: readonly number[]): void {
    const { base } = this.history;
    const standing = { vector: this.vector.entries(), root: this.root.hash };
    const from = { base: base.vector.entries(), baseRoot: base.root.hash };
    this.links.send(to, { type: 'PEER_STATUS', session: this.session, ...standing, ...from }, cause);
  }

  /** Whether something has not just been said. */
  mayNowSay(subject: string, what: string, now: number): boolean {
    const before = this.#said.get(subject);
    if (before?.what === what && now - before.at < this.settings.resendAfter) return false;
    this.#said.set(subject, { what, at: now });
    return true;
  }

  #wallTime(now: number): number {
    return this.#epoch + Math.floor(now / 1_000_000);
  }
}

/** A vector as text, to tell two apart. */
export function nameOf(vector: VersionVector): string {
  return vector
    .entries()
    .map(({ replica, counter }) => `${replica}:${counter}`)
    .join(' ');
}
