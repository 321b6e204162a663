import { SyncError } from '../errors/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { LinkId } from '../sync/index.ts';
import type { TraceBodyOf, TraceKind, TraceRecord } from '../trace/index.ts';
import type { CompactBatch } from './compact-inputs.ts';
import type { Input, InputOp } from './inputs.ts';
import type { Placed, Step } from './steps.ts';

/**
 * Steps of a recording that began in the midst of a session. Endpoints go on from where they said that they stand; what was done to one before that is not
 * known, and what it told before stands by itself.
 */

/** With these an endpoint begins to be known. */
const BEGINNINGS: readonly InputOp[] = ['authority', 'client', 'authorityStands', 'clientStands'];

/** What drivers, faults and observers of a session say beside its endpoints. */
const OTHERS: readonly TraceKind[] = ['operation', 'conflict', 'presence', 'fault'];

/** Whether a record is one that an authority or a client makes. */
export function isOfSession({ record }: Placed): boolean {
  return !OTHERS.includes(record.body.kind);
}

/**
 * The steps of a batch and of the records before it. Of a batch that tells of more than was recorded, the first of a capture, only what is whole is left.
 * @throws SyncError `REPLAY_INPUTS_DAMAGED`
 */
export function compactSteps(
  { entries, rest }: CompactBatch,
  records: readonly Placed[],
  { seq, time }: TraceRecord,
  isFirst: boolean,
): Step[] {
  const lengths = entries.map(({ free, count }) => free + count);
  let needed = rest + lengths.reduce((sum, one) => sum + one, 0);
  let first = 0;
  while (needed > records.length && first < entries.length) needed -= lengths[first++]!;
  if (first > 0 && !isFirst) {
    const text = `the inputs in record ${seq} speak of more records than the ${records.length} that are there`;
    throw new SyncError('REPLAY_INPUTS_DAMAGED', text, { origin: 'capture' });
  }
  let at = Math.max(0, records.length - needed);
  const steps = records.slice(0, at).map(alone);
  for (const { free, count, input } of entries.slice(first)) {
    steps.push(...records.slice(at, at + free).map(alone));
    const made = records.slice(at + free, at + free + count);
    at += free + count;
    steps.push({ input, records: made, time: made[0]?.record.time ?? Number.NaN });
  }
  return [...steps, ...records.slice(at).map(alone), { input: undefined, records: [], time }];
}

/** A record that nothing is known to have made. */
export function alone(placed: Placed): Step {
  return { input: undefined, records: [placed], time: placed.record.time };
}

export function isLive(steps: readonly Step[]): boolean {
  return steps.some(({ input }) => input?.op === 'authorityStands' || input?.op === 'clientStands');
}

/** Only what is done to endpoints that are known, with what they hold when they begin, and with the links of clients. */
export function liveSteps(steps: readonly Step[]): Step[] {
  const snapshots = new Map<ReplicaId, TraceBodyOf<'snapshot'>>();
  const known = new Set<ReplicaId>();
  const links = new Links(steps);
  const done: Step[] = [];
  for (const step of steps) {
    const { input, records } = step;
    for (const { record } of records) if (record.body.kind === 'snapshot') snapshots.set(record.replica, record.body);
    if (input === undefined) {
      if (records.length > 0) done.push(step);
      continue;
    }
    const snapshot = snapshots.get(input.replica);
    if (BEGINNINGS.includes(input.op) && isWhole(input, snapshot)) known.add(input.replica);
    if (!known.has(input.replica)) {
      done.push(...records.map(alone));
      continue;
    }
    const stands = input.op === 'authorityStands' || input.op === 'clientStands';
    done.push({ ...step, input: links.placed(input, records), ...(stands && snapshot ? { snapshot } : {}) });
  }
  return done;
}

/** Whether what an endpoint holds where it stands is in the capture, which may begin right behind it. */
function isWhole(input: Input, snapshot: TraceBodyOf<'snapshot'> | undefined): boolean {
  if (input.op === 'authorityStands') return snapshot?.version === input.standing.state.version;
  if (input.op !== 'clientStands') return true;
  const { version } = input.standing;
  return version === 0 || snapshot?.version === version;
}

/** A client that runs does not know the number of its link: the authority's, at which the HELLO of its connection came in. */
class Links {
  /** By sender and sequence of the HELLO. */
  readonly #greeted = new Map<string, LinkId>();
  readonly #current = new Map<ReplicaId, LinkId>();

  constructor(steps: readonly Step[]) {
    for (const { input, records } of steps) {
      if (input?.op !== 'arrival') continue;
      for (const { record } of records) {
        const { body } = record;
        if (body.kind === 'receive' && body.type === 'HELLO')
          this.#greeted.set(`${body.sender} ${body.sequence}`, input.link);
      }
    }
  }

  placed(input: Input, records: readonly Placed[]): Input {
    if (input.op === 'authorityStands') {
      for (const { id, client } of input.standing.links) if (client) this.#current.set(client.replica, id);
    }
    if (input.op === 'open') this.#opened(input.replica, records);
    if (input.op !== 'open' && input.op !== 'delivery') return input;
    return { ...input, link: this.#current.get(input.replica) ?? input.link };
  }

  #opened(replica: ReplicaId, records: readonly Placed[]): void {
    this.#current.delete(replica);
    for (const { record } of records) {
      const { body } = record;
      if (body.kind !== 'send' || body.type !== 'HELLO') continue;
      const link = this.#greeted.get(`${body.sender} ${body.sequence}`);
      if (link !== undefined) this.#current.set(replica, link);
    }
  }
}
