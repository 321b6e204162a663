import { canonicalBytes, hashBytes } from '../bytes/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import type {
  IdMapping,
  OfflineMutation,
  ReconcileAnswer,
  ReconcileConflict,
  ReconcileRequest,
  RejectionCode,
  Touched,
} from '../messages/index.ts';
import { fitText } from '../schema/index.ts';
import type { RecordKey, ReplicaId, Value } from '../state/index.ts';
import { type FieldGroup, isSendable, type PostedAuthority } from '../sync/index.ts';
import { closedTap, type Tap } from '../trace/index.ts';
import {
  type ConflictDecision,
  type ConflictPolicy,
  findConflicts,
  lastWriteWins,
  type WriteConflict,
} from './conflicts.ts';
import { NO_REFERENCES, type References, referencesIn, renameInArgs, renameTouched } from './references.ts';
import { type AssignId, assignKey, IdMap, parseTemporary, readableId } from './temp-ids.ts';

export interface ReconcilerOptions {
  /** `SyncManager.posted` of the authority. */
  readonly authority: PostedAuthority;
  readonly references?: References;
  /** {@link readableId} where absent. Must answer the same for ever. */
  readonly assign?: AssignId;
  /** {@link lastWriteWins} for every record where absent. */
  readonly policyOf?: (key: RecordKey) => ConflictPolicy;
  /**
   * The command that writes records as a policy has merged them, and its arguments; without it a merge is refused as a conflict. It runs as the
   * device's own and must check what it is given: what the device meant a record to be is only the device's word.
   */
  readonly writeMerged?: {
    readonly command: string;
    /** `records` as they are to be, conflicts that wait for a human included; `sides` as the device saw them and meant them. */
    args(records: readonly Touched[], sides: Pick<OfflineMutation, 'base' | 'mine'>): Value;
  };
  /** As the session's definition has them: who changed one field of a group is in conflict with who changed another. */
  readonly groups?: readonly FieldGroup[];
  /** Records which commands merge by themselves, such as those of a CRDT: they are in no conflict. */
  readonly mergesItself?: (key: RecordKey) => boolean;
  readonly tap?: Tap;
  /** Settled mutations of each device of which the body is remembered, for telling one that comes again from another under its name. */
  readonly remembered?: number;
  /** Devices of which anything is remembered. */
  readonly maxDevices?: number;
}

/** What is remembered of a settled mutation. */
interface Remembered {
  readonly body: string;
  readonly version: number;
  readonly rejection: RejectionCode | undefined;
  readonly reason: string | undefined;
  readonly conflicts: readonly ReconcileConflict[];
  /** Whether the trace has its conflicts: not before its end is durable, since until then it may come to nothing. */
  readonly isTold: boolean;
  /** `seq` of what made its conflicts happen. */
  readonly cause: readonly number[];
}

const REMEMBERED = 1_024;
const MAX_DEVICES = 10_000;

/**
 * The authority's side of the way back from being offline. A mutation is named by its device and counter and settled once, for
 * ever: what comes again is answered and not carried out. A request is answered whole or refused whole.
 */
