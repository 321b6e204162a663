import {
  type Appended,
  type BusEntry,
  type BusHealth,
  type BusSnapshot,
  busCompacted,
  busDown,
  busSnapshotMissing,
  type EventBus,
  type Stop,
} from './bus.ts';

interface Session {
  base: number;
  readonly entries: Uint8Array[];
  readonly snapshots: Map<number, Uint8Array>;
}

interface Member {
  readonly text: string;
  readonly until: number;
}

/** A bus within one process, for several authorities in it and for tests. It is as unreliable as it is told to be. */
export class MemoryBus implements EventBus {
  readonly kind = 'memory';
  readonly durability = 'memory';
  readonly limits = { entries: 1_000, bytes: 1024 * 1024 };
  readonly #now: () => number;
  readonly #sessions = new Map<string, Session>();
  readonly #listeners = new Map<string, Set<() => void>>();
  readonly #members = new Map<string, Map<string, Member>>();
  #isUp = true;
  /** Appends that take effect, but are not answered. */
  losesAnswers = 0;

  /** `now` in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get health(): BusHealth {
    return { isUp: this.#isUp, reason: this.#isUp ? '' : 'it was taken down' };
  }

  /** Takes it down, or puts it up again with all that it had. */
  set isUp(isUp: boolean) {
    this.#isUp = isUp;
    if (isUp) for (const session of this.#listeners.keys()) this.#hint(session);
  }

  async begin(session: string, { position, bytes }: BusSnapshot): Promise<boolean> {
    await this.#turn();
    if (this.#sessions.has(session)) return false;
    this.#sessions.set(session, { base: position, entries: [], snapshots: new Map([[position, bytes.slice()]]) });
    return true;
  }

  async append(name: string, expected: number, entries: readonly Uint8Array[]): Promise<Appended> {
    await this.#turn();
    const session = this.#sessions.get(name);
    const last = session ? session.base + session.entries.length : -1;
    if (!session || last !== expected) return { isAppended: false, last };
    session.entries.push(...entries.map((one) => one.slice()));
    this.#hint(name);
    if (this.losesAnswers > 0) {
      this.losesAnswers--;
      throw busDown('the answer was lost');
    }
    return { isAppended: true, last: last + entries.length };
  }

  async read(name: string, after: number, limit: number): Promise<BusEntry[]> {
    await this.#turn();
    const session = this.#sessions.get(name);
    if (!session) return [];
    if (after < session.base) throw busCompacted(after);
    const from = after - session.base;
    return session.entries
      .slice(from, from + limit)
      .map((bytes, index) => ({ position: after + index + 1, bytes: bytes.slice() }));
  }

  async last(name: string): Promise<number> {
    await this.#turn();
    const session = this.#sessions.get(name);
    return session ? session.base + session.entries.length : -1;
  }

  async snapshot(name: string, atMost = Number.POSITIVE_INFINITY): Promise<BusSnapshot | undefined> {
    await this.#turn();
    const positions = [...(this.#sessions.get(name)?.snapshots.keys() ?? [])].filter((one) => one <= atMost);
    const position = Math.max(...positions);
    const bytes = this.#sessions.get(name)?.snapshots.get(position);
    return bytes && { position, bytes: bytes.slice() };
  }

  async putSnapshot(name: string, { position, bytes }: BusSnapshot): Promise<void> {
    await this.#turn();
    this.#sessions.get(name)?.snapshots.set(position, bytes.slice());
  }

  async compact(name: string, position: number): Promise<void> {
    await this.#turn();
    const session = this.#sessions.get(name);
    if (!session?.snapshots.has(position)) throw busSnapshotMissing(position);
    session.entries.splice(0, position - session.base);
    session.base = Math.max(session.base, position);
    for (const one of session.snapshots.keys()) if (one < position) session.snapshots.delete(one);
  }

  async watch(session: string, listener: () => void): Promise<Stop> {
    await this.#turn();
    const listeners = this.#listeners.get(session) ?? new Set();
    this.#listeners.set(session, listeners.add(listener));
    return async () => {
      listeners.delete(listener);
    };
  }

  async announce(session: string, member: string, text: string, ttl: number): Promise<void> {
    await this.#turn();
    const members = this.#members.get(session) ?? new Map<string, Member>();
    this.#members.set(session, members.set(member, { text, until: this.#now() + ttl }));
  }

  async withdraw(session: string, member: string): Promise<void> {
    await this.#turn();
    this.#members.get(session)?.delete(member);
  }

  async members(session: string): Promise<ReadonlyMap<string, string>> {
    await this.#turn();
    const members = [...(this.#members.get(session) ?? [])].filter(([, { until }]) => until > this.#now());
    return new Map(members.map(([member, { text }]) => [member, text]));
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }

  /** As over a network, nothing happens in the caller's own turn. */
  async #turn(): Promise<void> {
    await Promise.resolve();
    if (!this.#isUp) throw busDown(this.health.reason);
  }

  #hint(session: string): void {
    for (const listener of this.#listeners.get(session) ?? []) queueMicrotask(listener);
  }
}
