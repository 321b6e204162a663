import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from '@nats-io/jetstream';
import { SyncError } from '@syncscope/protocol/errors';
import type { Durability } from '@syncscope/protocol/events';

export interface NatsOptions {
  /** `HOST:PORT`, one or more. */
  readonly servers: readonly string[];
  readonly credentials: { readonly user?: string; readonly pass?: string; readonly token?: string };
  /** Copies of each stream; for new streams. */
  readonly replicas: number;
  /** `http://HOST:PORT` of the server's monitoring, which alone knows how it syncs. */
  readonly monitor: string | undefined;
}

/** The streams of all sessions. A session's name becomes one token of a subject. */
export const STREAMS = {
  token: (name: string): string => Buffer.from(name).toString('base64url'),
  log: {
    name: 'SYNCSCOPE_LOG',
    subject: (session: string): string => `syncscope.log.${STREAMS.token(session)}`,
  },
  heads: {
    name: 'SYNCSCOPE_HEADS',
    subject: (session: string): string => `syncscope.head.${STREAMS.token(session)}`,
  },
  snapshots: {
    name: 'SYNCSCOPE_SNAPSHOTS',
    subject: (session: string, id: number, part: number | '*'): string =>
      `syncscope.snapshot.${STREAMS.token(session)}.${id}.${part}`,
  },
  presence: {
    name: 'SYNCSCOPE_PRESENCE',
    subject: (session: string, member: string | undefined): string =>
      `syncscope.presence.${STREAMS.token(session)}.${member === undefined ? '*' : STREAMS.token(member)}`,
    clock: (session: string): string => `syncscope.clock.${STREAMS.token(session)}`,
  },
} as const;

const HOUR_NS = 3_600_000_000_000;

function configs(replicas: number): (Pick<StreamConfig, 'name' | 'subjects' | 'storage'> & Partial<StreamConfig>)[] {
  const kept = {
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.New,
    num_replicas: replicas,
    allow_direct: true,
  };
  return [
    { ...kept, name: STREAMS.log.name, subjects: ['syncscope.log.*'] },
    {
      ...kept,
      name: STREAMS.heads.name,
      subjects: ['syncscope.head.*'],
      max_msgs_per_subject: 1,
      discard: DiscardPolicy.Old,
    },
    { ...kept, name: STREAMS.snapshots.name, subjects: ['syncscope.snapshot.*.*.*'] },
    {
      name: STREAMS.presence.name,
      subjects: ['syncscope.presence.*.*', 'syncscope.clock.*'],
      storage: StorageType.Memory,
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      num_replicas: replicas,
      max_msgs_per_subject: 1,
      max_age: HOUR_NS,
    },
  ];
}

const STREAM_NOT_FOUND = 10_059;

/** Makes what is not there; what somebody made otherwise is left as it is. @throws SyncError `BUS_REFUSED` */
export async function ensureStreams(manager: JetStreamManager, replicas: number): Promise<void> {
  for (const config of configs(replicas)) {
    const found = await infoOf(manager, config.name);
    if (!found) {
      await manager.streams.add(config);
      continue;
    }
    if (config.name !== STREAMS.presence.name && forgets(found, config.max_msgs_per_subject ?? 0)) {
      const settings = 'retention limits, discard new, and neither max_age nor max_msgs_per_subject';
      throw refused(`its stream ${config.name} throws away what is old: set ${settings}`);
    }
  }
}

/** Whether a stream loses what was put into it, but for what comes behind the last `perSubject` of a subject. */
function forgets(found: StreamConfig, perSubject: number): boolean {
  const isFull = (found.max_msgs > 0 || found.max_bytes > 0) && found.discard !== DiscardPolicy.New;
  const isThinned = found.max_msgs_per_subject > 0 && found.max_msgs_per_subject !== perSubject;
  return found.max_age > 0 || found.retention !== RetentionPolicy.Limits || isFull || isThinned;
}

async function infoOf(manager: JetStreamManager, name: string): Promise<StreamConfig | undefined> {
  try {
    return (await manager.streams.info(name)).config;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return undefined;
    throw error;
  }
}

/**
 * What an answered append survives. JetStream answers once the operating system has a message, and syncs it up to two minutes later
 * unless its server is told `sync_interval: always`, which only its monitoring says.
 */
export async function natsDurability(manager: JetStreamManager, monitor: string | undefined): Promise<Durability> {
  for (const { name } of [STREAMS.log, STREAMS.heads]) {
    if ((await infoOf(manager, name))?.storage !== StorageType.File) return 'broker';
  }
  return monitor !== undefined && (await syncsAlways(monitor)) ? 'log' : 'process';
}

async function syncsAlways(monitor: string): Promise<boolean> {
  try {
    const answer = await fetch(new URL('/varz', monitor), { signal: AbortSignal.timeout(5_000) });
    const text: unknown = await answer.json();
    return field(field(field(text, 'jetstream'), 'config'), 'sync_always') === true;
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    throw refused(`the monitoring at ${monitor} does not say how the server syncs (${said})`);
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

function refused(what: string): SyncError {
  return new SyncError('BUS_REFUSED', what, { origin: 'setting' });
}
