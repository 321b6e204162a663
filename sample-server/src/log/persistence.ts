import { randomBytes, randomInt } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { isSyncError, SyncError } from '@syncscope/protocol/errors';
import { type EventLog, snapshotOf, stateAtPosition } from '@syncscope/protocol/events';
import { SqliteEventLog } from '@syncscope/protocol/node';
import { type Random, seededRandom } from '@syncscope/protocol/ports';
import { firstSnapshot, type SessionDefinition } from '@syncscope/protocol/sync';
import { type EventBus, openBus, openSharedLog, type SharedLog } from '../bus/index.ts';
import { BusPresence } from './presence.ts';

export interface PersistenceOptions {
  readonly scenario: string;
  readonly definition: SessionDefinition;
  /** Of the session's first state, where it is new. */
  readonly seed: number;
  /** The session's name; that of the log, or a new one, where absent. */
  readonly session?: string;
  /** A file that keeps the session. */
  readonly log?: string;
  /** Where the session is shared with other servers. */
  readonly bus?: string;
  /** Refuses to start where what is acknowledged does not survive a crash of the machine. */
  readonly durable?: boolean;
  /** How long a broker that is down is asked again, in milliseconds. */
  readonly patience?: number;
  /** Of the session's first state. */
  readonly random: (seed: number) => Random;
  readonly onRetry?: (error: SyncError) => void;
}

/** Where a server's session is kept. */
export interface Persistence {
  readonly session: string;
  readonly seed: number;
  /** Absent where it lasts as long as the process. */
  readonly log: EventLog | undefined;
  /** Who else serves the session; absent where nobody can. */
  readonly presence: BusPresence | undefined;
  /** How it is, by part: `ok`, or a code and what it means. */
  parts(): Readonly<Record<string, string>>;
  /** Calls back after something has become durable, or has gone wrong. */
  onChange(listener: () => void): void;
  /** Keeps a snapshot now and then, so that a start is short. Called from time to time. */
  maintain(): void;
  close(): Promise<void>;
}

/** Entries between two snapshots. */
const SNAPSHOT_EVERY = 5_000;
/** Entries that a gateway keeps in memory and on the bus behind the newest snapshot. */
const KEPT = 20_000;

/**
 * Opens what a server's session is kept by, and begins it where it is new.
 * @throws SyncError what `SqliteEventLog`, `openBus` and `openSharedLog` throw; `LOG_SCENARIO` where the log is of another scenario or
 * session; `LOG_NOT_DURABLE`
 */
export async function openPersistence(options: PersistenceOptions): Promise<Persistence> {
  const { log, bus, scenario, seed, session } = options;
  if (log !== undefined && bus !== undefined)
    throw setting('LOG_AND_BUS', 'a session is kept by a log or by a bus, not both');
  if (bus !== undefined) return openShared(options, bus);
  if (log !== undefined) return openFile(options, log);
  if (options.durable)
    throw setting('LOG_NOT_DURABLE', 'what is kept in memory alone survives nothing: name a log or a bus');
  return {
    session: session ?? newName(scenario),
    seed,
    log: undefined,
    presence: undefined,
    parts: () => ({}),
    onChange: () => undefined,
    maintain: () => undefined,
    close: async () => undefined,
  };
}

function newName(scenario: string): string {
  return `${scenario}-${randomBytes(4).toString('hex')}`;
}

/** Which life of a session begins: a number that no other has, whatever the seed. */
export function newIncarnation(): number {
  return randomInt(2 ** 48 - 1);
}

/** Opens a log's file for a server. */
export function openLog(
  path: string,
  settings: Readonly<Record<string, string>>,
  onDurable: () => void,
): SqliteEventLog {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  return new SqliteEventLog(path, { settings, onDurable });
}

