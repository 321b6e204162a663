import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { SyncError } from '../errors/index.ts';
import { loopbackHosts, type Refusal, refusalBody, refuseStranger } from './access.ts';
import { pageServer, safeHeaders } from './page.ts';

const LOOPBACK = '127.0.0.1';

/** What an app of the process answers on the same server, behind the checks of `Host` and `Origin`: any method, its own paths. */
export interface LoopbackApp {
  readonly answers: (path: string) => boolean;
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;
}

export interface LoopbackOptions {
  readonly app?: LoopbackApp | undefined;
  /** The folder of the page at `/`. */
  readonly assets: string | undefined;
  /**
   * Answers a GET or HEAD of somebody who is no stranger; the headers that make it safe are set. False: the path is
   * none of ours, and the page's folder is asked.
   */
  readonly answer: (request: IncomingMessage, response: ServerResponse, path: string) => boolean | Promise<boolean>;
  /** Takes over, or refuses with {@link refuseUpgrade}, a WebSocket of somebody who is no stranger. */
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer, path: string) => void;
}

/**
 * An HTTP server on loopback that answers nobody but this machine's own programs and its own page: `Host`, `Origin`
 * and method are checked before anything else.
 */
export class LoopbackServer {
  readonly #http: Server;
  #hosts: readonly string[] = [];

  constructor(options: LoopbackOptions) {
    const servePage = pageServer(options.assets);
    const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const path = pathOf(request);
      const isForApp = options.app?.answers(path) === true;
      const refusal = refuseStranger(request, this.#hosts) ?? (isForApp ? undefined : refuseMethod(request));
      if (refusal) {
        response.setHeader('Connection', 'close');
        refuse(response, refusal);
        return;
      }
      response.setHeaders(new Headers(safeHeaders(request.headers.host ?? '')));
      if (isForApp) await options.app?.handle(request, response);
      else if (!(await options.answer(request, response, path))) await servePage(request, response, path);
    };
    // A request without Host is ours to refuse, with our own code.
    this.#http = createServer({ requireHostHeader: false }, (request, response) => {
      answer(request, response).catch(() => {
        if (response.headersSent) response.destroy();
        else refuse(response, FAILED);
      });
    });
    this.#http.on('upgrade', (request, socket, head) => {
      socket.on('error', () => socket.destroy());
      const refusal = refuseStranger(request, this.#hosts);
      if (refusal) refuseUpgrade(socket, refusal);
      else options.upgrade(request, socket, head, pathOf(request));
    });
  }

  /**
   * Opens the port, 0 for a free one, and answers which.
   * @throws SyncError `ATTACH_PORT_TAKEN`
   */
  async listen(port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#http.once('error', (error) => {
        reject(
          new SyncError('ATTACH_PORT_TAKEN', `port ${port} cannot be opened: ${error.message}. Use 0 for a free one.`, {
            origin: 'attach',
            cause: error,
          }),
        );
      });
      this.#http.listen(port, LOOPBACK, resolve);
    });
    const { port: opened } = this.#http.address() as AddressInfo;
    this.#hosts = loopbackHosts(opened);
    return opened;
  }

  /** Closes every connection but WebSockets, which are their owner's to close before, and resolves when the last is gone. */
  close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    // All of them: one that never said anything would keep us for ever.
    this.#http.closeAllConnections();
    return closed;
  }
}

const FAILED: Refusal = {
  status: 500,
  code: 'ATTACH_ANSWER_FAILED',
  message: 'what was asked for could not be read',
  fix: 'Ask again; where it stays so, build the inspector (npm run build) and start anew.',
};

function refuseMethod(request: IncomingMessage): Refusal | undefined {
  if (request.method === 'GET' || request.method === 'HEAD') return undefined;
  return { status: 405, code: 'ATTACH_METHOD_REJECTED', message: 'only GET is answered', fix: 'Use GET.' };
}

function pathOf(request: IncomingMessage): string {
  const [path] = (request.url ?? '/').split('?', 1);
  return path ?? '/';
}

/** Answers a request with a refusal. */
export function refuse(response: ServerResponse, refusal: Refusal): void {
  if (refusal.status === 401) response.setHeader('WWW-Authenticate', 'Bearer');
  answerJson(response, refusal.status, refusalBody(refusal));
}

/** Answers a request with a JSON text. */
export function answerJson(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
}

/** Answers an upgrade with a refusal, before any WebSocket is there. */
export function refuseUpgrade(socket: Duplex, refusal: Refusal): void {
  const body = refusalBody(refusal);
  socket.end(
    [
      `HTTP/1.1 ${refusal.status} Refused`,
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      'Connection: close',
      ...(refusal.status === 401 ? ['WWW-Authenticate: Bearer'] : []),
      '',
      body,
    ].join('\r\n'),
  );
}
