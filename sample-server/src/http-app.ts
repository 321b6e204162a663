import type { IncomingMessage, ServerResponse } from 'node:http';
import { getRequestListener, type HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { isSyncError } from '@syncscope/protocol/errors';
import { parseJson, writeJson } from '@syncscope/protocol/messages';
import { type Refusal, refusalBody } from '@syncscope/protocol/node';
import { type ReconcileAnswer, type ReconcileRequest, reconcileRequestSchema } from '@syncscope/protocol/offline';
import {
  RECONCILE_PATH,
  SSE_BODY_MAX,
  SSE_CONNECTION_HEADER,
  SSE_EVENTS_PATH,
  SSE_MESSAGES_PATH,
  unpackFrames,
} from '@syncscope/protocol/sse';
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { addressOf } from './gateway-address.ts';
import type { EventStreams } from './gateway-sse.ts';
import type { Entrance } from './gateway-wire.ts';

export const SYNC_PATH = '/sync';
/** Which session this is, and who is there. */
export const STATUS_PATH = '/sync/status';
/** Bytes of one request to reconcile. */
export const RECONCILE_BODY_MAX = 2 * 1024 * 1024;

/** How the process is: `isReady` is whether new clients should be sent here. */
export interface Readiness {
  readonly isReady: boolean;
  /** By part, such as `gateway` and `log`: `ok` or what is wrong. */
  readonly parts: Readonly<Record<string, string>>;
}

export interface HttpParts {
  readonly entrance: Entrance;
  readonly streams: EventStreams;
  readonly readiness: () => Readiness;
  /** The metrics as Prometheus reads them. */
  readonly metrics: () => Promise<string>;
  /** What a client may know of the session and of who is there; absent where nobody can ask. */
  readonly status?: () => object;
  /** Settles what a device did while it was offline; absent where nobody can ask for that. */
  readonly reconcile?: (request: ReconcileRequest) => Promise<ReconcileAnswer>;
  /** A request of that kind was refused. */
  readonly reconcileFailed?: () => void;
  /** Whether a token lets read the metrics; anyone may where absent. */
  readonly mayInspect?: (token: string) => boolean;
}

/** As Node's HTTP server calls it. */
export type HttpListener = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

interface Env {
  readonly Bindings: HttpBindings;
}

const PATHS: ReadonlySet<string> = new Set([
  SYNC_PATH,
  SSE_EVENTS_PATH,
  SSE_MESSAGES_PATH,
  RECONCILE_PATH,
  STATUS_PATH,
  '/healthz',
  '/readyz',
  '/metrics',
]);

/** Whether a path is the gateway's. */
export function isGatewayPath(path: string): boolean {
  return PATHS.has(path);
}

/** The gateway's HTTP surface as a listener of Node's. `Host` and `Origin` were checked before. */
export function httpListener(parts: HttpParts): HttpListener {
  const app = httpApp(parts);
  return getRequestListener(app.fetch, { overrideGlobalObjects: false });
}

function httpApp(parts: HttpParts): Hono<Env> {
  const { entrance, streams, readiness, metrics, mayInspect } = parts;
  const app = new Hono<Env>();
  app.onError((error) => refused(refusalOf(error)));
  app.notFound(() => refused(NOT_FOUND));

  app.all(SYNC_PATH, () => refused(UPGRADE_WANTED, { Upgrade: 'websocket' }));

  app.get(SSE_EVENTS_PATH, (context) => {
    const { incoming, outgoing } = context.env;
    const address = addressOf(incoming);
    const refusal = entrance.refusal(address) ?? entrance.tokenRefusal(address, bearer(context));
    if (refusal) return refused(refusal);
    streams.open(outgoing, address, context.req.header('last-event-id'));
    return RESPONSE_ALREADY_SENT;
  });

  app.post(
    SSE_MESSAGES_PATH,
    bodyLimit({ maxSize: SSE_BODY_MAX, onError: () => refused(BODY_TOO_LARGE) }),
    async (context) => {
      const refusal = entrance.tokenRefusal(addressOf(context.env.incoming), bearer(context));
      if (refusal) return refused(refusal);
      const frames = unpackFrames(new Uint8Array(await context.req.arrayBuffer()));
      const isKnown = streams.post(context.req.header(SSE_CONNECTION_HEADER) ?? '', frames);
      return isKnown ? context.body(null, 204) : refused(CONNECTION_UNKNOWN);
    },
  );

  app.post(
    RECONCILE_PATH,
    bodyLimit({ maxSize: RECONCILE_BODY_MAX, onError: () => refused(BODY_TOO_LARGE) }),
    async (context) => {
      const address = addressOf(context.env.incoming);
      const refusal = entrance.reconcileRefusal(address) ?? entrance.tokenRefusal(address, bearer(context));
      if (refusal) return refused(refusal);
      if (!parts.reconcile) return refused(NOT_FOUND);
      try {
        const answer = await parts.reconcile(readReconcile(await context.req.text()));
        return context.body(writeJson(answer), 200, {
          'Content-Type': 'application/json',
          'Cache-Control': 'no-store',
        });
      } catch (error) {
        parts.reconcileFailed?.();
        throw error;
      }
    },
  );

  app.get(STATUS_PATH, (context) => {
    const refusal = entrance.tokenRefusal(addressOf(context.env.incoming), bearer(context));
    if (refusal || !parts.status) return refused(refusal ?? NOT_FOUND);
    return context.json(parts.status(), 200, { 'Cache-Control': 'no-store' });
  });

  app.get('/healthz', (context) => context.json({ status: 'ok' }));

  app.get('/readyz', (context) => {
    const { isReady, parts: states } = readiness();
    return context.json({ status: isReady ? 'ready' : 'not ready', parts: states }, isReady ? 200 : 503);
  });

  app.get('/metrics', async (context) => {
    const address = addressOf(context.env.incoming);
    const refusal = mayInspect && entrance.tokenRefusal(address, bearer(context), mayInspect);
    if (refusal) return refused(refusal);
    return context.body(await metrics(), 200, { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' });
  });

  return app;
}

/** The token of a request: in the header alone, so that no log of addresses has it. */
function bearer(context: Context<Env>): string | undefined {
  const given = context.req.header('authorization');
  return given?.startsWith('Bearer ') ? given.slice('Bearer '.length).trim() : undefined;
}

function refused(refusal: Refusal, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(refusalBody(refusal), {
    status: refusal.status,
    headers: {
      'Content-Type': 'application/json',
      'Cache-Control': 'no-store',
      ...(refusal.status === 401 ? { 'WWW-Authenticate': 'Bearer' } : {}),
      ...(refusal.status === 503 || refusal.status === 429 ? { 'Retry-After': '5' } : {}),
      ...headers,
    },
  });
}

/** What a device posted, checked whole. @throws SyncError `TEXT_SYNTAX`, `LIMIT_DEPTH`, `LIMIT_MAP_KEYS`, `SCHEMA_MISMATCH` */
function readReconcile(body: string): ReconcileRequest {
  return reconcileRequestSchema.parse(parseJson(body, 'the request'), 'reconcile');
}

/** What says that something stands against it, rather than that it is wrong. */
const CONFLICTS: ReadonlySet<string> = new Set(['CHECKPOINT_FROM_FUTURE', 'RECONCILE_GAP', 'REPLICA_TAKEN']);

function refusalOf(error: unknown): Refusal {
  if (!isSyncError(error)) return FAILED;
  const { code, message, retry, origin } = error;
  if (retry === 'backoff') return { status: 503, code, message, fix: 'Try again in a few seconds.' };
  // A log that takes nothing any more is no fault of whoever asks.
  if (origin !== 'protocol' && origin !== 'bytes' && code.startsWith('LOG_'))
    return { status: 503, code, message, fix: 'Connect to another server of this session.' };
  const status = CONFLICTS.has(code) ? 409 : code === 'SESSION_UNKNOWN' ? 404 : 400;
  return { status, code, message, fix: 'Send it as docs/server.md says.' };
}

const FAILED: Refusal = {
  status: 500,
  code: 'SERVER_FAILED',
  message: 'this could not be answered',
  fix: 'Try again later; the fault is on this side.',
};
const NOT_FOUND: Refusal = {
  status: 404,
  code: 'PATH_UNKNOWN',
  message: 'there is nothing at this path',
  fix: `Synchronise over a WebSocket at ${SYNC_PATH} or an event stream at ${SSE_EVENTS_PATH}.`,
};
const UPGRADE_WANTED: Refusal = {
  status: 426,
  code: 'UPGRADE_WANTED',
  message: 'this is a WebSocket endpoint',
  fix: `Open a WebSocket here, or an event stream at ${SSE_EVENTS_PATH}.`,
};
const BODY_TOO_LARGE: Refusal = {
  status: 413,
  code: 'BODY_TOO_LARGE',
  message: `a body of more than ${SSE_BODY_MAX} bytes of frames, or ${RECONCILE_BODY_MAX} of mutations`,
  fix: 'Post less at once.',
};
const CONNECTION_UNKNOWN: Refusal = {
  status: 404,
  code: 'SSE_CONNECTION_UNKNOWN',
  message: 'there is no such event stream, or no longer',
  fix: `Open one at ${SSE_EVENTS_PATH} and name it in the header ${SSE_CONNECTION_HEADER}.`,
};
