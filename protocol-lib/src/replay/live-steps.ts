import { SyncError } from '../errors/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { LinkId } from '../sync/index.ts';
import type { TraceBodyOf, TraceKind, TraceRecord } from '../trace/index.ts';
import type { CompactBatch } from './compact-inputs.ts';
import type { Input, InputOp } from './inputs.ts';
import type { NotRun } from './left-out.ts';
import type { Placed, Step } from './steps.ts';

/**
 * Steps of a recording that began in the midst of a session. Endpoints go on from where they said that they stand; what was done to one before that is not
 * known, and what it told before stands by itself.
 */

/** With these an endpoint begins to be known. */
const BEGINNINGS: readonly InputOp[] = ['authority', 'client', 'authorityStands', 'clientStands', 'deviceStands'];
/** With these, it goes on from what its last snapshot holds. */
const STANDINGS: readonly InputOp[] = ['authorityStands', 'clientStands', 'deviceStands'];

/** What drivers, faults and observers of a session say beside its endpoints. */
const OTHERS: readonly TraceKind[] = ['operation', 'conflict', 'presence', 'fault'];

/** Whether a record is one that an authority or a client makes. */
export function isOfSession({ record }: Placed): boolean {
  return !OTHERS.includes(record.body.kind);
}

/**
 * The steps of a batch and of the records before it. Of a batch that tells of more than was recorded – the first of a capture, or behind
 * records that are missing – only what is whole is left.
 * @throws SyncError `REPLAY_INPUTS_DAMAGED`
 */
export function compactSteps(
  { entries, rest }: CompactBatch,
  records: readonly Placed[],
  { seq, time }: TraceRecord,
  isFirst: boolean,
): Step[] {
  let needed = rest;
  let first = entries.length;
  for (; first > 0 && needed <= records.length; first--) {
    const { free, count } = entries[first - 1]!;
    if (needed + count > records.length) break;
    needed += free + count;
  }
  const cut = Math.max(0, needed - records.length);
  if ((first > 0 || cut > 0) && !isFirst) {
    const text = `the inputs in record ${seq} speak of more records than the ${records.length} that are there`;
    throw new SyncError('REPLAY_INPUTS_DAMAGED', text, { origin: 'capture' });
  }
  let at = Math.max(0, records.length - needed);
  const steps = records.slice(0, at).map(alone);
  for (const [index, { free, count, input }] of entries.slice(first).entries()) {
    // Of the first, what came before it may be cut off.
    const there = index === 0 ? free - cut : free;
    steps.push(...records.slice(at, at + there).map(alone));
    const made = records.slice(at + there, at + there + count);
    at += there + count;
    steps.push({ input, records: made, time: made[0]?.record.time ?? Number.NaN });
  }
  return [...steps, ...records.slice(at).map(alone), { input: undefined, records: [], time }];
}

/** A record that nothing is known to have made. */
export function alone(placed: Placed): Step {
  return { input: undefined, records: [placed], time: placed.record.time };
}

export function isLive(steps: readonly Step[]): boolean {
  return steps.some(({ input }) => input && STANDINGS.includes(input.op));
}

/** A step that is not run; its records stand alone. */
export function leftOut({ records, time }: Step, notRun: NotRun): Step[] {
  if (records.length === 0) return [{ input: undefined, records, time, notRun }];
  return records.map((one) => ({ ...alone(one), notRun }));
}

/** What is done to endpoints that are known, with what they hold when they begin, and with the links of clients; of others, why it is not run. */
export function liveSteps(steps: readonly Step[]): Step[] {
  const snapshots = new Map<ReplicaId, TraceBodyOf<'snapshot'>>();
  const known = new Set<ReplicaId>();
  /** Why those that tell of inputs are not known. */
  const unknown = new Map<ReplicaId, NotRun>();
  const links = new Links(steps);
  const done: Step[] = [];
  for (const step of steps) {
    const { input, records } = step;
    for (const { record } of records) if (record.body.kind === 'snapshot') snapshots.set(record.replica, record.body);
    if (input === undefined) {
      if (step.isCut) {
        for (const replica of known) unknown.set(replica, { replica, why: 'gap' });
        known.clear();
      }
      if (records.length > 0 || step.isCut) done.push(step);
      continue;
    }
    const { replica } = input;
    const snapshot = snapshots.get(replica);
    if (BEGINNINGS.includes(input.op)) {
      const unfit = whyUnfit(input, snapshot);
      if (unfit === undefined) known.add(replica);
      else if (!known.has(replica)) unknown.set(replica, { replica, why: 'standing-unfit', detail: unfit });
    }
    if (!known.has(replica)) {
      done.push(...leftOut(step, unknown.get(replica) ?? { replica, why: 'no-standing' }));
      continue;
    }
    const stands = STANDINGS.includes(input.op);
    done.push({ ...step, input: links.placed(input, records), ...(stands && snapshot ? { snapshot } : {}) });
  }
  return done;
}

/** Why an endpoint cannot go on from where it stands: a capture may begin right behind what it held there. */
function whyUnfit(input: Input, snapshot: TraceBodyOf<'snapshot'> | undefined): string | undefined {
  if (input.op !== 'authorityStands' && input.op !== 'clientStands' && input.op !== 'deviceStands') return undefined;
  const version = input.op === 'authorityStands' ? input.standing.state.version : input.standing.version;
  const isEmpty = input.op === 'clientStands' && version === 0;
  if (isEmpty || snapshot?.version === version) return undefined;
  const there = snapshot ? `is that of version ${snapshot.version}` : 'is not in the capture';
  return `at version ${version}, and the state before it ${there}`;
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
    if (input.op === 'arrival') this.#greets(input.link, records);
    if (input.op !== 'open' && input.op !== 'delivery') return input;
    return { ...input, link: this.#current.get(input.replica) ?? input.link };
  }

  /** One who opened before the recording began is not known by its link before its HELLO comes in. */
  #greets(link: LinkId, records: readonly Placed[]): void {
    for (const { record } of records) {
      const { body } = record;
      if (body.kind !== 'receive' || body.type !== 'HELLO' || this.#current.has(body.sender)) continue;
      this.#current.set(body.sender, link);
    }
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
