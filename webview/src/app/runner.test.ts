import { SyncError } from '@syncscope/protocol/errors';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createRunner, type QueryState, SLOW_AFTER_MS } from './runner.ts';

/** A question that the test answers. */
function question<T>() {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  let signal: AbortSignal | undefined;
  return {
    run: (given: AbortSignal) => {
      signal = given;
      return promise;
    },
    resolve,
    reject,
    get isAborted() {
      return signal?.aborted ?? false;
    },
    get wasAsked() {
      return signal !== undefined;
    },
  };
}

/** Resolves with the first state for which `isIt` holds. */
function until<T>(runner: ReturnType<typeof createRunner<T>>, isIt: (state: QueryState<T>) => boolean) {
  return new Promise<QueryState<T>>((resolve) => {
    const look = () => isIt(runner.get()) && resolve(runner.get());
    runner.subscribe(look);
    look();
  });
}

describe('one question at a time', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('keeps the last answer while the next is awaited', async () => {
    const runner = createRunner<number>();
    const [first, second] = [question<number>(), question<number>()];
    runner.request(first.run, false);
    first.resolve(1);
    await until(runner, (state) => state.data === 1 && !state.isLoading);
    runner.request(second.run, false);
    expect(runner.get()).toMatchObject({ data: 1, isLoading: true });
    second.resolve(2);
    expect(await until(runner, (state) => !state.isLoading)).toMatchObject({ data: 2, error: undefined });
  });

  it('aborts what is under way and ignores its late answer', async () => {
    const runner = createRunner<number>();
    const [first, second] = [question<number>(), question<number>()];
    runner.request(first.run, false);
    runner.request(second.run, false);
    expect(first.isAborted).toBe(true);
    second.resolve(2);
    first.resolve(1);
    expect(await until(runner, (state) => !state.isLoading)).toMatchObject({ data: 2 });
  });

  it('is gentle where asked: lets it finish, then asks only the newest', async () => {
    const runner = createRunner<number>();
    const [first, second, third] = [question<number>(), question<number>(), question<number>()];
    runner.request(first.run, true);
    runner.request(second.run, true);
    runner.request(third.run, true);
    expect(first.isAborted).toBe(false);
    first.resolve(1);
    expect(await until(runner, (state) => state.data === 1)).toMatchObject({ isLoading: true });
    expect([second.wasAsked, third.wasAsked]).toEqual([false, true]);
    third.resolve(3);
    expect(await until(runner, (state) => !state.isLoading)).toMatchObject({ data: 3 });
  });

  it('says that it is slow after 300 ms and not before', async () => {
    const runner = createRunner<number>();
    const slow = question<number>();
    runner.request(slow.run, false);
    vi.advanceTimersByTime(SLOW_AFTER_MS - 1);
    expect(runner.get().isSlow).toBe(false);
    vi.advanceTimersByTime(1);
    expect(runner.get().isSlow).toBe(true);
    slow.resolve(1);
    expect(await until(runner, (state) => !state.isLoading)).toMatchObject({ isSlow: false });
  });

  it('keeps the answer beside an error, and asks again on retry', async () => {
    const runner = createRunner<number>();
    let calls = 0;
    const run = () => {
      calls++;
      return calls === 2 ? Promise.reject(new SyncError('BROKEN', 'no', { origin: 'query' })) : Promise.resolve(calls);
    };
    runner.request(run, false);
    await until(runner, (state) => state.data === 1);
    runner.request(run, false);
    expect(await until(runner, (state) => state.error !== undefined)).toMatchObject({
      data: 1,
      error: { code: 'BROKEN' },
    });
    runner.retry();
    expect(await until(runner, (state) => state.data === 3)).toMatchObject({ error: undefined });
  });

  it('stops on cancel, says so, and forgets all on reset', async () => {
    const runner = createRunner<number>();
    const never = question<number>();
    runner.request(never.run, false);
    runner.cancel();
    expect(never.isAborted).toBe(true);
    expect(runner.get()).toMatchObject({ isLoading: false, error: { code: 'QUERY_CANCELLED' } });
    runner.reset();
    expect(runner.get()).toEqual({ data: undefined, error: undefined, isLoading: false, isSlow: false });
  });
});
