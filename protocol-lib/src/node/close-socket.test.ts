import { EventEmitter, once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { closeSocket } from './close-socket.ts';

const cleanups: Array<() => void> = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

async function pair(): Promise<{ readonly near: WebSocket; readonly far: WebSocket }> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const far = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  cleanups.push(
    () => far.terminate(),
    () => server.close(),
  );
  const [[near]] = await Promise.all([once(server, 'connection') as Promise<[WebSocket]>, once(far, 'open')]);
  return { near, far };
}

test.each([
  { what: 'a short reason', reason: 'bye', told: 'bye' },
  { what: 'one in another script', reason: '語'.repeat(100), told: `${'語'.repeat(40)}…` },
  { what: 'one that would be cut through a character', reason: `a${'😀'.repeat(50)}`, told: `a${'😀'.repeat(29)}…` },
  { what: 'one that fits exactly', reason: 'x'.repeat(123), told: 'x'.repeat(123) },
])('$what is told as far as a close frame holds it', async ({ reason, told }) => {
  const { near, far } = await pair();
  const closed = once(far, 'close');
  closeSocket(near, 4000, reason);
  const [code, text] = (await closed) as [number, Buffer];
  expect([code, text.toString()]).toEqual([4000, told]);
});

test('closing many times is closing once: nothing piles up', async () => {
  const { near, far } = await pair();
  const before = near.listenerCount('close');
  const closed = once(far, 'close');
  for (let count = 0; count < 100; count++) closeSocket(near, 4000, `reason ${count}`);
  expect(near.listenerCount('close')).toBe(before + 1);
  expect(String((await closed)[1])).toBe('reason 0');
});

describe('one with much on its way', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  /** How often it was looked at before it was cut, where the other side reads so many bytes between two looks. */
  function looksUntilCut(bufferedAmount: number, read: number): number {
    vi.useFakeTimers();
    let looks = 0;
    let isCut = false;
    const socket = Object.assign(new EventEmitter(), {
      bufferedAmount,
      readyState: WebSocket.OPEN,
      close() {},
      terminate() {
        isCut = true;
        socket.emit('close');
      },
    });
    closeSocket(socket as unknown as WebSocket, 4000, 'bye');
    for (; !isCut && looks < 100; looks++) {
      socket.bufferedAmount = Math.max(0, socket.bufferedAmount - read);
      vi.advanceTimersByTime(2_000);
    }
    expect(vi.getTimerCount()).toBe(0);
    return looks;
  }

  test('is given time as long as it reads on, and not for ever', () => {
    expect(looksUntilCut(1_000, 0)).toBe(1);
    expect(looksUntilCut(1_000, 500)).toBe(3);
    expect(looksUntilCut(1_000, 1)).toBe(5);
  });
});

test('one that does not answer is cut', async () => {
  const { near, far } = await pair();
  far.pause();
  const closed = once(near, 'close');
  closeSocket(near, 4000, 'bye');
  expect((await closed)[0]).toBe(1006);
});
