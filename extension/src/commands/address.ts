import { SyncError } from '@syncscope/protocol/errors';
import type { SessionAddress } from '../live/recording.ts';

const TOKEN = /^[0-9a-f]{64}$/i;

/**
 * An address from a text such as `http://127.0.0.1:4000/#token=…`, or from `{url, token}`.
 *
 * @throws SyncError `ATTACH_URL_INVALID`, `ATTACH_TOKEN_MISSING`
 */
export function parseAddress(
  value: unknown,
  { tokenMayBeMissing = false }: { readonly tokenMayBeMissing?: boolean } = {},
): SessionAddress {
  const { text, token } = parts(value);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new SyncError(
      'ATTACH_URL_INVALID',
      `${JSON.stringify(text.slice(0, 200))} is not a session's URL, such as http://127.0.0.1:4000`,
      {
        origin: 'attach',
      },
    );
  }
  const found = token ?? new URLSearchParams(url.hash.slice(1)).get('token') ?? url.hash.slice(1);
  if (TOKEN.test(found)) return { url: url.origin, token: found };
  if (tokenMayBeMissing && found === '') return { url: url.origin, token: '' };
  throw new SyncError('ATTACH_TOKEN_MISSING', `a token of 64 hex digits is needed for ${url.origin}`, {
    origin: 'attach',
  });
}

function parts(value: unknown): { text: string; token?: string } {
  if (typeof value === 'string') return { text: value.trim() };
  if (typeof value !== 'object' || value === null || !('url' in value) || typeof value.url !== 'string') {
    return { text: '' };
  }
  const token = 'token' in value && typeof value.token === 'string' ? value.token.trim() : undefined;
  return { text: value.url.trim(), ...(token === undefined ? {} : { token }) };
}
