import { randomInt } from 'node:crypto';
import {
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  type StoredMsg,
} from '@nats-io/jetstream';
import { connect, headers, type NatsConnection } from '@nats-io/transport-node';
import { SyncError } from '@syncscope/protocol/errors';
import type { Durability } from '@syncscope/protocol/events';
import {
  type Appended,
  type BusEntry,
  type BusHealth,
  type BusLimits,
  type BusSnapshot,
  busCompacted,
  busDown,
  busSnapshotMissing,
  busTooLarge,
  type EventBus,
  type Stop,
} from './bus.ts';
import { type Head, headSchema, packEntries, unpackEntries } from './nats-records.ts';
import { ensureStreams, type NatsOptions, natsDurability, STREAMS } from './nats-streams.ts';

const PATIENCE_MS = 5_000;
const RECONNECT_MS = 250;
/** Of a message, beside its entries. */
const OVERHEAD = 4_096;
/** Headers of a message of the log: the positions of its first and last entry. */
const FIRST = 'Syncscope-First';
const LAST = 'Syncscope-Last';
const TTL = 'Syncscope-Ttl';
const MEMBER = 'Syncscope-Member';
const WRONG_LAST_SEQUENCE = 10_071;
const NO_MESSAGE = 10_037;

/** A position of a log and the stream's sequence of the message that ends there. */
interface Place {
  readonly position: number;
  readonly sequence: number;
}

/**
 * Sessions in NATS JetStream: a subject each in one stream, and an append is one message that the server takes only behind the last
 * one of its subject.
 */
export class NatsBus implements EventBus {
  readonly kind = 'nats';
  readonly durability: Durability;
  readonly limits: BusLimits;
  readonly #connection: NatsConnection;
  readonly #stream: JetStreamClient;
  readonly #manager: JetStreamManager;
  readonly #listeners = new Set<() => void>();
  /** The last message of each session, as far as is known here. */
  readonly #ends = new Map<string, Place>();
  /** The last message that was read. */
  readonly #read = new Map<string, Place>();
  #isUp = true;

  private constructor(connection: NatsConnection, manager: JetStreamManager, durability: Durability) {
    this.#connection = connection;
    this.#manager = manager;
    this.#stream = jetstream(connection, { timeout: PATIENCE_MS });
    this.durability = durability;
    const most = (connection.info?.max_payload ?? 1024 * 1024) - OVERHEAD;
    this.limits = { entries: 1_000, bytes: most - 4 * 1_000 };
    void this.#follow();
  }

  /** @throws SyncError `BUS_DOWN`; `BUS_REFUSED` where it has no JetStream, or its streams are not ours */
  static async open(options: NatsOptions): Promise<NatsBus> {
    let connection: NatsConnection | undefined;
    try {
      connection = await connect({
        servers: [...options.servers],
        ...options.credentials,
        timeout: PATIENCE_MS,
        reconnectTimeWait: RECONNECT_MS,
        maxReconnectAttempts: -1,
        name: 'syncscope',
      });
      const manager = await jetstreamManager(connection, { timeout: PATIENCE_MS });
      await ensureStreams(manager, options.replicas);
      return new NatsBus(connection, manager, await natsDurability(manager, options.monitor));
    } catch (error) {
      await connection?.close();
      throw error instanceof SyncError ? error : busDown('NATS JetStream cannot be reached', error);
    }
  }

  async #follow(): Promise<void> {
    for await (const { type } of this.#connection.status()) {
      if (type === 'disconnect') this.#isUp = false;
      if (type !== 'reconnect') continue;
      this.#isUp = true;
      // What was known may be from before a broker that has lost something.
      this.#ends.clear();
      this.#read.clear();
      for (const listener of this.#listeners) listener();
    }
    this.#isUp = false;
  }

