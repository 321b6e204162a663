import { createHash } from 'node:crypto';
import { SyncError } from '@syncscope/protocol/errors';
import type { Durability } from '@syncscope/protocol/events';
import { createClient, RESP_TYPES } from 'redis';
import {
  type Appended,
  type BusEntry,
  type BusHealth,
  type BusSnapshot,
  busCompacted,
  busDown,
  busSnapshotMissing,
  busTooLarge,
  type EventBus,
  type Stop,
} from './bus.ts';
import { ANNOUNCE, APPEND, BEGIN, COMPACT, MEMBERS, PUT_SNAPSHOT, READ, SNAPSHOT, WITHDRAW } from './redis-scripts.ts';

type Client = ReturnType<typeof newClient>;

const RECONNECT_MS = { first: 50, most: 2_000 };
/** What is not answered by then has failed: the broker hangs, or cannot be reached. */
const PATIENCE_MS = 5_000;
/** Redis runs one script at a time, so that a larger one would hold up every other session. */
const LIMITS = { entries: 1_000, bytes: 1024 * 1024 };
const VALUE_MAX = 512 * 1024 * 1024;

/** Sessions in Redis 7: a stream each, appended to by a script that compares the last position first. */
export class RedisBus implements EventBus {
  readonly kind = 'redis';
  readonly durability: Durability;
  readonly limits = LIMITS;
  readonly #client: Client;
  readonly #subscriber: Client;
  readonly #listeners = new Set<() => void>();

