import { SyncError } from '../errors/index.ts';
import { answerMerkleQuery, changesBetween, EMPTY_HASH, MerkleDescent, StateRoot } from '../merkle/index.ts';
import type { BodyOf } from '../messages/index.ts';
import type { Clock } from '../ports/index.ts';
import { type Change, type RecordKey, replicaId, type StateHash } from '../state/index.ts';
import type { Tap } from '../trace/index.ts';
import { loadSide, type Side } from './adapter.ts';
import { applyDiff, applyToState } from './apply.ts';
import { checkHierarchy } from './hierarchy.ts';
import { commonState, planTwoWay } from './merge.ts';
import type { ModelSet } from './model.ts';
import type { PolicyStrategies } from './policies.ts';
import type { ApplyOptions, SyncReport } from './report.ts';
import { commonBranch, newestOf, type Store } from './store.ts';
import type { ConflictDecision, ConflictStrategies, ModelConflict } from './strategy.ts';
import { SyncTrace } from './sync-trace.ts';

/**
 * Differential sync between a client and a server, over any channel that carries its messages. The client says what changed at its
 * side since both were in common, the server merges and answers what changed at the server; nothing else is sent. Where the server
 * does not know the client's past any more, the two find out by a Merkle descent in what they differ.
 */

/** What a server answers to a client. */
export type ModelAnswer = BodyOf<'MODEL_RESULT'> | BodyOf<'MODEL_UNKNOWN'> | BodyOf<'MERKLE_ANSWER'>;
/** What a client asks a server. */
export type ModelRequest = BodyOf<'MODEL_PUSH'> | BodyOf<'MERKLE_QUERY'>;

export interface ModelServerOptions extends ApplyOptions {
  /** The client is the source, the server the destination. */
  readonly strategies: ConflictStrategies | PolicyStrategies;
  readonly decisions?: ReadonlyMap<RecordKey, ConflictDecision>;
  readonly clock?: Clock;
  readonly tap?: Tap;
  /** Told of each merge. */
  readonly onMerged?: (client: string, report: SyncReport, open: readonly ModelConflict[]) => void;
}

/** The server's half. One of them writes to its store. */
export class ModelServer {
  readonly #side: Side;
  readonly #options: ModelServerOptions;
  readonly #trace: SyncTrace;
  /** The state against which each client descends. */
  readonly #offered = new Map<string, StateRoot>();
  #running: Promise<unknown> = Promise.resolve();

  constructor(side: Side, options: ModelServerOptions) {
    this.#side = side;
    this.#trace = new SyncTrace(options.tap);
    this.#options = options;
  }

  /**
   * Answers a client of this name, one request after the other. A client's name must have been made sure of before.
   * @throws SyncError `REPLICA_INVALID`; `MODEL_PUSH_INVALID` where the changes do not lead to the state that is said; `MODEL_NOT_OFFERED` for a query without
   * an offer; and as `ModelSet.read`, {@link checkHierarchy}, `planTwoWay` and {@link loadSide}. Nothing has changed then
   */
  answer(client: string, request: ModelRequest): Promise<ModelAnswer> {
    const next = this.#running.then(() => this.#answer(client, request));
    this.#running = next.catch(() => undefined);
    return next;
  }

  /** The client is gone: what was kept for its descent is forgotten. */
  forget(client: string): void {
    this.#offered.delete(client);
  }

