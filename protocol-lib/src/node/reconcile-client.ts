import { SyncError } from '../errors/index.ts';
import { parseJson, type ReconcileRequest, writeJson } from '../messages/index.ts';

/** Where a device posts what it did while it was away. */
export const RECONCILE_PATH = '/sync/reconcile';

export interface ReconcileOverHttpOptions {
  /** `http://HOST:PORT`, where the gateway is. */
  readonly url: string;
  /** Sent as `Authorization: Bearer`. */
  readonly token: string;
  /** Milliseconds after which a request is given up. */
  readonly timeout?: number;
}

const TIMEOUT_MS = 20_000;

/**
 * The connection of an `OfflineClient` over `POST /sync/reconcile`. Needs `fetch` only. What it throws says whether trying again can
 * help: what the network or a busy server did not do, yes; what the server refuses, no.
 */
export function reconcileOverHttp({
  url,
  token,
  timeout = TIMEOUT_MS,
}: ReconcileOverHttpOptions): (request: ReconcileRequest) => Promise<unknown> {
  return async (request) => {
    let response: Response;
    let text: string;
    try {
      response = await fetch(`${url}${RECONCILE_PATH}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: writeJson(request),
        signal: AbortSignal.timeout(timeout),
      });
      text = await response.text();
    } catch (cause) {
      throw new SyncError('RECONCILE_UNREACHABLE', `${url} did not answer`, {
        origin: 'protocol',
        retry: 'backoff',
        cause,
      });
    }
    if (response.ok) return parseJson(text, 'the answer');
    throw refusalIn(response.status, text);
  };
}

function refusalIn(status: number, text: string): SyncError {
  const canHelp = status === 429 || status >= 500;
  const [, code = 'RECONCILE_REFUSED'] = /"code":"([A-Z_]{1,60})"/.exec(text) ?? [];
  const [, message = `answered ${status}`] = /"message":"((?:[^"\\]|\\.){1,2000})"/.exec(text) ?? [];
  return new SyncError(code, message, { origin: 'protocol', retry: canHelp ? 'backoff' : 'never' });
}
