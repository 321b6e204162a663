import { StateRoot } from '../merkle/index.ts';
import type { ReplicaId, StateHash, Version } from '../state/index.ts';
import type { MutationId, TraceBodyOf, TraceRecord } from '../trace/index.ts';
import { tried } from './differences.ts';
import type { Finding, Forgotten, NoDivergence, RecordRef } from './finding.ts';
import { judgePredictions, Mispredictions } from './predictions.ts';
import { Recent } from './recent.ts';
import type { Trail } from './trail.ts';
import type { Trails } from './trails.ts';

const KEPT_VERSIONS = 512;
const KEPT_MUTATIONS = 65_536;
const MAX_FINDINGS = 1_000;

/** What the authority's records say: its states by version, mutations that it committed twice, and results other than its clients'. */
export class AuthorityAudit {
  readonly id: ReplicaId;
  readonly #trails: Trails;
  /** Its states of late. */
  readonly #states = new Recent<Version, StateRoot>('states', KEPT_VERSIONS);
  /** Mutations that it committed since it started, and where. */
  readonly #committed = new Recent<string, RecordRef>('mutations', KEPT_MUTATIONS);
  readonly #mispredictions = new Mispredictions();
  readonly #twice: Finding[] = [];
  /** What rests on versions of which no root has been told yet, and those versions. */
  #untold: { readonly versions: Version[]; readonly judge: (() => void)[] } = { versions: [], judge: [] };
  #lostFindings = 0;

  constructor(id: ReplicaId, trails: Trails) {
    this.id = id;
    this.#trails = trails;
  }

  stateAt(version: Version): StateRoot | undefined {
    return this.#states.get(version);
  }

  /** Its newest state, where it is known. */
  get current(): StateRoot | undefined {
    return this.#trails.of(this.id).root;
  }