export class Reconciler {
  readonly #authority: PostedAuthority;
  readonly #options: ReconcilerOptions;
  readonly #references: References;
  readonly #assign: AssignId;
  readonly #tap: Tap;
  readonly #devices = new Map<ReplicaId, Map<number, Remembered>>();

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#authority = options.authority;
    this.#references = options.references ?? NO_REFERENCES;
    this.#assign = options.assign ?? readableId;
    this.#tap = options.tap ?? closedTap;
  }

  /**
   * Settles what a device did while it was away. `request` has passed `reconcileRequestSchema`, and the device is who it says it is: the caller
   * has seen to that. Undefined where the log has not made everything durable yet: ask again with the same request once it has.
   *
   * @throws SyncError `SESSION_UNKNOWN`; `REPLICA_TAKEN`; `SERVER_FULL`, `LOG_BEHIND` (later); `CHECKPOINT_FROM_FUTURE` where the device holds a
   *   state that this authority never made; `RECONCILE_GAP` where a mutation is missing; `RECONCILE_INVALID`. Nothing is settled then.
   */
  handle(request: ReconcileRequest, now: number): ReconcileAnswer | undefined {
    const authority = this.#authority;
    authority.follow(now);
    // What was remembered of these never came to be.
    for (const { writer, counter } of authority.takeReturned()) this.#devices.get(writer)?.delete(counter);
    this.#check(request);
    const { device, settled, acknowledged, mutations } = request;
    // An authority that has lost what it knew of this writer takes up where the writer is.
    authority.adopt(device, settled, acknowledged.version, now);
    this.#forget(device, settled);
    const run = new Run(request, this.#references, this.#assign, this.#came(request));
    for (const mutation of mutations) {
      if (mutation.counter <= authority.decided(device)) this.#answerAgain(run, mutation);
      else this.#settle(run, mutation, now);
      this.#tell(device, mutation.counter);
    }
    const last = mutations.at(-1)?.counter ?? settled;
    if (authority.settled(device) < last) return undefined;
    return { ...run.answer, settled: authority.settled(device), ...this.#stateSince(request) };
  }

  #check({ session, device, settled, acknowledged, mutations }: ReconcileRequest): void {
    const authority = this.#authority;
    const fail = (code: string, message: string, retry: 'never' | 'backoff' = 'never'): never => {
      throw new SyncError(code, message, { origin: 'protocol', retry });
    };
    if (session !== authority.session) fail('SESSION_UNKNOWN', `this is session ${JSON.stringify(authority.session)}`);
    switch (authority.admission(device)) {
      case 'authority':
        fail('REPLICA_TAKEN', `${device} is the authority's name`);
        break;
      case 'full':
        fail('SERVER_FULL', 'the session has as many writers as it takes', 'backoff');
        break;
      case 'behind':
        fail('LOG_BEHIND', 'too much waits for the log: send it again later', 'backoff');
        break;
      case 'admitted':
    }
    const { version } = authority.point;
    if (acknowledged.version > version) {
      const text = `${device} holds version ${acknowledged.version}, this authority has made ${version}: it has lost some, or is another`;
      fail('CHECKPOINT_FROM_FUTURE', `${text}; give up the device's copy of the state and start from a snapshot`);
    }
    mutations.forEach(({ counter, command, args, creates }, index) => {
      if (!isSendable(command, args)) fail('RECONCILE_INVALID', `mutation ${counter}: no device makes such arguments`);
      const expected = settled + 1 + index;
      if (counter !== expected) fail('RECONCILE_GAP', `mutation ${expected} of ${device} is missing before ${counter}`);
      const stranger = creates.find((key) => parseTemporary(key)?.device !== device);
      if (stranger !== undefined)
        fail(
          'RECONCILE_INVALID',
          `mutation ${counter}: ${JSON.stringify(stranger.slice(0, 80))} is no temporary key of ${device}`,
        );
      for (const key of creates) assignKey(key, this.#assign);
    });
  }

  // — one mutation —

  #answerAgain(run: Run, mutation: OfflineMutation): void {
    const { device } = run.request;
    const { counter } = mutation;
    const before = this.#devices.get(device)?.get(counter);
    const version = before?.version ?? this.#authority.point.version;
    if (before && before.body !== run.bodyOf(mutation)) {
      const reason = `mutation ${counter} of ${device} was settled before with another body: two devices may have one name`;
      run.reject(mutation, 'key-reused', reason, version);
      this.#log(reason);
      return;
    }
    const reason = before ? before.reason : this.#authority.refusal({ writer: device, counter });
    if (reason === undefined) run.apply(mutation, version, true);
    else run.reject(mutation, before?.rejection ?? 'refused', reason, version);
    run.answer.conflicts.push(...(before?.conflicts ?? []));
  }

  #settle(run: Run, mutation: OfflineMutation, now: number): void {
    const { device } = run.request;
    const { counter, command, madeOn } = mutation;
    const id = { writer: device, counter };
    const refuse = (code: RejectionCode, text: string, conflicts: ReconcileConflict[] = []): void => {
      const reason = fitText(text, 500);
      this.#authority.refuse(id, command, reason, madeOn, now, run.cause);
      const { version } = this.#authority.head;
      run.reject(mutation, code, reason, version);
      this.#remember(run, mutation, { version, rejection: code, reason, conflicts, cause: run.cause });
    };
    const unmapped = run.unmappedIn(mutation);
    if (unmapped !== undefined) {
      refuse('temp-unmapped', `${JSON.stringify(unmapped.slice(0, 80))} names no record that this device has made`);
      return;
    }
    const renamed = run.renamed(mutation);
    if ('unfit' in renamed) {
      refuse('temp-unmapped', renamed.unfit);
      return;
    }
    const { args, base, mine } = renamed;
    const { mergesItself = () => false, groups } = this.#options;
    const disputed = mine.filter(({ key }) => !mergesItself(key));
    const present = (key: RecordKey) => this.#authority.get(key, device);
    const conflicts = findConflicts(id, command, base, disputed, present, groups);
    const decisions = conflicts.map((conflict) => ({ conflict, ...this.#decide(conflict) }));
    const told = decisions.map((one) => toldConflict(counter, one.policy, one.conflict, one.decision));
    const waits = decisions.find(({ decision }) => decision.winner === 'nobody');
    if (waits) {
      refuse('waiting', waits.decision.reason, told);
      return;
    }
    const plan = this.#plan(command, args, { base, mine }, decisions);
    if ('refusal' in plan) {
      refuse('conflict', plan.refusal, told);
      return;
    }
    const settlement = this.#authority.settle(id, plan.command, plan.args, madeOn, now, run.cause);
    const { version } = this.#authority.head;
    if (!settlement.accepted) {
      const { reason } = settlement;
      run.reject(mutation, 'refused', reason, version);
      this.#remember(run, mutation, { version, rejection: 'refused', reason, conflicts: [], cause: run.cause });
      return;
    }
    const results = told.map((one) => ({ ...one, result: this.#authority.get(one.key, device) ?? null }));
    run.apply(mutation, version, false);
    const cause = settlement.seq > 0 ? [...run.cause, settlement.seq] : run.cause;
    this.#remember(run, mutation, { version, rejection: undefined, reason: undefined, conflicts: results, cause });
  }

  #decide(conflict: WriteConflict): { readonly policy: string; readonly decision: ConflictDecision } {
    const policy = this.#options.policyOf?.(conflict.key) ?? lastWriteWins;
    try {
      const decision = policy.decide(conflict);
      return { policy: decision.policy ?? policy.name, decision };
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      return { policy: policy.name, decision: { winner: 'nobody', reason: `the policy failed: ${text}` } };
    }
  }

  /** What is to be carried out, or why nothing is. */
  #plan(
    command: string,
    args: Value,
    sides: Pick<OfflineMutation, 'base' | 'mine'>,
    decisions: readonly { readonly conflict: WriteConflict; readonly decision: ConflictDecision }[],
  ): { readonly command: string; readonly args: Value } | { readonly refusal: string } {
    const lost = decisions.find(({ decision }) => decision.winner !== 'mine');
    if (!lost) return { command, args };
    if (decisions.every(({ decision }) => decision.winner === 'theirs')) {
      // A command is whole or not at all: where it touches more than what it lost, somebody has to look at it.
      return { refusal: lost.decision.reason };
    }
    const { writeMerged } = this.#options;
    if (!writeMerged) return { refusal: `${lost.decision.reason}, and nothing here can write a merge` };
    const records = sides.mine.flatMap(({ key, record }): Touched[] => {
      const decision = decisions.find(({ conflict }) => conflict.key === key)?.decision;
      if (decision?.winner === 'theirs') return [];
      if (decision?.winner !== 'merged') return [{ key, record }];
      return [{ key, record: decision.record }, ...(decision.waiting ?? [])];
    });
    return { command: writeMerged.command, args: writeMerged.args(records, sides) };
  }

  // — what is remembered —

  #remember(run: Run, mutation: OfflineMutation, rest: Omit<Remembered, 'body' | 'isTold'>): void {
    const { device } = run.request;
    run.answer.conflicts.push(...rest.conflicts);
    let book = this.#devices.get(device);
    if (!book) {
      book = new Map();
      this.#devices.set(device, book);
      trim(this.#devices, this.#options.maxDevices ?? MAX_DEVICES);
    }
    book.set(mutation.counter, { ...rest, body: run.bodyOf(mutation), isTold: false });
    trim(book, this.#options.remembered ?? REMEMBERED);
  }

  /** The device knows how these ended; only their bodies are still of use. */
  #forget(device: ReplicaId, settled: number): void {
    const book = this.#devices.get(device);
    if (!book) return;
    for (const [counter, one] of book) {
      if (counter <= settled && one.conflicts.length > 0) book.set(counter, { ...one, conflicts: [] });
    }
  }

  // — the state since —

  #stateSince({ device, acknowledged }: ReconcileRequest): Pick<ReconcileAnswer, 'checkpoint' | 'delta' | 'snapshot'> {
    const authority = this.#authority;
    const root = authority.rootFor(device);
    const checkpoint = { ...authority.point, root: root.hash };
    // Whoever is given this version can be given a delta from it.
    authority.keep();
    const { version, progress } = acknowledged;
    const held = version > 0 ? authority.rootAt(version, device) : undefined;
    if (held?.hash === acknowledged.root && progress <= checkpoint.progress) {
      if (version === checkpoint.version && progress === checkpoint.progress) return { checkpoint };
      const delta = authority.deltaFrom({ version, progress }, device);
      if (delta) return { checkpoint, delta };
    }
    return { checkpoint, snapshot: authority.fullSync(device) };
  }

  // — traces —

  /** What a request brings that is new; answers the record's `seq`. */
  #came({ device, mutations }: ReconcileRequest): readonly number[] {
    const fresh = mutations.filter(({ counter }) => counter > this.#authority.decided(device));
    const [first, last] = [fresh[0], fresh.at(-1)];
    if (!this.#tap.isOpen || !first || !last) return [];
    const which = first === last ? `mutation ${first.counter}` : `mutations ${first.counter} to ${last.counter}`;
    const text = `reconciles ${which} of ${device}, made from version ${first.madeOn} on`;
    return [this.#tap.emit(this.#authority.authority, { kind: 'log', level: 'info', text })];
  }

  /** Tells the trace of a mutation's conflicts, once its end is durable. */
  #tell(device: ReplicaId, counter: number): void {
    const book = this.#devices.get(device);
    const one = book?.get(counter);
    if (!book || !one || one.isTold || counter > this.#authority.settled(device)) return;
    book.set(counter, { ...one, isTold: true });
    if (!this.#tap.isOpen) return;
    const { authority } = this.#authority;
    for (const { key, policy, state, base, mine, theirs, result, winner, reason } of one.conflicts) {
      const sides = [
        { writer: device, record: mine },
        { writer: authority, record: theirs },
      ];
      const won = winner === 'mine' ? device : winner === 'theirs' ? authority : null;
      const body = { kind: 'conflict' as const, key, policy, state, base, sides, result, winner: won, reason };
      this.#tap.emit(authority, body, one.cause);
    }
  }

  #log(text: string): void {
    if (this.#tap.isOpen) this.#tap.emit(this.#authority.authority, { kind: 'log', level: 'warn', text });
  }
}

/** One request on its way through. */
class Run {
  readonly request: ReconcileRequest;
  readonly answer: {
    device: ReplicaId;
    applied: ReconcileAnswer['applied'];
    rejected: ReconcileAnswer['rejected'];
    conflicts: ReconcileConflict[];
  };
  readonly #references: References;
  readonly #assign: AssignId;
  readonly #map = new IdMap();
  /** `seq` of the record that it came. */
  readonly cause: readonly number[];

  constructor(request: ReconcileRequest, references: References, assign: AssignId, cause: readonly number[]) {
    this.request = request;
    this.cause = cause;
    this.#references = references;
    this.#assign = assign;
    this.answer = { device: request.device, applied: [], rejected: [], conflicts: [] };
  }

  /** A temporary id in the mutation that stands for nothing: what was to make it was refused, or never came. */
  unmappedIn({ command, args, creates }: OfflineMutation): string | undefined {
    return referencesIn(this.#references, command, args).find((text) => {
      const id = parseTemporary(text);
      const isOwn = creates.some((key) => parseTemporary(key)?.number === id?.number);
      return id !== undefined && !this.#map.has(text) && !(isOwn && id.device === this.request.device);
    });
  }

  /** The mutation as it is to be carried out: with the authority's ids, also for what it makes itself. */
  renamed(mutation: OfflineMutation): Pick<OfflineMutation, 'args' | 'base' | 'mine'> | { readonly unfit: string } {
    const own = new IdMap();
    for (const mapping of this.#mappings(mutation)) own.set(mapping);
    const rename = (text: string): string => own.rename(this.#map.rename(text));
    try {
      return {
        args: renameInArgs(this.#references, mutation.command, mutation.args, rename),
        base: renameTouched(this.#references, mutation.base, rename),
        mine: renameTouched(this.#references, mutation.mine, rename),
      };
    } catch (error) {
      if (isSyncError(error)) return { unfit: error.message };
      throw error;
    }
  }

  apply(mutation: OfflineMutation, version: number, isRepeated: boolean): void {
    const ids = this.#mappings(mutation);
    for (const mapping of ids) this.#map.set(mapping);
    this.answer.applied.push({ counter: mutation.counter, version, ids, isRepeated });
  }

  reject({ counter }: OfflineMutation, code: RejectionCode, reason: string, version: number): void {
    this.answer.rejected.push({ counter, version, code, reason });
  }

  /** What makes a mutation the one that it is. With the authority's ids: the device may have come to know some since it sent it first. */
  bodyOf({ command, args, creates, madeAt }: OfflineMutation): string {
    return hashBytes(canonicalBytes([command, this.#named(command, args), creates, madeAt]));
  }

  #named(command: string, args: Value): Value {
    try {
      return renameInArgs(this.#references, command, args, (text) => {
        const id = parseTemporary(text);
        const isOwn = id?.device === this.request.device;
        return id && isOwn ? text.slice(0, text.lastIndexOf('/') + 1) + this.#assign(id) : text;
      });
    } catch (error) {
      // Ids that cannot be told apart then: such a mutation is refused, and its device never renames in it.
      if (isSyncError(error)) return args;
      throw error;
    }
  }

  #mappings({ creates }: OfflineMutation): IdMapping[] {
    return creates.map((temporary) => ({ temporary, key: assignKey(temporary, this.#assign) }));
  }
}

function toldConflict(
  counter: number,
  policy: string,
  { key, base, mine, theirs }: WriteConflict,
  decision: ConflictDecision,
): ReconcileConflict {
  const { winner, reason } = decision;
  const isWaiting = winner === 'nobody' || (winner === 'merged' && (decision.waiting ?? []).length > 0);
  const state = isWaiting ? ('waiting' as const) : ('resolved' as const);
  const told = { counter, key, policy: policy.slice(0, 80), state, winner, base, mine, theirs };
  return { ...told, result: theirs, reason: fitText(reason, 500) };
}

function trim<K, V>(map: Map<K, V>, size: number): void {
  for (const key of map.keys()) {
    if (map.size <= size) return;
    map.delete(key);
  }
}
