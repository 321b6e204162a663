import { AGREEMENT, type ReplicaStatus, type Verdict } from './query.ts';

/** A replica this far behind or slow is worth a word in the header. */
const LAG_VERSIONS = 10;
const SLOW_NANOSECONDS = 2_000_000_000;
const NANOSECONDS_PER_SECOND = 1_000_000_000;

/** The header's sentence over the state of all replicas: the worst thing first, and only that. */
export function verdictOf(replicas: readonly ReplicaStatus[], authority: string | null): Verdict {
  if (authority === null) return peersVerdict(replicas);
  return differenceOf(replicas) ?? refusalOf(replicas) ?? progressOf(replicas, authority);
}

/** Who differs first of all. */
function differenceOf(replicas: readonly ReplicaStatus[]): Verdict | undefined {
  const present = replicas.filter((one) => one.connection === 'connected');
  const differing = present
    .filter((one) => one.differs !== undefined)
    .sort((a, b) => a.differs!.position - b.differs!.position);
  const [first] = differing;
  if (!first) return undefined;
  const others = differing.length > 1 ? `, and ${differing.length - 1} more` : '';
  return {
    level: 'error',
    text: `${first.replica} differs since v${first.differs!.since}${others}`,
    position: first.differs!.position,
  };
}

/** Nobody differs: who refused a delta first, and waits for what it asked for. */
function refusalOf(replicas: readonly ReplicaStatus[]): Verdict | undefined {
  const asking = replicas
    .filter((one) => one.connection === 'connected' && one.refused !== undefined)
    .sort((a, b) => a.refused! - b.refused!);
  const [first] = asking;
  if (!first) return undefined;
  const others = asking.length > 1 ? `, and ${asking.length - 1} more` : '';
  const text = `${first.replica} refused a delta at v${first.version} and asks again${others}`;
  return { level: 'warning', text, position: first.refused! };
}

/** Nobody differs or asks again: who is slow, or how far all have got. */
function progressOf(replicas: readonly ReplicaStatus[], authority: string): Verdict {
  const present = replicas.filter((one) => one.connection === 'connected');
  const behind = present
    .filter((one) => one.lag >= LAG_VERSIONS || waitOf(one) >= SLOW_NANOSECONDS)
    .sort((a, b) => b.lag - a.lag || waitOf(b) - waitOf(a))[0];
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

/**
 * Peers, of whom none is right by itself: a cut comes first, then who was found to differ, then who lags; else how many are of one state. Where
 * each has a version of its own, only equal roots say that.
 */
function peersVerdict(replicas: readonly ReplicaStatus[]): Verdict {
  const present = replicas.filter((one) => one.connection === 'connected');
  const isKnown = present.filter((one) => one.root !== null);
  return differenceOf(replicas) ?? cutVerdict(present) ?? slowVerdict(present) ?? agreementOf(present.length, isKnown);
}

function cutVerdict(present: readonly ReplicaStatus[]): Verdict | undefined {
  const cut = present.filter((one) => one.cut !== undefined);
  const alone = cut.filter((one) => one.cut!.state === 'split');
  const [first] = alone.length > 0 ? alone : cut;
  if (!first) return undefined;
  const { state, since, position } = first.cut!;
  if (state === 'merging') {
    const bring = cut.length > 1 ? 'bring' : 'brings';
    return {
      level: 'warning',
      text: `${peerNames(cut)} ${bring} together what both sides did since v${since}`,
      position,
    };
  }
  if (state === 'split') {
    const are = alone.length > 1 ? 'are' : 'is';
    return { level: 'warning', text: `${peerNames(alone)} ${are} cut off since v${since} (minority)`, position };
  }
  return {
    level: 'warning',
    text: `${peerNames(cut)} ${cut.length > 1 ? 'do' : 'does'} not reach everybody since v${since} (majority)`,
    position,
  };
}

function slowVerdict(present: readonly ReplicaStatus[]): Verdict | undefined {
  const slow = present.filter((one) => one.lag >= LAG_VERSIONS).sort((a, b) => b.lag - a.lag)[0];
  return slow && { level: 'warning', text: behindText(slow) };
}

function agreementOf(count: number, known: readonly ReplicaStatus[]): Verdict {
  if (count === 0) return { level: 'quiet', text: 'no replica is connected here' };
  if (known.length < 2) return { level: 'quiet', text: `${peerCount(count)}, nothing to compare yet` };
  const unknown = count > known.length ? `, ${count - known.length} unknown` : '';
  const versions = new Set(known.map(({ version }) => version));
  const roots = new Set(known.map(({ root }) => root));
  const [version] = versions;
  if (roots.size === 1) {
    return {
      level: 'quiet',
      text: `${peerCount(known.length)} agree${versions.size === 1 ? ` at v${version}` : ''}${unknown}`,
    };
  }
  const isOnItsWay = known.every((one) => one.agreement === AGREEMENT.agrees);
  if (isOnItsWay) {
    return { level: 'quiet', text: `${peerCount(known.length)} agree at ${versionRange([...versions])}${unknown}` };
  }
  const most = Math.max(...[...roots].map((root) => known.filter((one) => one.root === root).length));
  return { level: 'quiet', text: `${most} of ${peerCount(known.length)} agree, the others are on their way${unknown}` };
}

/** `peer-4`, `peer-4 and peer-5`, `peer-3 and 2 more`. */
function peerNames(peers: readonly ReplicaStatus[]): string {
  const [first, second] = peers;
  if (!second) return String(first?.replica);
  return peers.length === 2
    ? `${first!.replica} and ${second.replica}`
    : `${first!.replica} and ${peers.length - 1} more`;
}

function peerCount(count: number): string {
  return `${count} peer${count === 1 ? '' : 's'}`;
}

/** Each agrees with the authority at its own version, which a delta on its way keeps from being the same for all. */
function agreementText(versions: readonly number[]): string {
  const newest = Math.max(...versions);
  if (versions.length === 1) return `1 replica is at v${newest}`;
  return `${replicaCount(versions.length)} agree at ${versionRange(versions)}`;
}

/** `v31`, or `v29–v31` where not all have got to the newest. */
function versionRange(versions: readonly number[]): string {
  const [oldest, newest] = [Math.min(...versions), Math.max(...versions)];
  return oldest === newest ? `v${newest}` : `v${oldest}–v${newest}`;
}

/** How long a replica has lacked something: a version that there is, or an answer. */
function waitOf({ lag, behindFor, oldestPending }: ReplicaStatus): number {
  return Math.max(lag > 0 ? behindFor : 0, oldestPending);
}

function behindText(status: ReplicaStatus): string {
  const oldest = Math.floor(status.oldestPending / NANOSECONDS_PER_SECOND);
  const pending = oldest >= 1 ? `oldest pending ${oldest} s` : '';
  if (status.lag < 1) return `${status.replica} waits for an answer, ${pending}`;
  const since = Math.floor(status.behindFor / NANOSECONDS_PER_SECOND);
  const duration = since >= 1 ? ` for ${since} s` : '';
  const lag = `${status.replica} is ${status.lag} version${status.lag === 1 ? '' : 's'} behind${duration}`;
  return pending ? `${lag}, ${pending}` : lag;
}

function replicaCount(count: number): string {
  return `${count} replica${count === 1 ? '' : 's'}`;
}
