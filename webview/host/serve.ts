import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import {
  type AccessRole,
  isRefusal,
  LoopbackServer,
  listSessions,
  openToRead,
  type Refusal,
  refuse,
  refuseUpgrade,
  SessionRelay,
  TokenGate,
  tokenOf,
} from '@syncscope/protocol/node';
import { CAPTURE_PATH, inspectPath, type PageSubject, pageFragment, SESSIONS_PATH } from './address.ts';
import { parseRange } from './ranges.ts';
import type { SessionTarget } from './target.ts';

const READ_BYTES = 256 * 1024;

/** What the page is to show: a capture file, one session, or whatever runs. */
export type Subject =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'live'; readonly target: SessionTarget }
  | { readonly kind: 'sessions' };

export interface InspectorServer {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** The page's whole address, with the token that lets observe. */
  readonly pageUrl: string;
  /** The same with one that also lets inject faults into sessions chosen from the list. */
  readonly injectPageUrl: string;
  close(): Promise<void>;
}

/** The folder of the built page: beside this file's bundle or, run from source, in `webview/dist`. */
export function pageFolder(): string {
  const bundled = join(import.meta.dirname, 'page');
  return existsSync(bundled) ? bundled : join(import.meta.dirname, '..', 'dist', 'page');
}

/**
 * Serves the inspector in a browser, on loopback: its page, and behind a token of this process the capture by byte
 * ranges, or a relay to running sessions.
 *
 * @throws SyncError `FILE_UNREADABLE`, `ATTACH_PORT_TAKEN`
 */
export async function serveInspector(
  subject: Subject,
  { port = 0, page = pageFolder() }: { readonly port?: number; readonly page?: string } = {},
): Promise<InspectorServer> {
  const tokens = { observe: randomBytes(32).toString('hex'), inject: randomBytes(32).toString('hex') };
  const gate = new TokenGate(tokens, () => performance.now());
  const file = subject.kind === 'file' ? await openToRead(subject.path) : undefined;
  const relay = new SessionRelay();

  const server = new LoopbackServer({
    assets: page,
    async answer(request, response, path) {
      if (path !== CAPTURE_PATH && path !== SESSIONS_PATH) return false;
      const role = gate.check(tokenOf(request));
      if (isRefusal(role)) refuse(response, role);
      else if (path === CAPTURE_PATH && file) await sendFile(request, response, file);
      else if (path === SESSIONS_PATH && subject.kind === 'sessions') await sendSessions(response);
      else refuse(response, NOT_HERE);
      return true;
    },
    upgrade(request, socket, head, path) {
      const role = gate.check(tokenOf(request));
      if (isRefusal(role)) return refuseUpgrade(socket, role);
      void findTarget(subject, path, role).then(
        (target) => (target ? relay.join(request, socket, head, target) : refuseUpgrade(socket, NO_SESSION)),
        () => socket.destroy(),
      );
    },
  });
  let opened: number;
  try {
    opened = await server.listen(port);
  } catch (error) {
    await file?.close();
    throw error;
  }
  const url = `http://127.0.0.1:${opened}`;
  const address = (token: string) => `${url}/${pageFragment({ token, show: shown(subject) })}`;
  return {
    url,
    pageUrl: address(tokens.observe),
    injectPageUrl: address(tokens.inject),
    async close() {
      relay.close('the inspector was closed');
      await server.close();
      await file?.close();
    },
  };
}

function shown(subject: Subject): PageSubject {
  return subject.kind === 'file' ? { kind: 'file', name: basename(subject.path) } : { kind: subject.kind };
}

async function sendFile(request: IncomingMessage, response: ServerResponse, file: FileHandle): Promise<void> {
  const { size } = await file.stat();
  const range = parseRange(request.headers.range, size);
  response.setHeader('Accept-Ranges', 'bytes');
  response.setHeader('Content-Type', 'application/octet-stream');
  if (range === 'unsatisfiable') {
    response.writeHead(416, { 'Content-Range': `bytes */${size}` }).end();
    return;
  }
  const { from, to } = range === 'whole' ? { from: 0, to: size - 1 } : range;
  response.setHeader('Content-Length', to - from + 1);
  if (range === 'whole') response.writeHead(200);
  else response.writeHead(206, { 'Content-Range': `bytes ${from}-${to}/${size}` });
  if (request.method === 'HEAD' || to < from) response.end();
  else await pipeline(bytesOf(file, from, to), response);
}

/** A stream of Node's own would leave a listener on the handle for every range, for as long as the file is served. */
async function* bytesOf(file: FileHandle, from: number, to: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = from; at <= to; ) {
    const { bytesRead, buffer } = await file.read(new Uint8Array(Math.min(READ_BYTES, to - at + 1)), { position: at });
    if (bytesRead === 0) throw new Error(`the file ended at ${at} while it was read up to ${to}`);
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}

/** The list without tokens: the page attaches through us. */
async function sendSessions(response: ServerResponse): Promise<void> {
  const running = await listSessions();
  response.writeHead(200, { 'Content-Type': 'application/json; charset=utf-8' });
  response.end(
    JSON.stringify(
      running.map(({ id, title, scenario, url, pid, startedAt }) => ({ id, title, scenario, url, pid, startedAt })),
    ),
  );
}

/** The session that a WebSocket at `path` is meant for, with the token of the role that the inspector has here. */
async function findTarget(subject: Subject, path: string, role: AccessRole): Promise<SessionTarget | undefined> {
  if (subject.kind === 'live') return path === inspectPath() ? subject.target : undefined;
  if (subject.kind === 'file') return undefined;
  const session = (await listSessions()).find(({ id }) => inspectPath(id) === path);
  return session && { url: session.url, token: role === 'inject' ? session.injectToken : session.token };
}

const NOT_HERE: Refusal = {
  status: 404,
  code: 'INSPECT_NOT_HERE',
  message: 'this inspector was not started for that',
  fix: 'Start it as: syncscope inspect FILE, or without an argument for the running sessions.',
};
const NO_SESSION: Refusal = {
  status: 404,
  code: 'SESSION_UNKNOWN',
  message: 'no such session is running',
  fix: 'Reload the list of sessions and choose one that runs.',
};
