import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type RawData, WebSocket, WebSocketServer } from 'ws';
import { isSyncError, SyncError } from '../errors/index.ts';
import { ATTACH_SUBPROTOCOL, ATTACH_TOKEN_PREFIX, OBSERVER_FRAME_MAX, SERVER_FRAME_MAX } from '../trace/index.ts';
import type { Refusal } from './access.ts';
import { inspectAddress, readRefusal } from './attach-client.ts';
import { closeSocket } from './close-socket.ts';
import { refuseUpgrade } from './loopback.ts';
import { ATTACH_CLOSE } from './observers.ts';

const QUEUE_MAX_BYTES = 1024 * 1024;
const CLOSED_WITHOUT_STATUS = 1005;
const CLOSED_ABNORMALLY = 1006;

/** Where a session's attach endpoint is, and what opens it. */
export interface RelayTarget {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  readonly token: string;
}

/**
 * Joins inspectors of another server's page to sessions elsewhere, whose endpoint would rightly refuse that page's
 * origin. Frames pass both ways unread. A reader that is slow makes the session see one that is slow.
 */
export class SessionRelay {
  readonly #inspectors = new WebSocketServer({
    noServer: true,
    maxPayload: OBSERVER_FRAME_MAX,
    perMessageDeflate: false,
    clientTracking: true,
    handleProtocols: (offered) => (offered.has(ATTACH_SUBPROTOCOL) ? ATTACH_SUBPROTOCOL : false),
  });

  /** Takes over an upgrade that was checked: accepts it once the session accepted us, refuses it as the session does. */
  join(request: IncomingMessage, socket: Duplex, head: Buffer, target: RelayTarget): void {
    const address = inspectAddress(target.url);
    if (address instanceof SyncError) return refuseUpgrade(socket, refusalOf(address));
    const session = new WebSocket(address, [ATTACH_SUBPROTOCOL, ATTACH_TOKEN_PREFIX + target.token], {
      maxPayload: SERVER_FRAME_MAX,
      perMessageDeflate: false,
    });
    let isAnswered = false;
    const refuse = (refusal: Refusal): void => {
      if (!isAnswered) refuseUpgrade(socket, refusal);
      isAnswered = true;
    };
    socket.once('close', () => {
      if (session.readyState === WebSocket.CONNECTING) session.terminate();
    });
    session.on('unexpected-response', (_request, response) => {
      readRefusal(response, target.url).then((error) => {
        refuse(refusalOf(error, response.statusCode));
        session.terminate();
      });
    });
    session.on('error', (error) => {
      // What the session answered instead of an upgrade is being read, and says more.
      if (!/^WebSocket was closed|^Unexpected server response/.test(error.message)) refuse(unreachable(target.url));
    });
    session.once('open', () => {
      if (isAnswered || socket.destroyed) return session.terminate();
      isAnswered = true;
      this.#inspectors.handleUpgrade(request, socket, head, (inspector) => join(session, inspector));
    });
  }

  /** Says why to every inspector, and leaves every session. */
  close(reason: string): void {
    for (const inspector of this.#inspectors.clients) closeSocket(inspector, ATTACH_CLOSE.ended, reason);
  }
}

function join(session: WebSocket, inspector: WebSocket): void {
  inspector.on('error', () => undefined); // A close event follows each error.
  session.on('message', (data: RawData, isBinary: boolean) => {
    inspector.send(data, { binary: isBinary }, () => {
      if (session.isPaused && inspector.bufferedAmount < QUEUE_MAX_BYTES / 2) session.resume();
    });
    if (inspector.bufferedAmount > QUEUE_MAX_BYTES) session.pause();
  });
  inspector.on('message', (data: RawData, isBinary: boolean) => session.send(data, { binary: isBinary }));
  session.once('close', (code, reason) => {
    const isSendable = code !== CLOSED_WITHOUT_STATUS && code !== CLOSED_ABNORMALLY;
    closeSocket(inspector, isSendable ? code : 1011, reason.toString() || 'the connection to the session broke');
  });
  inspector.once('close', () => session.close(1000));
}

function unreachable(url: string): Refusal {
  return {
    status: 502,
    code: 'ATTACH_UNREACHABLE',
    message: `nothing answers at ${url}`,
    fix: 'The session has probably ended: start it again and choose it anew.',
  };
}

function refusalOf(error: unknown, status = 502): Refusal {
  const code = isSyncError(error) ? error.code : 'ATTACH_UNREACHABLE';
  const message = error instanceof Error ? error.message : String(error);
  return { status, code, message, fix: 'See the session itself.' };
}
