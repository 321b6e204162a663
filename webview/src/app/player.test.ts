import { encodeTraceRecord, type LiveCapture } from '@syncscope/protocol/capture';
import { replicaId } from '@syncscope/protocol/state';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { MS, openLive } from './live-capture.test-helper.ts';
import { changeSpeed, type FrameScheduler, runPlayback, setSpeed, step, togglePlay } from './player.ts';
import { follow, getState, goTo, grow, movePlayhead, SPEEDS, setFilter, update } from './store.ts';

describe('a step', () => {
  let live: LiveCapture;
  beforeEach(() => {
    live = openLive(40);
  });

  it('steps a record, forward n and back n to where it was', async () => {
    goTo(10);
    for (let times = 0; times < 5; times++) await step(live, 1);
    expect(getState().view).toMatchObject({ playhead: 15, selection: 15 });
    for (let times = 0; times < 5; times++) await step(live, -1);
    expect(getState().view).toMatchObject({ playhead: 10, selection: 10 });
  });

  it('stops at both ends', async () => {
    goTo(39);
    await step(live, 1);
    expect(getState().view.playhead).toBe(39);
    goTo(0);
    await step(live, -1);
    expect(getState().view).toMatchObject({ playhead: -1, selection: undefined });
    await step(live, 1);
    expect(getState().view.playhead).toBe(0);
  });

  it('steps over what the filter hides', async () => {
    setFilter('kind:hash');
    goTo(8);
    await step(live, 1);
    expect(getState().view.playhead).toBe(12);
    movePlayhead(14);
    await step(live, -1);
    expect(getState().view.playhead).toBe(12);
  });

  it('goes over messages and versions, both ways, and says where there is no more', async () => {
    goTo(0);
    for (const expected of [5, 15, 25, 35]) {
      await step(live, 1, 'message');
      expect(getState().view).toMatchObject({ playhead: expected, selection: expected });
    }
    await step(live, 1, 'message');
    expect(getState()).toMatchObject({ notice: 'There is no message after this.', view: { playhead: 35 } });
    await step(live, -1, 'version');
    expect(getState().view.playhead).toBe(27);
    await step(live, -1, 'version');
    await step(live, -1, 'message');
    expect(getState().view.playhead).toBe(15);
  });

  it('goes over ticks of 50 ms, and leaves the selection', async () => {
    goTo(7);
    await step(live, 1, 'tick');
    expect(getState()).toMatchObject({ moment: 100 * MS, view: { playhead: 10, selection: 7 } });
    await step(live, 1, 'tick');
    expect(getState()).toMatchObject({ moment: 150 * MS, view: { playhead: 15 } });
    await step(live, -1, 'tick');
    expect(getState()).toMatchObject({ moment: 100 * MS, view: { playhead: 10 } });
    goTo(12);
    expect(getState().moment).toBeUndefined();
    await step(live, -1, 'tick');
    expect(getState()).toMatchObject({ moment: 100 * MS, view: { playhead: 10 } });
  });

  it('forward and then back is where it was, from any stop and over any unit', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(39),
        fc.constantFrom('record', 'message', 'version', 'tick'),
        fc.integer({ min: 1, max: 3 }),
        async (from, unit, times) => {
          goTo(from);
          await step(live, 1, unit);
          const { playhead: stop } = getState().view;
          let made = 0;
          while (made < times) {
            const { view, moment } = getState();
            await step(live, 1, unit);
            // At the end there is no further stop to come back from.
            if (getState().view.playhead === view.playhead && getState().moment === moment) break;
            made++;
          }
          for (let back = 0; back < made; back++) await step(live, -1, unit);
          expect(getState().view.playhead).toBe(stop);
        },
      ),
    );
  });
});

