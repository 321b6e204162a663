import type { ReplicaId } from '../state/index.ts';
import type { TraceKind, TraceRecord } from '../trace/index.ts';
import { INPUTS_LEFT_OUT } from './batches.ts';
import type { InputOp } from './inputs.ts';
import type { Step } from './steps.ts';

/**
 * Why records of somebody were not compared.
 * - `before`: it was run from where it first says that it stands; they come before.
 * - `behind`: they come behind the last input that the capture has, which a recorded server writes ten times a second.
 * - `elsewhere`: it only connected: what its own side did is not in this capture.
 * - `no-inputs`: nothing says what was done to it.
 * - `no-standing`: the capture has inputs of it, and neither its beginning nor where it stood.
 * - `standing-unfit`: it says where it stands, and the state that it had there is not in the capture.
 * - `leans-on-before`: it began with what the process before it had kept, which is not in the capture.
 * - `needs-definition`: what it did follows from the app's own code, which is not at hand.
 * - `redacted`: from somewhere on, inputs were left out, since they may hold a secret.
 * - `gap`: records are missing before, and it has not said since where it stands.
 * - `unmade`: it was run, and no input of it has made them.
 */
export type LeftOutReason =
  | 'before'
  | 'behind'
  | 'elsewhere'
  | 'no-inputs'
  | 'no-standing'
  | 'standing-unfit'
  | 'leans-on-before'
  | 'needs-definition'
  | 'redacted'
  | 'gap'
  | 'unmade';

/** What was recorded of an endpoint and is no part of what was run again. */
export interface LeftOut {
  readonly replica: ReplicaId;
  readonly why: LeftOutReason;
  /** Records, and the `seq` of the first and the last; 0 where only inputs are known of it. */
  readonly records: number;
  readonly first: number;
  readonly last: number;
  readonly sentence: string;
}

/** Why a step is not run, where it is known as the steps are read. */
export interface NotRun {
  readonly replica: ReplicaId;
  readonly why: 'no-standing' | 'standing-unfit' | 'leans-on-before' | 'needs-definition' | 'gap';
  /** What is to be said of it beside that. */
  readonly detail?: string;
}

/** With these, what is left out is at the edges of what a capture knows; all else is in the midst of it. */
const EDGES: readonly LeftOutReason[] = ['before', 'behind', 'elsewhere'];

export function isAtEdge({ why }: LeftOut): boolean {
  return EDGES.includes(why);
}

/** With these an endpoint begins, or says where it is. */
const BEGINNINGS: readonly InputOp[] = [
  'authority',
  'client',
  'node',
  'authorityStands',
  'clientStands',
  'nodeStands',
  'deviceStands',
];

export function isBeginningOp(op: InputOp): boolean {
  return BEGINNINGS.includes(op);
}

/** What drivers, faults and observers of a session say beside its endpoints: no state machine makes it. */
const BESIDE: readonly TraceKind[] = ['operation', 'conflict', 'presence', 'fault', 'log', 'replica', 'gap'];

/** Whether a record is one that no endpoint makes. */
export function isBeside({ body }: TraceRecord): boolean {
  return BESIDE.includes(body.kind);
}

/** What an endpoint says of itself where somebody begins to listen. */
const DESCRIBING: readonly TraceKind[] = [
  'names',
  'snapshot',
  'vector',
  'hash',
  'rebase',
  'health',
  'view',
  'partition',
];

/** Whether a record of this kind may be what an endpoint says of itself where somebody begins to listen. */
export function isDescribing(kind: TraceKind): boolean {
  return kind === 'replica' || DESCRIBING.includes(kind);
}

/** What was left out, and how many records say what no endpoint does: faults, presence, and lines for whoever reads. */
export interface Account {
  readonly leftOut: readonly LeftOut[];
  readonly beside: number;
}

