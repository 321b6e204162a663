import { describe, expect, test } from 'vitest';
import { milliseconds, type Transport } from '../ports/index.ts';
import { replicaId } from '../state/index.ts';
import { type Connect, SessionLine } from './session-line.ts';

/** A transport whose other side can be played. */
function playable() {
  const closed: string[] = [];
  const listeners = { frame: (_frame: Uint8Array) => {}, close: (_reason: string) => {} };
  const transport: Transport = {
    send: () => {},
    close: (reason) => closed.push(reason),
    onFrame: (listener) => {
      listeners.frame = listener;
    },
    onClose: (listener) => {
      listeners.close = listener;
    },
  };
  return { transport, closed, listeners };
}

/** A line whose waits are as long as they can be, or as the draw of `random` makes them. */
function lineWith(connect: Connect, random = 1) {
  const time = { now: 0 };
  const told: string[] = [];
  const ports = { connect, clock: { now: () => time.now }, random: { next: () => random } };
  const line = new SessionLine(
    replicaId('server'),
    { ...ports, backoff: { base: 100, max: 1_000 } },
    {
      onOpen: () => told.push('open'),
      onFrame: (frame) => told.push(`frame ${frame[0]}`),
      onClose: (reason) => told.push(`closed: ${reason}`),
    },
  );
  const run = (most: number) => {
    for (let passed = 0; passed < most; passed += 10) {
      line.tick();
      time.now += milliseconds(10);
    }
  };
  return { line, time, told, run };
}

/** The times of the tries to connect where none succeeds, in milliseconds. */
function triesOf(random: number): number[] {
  const tries: number[] = [];
  const { time, run } = lineWith(() => {
    tries.push(time.now / milliseconds(1));
    throw new Error('nobody is there');
  }, random);
  run(4_000);
  return tries;
}

describe('a line', () => {
  test('waits twice as long after each failure, up to the most, and draws the wait', () => {
    expect(triesOf(1)).toEqual([0, 100, 300, 700, 1_500, 2_500, 3_500]);
    expect(triesOf(0.5)).toEqual([0, 50, 150, 350, 750, 1_250, 1_750, 2_250, 2_750, 3_250, 3_750]);
  });

  test('begins with short waits again once the other side has answered as it should', () => {
    const ends = [playable(), playable(), playable()];
    let opened = 0;
    const { line, run } = lineWith(() => ends[opened++]!.transport);
    run(50);
    ends[0]!.listeners.close('lost');
    run(150);
    expect(opened).toBe(2);
    line.worked();
    ends[1]!.listeners.close('lost');
    run(90);
    expect(opened).toBe(2);
    run(20);
    expect(opened).toBe(3);
  });

  test('hears nothing more of a connection that it has dropped, and waits as long as the other side wants', () => {
    const ends = [playable(), playable()];
    let opened = 0;
    const { line, told, run } = lineWith(() => ends[opened++]!.transport);
    run(10);
    line.drop('BYE', milliseconds(3_000));
    ends[0]!.listeners.frame(Uint8Array.of(1));
    ends[0]!.listeners.close('late');
    run(3_000);
    expect(opened).toBe(1);
    run(20);
    ends[1]!.listeners.frame(Uint8Array.of(2));
    expect(told).toEqual(['open', 'closed: BYE', 'open', 'frame 2']);
    expect(ends[0]!.closed).toEqual(['BYE']);
  });

  test('takes a promise, asks for one at a time, and tries again where it rejects', async () => {
    const end = playable();
    const settle: { resolve(transport: Transport): void; reject(error: Error): void }[] = [];
    const { told, run } = lineWith(() => new Promise((resolve, reject) => settle.push({ resolve, reject })));
    run(1_000);
    expect(settle).toHaveLength(1);
    settle[0]!.reject(new Error('refused'));
    await Promise.resolve();
    expect(told).toEqual(['closed: refused']);
    run(200);
    expect(settle).toHaveLength(2);
    settle[1]!.resolve(end.transport);
    await Promise.resolve();
    expect(told).toEqual(['closed: refused', 'open']);
  });

  test('closes what comes after its end', async () => {
    const end = playable();
    let opened = 0;
    const { line, told, run } = lineWith(async () => {
      opened++;
      return end.transport;
    });
    run(10);
    line.end('enough');
    await Promise.resolve();
    expect(end.closed).toEqual(['the session was closed']);
    run(3_000);
    expect(told).toEqual([]);
    expect(opened).toBe(1);
  });
});
