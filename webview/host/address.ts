/**
 * What the inspector's page in a browser is to show, told in its URL's fragment, which no server and no log ever
 * sees. Used by the hosts that print such URLs and by the page that reads them; pure, for both.
 *
 *     #token=HEX                 the live session whose attach endpoint is this origin's /inspect
 *     #token=HEX&session=ID      a live session that this host relays at /inspect/ID
 *     #token=HEX&file=NAME       the capture that this host serves at /capture, by byte ranges
 *     #token=HEX&sessions=1      the list of running sessions at /sessions, to choose from
 *     (none)                     nothing yet: a capture can be opened from disk
 *
 * The token goes along as `Authorization: Bearer HEX`, and to a WebSocket as the subprotocol `token.HEX`.
 */
export interface PageAddress {
  /** Lower-case hex digits. */
  readonly token: string;
  readonly show: PageSubject;
}

export type PageSubject =
  | { readonly kind: 'live'; readonly session?: string }
  | { readonly kind: 'file'; readonly name: string }
  | { readonly kind: 'sessions' };

/** Where a host answers. */
export const CAPTURE_PATH = '/capture';
export const SESSIONS_PATH = '/sessions';

/** Path of the WebSocket of a live session. */
export function inspectPath(session?: string): string {
  return session === undefined ? '/inspect' : `/inspect/${encodeURIComponent(session)}`;
}

/** The fragment, with its `#`. */
export function pageFragment({ token, show }: PageAddress): string {
  const parts = new URLSearchParams({ token });
  if (show.kind === 'file') parts.set('file', show.name);
  if (show.kind === 'sessions') parts.set('sessions', '1');
  if (show.kind === 'live' && show.session !== undefined) parts.set('session', show.session);
  return `#${parts}`;
}

/** Reads a fragment with or without its `#`; undefined where it carries no token. */
export function parsePageFragment(fragment: string): PageAddress | undefined {
  const parts = new URLSearchParams(fragment.replace(/^#/, ''));
  const token = parts.get('token');
  if (token === null || !/^[0-9a-f]{16,128}$/.test(token)) return undefined;
  const file = parts.get('file');
  if (file !== null) return { token, show: { kind: 'file', name: file } };
  if (parts.has('sessions')) return { token, show: { kind: 'sessions' } };
  const session = parts.get('session');
  return { token, show: session === null ? { kind: 'live' } : { kind: 'live', session } };
}
