import type { Finding } from '@syncscope/protocol/diagnose';
import type { TraceRecord } from '@syncscope/protocol/trace';

type Records = readonly TraceRecord[];

export interface Part {
  readonly name: string;
  readonly records: Records;
}

/** Records around the first sign of a fault that a part begins, ends or lacks something at. */
const AROUND = 10;

/** What a capture may have of a session that was found to be wrong: cut, attached to late, with a gap, or without somebody. */
export function partsOf(records: Records, { cause, detected, replica, against }: Finding): Part[] {
  const [from, seen] = [cause.position, detected.position];
  const others = [...new Set(records.map((one) => one.replica))].filter((one) => one !== replica);
  return [
    ...withoutStart(records),
    { name: 'from between cause and sign', records: records.slice(Math.floor((from + seen + 1) / 2)) },
    { name: 'from the sign on', records: records.slice(seen) },
    { name: 'from right after the sign', records: records.slice(seen + 1) },
    { name: 'up to the sign', records: records.slice(0, seen + 1) },
    { name: 'up to soon after the sign', records: records.slice(0, seen + AROUND) },
    { name: 'with a gap over the cause', records: withGap(records, from - 5, Math.min(AROUND, seen - from + 4)) },
    { name: 'with a gap before the sign', records: withGap(records, seen - AROUND, AROUND - 2) },
    ...others.map((one) => ({
      name: `without ${one === against ? 'the other' : 'a third'}`,
      records: records.filter((other) => other.replica !== one),
    })),
    { name: 'of the replica alone', records: records.filter((one) => one.replica === replica) },
  ];
}

/** Parts of any session. */
export function withoutStart(records: Records): Part[] {
  const parts = [0.05, 0.2, 0.5, 0.8].map((part) => ({
    name: `from ${part} on`,
    records: records.slice(Math.floor(records.length * part)),
  }));
  const gaps = [0.1, 0.45, 0.8].flatMap((part) =>
    [3, 80].map((count) => ({
      name: `with a gap of ${count} at ${part}`,
      records: withGap(records, Math.floor(records.length * part), count),
    })),
  );
  const bare = records.map(({ wire: _, ...rest }) => rest);
  return [...parts, ...gaps, { name: 'without frames', records: bare }];
}

/** What clients record on their side: neither the authority's records, nor what it tells of them. */
export function ofClients(records: Records, authority: string): Part {
  const isOfAuthority = ({ replica, body }: TraceRecord) =>
    replica === authority || body.kind === 'view' || (body.kind === 'hash' && body.agrees !== undefined);
  return { name: 'of the clients alone', records: records.filter((one) => !isOfAuthority(one)) };
}

export function withoutOthers(records: Records): Part[] {
  const replicas = [...new Set(records.map(({ replica }) => replica))];
  const late = records.slice(Math.floor(records.length * 0.4));
  return replicas.flatMap((one) => [
    { name: `without ${one}`, records: records.filter(({ replica }) => replica !== one) },
    { name: `of ${one} alone`, records: records.filter(({ replica }) => replica === one) },
    { name: `late without ${one}`, records: late.filter(({ replica }) => replica !== one) },
  ]);
}

/** Records that were lost before they reached the capture, which says so. */
export function withGap(records: Records, from: number, count: number): Records {
  const first = Math.max(1, from);
  const lost = records[first];
  if (!lost || count < 1) return records;
  const { seq, time, replica } = lost;
  const gap = { seq, time, replica, cause: [], body: { kind: 'gap', count, reason: 'not kept up with' } } as const;
  return [...records.slice(0, first), gap, ...records.slice(first + count)];
}
