import { isSyncError } from '../../errors/index.ts';
import type { TraceKind } from '../../trace/index.ts';
import type { OpenCapture } from '../engine.ts';
import { combinedFilter } from '../filter-syntax.ts';
import type { CaptureMaker } from './made-capture.ts';
import { passing } from './passing.ts';

/** What every capture needs to be read: who is there, names, states. */
const NEEDED: ReadonlySet<TraceKind> = new Set([
  'replica',
  'gone',
  'names',
  'commit',
  'apply',
  'snapshot',
  'mismatch',
  'divergence',
  'repair',
  'view',
  'gap',
]);

export interface FilterOptions {
  /** Leaves out what does not pass even where states can then not be shown. */
  readonly isStrict?: boolean;
}

export interface Rewritten {
  readonly kept: number;
  readonly left: number;
}

/** Writes the records that pass a filter, and those that states, names and replicas need. Causes that are left out are passed over. */
export async function filterCapture(
  capture: OpenCapture,
  filter: string,
  maker: CaptureMaker,
  { isStrict = false }: FilterOptions = {},
): Promise<Rewritten> {
  const { records } = await capture.info();
  const all = isStrict ? filter : combinedFilter(filter, 'or', `kind:${[...NEEDED].join('|')}`);
  const numbers = new Map<number, number>();
  for await (const { record } of passing(capture, all)) {
    const { seq, replica, time, body, cause, wire, source } = record;
    const kept = cause.flatMap((one) => numbers.get(one) ?? []);
    numbers.set(seq, await maker.add(replica, time, body, kept, wire, source));
  }
  return { kept: maker.records, left: records - maker.records };
}

export interface Recovered {
  readonly kept: number;
  /** Records that could not be read, by the numbers that are missing. */
  readonly lost: readonly { readonly from: number; readonly to: number }[];
  /** What the reader says of the damage. */
  readonly why: readonly string[];
}

/** Writes everything that can be read of a damaged capture; a `gap` with their count stands for records that cannot. */
export async function recoverCapture(capture: OpenCapture, maker: CaptureMaker): Promise<Recovered> {
  const { records, cut } = await capture.info();
  const lost: { from: number; to: number }[] = [];
  const why = new Set(cut ? [cut.message] : []);
  const numbers = new Map<number, number>();
  let last = 0;
  for (let position = 0; position < records; position++) {
    try {
      for await (const { record } of capture.trace(position, position + 1)) {
        const { seq, replica, time, body, cause, wire, source } = record;
        if (seq > last + 1 && (last > 0 || cut !== undefined)) {
          const gap = { from: last + 1, to: seq - 1 };
          lost.push(gap);
          const reason = 'they could not be read from a damaged capture';
          await maker.add(replica, time, { kind: 'gap', count: gap.to - gap.from + 1, reason });
        }
        last = seq;
        const causes = cause.flatMap((one) => numbers.get(one) ?? []);
        numbers.set(seq, await maker.add(replica, time, body, causes, wire, source));
      }
    } catch (error) {
      if (!isSyncError(error)) throw error;
      why.add(`${error.code}: ${error.message}`);
    }
  }
  return { kept: numbers.size, lost, why: [...why] };
}
