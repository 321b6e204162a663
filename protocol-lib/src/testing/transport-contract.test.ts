import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import type { Transport } from '../ports/index.ts';
import { type TransportPair, transportContract } from './transport-contract.ts';

/** An adapter as an app would write it. */
function overSocket(socket: WebSocket): Transport {
  return {
    send: (frame) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(frame);
    },
    close: (reason) => socket.close(1000, reason),
    onFrame: (listener) => {
      socket.removeAllListeners('message');
      socket.on('message', (data: Buffer) => listener(new Uint8Array(data)));
    },
    onClose: (listener) => {
      socket.on('close', (_code, reason) => listener(reason.toString()));
    },
  };
}

describe('an adapter over real WebSockets', () => {
  let server: WebSocketServer;
  const sockets: WebSocket[] = [];
  beforeAll(async () => {
    server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    await once(server, 'listening');
  });
  afterAll(async () => {
    for (const socket of [...sockets, ...server.clients]) socket.terminate();
    await new Promise((resolve) => server.close(resolve));
  });

  /** What was sent before a ping has arrived when its pong is back (RFC 6455, 5.5.2), unless the connection has ended. */
  const arrived = async (socket: WebSocket): Promise<void> => {
    if (socket.readyState === WebSocket.CLOSED) return;
    const ended = once(socket, 'close');
    if (socket.readyState !== WebSocket.OPEN) return void (await ended);
    const answered = once(socket, 'pong');
    socket.ping();
    await Promise.race([answered, ended]);
  };

  const open = async (): Promise<TransportPair> => {
    const near = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    sockets.push(near);
    const [[far]] = (await Promise.all([once(server, 'connection'), once(near, 'open')])) as [[WebSocket], unknown];
    const settle = async (): Promise<void> => {
      // Twice, since what arrives may be answered.
      for (let round = 0; round < 2; round++) await Promise.all([arrived(near), arrived(far)]);
    };
    return { ends: [overSocket(near), overSocket(far)], settle };
  };

  for (const { name, run } of transportContract(open)) test(name, run);
});