/** Accounts for every record of the steps that nothing is run for, from position `from` to `to`. */
export function accountOf(steps: readonly Step[], from = 0, to = Number.POSITIVE_INFINITY): Account {
  const accounting = new Accounting(steps);
  for (const [at, step] of steps.entries()) {
    const [first] = step.records;
    if (first && first.position > to) break;
    accounting.take(at, step, from);
  }
  return accounting.end();
}

class Accounting {
  /** The step at which somebody begins to be run for the last time, and the last of all inputs. */
  readonly #begins = new Map<ReplicaId, number>();
  readonly #lastInput: number;
  readonly #running = new Set<ReplicaId>();
  readonly #ran = new Set<ReplicaId>();
  readonly #introduced = new Set<ReplicaId>();
  /** Something was done to them where it is not known where they stood. */
  readonly #unstood = new Set<ReplicaId>();
  readonly #left = new Map<string, LeftOut>();
  /** Records of who is not run yet, since it was introduced: where it then says that it stands, they are its description. */
  readonly #descriptions = new Map<ReplicaId, TraceRecord[]>();
  #beside = 0;
  #authority: ReplicaId | undefined;
  /** Whether inputs were left out on purpose by now. */
  #isRedacted = false;

  constructor(steps: readonly Step[]) {
    this.#lastInput = steps.findLastIndex(({ input }) => input !== undefined);
    for (const [at, { input }] of steps.entries()) {
      if (input && isBeginningOp(input.op)) this.#begins.set(input.replica, at);
    }
  }

  take(at: number, { input, records, notRun, isCut, isPreface }: Step, from: number): void {
    // A number that was drawn is for the next input of its node, which may be one that is not run yet.
    if (isPreface || input?.op === 'drawn') return;
    if (isCut) {
      for (const replica of this.#descriptions.keys()) this.#settle(replica, at);
      this.#running.clear();
    }
    if (input) {
      if (input.op === 'authority' || input.op === 'authorityStands') this.#authority = input.replica;
      if (!this.#running.has(input.replica)) this.#described(input.replica, at);
      this.#running.add(input.replica);
      this.#ran.add(input.replica);
      for (const { record } of records) if (record.body.kind === 'replica') this.#introduced.add(record.replica);
      return;
    }
    const isKnownWhy = notRun !== undefined && notRun.why !== 'no-standing' && notRun.why !== 'gap';
    if (notRun && !isKnownWhy) this.#unstood.add(notRun.replica);
    if (isKnownWhy && records.length === 0) this.#note(notRun.replica, notRun.why, undefined, notRun.detail);
    for (const { position, record } of records) {
      if (position < from) continue;
      if (isKnownWhy) this.#note(notRun.replica, notRun.why, record, notRun.detail);
      else this.#free(at, record);
    }
  }

  /** A record that is of no input. */
  #free(at: number, record: TraceRecord): void {
    const { body } = record;
    const replica = this.#makerOf(record);
    if (body.kind === 'replica') {
      this.#introduced.add(replica);
      if (body.role === 'server') this.#authority = replica;
      this.#settle(replica, at);
      // What it says next of itself is of where it is now.
      this.#running.delete(replica);
      return;
    }
    if (isBeside(record)) {
      this.#beside++;
      if (body.kind === 'log' && body.text === INPUTS_LEFT_OUT) this.#isRedacted = true;
      return;
    }
    if (this.#running.has(replica)) {
      const behind = this.#isRedacted ? 'redacted' : 'behind';
      this.#note(replica, at > this.#lastInput ? behind : 'unmade', record);
      return;
    }
    const waiting = this.#descriptions.get(replica);
    if (waiting) waiting.push(record);
    else this.#descriptions.set(replica, [record]);
  }

  /** What an authority says of a client stands under that one's name. */
  #makerOf({ replica, body }: TraceRecord): ReplicaId {
    const isOfAuthority = body.kind === 'view' || body.kind === 'gone' || (body.kind === 'hash' && body.reference);
    return isOfAuthority ? (this.#authority ?? replica) : replica;
  }

  /** Somebody begins to be run: what it said first of where it is, is where it begins. */
  #described(replica: ReplicaId, at: number): void {
    const records = this.#descriptions.get(replica) ?? [];
    const own = records.findIndex(({ body }) => !DESCRIBING.includes(body.kind));
    this.#descriptions.set(replica, own < 0 ? [] : records.slice(own));
    this.#settle(replica, at);
  }

