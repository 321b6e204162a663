import { SyncError } from '@syncscope/protocol/errors';
import { listSessions } from '@syncscope/protocol/node';
import type { Discovery } from '@syncscope/protocol/trace';
import { parsePageFragment } from './address.ts';

/** What `attach` needs of a session. */
export interface SessionTarget {
  /** `http://127.0.0.1:PORT`, without path and fragment. */
  readonly url: string;
  readonly token: string;
}

/**
 * A session from its address. The whole address that a session prints carries the token in its fragment.
 *
 * @throws SyncError `ATTACH_URL_INVALID`, `ATTACH_TOKEN_MISSING`
 */
export function targetOfUrl(url: string, token?: string): SessionTarget {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed || !/^https?:$/.test(parsed.protocol)) {
    throw new SyncError('ATTACH_URL_INVALID', `${JSON.stringify(url)} is no address such as http://127.0.0.1:4000`, {
      origin: 'attach',
    });
  }
  const found = token ?? parsePageFragment(parsed.hash)?.token;
  if (found === undefined) {
    throw new SyncError(
      'ATTACH_TOKEN_MISSING',
      'a token is needed: give --token, or the whole address that the session printed, with its #token=…',
      { origin: 'attach' },
    );
  }
  return { url: parsed.origin, token: found };
}

/**
 * The running session whose id is `id`, or alone begins with it.
 *
 * @throws SyncError `SESSION_UNKNOWN` naming those that run
 */
export async function findSession(id: string): Promise<Discovery> {
  const running = await listSessions();
  const known = running.length > 0 ? `these run: ${running.map((one) => one.id).join(', ')}` : 'none is running';
  // Every id begins with nothing.
  if (id.trim() === '') throw unknownSession(`no session is named: give its id, or how it begins; ${known}`);
  const exact = running.filter((session) => session.id === id);
  const candidates = exact.length > 0 ? exact : running.filter((session) => session.id.startsWith(id));
  const [found] = candidates;
  if (found && candidates.length === 1) return found;
  throw unknownSession(`no single session ${JSON.stringify(id)}; ${known}`);
}

function unknownSession(text: string): SyncError {
  return new SyncError('SESSION_UNKNOWN', text, { origin: 'attach' });
}
