import type { CaptureIndex, ReplicaIndex } from './capture-index.ts';
import type { IntegerList } from './integer-list.ts';

/** The lists of an index by the names that they have in a file, those of replicas apart. */
export function commonLists(index: CaptureIndex): [string, IntegerList][] {
  const { roots, blocks, decided } = index;
  return [
    ['roots.versions', roots.versions],
    ['roots.high', roots.high],
    ['roots.low', roots.low],
    ['roots.positions', roots.positions],
    ['blocks.time', blocks.time],
    ['blocks.kinds', blocks.kinds],
    ...blocks.counts.map((list, group): [string, IntegerList] => [`blocks.count.${group}`, list]),
    ['blocks.lane.block', blocks.laneBlock],
    ['blocks.lane.replica', blocks.laneReplica],
    ['blocks.lane.count', blocks.laneCount],
    ['blocks.lane.kinds', blocks.laneKinds],
    ['blocks.lane.agreement', blocks.laneAgreement],
    ['markers.position', index.markerAt],
    ['markers.kind', index.markerKind],
    ['names', index.names],
    ['gaps', index.gaps],
    ['breaks.position', index.breakAt],
    ['breaks.seq', index.breakSeq],
    ['causes.position', index.extraAt],
    ['causes.cause', index.extraCause],
    ['changes.key', index.changedKeys],
    ['changes.position', index.changedAt],
    ['decided.position', decided.positions],
    ['decided.version', decided.versions],
    ['decided.writer', decided.writers],
    ['decided.counter', decided.counters],
  ];
}

export function replicaLists(number: number, replica: ReplicaIndex): [string, IntegerList][] {
  return [
    [`replica.${number}.states`, replica.states],
    [`replica.${number}.resets`, replica.resets],
    [`replica.${number}.rebases`, replica.rebases],
    [`replica.${number}.vectors`, replica.vectors],
    [`replica.${number}.turns.position`, replica.turns],
    [`replica.${number}.turns.agreement`, replica.turnsTo],
    [`replica.${number}.refusals`, replica.refusals],
  ];
}

export function allLists(index: CaptureIndex): [string, IntegerList][] {
  const own = index.replicas.flatMap((replica, number) => (replica ? replicaLists(number, replica) : []));
  return [...commonLists(index), ...own];
}

/** Lists that are searched while records are still taken, so that a recorder keeps all of them. */
export const SEARCHED_WHILE_GROWING: ReadonlySet<string> = new Set([
  'roots.versions',
  'roots.high',
  'roots.low',
  'roots.positions',
  'blocks.time',
  'breaks.position',
  'breaks.seq',
]);