  get health(): BusHealth {
    return { isUp: this.#isUp, reason: this.#isUp ? '' : 'the connection to NATS is broken' };
  }

  /** The client would keep a request until the broker is back, or time is up. */
  #checkUp(): void {
    if (!this.#isUp) throw busDown(this.health.reason);
  }

  async begin(session: string, { position, bytes }: BusSnapshot): Promise<boolean> {
    if (await this.#head(session)) return false;
    const id = newId();
    const parts = await this.#putParts(session, id, bytes);
    const head: Head = { base: position, snapshots: [{ position, sequence: 0, parts, id }] };
    return this.#putHead(session, head, 0);
  }

  async append(session: string, expected: number, entries: readonly Uint8Array[]): Promise<Appended> {
    const packed = packEntries(entries);
    if (packed.length > this.limits.bytes + 4 * this.limits.entries)
      throw busTooLarge(packed.length, this.limits.bytes);
    const known = this.#ends.get(session);
    const end = known?.position === expected ? known : await this.#end(session);
    if (end === undefined || end.position !== expected) return { isAppended: false, last: end?.position ?? -1 };
    const last = expected + entries.length;
    const head = headers();
    head.set(FIRST, String(expected + 1));
    head.set(LAST, String(last));
    const sequence = await this.#publish(STREAMS.log.subject(session), packed, end.sequence, head);
    if (sequence === undefined) {
      const now = await this.#end(session);
      return { isAppended: false, last: now?.position ?? -1 };
    }
    this.#ends.set(session, { position: last, sequence });
    this.#connection.publish(hintOf(session));
    return { isAppended: true, last };
  }

  /** The sequence of a message, or undefined where another came before it. */
  async #publish(
    subject: string,
    data: Uint8Array,
    lastSubjectSequence: number,
    head = headers(),
  ): Promise<number | undefined> {
    this.#checkUp();
    try {
      const options = { headers: head, expect: { lastSubjectSequence }, timeout: PATIENCE_MS };
      return (await this.#stream.publish(subject, data, options)).seq;
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE) return undefined;
      throw busDown('NATS did not take a message', error);
    }
  }

  /** Where the log ends now; undefined where it has not begun. */
  async #end(session: string): Promise<Place | undefined> {
    const message = await this.#lastOf(STREAMS.log.name, STREAMS.log.subject(session));
    const head = message ? undefined : await this.#head(session);
    if (!message && !head) return undefined;
    const end = message ? placeOf(message) : { position: head?.value.base ?? 0, sequence: 0 };
    this.#ends.set(session, end);
    return end;
  }

  async last(session: string): Promise<number> {
    return (await this.#end(session))?.position ?? -1;
  }

  async read(session: string, after: number, limit: number): Promise<BusEntry[]> {
    const subject = STREAMS.log.subject(session);
    const entries: BusEntry[] = [];
    let sequence = await this.#sequenceBefore(session, after);
    while (entries.length < limit) {
      const message = await this.#next(subject, sequence + 1);
      if (!message) break;
      sequence = message.seq;
      const first = Number(message.header.get(FIRST));
      if (entries.length === 0 && first > after + 1) throw busCompacted(after);
      for (const [index, bytes] of unpackEntries(message.data).entries()) {
        const position = first + index;
        if (position > after && entries.length < limit) entries.push({ position, bytes });
      }
      this.#read.set(session, placeOf(message));
    }
    return entries;
  }

  /** The sequence of a message before which nothing after a position is. @throws SyncError `BUS_COMPACTED` */
  async #sequenceBefore(session: string, after: number): Promise<number> {
    const known = this.#read.get(session);
    if (known && known.position <= after) return known.sequence;
    const { base = -1, snapshots = [] } = (await this.#head(session))?.value ?? {};
    if (after < base) throw busCompacted(after);
    return snapshots.findLast(({ position }) => position <= after)?.sequence ?? 0;
  }

  async #next(subject: string, sequence: number): Promise<StoredMsg | undefined> {
    const query = { seq: sequence, next_by_subj: subject };
    return this.#asked(() => this.#manager.direct.getMessage(STREAMS.log.name, query));
  }

