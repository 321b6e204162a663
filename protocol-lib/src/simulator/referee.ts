import { advance, type Committed, nothingKnown } from '../capture/committed.ts';
import type { ReplicaId } from '../state/index.ts';
import type { ClientState } from '../sync/index.ts';
import type { TraceRecord, VectorEntries } from '../trace/index.ts';
import { AUTHORITY } from './bazaar.ts';
import type { ClientNode, ServerNode } from './nodes.ts';
import { Oracle, type Violation } from './oracle.ts';
import type { Shape } from './shape.ts';
import { differenceOf, textsOf } from './small-fold.ts';
import { TraceDigest } from './trace-digest.ts';

/** Who is watched; the clients one by one, as they come to be. */
export interface Watched {
  readonly server: ServerNode;
  readonly clients: readonly ClientNode[];
}

/** Hashes that a repair may take beyond those that each difference is worth. */
const REPAIR_HASHES = 64;
const REPAIR_HASHES_EACH = 32;

/** Watches a whole session from outside, by its trace and by looking at its nodes, and knows when a rule is broken. */
export class Referee {
  readonly oracle: Oracle;
  readonly tally: Record<string, number> = {};
  readonly #shape: Shape;
  readonly #digest = new TraceDigest();
  readonly #captured = new Map<ReplicaId, Committed>();
  #violation: Violation | undefined;

  constructor(shape: Shape, initial: ConstructorParameters<typeof Oracle>[0]) {
    this.#shape = shape;
    this.oracle = new Oracle(initial, shape.size, (violation) => this.report(violation), shape.hasViews);
  }

  /** The first rule that was broken. It is kept, not thrown, so that no code under test can catch it. */
  get violation(): Violation | undefined {
    return this.#violation;
  }

  /** Hash of everything that was traced. */
  get hash(): string {
    return this.#digest.hash;
  }

  report(violation: Violation): void {
    this.#violation ??= violation;
  }

  count(what: string): void {
    this.tally[what] = (this.tally[what] ?? 0) + 1;
  }

  /** A record was traced, while its cause is still going on. `client` is whose it is, where it is a client's. */
  follow(record: TraceRecord, client: ClientNode | undefined): void {
    this.#digest.add(record);
    const { replica, body } = record;
    if (body.kind === 'pressure') this.count(`link ${body.state}`);
    if (replica === AUTHORITY) this.oracle.follow(record);
    else if (client) this.#checkClientRecord(client, record);
    const before = this.#captured.get(replica) ?? nothingKnown;
    const after = advance(before, record, undefined);
    if (after === before) return;
    this.#captured.set(replica, after);
    const isWhole = body.kind === 'commit' || body.kind === 'apply' || body.kind === 'snapshot';
    if (!isWhole || after.unknown === undefined || client?.model.isTainted) return;
    this.report({ invariant: 'capture-faithful', text: `after ${body.kind} of ${replica}: ${after.unknown}` });
  }

  /** After every event. */
  check({ server: { manager } }: Watched): void {
    if (manager.version !== this.oracle.version || manager.root.hash !== this.oracle.latest.hash) {
      const text = `the authority has version ${manager.version} with ${manager.root.hash}, its log ${this.oracle.version} with ${this.oracle.latest.hash}`;
      this.report({ invariant: 'state-at-version', text });
    }
  }

  /** Now and then, and at the end: everything, trusting nothing that was looked at before. */
  checkDeeply({ server: { manager }, clients }: Watched): void {
    const difference = differenceOf(textsOf(manager.root.entries(), true), this.oracle.latest.texts);
    if (difference) this.report({ invariant: 'state-at-version', text: `${AUTHORITY}: ${difference}` });
    for (const client of clients) client.model.check(true);
    const limit = this.#shape.settings.maxDeltaChain + 1;
    for (const { replica, sent, version, pendingDeltas } of manager.clients) {
      if (pendingDeltas > limit) {
        this.report({
          invariant: 'bounded',
          text: `${replica} leaves ${pendingDeltas} deltas open, at most ${limit}`,
        });
      }
      if (version > sent || sent > manager.version) {
        const text = `${replica} acknowledged ${version} of ${sent} sent of ${manager.version}`;
        this.report({ invariant: 'monotonic', text });
      }
    }
  }

