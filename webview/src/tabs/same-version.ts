import type { CaptureQuery, StateAt } from '@syncscope/protocol/capture';
import type { ReplicaId, Version } from '@syncscope/protocol/state';
import { findRows } from '../app/rows.ts';

/** Two states to compare. */
export interface Pair {
  readonly left: StateAt;
  readonly right: StateAt;
  /** Set where one of the two is taken from earlier, when it was at the version that the other is at. */
  readonly aligned?: { readonly replica: ReplicaId; readonly from: Version; readonly to: Version };
}

const STATE_KINDS = 'commit|apply|snapshot|repair';

/**
 * Both replicas at one version at or before a position: the one that is ahead is taken back to the last moment at the
 * other's version, so that what differs is not what is merely on its way. As they are where the capture does not have
 * that moment.
 */
export async function pairAtSameVersion(
  query: CaptureQuery,
  left: ReplicaId,
  right: ReplicaId,
  position: number,
  signal?: AbortSignal,
): Promise<Pair> {
  const asIs: Pair = { left: { replica: left, position }, right: { replica: right, position } };
  const { replicas } = await query.status(position);
  const versionOf = (replica: ReplicaId): Version | undefined =>
    replicas.find((one) => one.replica === replica)?.version;
  const [a, b] = [versionOf(left), versionOf(right)];
  if (a === undefined || b === undefined || a === b) return asIs;
  const [ahead, from, to] = a > b ? [left, a, b] : [right, b, a];
  const filter = `who:${ahead} kind:${STATE_KINDS} version:${to + 1}..${from}`;
  const [next] = await findRows(query, filter, 0, 1, signal);
  if (!next || next.position > position) return asIs;
  const earlier: StateAt = { replica: ahead, position: next.position - 1 };
  const there = (await query.status(earlier.position)).replicas.find((one) => one.replica === ahead)?.version;
  if (there !== to) return asIs;
  return { ...asIs, [ahead === left ? 'left' : 'right']: earlier, aligned: { replica: ahead, from, to } };
}

/**
 * Whom to compare a replica with: what it is held against. Where that is what it held itself, as in a group without an authority, another
 * one that is at its version and does not differ, or else one that does not differ. Itself where it is alone.
 */
export async function peerToCompare(
  query: Pick<CaptureQuery, 'status'>,
  { replica, against }: { readonly replica: ReplicaId; readonly against: ReplicaId },
  position: number,
): Promise<ReplicaId> {
  if (against !== replica) return against;
  const { replicas } = await query.status(position);
  const own = replicas.find((one) => one.replica === replica);
  const others = replicas.filter((one) => one.replica !== replica);
  const sound = others.filter((one) => one.differs === undefined);
  const peer = sound.find((one) => one.version === own?.version) ?? sound[0] ?? others[0];
  return peer?.replica ?? replica;
}
