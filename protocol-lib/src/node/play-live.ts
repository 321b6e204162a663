import { isSyncError, SyncError } from '../errors/index.ts';
import { milliseconds } from '../ports/index.ts';
import { type PlayClient, Playing, type PlayOrder, type PlayResult, type PlayScript } from '../replay/index.ts';
import { object, optional, string } from '../schema/index.ts';
import type { ReplicaId } from '../state/index.ts';
import { ClientState, type SessionDefinition } from '../sync/index.ts';
import { monotonicClock } from './clock.ts';
import { SyncClient } from './sync-client.ts';

export interface PlayLiveOptions {
  /** `ws://HOST:PORT/sync`, or without the path; `http://HOST:PORT` for event streams. */
  readonly url: string;
  /** What HELLO shows. */
  readonly token: string;
  /** The session's name; what the server says, or that of the recording, where absent. */
  readonly session?: string | undefined;
  /** Milliseconds without anything new after which it is given up; 10 s where absent. */
  readonly patience?: number | undefined;
  /** Nothing is done sooner than when it was recorded, at so many times its speed. */
  readonly speed?: number | undefined;
  /** `seen` where absent. */
  readonly order?: PlayOrder | undefined;
  readonly onProgress?: ((done: number, of: number) => void) | undefined;
}

const STEP_MS = 5;
const PATIENCE_MS = 10_000;
const SYNC_PATH = '/sync';
const STATUS_PATH = '/sync/status';

/** What is played needs no rules: what recorded clients sent is sent, and what comes is compared. */
const NO_RULES: SessionDefinition = { name: 'played', initialRecords: () => [], commands: {}, reduce: () => [] };

/** Bytes of a server's status that are read. */
const STATUS_MAX = 64 * 1024;
/** What no header can carry. */
const NO_TOKEN = /[^\t\x20-\x7e\x80-\xff]/;

const statusSchema = object({ session: string(200), scenario: optional(string(100)) });

/**
 * Plays recorded clients against a live server, and compares what it answers with what was answered then.
 * @throws SyncError `PLAY_URL_INVALID`, `PLAY_TOKEN_INVALID`, `PLAY_UNREACHABLE`, `PLAY_SCENARIO` where the server plays something else, and as `Playing.step`
 */
export async function playLive(script: PlayScript, options: PlayLiveOptions): Promise<PlayResult> {
  const { patience = PATIENCE_MS, speed, order, onProgress } = options;
  const url = syncUrl(options.url);
  if (NO_TOKEN.test(options.token)) {
    throw new SyncError('PLAY_TOKEN_INVALID', 'a token is one line of plain characters; copy it whole', {
      origin: 'setting',
    });
  }
  const session = options.session ?? (await sessionAt(url, options.token, script, patience));
  const clients: SyncClient[] = [];
  let wake = (): void => undefined;
  const join = (replica: ReplicaId): PlayClient => {
    const played = connected(url, session, options.token, replica, () => wake());
    clients.push(played.client);
    return played;
  };
  const now = monotonicClock.now();
  const playing = new Playing(script, { now, patience: milliseconds(patience), speed, order, join });
  try {
    await steppedToTheEnd(playing, onProgress, (step) => {
      wake = step;
    });
    return playing.result();
  } finally {
    await Promise.all(clients.map((client) => client.close('played to the end')));
  }
}

/** Steps whenever there is news, by what `begin` is given, and every few milliseconds for what is due by time. */
function steppedToTheEnd(
  playing: Playing,
  onProgress: PlayLiveOptions['onProgress'],
  begin: (wake: () => void) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let isAwake = false;
    let isEnded = false;
    const step = (): void => {
      isAwake = false;
      if (isEnded) return;
      try {
        const isOver = playing.step(monotonicClock.now());
        const { done, of } = playing.progress;
        onProgress?.(done, of);
        if (isOver) end(resolve);
      } catch (error) {
        end(() => reject(error));
      }
    };
    // Not within a client's own call, and once for all that came together.
    begin(() => {
      if (isAwake) return;
      isAwake = true;
      setImmediate(step);
    });
    const stepping = setInterval(step, STEP_MS);
    const end = (settle: () => void): void => {
      isEnded = true;
      clearInterval(stepping);
      settle();
    };
  });
}

function connected(
  url: string,
  session: string,
  token: string,
  replica: ReplicaId,
  onNews: () => void,
): PlayClient & { client: SyncClient } {
  const state = new ClientState({ definition: NO_RULES, replica, session, token });
  state.on(onNews);
  let lost: string | undefined;
  const underway = new Set<object>();
  const onClosed = (reason: string): void => {
    lost = reason;
    // What is sent again comes behind everything else.
    underway.clear();
  };
  const client = new SyncClient({ url, state, clock: monotonicClock, token, onClosed });
  return {
    client,
    state,
    get lost() {
      return lost;
    },
    get hasArrived() {
      return underway.size === 0;
    },
    send: (command, args) => {
      const sent = client.predict(command, args, { unchecked: true });
      const mark = {};
      underway.add(mark);
      client.arrived(() => {
        if (underway.delete(mark)) onNews();
      });
      return sent;
    },
    breakOff: () => client.interrupt(),
    comeBack: () => client.resume(),
    leave: () => void client.close('left when it was recorded'),
  };
}

/** @throws SyncError `PLAY_URL_INVALID` */
function syncUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol)) return url.origin;
  if (!url || !/^wss?:$/.test(url.protocol)) {
    const example = 'ws://127.0.0.1:4000/sync';
    throw new SyncError('PLAY_URL_INVALID', `${JSON.stringify(text)} is no address such as ${example}`, {
      origin: 'setting',
    });
  }
  if (url.pathname === '/') url.pathname = SYNC_PATH;
  url.hash = '';
  return url.href;
}

/** The session that a server has; that of the recording where it does not say. */
async function sessionAt(url: string, token: string, script: PlayScript, patience: number): Promise<string> {
  const { origin } = new URL(url.replace(/^ws/, 'http'));
  let response: Response;
  let text = '';
  try {
    const headers = { authorization: `Bearer ${token}` };
    response = await fetch(`${origin}${STATUS_PATH}`, { headers, signal: AbortSignal.timeout(patience) });
    if (response.ok) text = await beginningOf(response);
  } catch (cause) {
    const why = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause);
    throw new SyncError('PLAY_UNREACHABLE', `${origin} did not answer: ${why}`, { origin: 'protocol', cause });
  }
  if (response.status === 401 || response.status === 403) {
    const text = `${origin} answered ${response.status}: give the token that lets clients in, with --token`;
    throw new SyncError('PLAY_REFUSED', text, { origin: 'protocol' });
  }
  const status = response.ok ? statusIn(text) : undefined;
  const { scenario, sessionId } = script.header;
  if (status?.scenario !== undefined && status.scenario !== scenario) {
    const text = `${origin} plays ${JSON.stringify(status.scenario)}, and the recording is of ${JSON.stringify(scenario)}`;
    throw new SyncError('PLAY_SCENARIO', text, { origin: 'setting' });
  }
  return status?.session ?? sessionId;
}

/** As much of what was answered as a status may have. */
async function beginningOf({ body }: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of body ?? []) {
    parts.push(part);
    length += part.length;
    if (length > STATUS_MAX) break;
  }
  return Buffer.concat(parts).toString();
}

function statusIn(text: string): { readonly session: string; readonly scenario?: string } | undefined {
  try {
    return statusSchema.parse(JSON.parse(text), 'status');
  } catch (error) {
    // Another server may have something else at this path.
    if (isSyncError(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
