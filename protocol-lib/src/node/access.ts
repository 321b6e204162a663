import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { ATTACH_TOKEN_PREFIX } from '../trace/index.ts';

/**
 * Who may speak to a server on loopback. Any page in the user's browser can reach it, and a name that
 * resolves to 127.0.0.1 makes it look like that page's own; so nothing is answered before the `Host` is
 * ours letter by letter, the `Origin` is ours or absent (not a browser), and the token is right.
 */

/** What a peer may do: `observe` reads, `inject` may also ask for faults. */
export type AccessRole = 'observe' | 'inject';

/** A refusal, as it is answered before any upgrade: stable code, one line, and what to do. */
export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly fix: string;
}

const LOOPBACK_NAMES = ['127.0.0.1', '[::1]', 'localhost'];

/** The values of `Host` under which a server on loopback answers. */
export function loopbackHosts(port: number): readonly string[] {
  return LOOPBACK_NAMES.map((name) => `${name}:${port}`);
}

/** Checks `Host` and `Origin` of any request, upgrade or not. `hosts` are compared whole. */
export function refuseStranger(request: IncomingMessage, hosts: readonly string[]): Refusal | undefined {
  const given = headerValues(request, 'host');
  const [host] = given;
  if (given.length !== 1 || host === undefined || !hosts.includes(host)) {
    return {
      status: 403,
      code: 'ATTACH_HOST_REJECTED',
      message: `the Host header is ${given.length === 1 ? 'not this server' : `there ${given.length} times`}`,
      fix: `Use http://${hosts[0] ?? ''}/ and no other name for it.`,
    };
  }
  const origins = headerValues(request, 'origin');
  const allowed = hosts.map((one) => `http://${one}`);
  if (origins.length > 0 && !(origins.length === 1 && allowed.includes(origins[0] ?? ''))) {
    return {
      status: 403,
      code: 'ATTACH_ORIGIN_REJECTED',
      message: 'a page of another origin may not attach',
      fix: `Open the inspector from http://${hosts[0] ?? ''}/ itself.`,
    };
  }
  return undefined;
}

/** Every value of a header, also those that Node would have merged or thrown away. */
function headerValues(request: IncomingMessage, name: string): string[] {
  const values: string[] = [];
  for (let index = 0; index + 1 < request.rawHeaders.length; index += 2) {
    if (request.rawHeaders[index]?.toLowerCase() === name) values.push(request.rawHeaders[index + 1] ?? '');
  }
  return values;
}

/** The token of a request: from the `Authorization` header, or offered as a subprotocol `token.<hex>`. Never from the URL. */
export function tokenOf(request: IncomingMessage): string | undefined {
  const authorization = request.headers.authorization;
  if (authorization?.startsWith('Bearer ')) return authorization.slice('Bearer '.length).trim();
  const offered = request.headers['sec-websocket-protocol']?.split(',').map((one) => one.trim()) ?? [];
  return offered.find((one) => one.startsWith(ATTACH_TOKEN_PREFIX))?.slice(ATTACH_TOKEN_PREFIX.length);
}

const WRONG_TOKENS_ALLOWED = 10;
const WRONG_TOKENS_WINDOW_MS = 60_000;

/** Knows the tokens and counts wrong ones: from the tenth in a minute on, they are answered with 429 until the minute is over. */
export class TokenGate {
  readonly #roles: ReadonlyArray<readonly [token: Buffer, role: AccessRole]>;
  readonly #now: () => number;
  #wrong = 0;
  #windowEnd = 0;

  /** `now` in milliseconds. */
  constructor(tokens: Readonly<Record<AccessRole, string>>, now: () => number) {
    this.#roles = [
      [Buffer.from(tokens.observe), 'observe'],
      [Buffer.from(tokens.inject), 'inject'],
    ];
    this.#now = now;
  }

  /** The role that a token gives, or why it gives none. */
  check(token: string | undefined): AccessRole | Refusal {
    if (token === undefined || token === '') {
      return {
        status: 401,
        code: 'ATTACH_TOKEN_MISSING',
        message: 'a token is needed',
        fix: 'Use the whole URL that the session printed, or its discovery file; a token in a query is not read.',
      };
    }
    const now = this.#now();
    if (now >= this.#windowEnd) {
      this.#wrong = 0;
      this.#windowEnd = now + WRONG_TOKENS_WINDOW_MS;
    }
    // Whoever has a right one is not shut out by another who guesses.
    const role = this.#roleOf(token);
    if (role) return role;
    this.#wrong++;
    const isBlocked = this.#wrong >= WRONG_TOKENS_ALLOWED;
    return {
      status: isBlocked ? 429 : 401,
      code: 'ATTACH_TOKEN_WRONG',
      message: isBlocked ? 'too many wrong tokens' : 'the token is not one of this session',
      fix: isBlocked
        ? `Use the URL that the session printed, or wait ${Math.ceil((this.#windowEnd - now) / 1_000)} s.`
        : 'The session may have been started anew: use the URL that it printed last.',
    };
  }

  /** Compares with every token, each in constant time, so that the time taken tells nothing. */
  #roleOf(text: string): AccessRole | undefined {
    const given = Buffer.from(text);
    let found: AccessRole | undefined;
    for (const [token, role] of this.#roles) {
      if (given.length === token.length && timingSafeEqual(given, token)) found = role;
    }
    return found;
  }
}

export function isRefusal(answer: AccessRole | Refusal): answer is Refusal {
  return typeof answer !== 'string';
}

/** A refusal as the body of an HTTP answer. */
export function refusalBody({ code, message, fix }: Refusal): string {
  return `${JSON.stringify({ error: { code, message, fix } })}\n`;
}