  /** At the very end: all replicas and the recording's own fold are equal. */
  audit(watched: Watched): void {
    this.checkDeeply(watched);
    const { manager } = watched.server;
    for (const { state } of watched.clients) {
      const truth = this.oracle.partOf(this.oracle.latest, state.replica).texts;
      const difference =
        this.unsettled(state, watched) ?? differenceOf(textsOf(state.optimistic.entries(), true), truth);
      if (difference) this.report({ invariant: 'convergence', text: `${state.replica}: ${difference}` });
      this.#checkCaptured(state.replica, state.committed.hash);
    }
    this.#checkCaptured(manager.replica, manager.root.hash);
  }

  /** What still keeps a client from being like the authority. */
  unsettled(state: ClientState, { server: { manager } }: Watched): string | undefined {
    const { replica, version, pending, committed } = state;
    const known = this.oracle.partOf(this.oracle.latest, replica);
    if (version !== this.oracle.version) return `${replica} is at version ${version} of ${this.oracle.version}`;
    if (committed.hash !== known.hash) return `${replica} has the hash ${committed.hash}, not ${known.hash}`;
    if (pending.length > 0) return `${replica} has ${pending.length} pending`;
    if (!state.isSettled) return `${replica} is ${state.phase} and still waits for something`;
    const vector = vectorText(state.vector.entries());
    const theirs = vectorText(manager.vector);
    if (vector !== theirs) return `${replica} has seen ${vector} of ${theirs}`;
    const seen = manager.clients.find((one) => one.replica === replica);
    if (!seen) return `${replica} is not known to the authority`;
    if (seen.version !== version || seen.pendingDeltas > 0)
      return `the authority thinks that ${replica} is at version ${seen.version}`;
    return undefined;
  }

  #checkClientRecord({ state }: ClientNode, { replica, body }: TraceRecord): void {
    if (body.kind === 'apply' || body.kind === 'divergence') {
      if (body.kind === 'divergence') {
        this.count('differences');
        this.oracle.checkDifferences(replica, textsOf(state.committed.entries()), body.version, body.differences);
        const limit = REPAIR_HASHES + REPAIR_HASHES_EACH * body.differences.length;
        if (body.hashes > limit) {
          const text = `${body.differences.length} differences took ${body.hashes} hashes, at most ${limit} were due`;
          this.report({ invariant: 'repair-exact', text });
        }
        return;
      }
      if (body.from !== state.version) {
        const text = `${replica} is at version ${state.version} and applied a delta from ${body.from}`;
        this.report({ invariant: 'gap-free', text });
      }
      if (!this.oracle.seenBy(replica, body.to).some(({ hash }) => hash === body.root)) {
        this.report({
          invariant: 'hash-on-wire',
          text: `${replica} took ${body.root} for the hash of version ${body.to}`,
        });
      }
    } else if (body.kind === 'repair') {
      this.count(`repair by ${body.method}`);
    } else if (body.kind === 'mismatch') {
      this.count(`mismatch of ${body.reason}`);
    }
  }

  #checkCaptured(replica: ReplicaId, hash: string): void {
    const { root, unknown } = this.#captured.get(replica) ?? nothingKnown;
    if (unknown === undefined && root.hash === hash) return;
    const text = `the recording gives ${replica} the hash ${root.hash}, it has ${hash}${unknown ? `: ${unknown}` : ''}`;
    this.report({ invariant: 'capture-faithful', text });
  }
}

function vectorText(entries: VectorEntries): string {
  return entries.map(({ replica, counter }) => `${replica}:${counter}`).join(' ');
}
