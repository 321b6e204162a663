import type { Session, SessionStore } from './sessions/store.ts';

/** What other extensions, and the tests, may ask of this one. Plain data, nothing to hold on to. */
export interface SyncscopeApi {
  /** Sessions offered on this machine or attached. */
  sessions(): readonly SessionSummary[];
}

export interface SessionSummary {
  readonly id: string;
  readonly title: string;
  readonly url: string;
  readonly state: 'idle' | 'attached' | 'recording' | 'ended';
  readonly verdict?: string;
  /** What diverged while it was attached, the newest first, whether repaired since or not. */
  readonly desyncs: ReadonlyArray<{ readonly replica: string; readonly position: number; readonly text: string }>;
  readonly participants: ReadonlyArray<{
    readonly replica: string;
    readonly version: number;
    readonly differsSince?: number;
  }>;
}

export function makeApi(store: SessionStore): SyncscopeApi {
  return { sessions: () => store.list().map(summary) };
}

function summary({ id, title, url, live }: Session): SessionSummary {
  const state = !live ? 'idle' : !live.isAttached ? 'ended' : live.recording ? 'recording' : 'attached';
  const verdict = live?.status?.verdict.text;
  const participants = (live?.status?.replicas ?? []).map(({ replica, version, differs }) => ({
    replica,
    version,
    ...(differs ? { differsSince: differs.since } : {}),
  }));
  const desyncs = (live?.desyncs ?? []).map(({ replica, position, text }) => ({ replica, position, text }));
  return { id, title, url, state, participants, desyncs, ...(verdict === undefined ? {} : { verdict }) };
}
