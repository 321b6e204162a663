import {
  AGREEMENT,
  type Arrow,
  type CaptureStatus,
  type ReplicaStatus,
  type TimeRange,
} from '@syncscope/protocol/capture';
import { formatDuration, formatTime } from '../text/format.ts';
import type { Hit } from './hit.ts';
import { AGREEMENT_WORDS, KIND_STYLES, MARKER_STYLES } from './kinds.ts';
import type { LanesScene } from './scene.ts';

/** How a replica stands, for its gutter: a sign, a word and how loud it is. */
export interface Standing {
  readonly name: 'connected' | 'behind' | 'differing' | 'gone' | 'unknown';
  readonly sign: string;
  readonly word: string;
}

export function standingOf(status: ReplicaStatus): Standing {
  if (status.connection === 'gone') return { name: 'gone', sign: '⊘', word: 'gone' };
  if (status.agreement === AGREEMENT.differs) return { name: 'differing', sign: '✗', word: 'differs' };
  if (status.refused !== undefined) return { name: 'behind', sign: '…', word: 'asks again' };
  if (status.lag > 0) return { name: 'behind', sign: '…', word: `${status.lag} behind` };
  if (status.connection === 'unknown') return { name: 'unknown', sign: '?', word: 'unknown' };
  return { name: 'connected', sign: '✓', word: '' };
}

/** A replica's state in one sentence, for a tooltip and for a screen reader. */
export function describeReplica(status: ReplicaStatus): string {
  const parts = [`${status.replica} at version ${status.version}`];
  const standing = standingOf(status);
  if (standing.name === 'differing' && status.differs) parts.push(`differs since version ${status.differs.since}`);
  else if (status.refused !== undefined && standing.name === 'behind') parts.push('refused a delta and asks again');
  else if (standing.name === 'behind' && status.behindFor > 0) {
    parts.push(`${standing.word} for ${formatDuration(status.behindFor)}`);
  } else if (standing.name !== 'connected') parts.push(standing.word);
  else parts.push(status.agreement === AGREEMENT.agrees ? 'connected and in agreement' : 'connected');
  if ((standing.name === 'differing' || status.refused !== undefined) && status.lag > 0)
    parts.push(`${status.lag} behind`);
  if (status.pending > 0) {
    parts.push(`${status.pending} pending, the oldest for ${formatDuration(status.oldestPending)}`);
  }
  return parts.join(', ');
}

/** What lies under the pointer: a heading, then a line each. Empty where there is nothing to say. */
export function describeHit(hit: Hit, scene: LanesScene, x: number, y: number): string[] {
  switch (hit.type) {
    case 'marker': {
      const shown = hit.cluster.members.slice(0, 6);
      const more = hit.cluster.members.length - shown.length;
      return [
        `${MARKER_STYLES[hit.cluster.kind].label} · ${formatTime(hit.cluster.marker.time)}`,
        ...shown.map((marker) => marker.text),
        ...(more > 0 ? [`and ${more} more`] : []),
      ];
    }
    case 'point': {
      const { cluster } = hit;
      const more = cluster.count - 1;
      return [
        `${KIND_STYLES[cluster.kind].label} · ${cluster.replica} · ${formatTime(cluster.time)}`,
        ...(more > 0 ? [`and ${more} more here; zoom in to see them apart`] : []),
      ];
    }
    case 'arrow':
      return describeArrow(hit.shape.arrow);
    case 'lane':
      return describeRibbon(hit.lane.replica, scene, x, y);
    case 'ruler':
      return [];
    default:
      return hit satisfies never;
  }
}

function describeArrow(arrow: Arrow): string[] {
  const heading = `${arrow.type} · ${arrow.from} → ${arrow.to}`;
  const sent = `sent ${formatTime(arrow.sentAt)}`;
  if (arrow.receivedAt !== undefined) {
    return [heading, `${sent}, received ${formatDuration(arrow.receivedAt - arrow.sentAt)} later`];
  }
  return [heading, arrow.lost ? `${sent}, lost: it never arrived` : `${sent}, no receipt seen`];
}

function describeRibbon(replica: string, scene: LanesScene, x: number, y: number): string[] {
  const lane = scene.laneScenes.find((other) => other.box.replica === replica);
  if (!lane || y - scene.top + scene.scroll < lane.box.ribbonTop - 2) return [];
  const run = lane.runs.find((other) => x >= other.x && x < other.x + other.width);
  if (!run) return [`${replica} · agreement unknown`];
  const from = formatTime(Math.max(0, scene.scale.time(run.x)));
  const to = formatTime(scene.scale.time(run.x + run.width));
  return [`${replica} · ${AGREEMENT_WORDS[run.agreement]}`, `${from} – ${to}`];
}

/** The timeline in a sentence or two, for those who do not see it. */
export function describeView(
  shown: TimeRange,
  isWhole: boolean,
  playheadTime: number | undefined,
  status: CaptureStatus | undefined,
): string {
  const range = isWhole
    ? 'The whole capture is shown.'
    : `Shown is ${formatTime(Math.max(0, shown.from))} to ${formatTime(shown.to)}.`;
  const playhead = playheadTime === undefined ? '' : ` Playhead at ${formatTime(playheadTime)}.`;
  const verdict = status ? ` ${status.verdict.text}.` : '';
  return `${range}${playhead}${verdict}`;
}