describe('playing', () => {
  /** Frames that the test makes. */
  function frames() {
    let frame: Parameters<FrameScheduler>[0] = () => undefined;
    const schedule: FrameScheduler = (next) => {
      frame = next;
      return () => {
        frame = () => undefined;
      };
    };
    /** One frame, and all that it asked for. */
    return { schedule, at: async (now: number) => frame(now) };
  }

  it('moves the playhead by the time that passed, and leaves the selection', async () => {
    const live = openLive(40);
    goTo(0);
    const { schedule, at } = frames();
    const stop = runPlayback(live, schedule);
    togglePlay();
    await at(0);
    await at(100);
    expect(getState().view).toMatchObject({ playhead: 10, selection: 0 });
    await at(155);
    expect(getState().view.playhead).toBe(15);
    togglePlay();
    await at(300);
    expect(getState().view.playhead).toBe(15);
    stop();
  });

  it('plays faster and slower, ends at the end and starts again from the start', async () => {
    const live = openLive(40);
    goTo(0);
    update((draft) => {
      draft.view.speed = 2;
    });
    const { schedule, at } = frames();
    const stop = runPlayback(live, schedule);
    togglePlay();
    await at(0);
    await at(50);
    expect(getState().view.playhead).toBe(10);
    await at(1_000);
    expect(getState().view.playhead).toBe(39);
    await at(1_016);
    expect(getState().playing).toBe(false);
    togglePlay();
    expect(getState()).toMatchObject({ playing: true, view: { playhead: -1 } });
    stop();
  });

  it('asks for places at whole nanoseconds, however a frame falls', async () => {
    const live = openLive(40);
    const asked: number[] = [];
    const query = new Proxy(live, {
      get: (target, name) => {
        if (name !== 'positionAt')
          return (target as unknown as Record<PropertyKey, (...args: unknown[]) => unknown>)[name]!.bind(target);
        return (time: number) => {
          asked.push(time);
          return target.positionAt(time);
        };
      },
    });
    goTo(0);
    const { schedule, at } = frames();
    const stop = runPlayback(query, schedule);
    setSpeed(0.1);
    togglePlay();
    for (const now of [0, 16.6667, 33.3331, 50.0001]) await at(now);
    stop();
    expect(asked.length).toBeGreaterThan(2);
    expect(asked.every(Number.isSafeInteger)).toBe(true);
  });

  it('does not follow live at the same time', () => {
    openLive(5);
    follow();
    togglePlay();
    expect(getState()).toMatchObject({ playing: true, view: { following: false } });
    follow();
    expect(getState().playing).toBe(false);
  });

  it('plays backwards, turns round, and ends at the start', async () => {
    const live = openLive(40);
    goTo(20);
    const { schedule, at } = frames();
    const stop = runPlayback(live, schedule);
    togglePlay(true);
    await at(0);
    await at(50);
    expect(getState()).toMatchObject({ playing: true, isBackwards: true, view: { playhead: 15 } });
    togglePlay();
    await at(100);
    expect(getState()).toMatchObject({ playing: true, isBackwards: false, view: { playhead: 20 } });
    togglePlay(true);
    setSpeed(100);
    await at(150);
    await at(170);
    expect(getState()).toMatchObject({ playing: false, view: { playhead: 0 } });
    togglePlay(true);
    expect(getState()).toMatchObject({ playing: true, view: { playhead: 39 } });
    togglePlay(true);
    expect(getState().playing).toBe(false);
    stop();
  });

  it('skips a silence in either direction', async () => {
    const live = openLive(40);
    const late = { seq: 41, time: 60_000 * MS, replica: replicaId('server'), cause: [] };
    live.append(encodeTraceRecord({ ...late, body: { kind: 'log', level: 'info', text: 'a minute later' } }));
    grow(41, { from: 0, to: late.time });
    goTo(39);
    const { schedule, at } = frames();
    const stop = runPlayback(live, schedule);
    togglePlay();
    for (const now of [0, 500, 1_000]) await at(now);
    expect(getState().view.playhead).toBe(39);
    await at(1_001);
    expect(getState().view.playhead).toBe(40);
    togglePlay(true);
    for (const now of [2_000, 2_500, 3_000]) await at(now);
    expect(getState().view.playhead).toBe(39);
    await at(3_001);
    expect(getState().view.playhead).toBe(38);
    stop();
  });

  it('has speeds from a tenth to a hundredfold, and stays at either end of them', () => {
    openLive(1);
    setSpeed(1);
    for (let times = 0; times < SPEEDS.length; times++) changeSpeed(1);
    expect(getState().view.speed).toBe(100);
    for (let times = 0; times <= SPEEDS.length; times++) changeSpeed(-1);
    expect(getState().view.speed).toBe(0.1);
  });
});