  states(): Map<Version, StateRoot> {
    return new Map(this.#states.entries());
  }

  take({ body, time }: TraceRecord, ref: RecordRef, trail: Trail): void {
    switch (body.kind) {
      case 'replica':
        this.#committed.clear();
        // One that starts anew knows of no stall that it told of before.
        for (const one of this.#trails.all()) one.stalled = undefined;
        return;
      case 'snapshot':
        this.#snapshot(body, ref, trail);
        return;
      case 'commit':
        this.#commit(body, ref, time, trail);
        return;
      case 'hash':
        this.#told(body.version, body.own, trail);
        return;
      default:
        return;
    }
  }

  /** The state that it has before the first record. */
  begin(version: Version, root: StateRoot, ref: RecordRef): void {
    this.#states.set(version, root);
    this.#trails.of(this.id).took(version, root, ref);
  }

  findings(): Finding[] {
    return [...this.#twice, ...judgePredictions(this.#mispredictions)];
  }

  verdicts(): NoDivergence[] {
    return this.#mispredictions.verdicts();
  }

  get forgotten(): Forgotten[] {
    return [
      this.#states.forgotten,
      this.#committed.forgotten,
      { memory: 'findings', kept: MAX_FINDINGS, forgotten: this.#lostFindings },
      this.#mispredictions.forgotten,
    ];
  }

  #snapshot(body: TraceBodyOf<'snapshot'>, ref: RecordRef, trail: Trail): void {
    if (body.version < trail.version) this.#startAnew();
    else if (body.reason === 'periodic') this.#told(body.version, body.root, trail);
    this.#untold = { versions: [], judge: [] };
    const known = this.#states.get(body.version);
    if (known?.hash === body.root) return;
    const root = StateRoot.from(body.records.map(({ key, record }) => [key, record] as const));
    if (root.hash !== body.root) return;
    if (known) this.#startAnew();
    this.#committed.clear();
    this.#states.set(body.version, root);
    trail.took(body.version, root, ref);
  }

  /** Another life of the session: who has not taken in a state of it cannot be compared with it. */
  #startAnew(): void {
    this.#states.clear();
    for (const one of this.#trails.all()) one.isOfEarlierLife = true;
  }

  #commit(body: TraceBodyOf<'commit'>, ref: RecordRef, time: number, trail: Trail): void {
    const base = this.#states.get(body.version - 1);
    const root = base && tried(base, body.changes);
    const isNew = !this.#isNothingNew(body);
    const isTaken = isNew && root !== undefined && this.#takes(body, root);
    if (isTaken) {
      this.#states.set(body.version, root);
      trail.took(body.version, root, ref);
    } else if (isNew) trail.root = undefined;
    const { mutation } = body;
    if (!mutation) return;
    const id = `${mutation.writer}#${mutation.counter}`;
    const before = this.#committed.get(id);
    this.#committed.set(id, ref);
    if (before) {
      if (this.#twice.length < MAX_FINDINGS) this.#twice.push(committedTwice(id, before, ref, body, time, this.id));
      else this.#lostFindings++;
    }
    if (base && isTaken) this.#compare(mutation, body, base, root, ref, time);
  }

  /** A mutation that changed nothing makes no version. */
  #isNothingNew({ version, changes, root: told }: TraceBodyOf<'commit'>): boolean {
    const known = this.#states.get(version);
    if (known === undefined || tried(known, changes)?.hash !== known.hash) return false;
    return told === undefined || told === known.hash;
  }

  /** Whether the state that a commit's changes lead to is what it tells; one without a root is taken until the next root says otherwise. */
  #takes({ version, root: told }: TraceBodyOf<'commit'>, root: StateRoot): boolean {
    if (told !== undefined) {
      if (root.hash === told) this.#vouched();
      else this.#refuted();
      return root.hash === told;
    }
    this.#untold.versions.push(version);
    return true;
  }

  /** It told the root of a version without its changes. */
  #told(version: Version, told: StateHash, trail: Trail): void {
    if (this.#untold.versions.at(-1) !== version) return;
    if (this.#states.get(version)?.hash === told) this.#vouched();
    else {
      this.#refuted();
      trail.root = undefined;
    }
  }

  #vouched(): void {
    const { judge } = this.#untold;
    this.#untold = { versions: [], judge: [] };
    for (const one of judge) one();
  }

  /** Which of them is wrong nobody has told: none of them is known. */
  #refuted(): void {
    for (const version of this.#untold.versions) this.#states.delete(version);
    this.#untold = { versions: [], judge: [] };
  }

  /** Whether the writer had worked the same out on the same state. */
  #compare(
    { writer, counter }: MutationId,
    body: TraceBodyOf<'commit'>,
    base: StateRoot,
    root: StateRoot,
    ref: RecordRef,
    time: number,
  ): void {
    const trail = this.#trails.known(writer);
    const pending = trail?.pending.get(counter);
    if (!trail || !pending?.isFirst || trail.isPartial || pending.changes.length === 0) return;
    if (pending.version !== body.version - 1 || trail.stepAt(pending.version)?.root.hash !== base.hash) return;
    const predicted = tried(base, pending.changes);
    if (!predicted) return;
    const event = body.event.type;
    const { version } = body;
    const judge = (): void => {
      if (predicted.hash === root.hash) this.#mispredictions.right(event);
      else {
        this.#mispredictions.add({
          ...{ replica: writer, authority: this.id, event, version, time },
          ...{ prediction: pending.ref, commit: ref, predicted, committed: root },
        });
      }
    };
    if (this.#untold.versions.length > 0) this.#untold.judge.push(judge);
    else judge();
  }
}

function committedTwice(
  id: string,
  before: RecordRef,
  ref: RecordRef,
  body: TraceBodyOf<'commit'>,
  time: number,
  authority: ReplicaId,
): Finding {
  return {
    ...{ class: 'duplicated', replica: authority, against: body.mutation!.writer, version: body.version, time },
    ...{ cause: ref, detected: ref, confidence: 'high', differences: [] },
    reason: 'a mutation counts once, and its number was committed twice in one life of the authority',
    evidence: [
      { text: `${id} was committed.`, record: before },
      { text: `${id} was committed again.`, record: ref },
    ],
    confirm: 'send one command twice: the second must be answered without being carried out',
  };
}
