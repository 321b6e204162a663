import { isSyncError, SyncError } from '@syncscope/protocol/errors';
import { DURABILITIES, type Durability } from '@syncscope/protocol/events';
import { busDown, type EventBus } from './bus.ts';
import { NatsBus } from './nats-bus.ts';
import type { NatsOptions } from './nats-streams.ts';
import { RedisBus } from './redis-bus.ts';

export const BUS_SYNTAX =
  'redis://HOST:PORT, rediss://…, nats://HOST:PORT[,HOST:PORT …][?replicas=3][&monitor=http://HOST:PORT]';

export interface OpenBusOptions {
  /** The least that an acknowledged mutation must survive; anything weaker is refused. */
  readonly atLeast?: Durability;
  /** How long a broker that is down is asked again, in milliseconds; 0 by default. */
  readonly patience?: number;
  /** Told of each try that failed. */
  readonly onRetry?: (error: SyncError) => void;
}

const RETRY_MS = 500;

/**
 * Opens the bus of an address.
 * @throws SyncError `BUS_URL_INVALID`; `BUS_DOWN` it cannot be reached; `BUS_REFUSED` it is not what a log can be kept by;
 * `BUS_NOT_DURABLE` it survives less than was asked for
 */
export async function openBus(url: string, options: OpenBusOptions = {}): Promise<EventBus> {
  const { atLeast = 'memory', patience = 0, onRetry } = options;
  const open = opener(url);
  const until = performance.now() + patience;
  for (;;) {
    try {
      return await demand(await open(), atLeast);
    } catch (error) {
      if (!isSyncError(error, 'BUS_DOWN') || performance.now() >= until) throw error;
      onRetry?.(error);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

/** The way to open an address, which is checked at once. @throws SyncError `BUS_URL_INVALID` */
function opener(text: string): () => Promise<EventBus> {
  const [, scheme, rest = ''] = /^(rediss?|nats|tls):\/\/(.+)$/.exec(text) ?? [];
  if (scheme === undefined) throw invalid(text, `a bus is ${BUS_SYNTAX}`);
  if (scheme.startsWith('redis')) {
    const url = parsed(text, text);
    return async () => withAddress(url.host, RedisBus.open(text));
  }
  const options = natsOptions(scheme, rest, text);
  return async () => withAddress(options.servers.join(','), NatsBus.open(options));
}

function natsOptions(scheme: string, rest: string, text: string): NatsOptions {
  const [servers = '', query = ''] = rest.split('?');
  const urls = servers.split(',').map((one) => parsed(`${scheme}://${one}`, text));
  const parameters = new URLSearchParams(query);
  const replicas = Number(parameters.get('replicas') ?? 1);
  if (![1, 3, 5].includes(replicas)) throw invalid(text, 'replicas are 1, 3 or 5');
  const { username, password } = urls[0]!;
  const [user, pass] = [decodeURIComponent(username), decodeURIComponent(password)];
  return {
    servers: urls.map(({ host }) => `${scheme}://${host}`),
    credentials: user === '' ? {} : pass === '' ? { token: user } : { user, pass },
    replicas,
    monitor: parameters.get('monitor') ?? undefined,
  };
}

function parsed(text: string, whole: string): URL {
  if (URL.canParse(text) && new URL(text).host !== '') return new URL(text);
  throw invalid(whole, `a bus is ${BUS_SYNTAX}`);
}

/** Passwords stay out of messages. */
function invalid(text: string, what: string): SyncError {
  return new SyncError('BUS_URL_INVALID', `${text.replace(/\/\/[^@/]*@/, '//…@')}: ${what}`, { origin: 'setting' });
}

async function withAddress(address: string, opening: Promise<EventBus>): Promise<EventBus> {
  try {
    return await opening;
  } catch (error) {
    if (!isSyncError(error, 'BUS_DOWN')) throw error;
    throw busDown(`${address}: ${error.message}. Start the broker, or mend the address`, error.cause);
  }
}

async function demand(bus: EventBus, atLeast: Durability): Promise<EventBus> {
  if (DURABILITIES.indexOf(bus.durability) >= DURABILITIES.indexOf(atLeast)) return bus;
  await bus.close();
  const advice =
    bus.kind === 'redis'
      ? 'set appendonly yes, appendfsync always and no-appendfsync-on-rewrite no'
      : 'set sync_interval: always in its jetstream block (NATS 2.10 or later) and name its monitoring with ?monitor=';
  const text = `what this ${bus.kind} acknowledges survives as "${bus.durability}", not "${atLeast}": ${advice}`;
  throw new SyncError('BUS_NOT_DURABLE', text, { origin: 'setting' });
}
