import { StateRoot } from '../merkle/index.ts';
import type { ReplicaId, StateHash, Version } from '../state/index.ts';
import type { MutationId, TraceBodyOf, TraceRecord } from '../trace/index.ts';
import { differencesBetween, tried, wrongValue } from './differences.ts';
import type { Finding, Forgotten, NoDivergence, RecordRef } from './finding.ts';
import { judgePredictions, Mispredictions } from './predictions.ts';
import { Recent } from './recent.ts';
import type { Trail } from './trail.ts';
import type { Trails } from './trails.ts';

const KEPT_VERSIONS = 512;
const KEPT_MUTATIONS = 65_536;
const MAX_FINDINGS = 1_000;

/** The record with which something was noticed, and the whole state that it tells, where it does. */
interface Noticed {
  readonly time: number;
  readonly ref: RecordRef;
  readonly root?: StateRoot | undefined;
}

interface Changed extends Noticed {
  readonly version: Version;
  readonly told: StateHash | undefined;
}

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
  /** Where it was found to have another state than its records give. */
  readonly #own: Finding[] = [];
  /** Whether whoever is shown a part was told of: that is told where it begins, and where somebody attaches. */
  tellsViews = false;
  /** Whether it began anew and has not told its state since. */
  #isNewLife = false;
  /** The last record at which what it told was what its records gave. */
  #vouchedAt: RecordRef | undefined;
  /** Whether it was found to have another state, and has not told a whole one since. */
  #isChanged = false;
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

  /** Whether any of its states is known. */
  get tellsStates(): boolean {
    return this.#states.size > 0;
  }

  states(): Map<Version, StateRoot> {
    return new Map(this.#states.entries());
  }

  take({ body, time }: TraceRecord, ref: RecordRef, trail: Trail): void {
    switch (body.kind) {
      case 'replica':
        this.#isNewLife = true;
        this.tellsViews = true;
        this.#committed.clear();
        // One that starts anew knows of no stall that it told of before.
        for (const one of this.#trails.all()) one.stalled = undefined;
        return;
      case 'snapshot':
        this.#snapshot(body, ref, time, trail);
        return;
      case 'commit':
        this.#commit(body, ref, time, trail);
        return;
      case 'hash':
        this.#told(body.version, body.own, trail, { time, ref });
        return;
      default:
        return;
    }
  }

  /** The state that it has before the first record. */
  begin(version: Version, root: StateRoot, ref: RecordRef): void {
    this.#states.set(version, root);
    this.#vouchedAt = ref;
    this.#trails.of(this.id).took(version, root, ref);
  }

  findings(): Finding[] {
    return [...this.#own, ...this.#twice, ...judgePredictions(this.#mispredictions)];
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

  #snapshot(body: TraceBodyOf<'snapshot'>, ref: RecordRef, time: number, trail: Trail): void {
    const isNewLife = this.#isNewLife || body.version < trail.version || trail.root === undefined;
    this.#isNewLife = false;
    const known = this.#states.get(body.version);
    const root = known?.hash === body.root ? known : rootOf(body);
    if (body.version < trail.version) this.#startAnew();
    else if (body.reason === 'periodic') this.#told(body.version, body.root, trail, { time, ref, root });
    this.#untold = { versions: [], judge: [] };
    if (root === undefined || (known && known !== root && !isNewLife)) return;
    if (known === root) {
      if (!trail.root) trail.took(body.version, root, ref);
      return;
    }
    if (known) this.#startAnew();
    this.#committed.clear();
    this.#states.set(body.version, root);
    this.#vouchedAt = ref;
    this.#isChanged = false;
    trail.took(body.version, root, ref);
  }

  /** Another life of the session: who has not taken in a state of it cannot be compared with it. */
  #startAnew(): void {
    this.#states.clear();
    for (const one of this.#trails.all()) one.isOfEarlierLife = true;
  }

  #commit(body: TraceBodyOf<'commit'>, ref: RecordRef, time: number, trail: Trail): void {
    const base = this.#isChanged ? undefined : this.#states.get(body.version - 1);
    const root = base && tried(base, body.changes);
    const isNew = !this.#isNothingNew(body);
    const isTaken = isNew && root !== undefined && this.#takes(body, root, ref);
    if (isTaken) {
      this.#states.set(body.version, root);
      trail.took(body.version, root, ref);
    } else if (isNew) {
      // What a state of its own does not lead to, something else has changed.
      const isOfNow = trail.version === body.version || trail.root?.hash === base?.hash;
      if (isOfNow) this.#changed(trail, { version: trail.version, told: body.root, time, ref });
      trail.root = undefined;
    } else if (trail.root && body.root !== undefined) this.#vouchedAt = ref;
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
  #takes({ version, root: told }: TraceBodyOf<'commit'>, root: StateRoot, ref: RecordRef): boolean {
    if (told !== undefined) {
      if (root.hash === told) this.#vouched(ref);
      else this.#refuted();
      return root.hash === told;
    }
    this.#untold.versions.push(version);
    return true;
  }

  /** It told the root of a version without its changes. */
  #told(version: Version, told: StateHash, trail: Trail, at: Noticed): void {
    const known = this.#states.get(version);
    const isRight = known?.hash === told;
    if (known && !isRight && trail.version === version) this.#changed(trail, { version, told, ...at });
    if (this.#untold.versions.at(-1) === version) {
      if (isRight) this.#vouched(at.ref);
      else this.#refuted();
    }
    if (trail.version !== version || !trail.root) return;
    if (isRight) this.#vouchedAt = at.ref;
    else if (known) trail.root = undefined;
  }

  /** It has another state than its records gave it; what follows from that is no finding of its own. */
  #changed(trail: Trail, { version, told, time, ref, root }: Changed): void {
    const { root: held } = trail;
    const cause = this.#vouchedAt;
    if (!held || !cause || this.#isNewLife || this.#isChanged) return;
    this.#isChanged = true;
    if (this.#own.length >= MAX_FINDINGS) {
      this.#lostFindings++;
      return;
    }
    const differences = differencesBetween(root, held);
    this.#own.push({
      ...{ class: 'corrupted-at-rest', replica: this.id, against: this.id, version, time, cause, detected: ref },
      ...{ differences, ...wrongValue(differences), confidence: 'high' },
      reason: 'what it tells is not what its own records give, and no record lies between that changes it',
      evidence: [
        { text: `What it told was what its records gave it, up to here.`, record: cause },
        { text: told === undefined ? 'These changes do not fit that.' : `It told the root ${told} here.`, record: ref },
      ],
      confirm: 'look for code that writes into the state of the session other than by its reducer',
    });
  }

  #vouched(ref: RecordRef): void {
    this.#vouchedAt = ref;
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

/** The state of a snapshot; undefined where its records are not what its root says. */
function rootOf({ records, root: told }: TraceBodyOf<'snapshot'>): StateRoot | undefined {
  const root = StateRoot.from(records.map(({ key, record }) => [key, record] as const));
  return root.hash === told ? root : undefined;
}