  /** What waited was no description of where somebody stands. */
  #settle(replica: ReplicaId, at: number): void {
    const records = this.#descriptions.get(replica);
    this.#descriptions.delete(replica);
    for (const record of records ?? []) this.#note(replica, this.#whyNotRunning(replica, at), record);
  }

  #whyNotRunning(replica: ReplicaId, at: number): LeftOutReason {
    if (this.#ran.has(replica)) return 'gap';
    if ((this.#begins.get(replica) ?? -1) >= at) return 'before';
    return this.#unstood.has(replica) ? 'no-standing' : 'no-inputs';
  }

  #note(replica: ReplicaId, why: LeftOutReason, record: TraceRecord | undefined, detail?: string): void {
    const name = `${why} ${replica}`;
    const seq = record?.seq ?? 0;
    const known = this.#left.get(name);
    const records = (known?.records ?? 0) + (record ? 1 : 0);
    const first = known?.first || seq;
    const sentence = sentenceOf(replica, why, detail);
    this.#left.set(name, { replica, why, records, first, last: seq || (known?.last ?? 0), sentence });
  }

  /** Of who was not run at all, what it made beside its inputs has the same reason as these. */
  #joinReasons(): void {
    for (const one of this.#left.values()) {
      const plain = this.#left.get(`no-inputs ${one.replica}`);
      if (!plain || plain === one || this.#ran.has(one.replica)) continue;
      this.#left.delete(`no-inputs ${one.replica}`);
      const first = one.first === 0 ? plain.first : Math.min(one.first, plain.first);
      const whole = { records: one.records + plain.records, first, last: Math.max(one.last, plain.last) };
      this.#left.set(`${one.why} ${one.replica}`, { ...one, ...whole });
    }
  }

  end(): Account {
    for (const replica of [...this.#descriptions.keys()]) this.#settle(replica, Number.POSITIVE_INFINITY);
    const named = new Set([...this.#left.values()].map(({ replica }) => replica));
    for (const replica of [...this.#unstood, ...this.#introduced]) {
      if (this.#ran.has(replica) || named.has(replica)) continue;
      named.add(replica);
      this.#note(replica, this.#unstood.has(replica) ? 'no-standing' : 'elsewhere', undefined);
    }
    this.#joinReasons();
    const leftOut = [...this.#left.values()].sort((a, b) => a.first - b.first || (a.replica < b.replica ? -1 : 1));
    return { leftOut, beside: this.#beside };
  }
}

function sentenceOf(replica: ReplicaId, why: LeftOutReason, detail = ''): string {
  switch (why) {
    case 'before':
      return `${replica} was run from where it first says that it stands`;
    case 'behind':
      return `${replica} did more after the last inputs that the capture has`;
    case 'elsewhere':
      return `${replica} ran elsewhere: what its own side did is not in this capture`;
    case 'no-inputs':
      return `${replica} was not run: nothing says what was done to it`;
    case 'no-standing':
      return `${replica} was not run: the capture has neither its beginning nor where it stood`;
    case 'standing-unfit':
      return `${replica} was not run: it stands ${detail}`;
    case 'leans-on-before':
      return `${replica} was not run: it began with what the process before it had kept, which is not in the capture`;
    case 'needs-definition':
      return `${replica} was not run: what it does follows from the app's own code, so give the definition${detail}`;
    case 'redacted':
      return `${replica} did more behind the place from which on inputs were left out, since they may hold a secret`;
    case 'gap':
      return `${replica} was not run behind records that are missing, until it says again where it stands`;
    case 'unmade':
      return `${replica} made records that none of its inputs has made when they were recorded`;
  }
}