  private constructor(client: Client, subscriber: Client, durability: Durability) {
    this.#client = client;
    this.#subscriber = subscriber;
    this.durability = durability;
    // Hints were lost while it was away.
    for (const one of [client, subscriber]) {
      one.on('ready', () => {
        for (const listener of this.#listeners) listener();
      });
    }
  }

  /** @throws SyncError `BUS_DOWN`; `BUS_REFUSED` where it is a Redis that may throw away what is kept in it, or is too old */
  static async open(url: string): Promise<RedisBus> {
    const client = newClient(url);
    const subscriber = newClient(url);
    try {
      await patient(Promise.all([client.connect(), subscriber.connect()]));
      return new RedisBus(client, subscriber, await checked(client));
    } catch (error) {
      for (const one of [client, subscriber]) one.destroy();
      throw error instanceof SyncError ? error : busDown('Redis cannot be reached', error);
    }
  }

  get health(): BusHealth {
    const isUp = this.#client.isReady && this.#subscriber.isReady;
    return { isUp, reason: isUp ? '' : 'the connection to Redis is broken' };
  }

  async begin(session: string, { position, bytes }: BusSnapshot): Promise<boolean> {
    checkSize(bytes, VALUE_MAX);
    return (await this.#run(BEGIN, session, [String(position), asBuffer(bytes)])) === 1;
  }

  async append(session: string, expected: number, entries: readonly Uint8Array[]): Promise<Appended> {
    for (const one of entries) checkSize(one, VALUE_MAX);
    const [taken, last] = asList(await this.#run(APPEND, session, [String(expected), ...entries.map(asBuffer)]));
    return { isAppended: taken === 1, last: Number(last) };
  }

  async read(session: string, after: number, limit: number): Promise<BusEntry[]> {
    const [base, found] = asList(await this.#run(READ, session, [String(after), String(limit)]));
    if (Number(base) > after) throw busCompacted(after);
    return asList(found).map((bytes, index) => ({ position: after + index + 1, bytes: asBytes(bytes) }));
  }

  async last(session: string): Promise<number> {
    const { facts } = keysOf(session);
    const last = await this.#call(() => this.#client.hGet(facts, 'last'));
    return last === null ? -1 : Number(last.toString());
  }

  async snapshot(session: string, atMost = Number.MAX_SAFE_INTEGER): Promise<BusSnapshot | undefined> {
    const [position, bytes] = asList(await this.#run(SNAPSHOT, session, [String(atMost)]));
    return bytes === undefined ? undefined : { position: Number(position), bytes: asBytes(bytes) };
  }

  async putSnapshot(session: string, { position, bytes }: BusSnapshot): Promise<void> {
    checkSize(bytes, VALUE_MAX);
    await this.#run(PUT_SNAPSHOT, session, [String(position), asBuffer(bytes)]);
  }

  async compact(session: string, position: number): Promise<void> {
    if ((await this.#run(COMPACT, session, [String(position)])) !== 1) throw busSnapshotMissing(position);
  }

  async watch(session: string, listener: () => void): Promise<Stop> {
    const { hints } = keysOf(session);
    this.#listeners.add(listener);
    const called = (): void => listener();
    await this.#call(() => this.#subscriber.subscribe(hints, called));
    return async () => {
      this.#listeners.delete(listener);
      if (this.#subscriber.isReady) await this.#call(() => this.#subscriber.unsubscribe(hints, called));
    };
  }

  async announce(session: string, member: string, text: string, ttl: number): Promise<void> {
    await this.#run(ANNOUNCE, session, [member, text, String(ttl)]);
  }

  async withdraw(session: string, member: string): Promise<void> {
    await this.#run(WITHDRAW, session, [member]);
  }

  async members(session: string): Promise<ReadonlyMap<string, string>> {
    const found = asList(await this.#run(MEMBERS, session, [])).map((one) => String(one));
    return new Map(found.flatMap((name, at) => (at % 2 === 0 ? [[name, found[at + 1] ?? ''] as const] : [])));
  }

  async close(): Promise<void> {
    this.#listeners.clear();
    this.#client.destroy();
    this.#subscriber.destroy();
  }

  async #run(script: string, session: string, args: (string | Buffer)[]): Promise<unknown> {
    const { facts, entries, snapshots, hints, members, expiries } = keysOf(session);
    const options = { keys: [facts, entries, snapshots, hints, members, expiries], arguments: args };
    return this.#call(async () => {
      try {
        return await this.#client.evalSha(digest(script), options);
      } catch (error) {
        if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
        return this.#client.eval(script, options);
      }
    });
  }

  async #call<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await patient(call());
    } catch (error) {
      throw busDown('Redis did not answer', error);
    }
  }
}

function newClient(url: string) {
  let hasConnected = false;
  const client = createClient({
    url,
    disableOfflineQueue: true,
    socket: {
      connectTimeout: PATIENCE_MS,
      // Whoever opens the bus is told at once that nobody is there.
      reconnectStrategy: (tries, cause) =>
        hasConnected ? Math.min(RECONNECT_MS.first * 2 ** Math.min(tries, 10), RECONNECT_MS.most) : cause,
    },
  }).withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  // Told of by `health`, and by each call.
  client.on('error', () => undefined);
  client.once('ready', () => {
    hasConnected = true;
  });
  return client;
}

/** What the broker's settings let an answer mean. @throws SyncError `BUS_REFUSED` */
async function checked(client: Client): Promise<Durability> {
  const info = String(await patient(client.info('server')));
  const version = /redis_version:(\d+)/.exec(info)?.[1];
  if (version !== undefined && Number(version) < 7) throw refused(`Redis ${version} is too old: 7 or later is needed`);
  const config = await settings(client);
  // A managed Redis may keep its settings to itself: then nothing is taken for granted.
  if (!config) return 'broker';
  const policy = config.get('maxmemory-policy') ?? 'noeviction';
  if (config.get('maxmemory') !== '0' && policy.startsWith('allkeys')) {
    throw refused(`its maxmemory-policy is ${policy}, which throws away logs when memory is short: set noeviction`);
  }
  if (config.get('appendonly') !== 'yes') return 'broker';
  switch (config.get('appendfsync')) {
    case 'always':
      // While its file is rewritten, it may be told to sync nothing.
      return config.get('no-appendfsync-on-rewrite') === 'no' ? 'log' : 'process';
    case 'no':
      return 'process';
    default:
      // `everysec` puts off even the write, up to two seconds, while a sync is under way; its answer does not wait for that.
      return 'broker';
  }
}

const SETTINGS = ['appendonly', 'appendfsync', 'no-appendfsync-on-rewrite', 'maxmemory', 'maxmemory-policy'];

async function settings(client: Client): Promise<Map<string, string> | undefined> {
  try {
    const found = await patient(client.configGet(SETTINGS));
    return new Map(Object.entries(found).map(([name, value]) => [name, String(value)]));
  } catch {
    return undefined;
  }
}

function refused(what: string): SyncError {
  return new SyncError('BUS_REFUSED', what, { origin: 'setting' });
}

/** Rejects where nothing is heard in time. */
async function patient<T>(promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer in ${PATIENCE_MS / 1_000} s`)), PATIENCE_MS);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

const digests = new Map<string, string>();

function digest(script: string): string {
  const known = digests.get(script) ?? createHash('sha1').update(script).digest('hex');
  digests.set(script, known);
  return known;
}

/** All of a session's keys lie in one slot of a cluster. */
function keysOf(session: string) {
  const prefix = `syncscope:{${Buffer.from(session).toString('base64url')}}`;
  return {
    facts: `${prefix}:facts`,
    entries: `${prefix}:entries`,
    snapshots: `${prefix}:snapshots`,
    hints: `${prefix}:hints`,
    members: `${prefix}:members`,
    expiries: `${prefix}:expiries`,
  };
}

function checkSize(bytes: Uint8Array, most: number): void {
  if (bytes.length > most) throw busTooLarge(bytes.length, most);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function asList(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw busDown(`Redis answered ${typeof value}, not a list`);
}

function asBytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return new Uint8Array(value);
  throw busDown(`Redis answered ${typeof value}, not bytes`);
}
