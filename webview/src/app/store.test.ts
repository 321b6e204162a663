import { replicaId } from '@syncscope/protocol/state';
import { beforeEach, describe, expect, it } from 'vitest';
import { readSavedView, viewFor } from './persist.ts';
import {
  follow,
  getState,
  goTo,
  grow,
  initialView,
  movePlayhead,
  resetState,
  setPair,
  setTab,
  subscribe,
  update,
} from './store.ts';

const range = { from: 0, to: 100 };

describe('what the views share', () => {
  beforeEach(() => {
    resetState();
    grow(100, range);
  });

  it('selects and moves together, and drags the playhead alone', () => {
    goTo(40);
    expect(getState().view).toMatchObject({ playhead: 40, selection: 40 });
    movePlayhead(60);
    expect(getState().view).toMatchObject({ playhead: 60, selection: 40 });
  });

  it('stays inside the capture', () => {
    goTo(1_000);
    expect(getState().view.playhead).toBe(99);
    goTo(-7);
    expect(getState().view).toMatchObject({ playhead: -1, selection: undefined });
  });

  it('follows the newest record until the user goes somewhere', () => {
    follow();
    grow(150, range);
    expect(getState().view.playhead).toBe(149);
    goTo(120);
    grow(200, range);
    expect(getState().view).toMatchObject({ playhead: 120, following: false });
  });

  it('wakes nobody where nothing changed', () => {
    setTab('diff');
    let calls = 0;
    const stop = subscribe(() => calls++);
    setTab('diff');
    setPair(getState().view.left, getState().view.right);
    expect(calls).toBe(0);
    setTab('state');
    expect(calls).toBe(1);
    stop();
    setTab('bytes');
    expect(calls).toBe(1);
  });

  it('keeps untouched parts the same, so that selectors are stable', () => {
    const { lanes, sizes } = getState().view;
    goTo(3);
    expect(getState().view.lanes).toBe(lanes);
    expect(getState().view.sizes).toBe(sizes);
  });
});

describe('what is remembered', () => {
  const view = {
    ...initialView,
    sessionId: 's1',
    playhead: 40,
    selection: 40,
    left: replicaId('bot-1'),
    tab: 'merkle' as const,
    zoom: { from: 1, to: 2 },
    sizes: { timeline: 300, stream: 0.4 },
  };

  it('comes back whole through JSON for the same session', () => {
    const saved = readSavedView(JSON.parse(JSON.stringify(view)));
    expect(viewFor('s1', saved, 100)).toEqual(view);
  });

  it('is only its layout for another session', () => {
    const next = viewFor('s2', readSavedView(JSON.parse(JSON.stringify(view))), 100);
    expect(next).toEqual({ ...initialView, sessionId: 's2', tab: 'merkle', sizes: view.sizes });
  });

  it('does not lead beyond a capture that became shorter', () => {
    expect(viewFor('s1', view, 10)).toMatchObject({ playhead: 9, selection: undefined });
  });

  it.each([
    [null],
    ['x'],
    [{}],
    [{ ...view, tab: 'evil' }],
    [{ ...view, left: '<script>' }],
    [{ ...view, speed: 1e9 }],
  ])('is ignored where it is not what was stored: %j', (value) => {
    expect(readSavedView(value)).toBeUndefined();
  });

  it('is not shared with what it was read from', () => {
    resetState();
    update((draft) => {
      draft.view.sizes.stream = 0.7;
    });
    expect(initialView.sizes.stream).toBe(0.54);
  });
});
