import type { Marker, ReplicaStatus } from '@syncscope/protocol/capture';
import type { LiveSession } from '../live/live-session.ts';
import type { Session } from './store.ts';

export interface SessionNode {
  readonly type: 'session';
  readonly session: Session;
}

export interface ParticipantNode {
  readonly type: 'participant';
  readonly live: LiveSession;
  readonly status: ReplicaStatus;
  readonly isAuthority: boolean;
}

export interface DesyncNode {
  readonly type: 'desync';
  readonly live: LiveSession;
  readonly marker: Marker;
}

/** The desyncs before those that are listed, folded away. */
export interface EarlierNode {
  readonly type: 'earlier';
  readonly live: LiveSession;
  /** As many as there were; the latest of them are its children. */
  readonly count: number;
}

export type Node = SessionNode | ParticipantNode | DesyncNode | EarlierNode;

/** One thing that goes wrong is often noticed by everybody: so many are enough to see at once. */
const DESYNCS_LISTED = 5;

/** What names a row, whatever it says at the moment. */
export function nodeId(node: Node): string {
  switch (node.type) {
    case 'session':
      // VS Code keeps an id folded as it was; attached it is another item, and opens.
      return node.session.live ? `${node.session.id} attached` : node.session.id;
    case 'participant':
      return `${node.live.url} ${node.status.replica}`;
    case 'desync':
      return `${node.live.url} desync ${node.marker.position}`;
    case 'earlier':
      return `${node.live.url} earlier desyncs`;
  }
}

/** The record that a row speaks of, where it speaks of one. */
export function nodePosition(node: Node): number | undefined {
  switch (node.type) {
    case 'session':
      return node.session.live?.status?.verdict.position;
    case 'participant':
      return node.status.differs?.position ?? node.status.refused;
    case 'desync':
      return node.marker.position;
    case 'earlier':
      return undefined;
  }
}

/** Below an attached session each participant, and what diverged, the newest first. */
export function childNodes(node: Node): Node[] {
  if (node.type === 'earlier') return desyncNodes(node.live).slice(DESYNCS_LISTED);
  if (node.type !== 'session' || !node.session.live) return [];
  const { live } = node.session;
  const participants = (live.status?.replicas ?? []).map(
    (status): Node => ({ type: 'participant', live, status, isAuthority: status.replica === live.authority }),
  );
  const count = live.desyncCount - DESYNCS_LISTED;
  const earlier: Node[] = count > 0 ? [{ type: 'earlier', live, count }] : [];
  return [...participants, ...desyncNodes(live).slice(0, DESYNCS_LISTED), ...earlier];
}

function desyncNodes(live: LiveSession): Node[] {
  return live.desyncs.map((marker) => ({ type: 'desync', live, marker }));
}