function openFile(options: PersistenceOptions, path: string): Persistence {
  const { scenario, definition, seed, session } = options;
  const listeners: (() => void)[] = [];
  const settings = { scenario, session: session ?? newName(scenario), seed: String(seed) };
  const log = openLog(path, settings, () => {
    for (const listener of listeners) listener();
  });
  try {
    const kept = log.settings;
    if (kept.scenario !== scenario || (session !== undefined && kept.session !== session)) {
      const text = `${path} keeps session ${kept.session} of ${kept.scenario}: name another file, or that scenario and session`;
      throw setting('LOG_SCENARIO', text);
    }
    let snapshotAt = log.snapshot()?.position ?? 0;
    return {
      session: kept.session ?? settings.session,
      seed: Number(kept.seed),
      log,
      presence: undefined,
      parts: () => ({ log: log.failure ? `${log.failure.code}: ${log.failure.message}` : 'ok' }),
      onChange: (listener) => void listeners.push(listener),
      maintain() {
        const position = snapshotDue(log, snapshotAt);
        if (position === undefined || log.failure) return;
        log.putSnapshot(snapshotOf(stateAtPosition(log, definition.reduce, position)));
        snapshotAt = position;
      },
      close: async () => log.close(),
    };
  } catch (error) {
    log.close();
    throw error;
  }
}

/** The position of which there should be a snapshot now. */
function snapshotDue(log: EventLog, before: number): number | undefined {
  const position = log.durable - (log.durable % SNAPSHOT_EVERY);
  return position > before && position > log.base ? position : undefined;
}

async function openShared(options: PersistenceOptions, url: string): Promise<Persistence> {
  const { scenario, definition, seed, durable, patience, onRetry, random } = options;
  const { session } = options;
  if (session === undefined) throw setting('SESSION_MISSING', 'servers that share a session name it: --session NAME');
  const bus = await openBus(url, {
    ...(durable ? { atLeast: 'log' as const } : {}),
    ...(patience === undefined ? {} : { patience }),
    ...(onRetry ? { onRetry } : {}),
  });
  const name = `${scenario}/${session}`;
  const listeners: (() => void)[] = [];
  let shared: SharedLog;
  try {
    shared = await openSharedLog({
      bus,
      session: name,
      first: () => firstSnapshot(definition, random(seed), newIncarnation()),
      random: seededRandom(randomBytes(4).readUInt32LE()),
      onChange: () => {
        for (const listener of listeners) listener();
      },
    });
  } catch (error) {
    await bus.close();
    throw error;
  }
  const presence = new BusPresence(bus, name);
  return sharedPersistence({ session, seed, bus, shared, presence, listeners, definition });
}

interface Shared {
  readonly session: string;
  readonly seed: number;
  readonly bus: EventBus;
  readonly shared: SharedLog;
  readonly presence: BusPresence;
  readonly listeners: (() => void)[];
  readonly definition: SessionDefinition;
}

function sharedPersistence({ session, seed, bus, shared, presence, listeners, definition }: Shared): Persistence {
  const { log } = shared;
  let snapshotAt = log.snapshot()?.position ?? 0;
  return {
    session,
    seed,
    log,
    presence,
    parts() {
      const { trouble } = shared;
      const busState = bus.health.isUp ? 'ok' : `BUS_DOWN: ${bus.health.reason}`;
      return { bus: busState, log: trouble ? `${trouble.code}: ${trouble.message}` : 'ok' };
    },
    onChange: (listener) => void listeners.push(listener),
    maintain() {
      const position = snapshotDue(log, snapshotAt);
      if (position === undefined || log.failure) return;
      const snapshot = snapshotOf(stateAtPosition(log, definition.reduce, position));
      // On the bus, one gateway's is enough.
      if (presence.isFirst) log.putSnapshot(snapshot);
      else log.noteSnapshot(snapshot);
      snapshotAt = position;
      const old = log.snapshot(position - KEPT);
      if (!old || old.position <= log.base) return;
      if (presence.isFirst) log.compact(old.position);
      else log.forget(old.position);
    },
    async close() {
      await presence.close();
      await shared.close();
      await bus.close();
    },
  };
}

/** Why a mutation could not be begun now, where that may pass. */
export function isTrouble(error: unknown): boolean {
  return isSyncError(error) && error.code.startsWith('LOG_');
}

function setting(code: string, what: string): SyncError {
  return new SyncError(code, what, { origin: 'setting' });
}
