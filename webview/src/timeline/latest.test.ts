import { describe, expect, it } from 'vitest';
import { createFrames } from './frame.ts';
import { latest } from './latest.ts';

describe('latest', () => {
  it('asks one thing at a time and passes over what was overtaken', async () => {
    const asked: number[] = [];
    const gates: Array<() => void> = [];
    const taken: number[] = [];
    const source = latest<number, number>(
      (question) => {
        asked.push(question);
        return new Promise((resolve) => gates.push(() => resolve(question * 10)));
      },
      (answer) => taken.push(answer),
      (error) => expect.unreachable(String(error)),
    );
    source.want(1);
    source.want(2);
    source.want(3);
    expect(asked).toEqual([1]);
    gates[0]!();
    await Promise.resolve();
    await Promise.resolve();
    expect(asked).toEqual([1, 3]);
    source.dispose();
    gates[1]!();
    await Promise.resolve();
    await Promise.resolve();
    expect(taken).toEqual([10]);
  });

  it('goes on after a failure', async () => {
    const failures: unknown[] = [];
    const taken: string[] = [];
    const source = latest<string, string>(
      (question) => (question === 'bad' ? Promise.reject(new RangeError('no')) : Promise.resolve(question)),
      (answer) => taken.push(answer),
      (error) => failures.push(error),
    );
    source.want('bad');
    source.want('good');
    await new Promise((resolve) => setImmediate(resolve));
    expect(failures).toHaveLength(1);
    expect(taken).toEqual(['good']);
  });
});

describe('createFrames', () => {
  it('runs each task once a frame, and what a task asks for in the next', () => {
    const due: Array<() => void> = [];
    const frames = createFrames((run) => due.push(run));
    const ran: string[] = [];
    const again = (): void => {
      ran.push('again');
    };
    const first = (): void => {
      ran.push('first');
      frames.request(again);
    };
    frames.request(first);
    frames.request(first);
    expect(due).toHaveLength(1);
    due.shift()!();
    expect(ran).toEqual(['first']);
    due.shift()!();
    expect(ran).toEqual(['first', 'again']);
  });
});
