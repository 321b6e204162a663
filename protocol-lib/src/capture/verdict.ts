import { AGREEMENT, type ReplicaStatus, type Verdict } from './query.ts';

/** A replica this far behind or slow is worth a word in the header. */
const LAG_VERSIONS = 10;
const PENDING_NANOSECONDS = 2_000_000_000;
const NANOSECONDS_PER_SECOND = 1_000_000_000;

/** The header's sentence over the state of all replicas: the worst thing first, and only that. */
export function verdictOf(replicas: readonly ReplicaStatus[], authority: string | null): Verdict {
  const present = replicas.filter((one) => one.connection === 'connected');
  const differing = present
    .filter((one) => one.differs !== undefined)
    .sort((a, b) => a.differs!.position - b.differs!.position);
  if (differing.length > 0) {
    const first = differing[0]!;
    const others = differing.length > 1 ? `, and ${differing.length - 1} more` : '';
    return {
      level: 'error',
      text: `${first.replica} differs since v${first.differs!.since}${others}`,
      position: first.differs!.position,
    };
  }
  const behind = present
    .filter((one) => one.lag >= LAG_VERSIONS || one.oldestPending >= PENDING_NANOSECONDS)
    .sort((a, b) => b.lag - a.lag || b.oldestPending - a.oldestPending)[0];
  if (behind) return { level: 'warning', text: behindText(behind) };
  if (present.length === 0) return { level: 'quiet', text: 'no replica is connected here' };
  const unknown = present.filter((one) => one.agreement === AGREEMENT.unknown && one.replica !== authority);
  const agreeing = present.length - unknown.length;
  if (unknown.length > 0 && agreeing <= 1) {
    return { level: 'quiet', text: `${replicaCount(present.length)}, nothing to compare yet` };
  }
  const caveat = unknown.length > 0 ? `, ${unknown.length} unknown` : '';
  const versions = present.filter((one) => !unknown.includes(one)).map((one) => one.version);
  return { level: 'quiet', text: `${agreementText(versions)}${caveat}` };
}

/** Each agrees with the authority at its own version, which a delta on its way keeps from being the same for all. */
function agreementText(versions: readonly number[]): string {
  const newest = Math.max(...versions);
  if (versions.length === 1) return `1 replica is at v${newest}`;
  const isSame = versions.every((version) => version === newest);
  return `${replicaCount(versions.length)} agree${isSame ? ' at' : ', up to'} v${newest}`;
}

function behindText(status: ReplicaStatus): string {
  const oldest = Math.floor(status.oldestPending / NANOSECONDS_PER_SECOND);
  const pending = oldest >= 1 ? `oldest pending ${oldest} s` : '';
  if (status.lag < 1) return `${status.replica} waits for an answer, ${pending}`;
  const lag = `${status.replica} is ${status.lag} version${status.lag === 1 ? '' : 's'} behind`;
  return pending ? `${lag}, ${pending}` : lag;
}

function replicaCount(count: number): string {
  return `${count} replica${count === 1 ? '' : 's'}`;
}