  async #answer(client: string, request: ModelRequest): Promise<ModelAnswer> {
    replicaId(client);
    if (request.type === 'MODEL_PUSH') return this.#push(client, request);
    const offered = this.#offered.get(client);
    if (offered !== undefined) return { type: 'MERKLE_ANSWER', ...answerMerkleQuery(offered, request) };
    throw new SyncError('MODEL_NOT_OFFERED', `${client} was offered no state to descend against; push first`, {
      origin: 'protocol',
    });
  }

  async #push(client: string, push: BodyOf<'MODEL_PUSH'>): Promise<ModelAnswer> {
    const { store, models } = this.#side;
    await loadSide(this.#side, this.#options);
    const from = this.#kept(client, push.from);
    const base = this.#kept(client, push.base);
    if (from === undefined || base === undefined) {
      this.#offered.set(client, store.root());
      return { type: 'MODEL_UNKNOWN', root: store.root().hash };
    }
    const theirs = stateAfter(from, push.changes, push.root, models);
    const plan = planTwoWay(base, theirs, store.root(), { ...this.#options, models });
    const named = { store: { name: client } };
    this.#trace.begin(this.#side);
    for (const one of plan.decided) this.#trace.decided(named, this.#side, one);
    for (const one of plan.open) this.#trace.waiting(named, this.#side, one);
    for (const key of plan.mended) this.#trace.mended(this.#side, key);
    const report = await applyDiff(plan.destination, this.#side, this.#options);
    this.#trace.end(this.#side, report);
    const merged = applyToState(plan.source, theirs);
    const common = commonState(base, merged, store.root());
    keepCommon(store, client, common, this.#options.clock);
    this.#offered.delete(client);
    this.#options.onMerged?.(client, report, plan.open);
    return {
      type: 'MODEL_RESULT',
      pushed: theirs.hash,
      root: merged.hash,
      changes: changesBetween(theirs, merged),
      common: changesBetween(merged, common),
      open: plan.open.map(({ key, fields }) => ({ key, fields: [...fields] })),
    };
  }

  /** A state of which the client speaks: the empty one, one in common with it, or the one that it was offered. */
  #kept(client: string, hash: StateHash): StateRoot | undefined {
    if (hash === EMPTY_HASH) return this.#empty();
    const offered = this.#offered.get(client);
    return offered?.hash === hash ? offered : keptState(this.#side.store, commonBranch(client), hash);
  }

  #empty(): StateRoot {
    return new StateRoot(null, this.#side.store.root().hasher);
  }
}

export interface ModelClientOptions extends ApplyOptions {
  readonly clock?: Clock;
  readonly tap?: Tap;
}

/** What an answer led to: something more to ask, or the end. */
export type ModelStep =
  | { readonly request: ModelRequest }
  | { readonly report: SyncReport; readonly open: BodyOf<'MODEL_RESULT'>['open'] };

/** The client's half: {@link ModelClient.push}, then {@link ModelClient.receive} for each answer until it gives a report. */
export class ModelClient {
  readonly #side: Side;
  readonly #server: string;
  readonly #options: ModelClientOptions;
  readonly #trace: SyncTrace;
  /** What the push that is out says the client is. */
  #pushed: StateRoot | undefined;
  #descent: { readonly tree: MerkleDescent; readonly own: StateRoot; readonly root: StateHash } | undefined;

  /** `server` names the branch of the client's store that keeps what both have in common. */
  constructor(side: Side, server: string, options: ModelClientOptions = {}) {
    this.#side = side;
    this.#server = replicaId(server);
    this.#trace = new SyncTrace(options.tap);
    this.#options = options;
  }

  /** What to send first. Whatever was under way is given up. @throws SyncError as {@link loadSide} */
  async push(): Promise<ModelRequest> {
    await loadSide(this.#side, this.#options);
    const { store } = this.#side;
    const newest = newestOf(store, commonBranch(this.#server));
    const base = newest === undefined ? new StateRoot(null, store.root().hasher) : store.at(newest.number);
    return this.#pushFrom(base, base.hash);
  }

  /**
   * Takes an answer. Changes that were made here after the push are kept, and go out with the next one.
   * @throws SyncError `MODEL_ANSWER_UNEXPECTED`, `MODEL_PUSH_INVALID`, `MERKLE_UNVERIFIED`, and as `ModelSet.read` and
   * {@link checkHierarchy}. Nothing has changed then
   */
  async receive(answer: ModelAnswer): Promise<ModelStep> {
    switch (answer.type) {
      case 'MODEL_UNKNOWN':
        return { request: this.#descend(answer.root) };
      case 'MERKLE_ANSWER':
        return { request: this.#descended(answer) };
      default:
        return this.#result(answer);
    }
  }

  #pushFrom(from: StateRoot, base: StateHash): ModelRequest {
    const pushed = this.#side.store.root();
    this.#pushed = pushed;
    this.#descent = undefined;
    return { type: 'MODEL_PUSH', base, from: from.hash, root: pushed.hash, changes: changesBetween(from, pushed) };
  }

  #descend(root: StateHash): ModelRequest {
    if (this.#pushed === undefined) throw unexpected('MODEL_UNKNOWN');
    const own = this.#side.store.root();
    this.#pushed = undefined;
    this.#descent = { tree: new MerkleDescent(own, root), own, root };
    return this.#nextQuery();
  }

  #descended(answer: BodyOf<'MERKLE_ANSWER'>): ModelRequest {
    if (this.#descent === undefined) throw unexpected('MERKLE_ANSWER');
    this.#descent.tree.receive(answer);
    return this.#nextQuery();
  }

  #nextQuery(): ModelRequest {
    const { tree, own, root } = this.#descent!;
    const query = tree.next();
    if (query !== undefined) return { type: 'MERKLE_QUERY', ...query };
    // Known now in what the two differ, but not who changed it: nothing is in common.
    return this.#pushFrom(stateAfter(own, tree.result(), root, this.#side.models), EMPTY_HASH);
  }

  async #result(result: BodyOf<'MODEL_RESULT'>): Promise<ModelStep> {
    const { store, models } = this.#side;
    const pushed = this.#pushed;
    if (pushed === undefined || result.pushed !== pushed.hash) throw unexpected('MODEL_RESULT');
    const merged = stateAfter(pushed, result.changes, result.root, models);
    const common = merged.apply(result.common);
    // What was changed here since the push is newer, and the server has not seen it.
    const plan = planTwoWay(pushed, store.root(), merged, { models, strategies: { default: 'source' } });
    this.#trace.begin(this.#side);
    const report = await applyDiff(plan.source, this.#side, this.#options);
    this.#trace.end(this.#side, report);
    this.#pushed = undefined;
    const failed = new Set(report.statuses.filter(({ status }) => status !== 'success').map(({ key }) => key));
    keepCommon(store, this.#server, without(common, pushed, failed), this.#options.clock);
    return { report, open: result.open };
  }
}

/**
 * The state in common, but for models that this side could not bring up to date: of those what it had, so that its old record does not
 * pass for a change of its own. The server knows no such state, so both will find out anew in what they differ.
 */
function without(common: StateRoot, pushed: StateRoot, failed: ReadonlySet<RecordKey>): StateRoot {
  const changes = [...failed].flatMap((key): Change[] => {
    const record = pushed.get(key);
    if (record !== undefined) return [{ op: 'put', key, record }];
    return common.has(key) ? [{ op: 'remove', key }] : [];
  });
  return common.apply(changes);
}

/** The state that changes from outside lead to, whole and checked. */
function stateAfter(from: StateRoot, changes: readonly Change[], root: StateHash, models: ModelSet): StateRoot {
  const after = from.apply(changes);
  if (after.hash !== root) {
    throw new SyncError('MODEL_PUSH_INVALID', `the changes lead to ${after.hash}, not to ${root} as was said`, {
      origin: 'protocol',
      retry: 'now',
    });
  }
  for (const { key } of changes) {
    const record = after.get(key);
    if (record !== undefined) models.read(key, record);
  }
  if (changes.length > 0) checkHierarchy(models, after);
  return after;
}

function keptState(store: Store, branch: string, hash: StateHash): StateRoot | undefined {
  const version = store.versions().findLast((one) => one.branch === branch && one.root === hash);
  return version === undefined ? undefined : store.at(version.number);
}

function keepCommon(store: Store, other: string, root: StateRoot, clock: Clock | undefined): void {
  const branch = commonBranch(other);
  if (newestOf(store, branch)?.root === root.hash) return;
  store.commit({ branch, root, time: clock?.now() ?? 0, message: `in common with ${other}` });
}

function unexpected(type: string): SyncError {
  return new SyncError('MODEL_ANSWER_UNEXPECTED', `${type} answers nothing that was asked; push anew`, {
    origin: 'protocol',
    retry: 'now',
  });
}