  async #lastOf(stream: string, subject: string): Promise<StoredMsg | undefined> {
    return this.#asked(() => this.#manager.streams.getMessage(stream, { last_by_subj: subject }));
  }

  async #asked(ask: () => Promise<StoredMsg | null>): Promise<StoredMsg | undefined> {
    this.#checkUp();
    try {
      return (await ask()) ?? undefined;
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === NO_MESSAGE) return undefined;
      throw busDown('NATS did not answer', error);
    }
  }

  // — snapshots —

  async #head(session: string): Promise<{ readonly value: Head; readonly sequence: number } | undefined> {
    const message = await this.#lastOf(STREAMS.heads.name, STREAMS.heads.subject(session));
    return message && { value: headSchema.parse(message.json(), 'head'), sequence: message.seq };
  }

  async #putHead(session: string, head: Head, expected: number): Promise<boolean> {
    const data = new TextEncoder().encode(JSON.stringify(head));
    return (await this.#publish(STREAMS.heads.subject(session), data, expected)) !== undefined;
  }

  async #putParts(session: string, id: number, bytes: Uint8Array): Promise<number> {
    const most = this.limits.bytes;
    const parts = Math.max(1, Math.ceil(bytes.length / most));
    for (let part = 0; part < parts; part++) {
      const data = bytes.subarray(part * most, (part + 1) * most);
      try {
        await this.#stream.publish(STREAMS.snapshots.subject(session, id, part), data, { timeout: PATIENCE_MS });
      } catch (error) {
        throw busDown('NATS did not take a snapshot', error);
      }
    }
    return parts;
  }

  async snapshot(session: string, atMost = Number.MAX_SAFE_INTEGER): Promise<BusSnapshot | undefined> {
    const head = await this.#head(session);
    const found = head?.value.snapshots.findLast(({ position }) => position <= atMost);
    if (!found) return undefined;
    const parts: Uint8Array[] = [];
    for (let part = 0; part < found.parts; part++) {
      const message = await this.#lastOf(STREAMS.snapshots.name, STREAMS.snapshots.subject(session, found.id, part));
      // It was compacted away meanwhile.
      if (!message) throw busDown(`the snapshot at ${found.position} has gone`);
      parts.push(message.data);
    }
    return { position: found.position, bytes: new Uint8Array(Buffer.concat(parts)) };
  }

  async putSnapshot(session: string, { position, bytes }: BusSnapshot): Promise<void> {
    const id = newId();
    const parts = await this.#putParts(session, id, bytes);
    const sequence = await this.#messageAt(session, position);
    await this.#change(session, (head) => {
      if (position < head.base) return undefined;
      const others = head.snapshots.filter((one) => one.position !== position);
      const snapshots = [...others, { position, sequence, parts, id }].sort((a, b) => a.position - b.position);
      return { ...head, snapshots };
    });
  }

  /** The sequence of the last message all of whose entries are at or before a position. */
  async #messageAt(session: string, position: number): Promise<number> {
    let sequence = await this.#sequenceBefore(session, position);
    for (;;) {
      const message = await this.#next(STREAMS.log.subject(session), sequence + 1);
      if (!message || placeOf(message).position > position) return sequence;
      sequence = message.seq;
    }
  }

  async compact(session: string, position: number): Promise<void> {
    let gone: Head['snapshots'] = [];
    let kept: Head['snapshots'][number] | undefined;
    await this.#change(session, (head) => {
      kept = head.snapshots.find((one) => one.position === position);
      gone = head.snapshots.filter((one) => one.position < position);
      if (!kept) throw busSnapshotMissing(position);
      return { ...head, base: position, snapshots: head.snapshots.filter((one) => one.position >= position) };
    });
    try {
      // What is before the message; that one stays, since the next append is taken behind it.
      const filter = STREAMS.log.subject(session);
      if (kept && kept.sequence > 0)
        await this.#manager.streams.purge(STREAMS.log.name, { filter, seq: kept.sequence });
      for (const { id } of gone) {
        const parts = STREAMS.snapshots.subject(session, id, '*');
        await this.#manager.streams.purge(STREAMS.snapshots.name, { filter: parts });
      }
    } catch (error) {
      throw busDown('NATS did not drop what was compacted', error);
    }
  }

  /** Replaces the head, as often as others come first. */
  async #change(session: string, change: (head: Head) => Head | undefined): Promise<void> {
    for (;;) {
      const head = await this.#head(session);
      const changed = head && change(head.value);
      if (!changed || (await this.#putHead(session, changed, head.sequence))) return;
    }
  }

  // — hints and presence —

  async watch(session: string, listener: () => void): Promise<Stop> {
    const subscription = this.#connection.subscribe(hintOf(session), { callback: () => listener() });
    this.#listeners.add(listener);
    await this.#flushed();
    return async () => {
      this.#listeners.delete(listener);
      subscription.unsubscribe();
    };
  }

  async #flushed(): Promise<void> {
    try {
      await this.#connection.flush();
    } catch (error) {
      throw busDown('NATS did not answer', error);
    }
  }

  async announce(session: string, member: string, text: string, ttl: number): Promise<void> {
    const head = headers();
    head.set(TTL, String(ttl));
    head.set(MEMBER, Buffer.from(member).toString('base64url'));
    await this.#tell(STREAMS.presence.subject(session, member), new TextEncoder().encode(text), head);
  }

  async withdraw(session: string, member: string): Promise<void> {
    const head = headers();
    head.set(TTL, '0');
    head.set(MEMBER, Buffer.from(member).toString('base64url'));
    await this.#tell(STREAMS.presence.subject(session, member), new Uint8Array(), head);
  }

  async #tell(subject: string, data: Uint8Array, head: ReturnType<typeof headers>): Promise<void> {
    this.#checkUp();
    try {
      await this.#stream.publish(subject, data, { headers: head, timeout: PATIENCE_MS });
    } catch (error) {
      throw busDown('NATS did not take a message', error);
    }
  }

  async members(session: string): Promise<ReadonlyMap<string, string>> {
    const now = await this.#brokerTime(session);
    const members = new Map<string, string>();
    for (const subject of await this.#presenceSubjects(session)) {
      const message = await this.#lastOf(STREAMS.presence.name, subject);
      const member = message?.header.get(MEMBER) ?? '';
      if (!message || member === '') continue;
      const isThere = message.time.getTime() + Number(message.header.get(TTL)) > now;
      if (isThere) members.set(Buffer.from(member, 'base64url').toString(), message.string());
    }
    return members;
  }

  /** Of the same clock as the times of messages. */
  async #brokerTime(session: string): Promise<number> {
    const subject = STREAMS.presence.clock(session);
    await this.#tell(subject, new Uint8Array(), headers());
    return (await this.#lastOf(STREAMS.presence.name, subject))?.time.getTime() ?? 0;
  }

  async #presenceSubjects(session: string): Promise<string[]> {
    try {
      const filter = STREAMS.presence.subject(session, undefined);
      const { state } = await this.#manager.streams.info(STREAMS.presence.name, { subjects_filter: filter });
      return Object.keys(state.subjects ?? {});
    } catch (error) {
      throw busDown('NATS did not answer', error);
    }
  }

  async close(): Promise<void> {
    this.#listeners.clear();
    await this.#connection.close();
  }
}

function placeOf({ header, seq }: StoredMsg): Place {
  return { position: Number(header.get(LAST)), sequence: seq };
}

function hintOf(session: string): string {
  return `syncscope.hint.${STREAMS.token(session)}`;
}

/** Of a snapshot: two processes never take the same. */
function newId(): number {
  return randomInt(2 ** 48 - 1);
}
