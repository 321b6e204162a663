import { type CaptureQuery, encodeTraceRecord, LiveCapture } from '@syncscope/protocol/capture';
import { replicaId, stateHash } from '@syncscope/protocol/state';
import { TRACE_VERSION, type TraceBody, type TraceHeader } from '@syncscope/protocol/trace';
import { beforeEach, describe, expect, it } from 'vitest';
import { follow, getState, goTo, grow, movePlayhead, resetState, setFilter, setTab, update } from './store.ts';
import {
  alongReplica,
  goToMarker,
  nextPosition,
  runPlayback,
  step,
  stepReplica,
  toEnd,
  togglePlay,
  toStart,
} from './transport.ts';

const header: TraceHeader = {
  sessionId: 's',
  title: 't',
  scenario: 'x',
  traceVersion: TRACE_VERSION,
  protocolVersion: 1,
  startedAt: 0,
  authority: replicaId('server'),
  build: 'test',
};
const MS = 1_000_000;
const ROUND = ['server', 'bot-1', 'bot-2'] as const;

/** Records 10 ms apart, of three replicas by turns; every fourth is a hash, the others are log lines. */
function capture(count: number): LiveCapture {
  const live = new LiveCapture(header);
  for (let index = 0; index < count; index++) {
    const body: TraceBody =
      index % 4 === 0
        ? { kind: 'hash', version: index, own: stateHash('0'.repeat(16)) }
        : { kind: 'log', level: 'info', text: `line ${index}` };
    live.append(
      encodeTraceRecord({
        seq: index + 1,
        time: index * 10 * MS,
        replica: replicaId(ROUND[index % 3]!),
        cause: [],
        body,
      }),
    );
  }
  return live;
}

function open(count: number): LiveCapture {
  const live = capture(count);
  resetState();
  grow(count, { from: 0, to: count * 10 * MS });
  return live;
}

describe('moving through a capture', () => {
  let live: LiveCapture;
  beforeEach(() => {
    live = open(40);
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

  it('steps along the replica of the selection', async () => {
    goTo(7);
    await stepReplica(live, 1);
    expect(getState().view.playhead).toBe(10);
    await stepReplica(live, -1);
    await stepReplica(live, -1);
    expect(getState().view.playhead).toBe(4);
    expect(alongReplica('', replicaId('bot-1'))).toBe('who:bot-1');
  });

  it('finds nothing beyond the last', async () => {
    expect(await nextPosition(live, 'kind:hash', 36, 1)).toBeUndefined();
    expect(await nextPosition(live, 'kind:hash', 0, -1)).toBeUndefined();
  });

  it('goes to the oldest record that is there, and before everything where there is none', async () => {
    goTo(30);
    await toStart(live);
    expect(getState().view.playhead).toBe(0);
    const shortened: Pick<CaptureQuery, 'rows'> = {
      rows: (filter, offset, limit) => live.rows(filter, offset + 25, limit),
    };
    await toStart(shortened as CaptureQuery);
    expect(getState().view.playhead).toBe(25);
    await toStart(new LiveCapture(header));
    expect(getState().view.playhead).toBe(-1);
  });

  it('shows the cause and the pair of a divergence, whichever way its marker was reached', async () => {
    const explanation = { replica: replicaId('bot-2'), against: replicaId('server') };
    const query = { explain: async () => explanation } as unknown as CaptureQuery;
    setTab('bytes');
    await goToMarker(query, { kind: 'repair', position: 12 });
    expect(getState().view).toMatchObject({ selection: 12, tab: 'bytes', left: undefined });
    await goToMarker(query, { kind: 'desync', position: 14 });
    expect(getState().view).toMatchObject({ selection: 14, tab: 'cause', left: 'bot-2', right: 'server' });
  });

  it('goes to the end of a file, and follows a live session there', () => {
    toEnd();
    expect(getState().view).toMatchObject({ playhead: 39, following: false });
    update((draft) => {
      draft.session = { ...draft.session, source: 'live', state: 'open' };
    });
    toEnd();
    expect(getState().view.following).toBe(true);
  });
});

describe('playing', () => {
  /** Frames that the test makes. */
  function frames() {
    let frame: (now: number) => void = () => {};
    return {
      schedule: (next: (now: number) => void) => {
        frame = next;
        return () => {
          frame = () => {};
        };
      },
      /** One frame, and all that it asked for. */
      async at(now: number) {
        frame(now);
        await new Promise((resolve) => setTimeout(resolve, 0));
      },
    };
  }

  it('moves the playhead by the time that passed, and leaves the selection', async () => {
    const live = open(40);
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
    const live = open(40);
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

  it('does not follow live at the same time', () => {
    open(5);
    follow();
    togglePlay();
    expect(getState()).toMatchObject({ playing: true, view: { following: false } });
    follow();
    expect(getState().playing).toBe(false);
  });
});
