import { StateRoot } from '../merkle/index.ts';
import type { ReplicaId, Version } from '../state/index.ts';
import type { TraceBodyOf, TraceRecord } from '../trace/index.ts';
import { alike } from './alike.ts';
import { Conflicts } from './conflicts.ts';
import { judgeDelta, tried, wrongIn, wrongValue } from './delta-cause.ts';
import type { Finding, NoDivergence, Proof, RecordRef, VerdictClass } from './finding.ts';
import { Frames, holdsState, isChanged } from './frames.ts';
import { judgePredictions, type Misprediction } from './predictions.ts';
import { stuckFindings } from './stuck.ts';
import { type Pending, type ReceivedFrame, Trail } from './trail.ts';

const KEPT_VERSIONS = 512;
const KEPT_REFS = 65_536;

type Differing = Pick<Finding, 'class' | 'cause' | 'confidence' | 'reason' | 'evidence' | 'confirm' | 'value'>;

/**
 * Reads the records of a capture once, in order, and says what went wrong. It knows of `fault` records nothing: they tell what
 * was planned, not what was seen.
 */
export class Audit {
  readonly #authority: ReplicaId | undefined;
  readonly #frames = new Frames();
  readonly #conflicts = new Conflicts();
  readonly #trails = new Map<ReplicaId, Trail>();
  /** The authority's states of late. */
  readonly #states = new Map<Version, StateRoot>();
  /** Mutations that it committed since it started, and where. */
  readonly #committed = new Map<string, RecordRef>();
  readonly #refs = new Map<number, RecordRef>();
  /** Judged at the end: what arrives late is known only then. */
  readonly #cases: { readonly key: string; readonly judge: () => Finding }[] = [];
  readonly #findings: Finding[] = [];
  readonly #verdicts: NoDivergence[] = [];
  readonly #mispredictions: Misprediction[] = [];
  readonly #rightlyPredicted = new Set<string>();
  #end = 0;

  constructor(authority: ReplicaId | null) {
    this.#authority = authority ?? undefined;
  }

  take(position: number, record: TraceRecord): void {
    const { body, replica } = record;
    if (body.kind === 'fault') return;
    const ref = { seq: record.seq, position };
    this.#refs.set(record.seq, ref);
    if (this.#refs.size > KEPT_REFS) this.#refs.delete(this.#refs.keys().next().value!);
    this.#end = record.time;
    const trail = this.#trail(replica);
    if (replica === this.#authority) this.#ofAuthority(record, ref, trail);
    else this.#ofReplica(record, ref, trail);
    switch (body.kind) {
      case 'names':
        this.#frames.names(body);
        return;
      case 'send':
        this.#sent(record, body, ref);
        return;
      case 'receive':
        this.#received(record, body, ref, trail);
        return;
      case 'refused':
        this.#refused(record, body, ref);
        return;
      case 'gone':
        trail.isConnected = false;
        return;
      case 'health':
        this.#health(record, body, ref);
        return;
      case 'conflict':
        this.#conflicts.take(record, body, ref);
        return;
      default:
        return;
    }
  }

  finish(): { findings: Finding[]; verdicts: NoDivergence[] } {
    const judged = new Map<string, Finding>();
    for (const { key, judge } of this.#cases) judged.set(key, judge());
    const findings = [
      ...this.#findings,
      ...judged.values(),
      ...judgePredictions(this.#mispredictions, this.#rightlyPredicted),
      ...this.#conflicts.findings(),
    ];
    const differing = new Set(findings.map(({ replica }) => replica));
    const others = [...this.#trails.values()].filter(
      (trail) => !differing.has(trail.id) && trail.id !== this.#authority,
    );
    findings.push(...stuckFindings(others, this.#authority, this.#end));
    return { findings: oncePerCause(findings), verdicts: this.#verdicts };
  }

  // — the authority —

  #ofAuthority({ body, time }: TraceRecord, ref: RecordRef, trail: Trail): void {
    switch (body.kind) {
      case 'replica':
        this.#committed.clear();
        // One that starts anew knows of no stall that it told of before.
        for (const one of this.#trails.values()) one.stalled = undefined;
        return;
      case 'snapshot':
        this.#authoritySnapshot(body, ref, trail);
        return;
      case 'commit':
        this.#commit(body, ref, time, trail);
        return;
      default:
        return;
    }
  }

  #authoritySnapshot(body: TraceBodyOf<'snapshot'>, ref: RecordRef, trail: Trail): void {
    if (body.version < trail.version) this.#startAnew();
    const known = this.#states.get(body.version);
    if (known?.hash === body.root) return;
    const root = StateRoot.from(body.records.map(({ key, record }) => [key, record] as const));
    if (root.hash !== body.root) return;
    if (known) this.#startAnew();
    this.#committed.clear();
    this.#keep(body.version, root);
    trail.took(body.version, root, ref);
  }

  /** Another life of the session: who has not taken in a state of it cannot be compared with it. */
  #startAnew(): void {
    this.#states.clear();
    for (const one of this.#trails.values()) one.isOfEarlierLife = true;
  }

  #commit(body: TraceBodyOf<'commit'>, ref: RecordRef, time: number, trail: Trail): void {
    const base = this.#states.get(body.version - 1);
    const root = base && tried(base, body.changes);
    if (root?.hash === body.root) {
      this.#keep(body.version, root);
      trail.took(body.version, root, ref);
    } else trail.root = undefined;
    const { mutation } = body;
    if (!mutation) return;
    const id = `${mutation.writer}#${mutation.counter}`;
    const before = this.#committed.get(id);
    this.#committed.set(id, ref);
    if (before) this.#findings.push(committedTwice(id, before, ref, body, time, trail.id));
    if (base && root?.hash === body.root) this.#compare(mutation, body, base, root, ref, time);
  }

  /** Whether the writer had worked the same out on the same state. */
  #compare(
    { writer, counter }: { readonly writer: ReplicaId; readonly counter: number },
    body: TraceBodyOf<'commit'>,
    base: StateRoot,
    root: StateRoot,
    ref: RecordRef,
    time: number,
  ): void {
    const trail = this.#trails.get(writer);
    const pending = trail?.pending.get(counter);
    if (!trail || !pending?.isFirst || trail.isPartial || pending.changes.length === 0) return;
    if (pending.version !== body.version - 1 || trail.stepAt(pending.version)?.root.hash !== base.hash) return;
    const predicted = tried(base, pending.changes);
    const event = body.event.type;
    if (!predicted) return;
    if (predicted.hash === root.hash) this.#rightlyPredicted.add(event);
    else {
      const { version } = body;
      this.#mispredictions.push({
        ...{ replica: writer, authority: this.#authority ?? writer, event, version, time },
        ...{ prediction: pending.ref, commit: ref, predicted, committed: root },
      });
    }
  }

  #keep(version: Version, root: StateRoot): void {
    this.#states.delete(version);
    this.#states.set(version, root);
    if (this.#states.size > KEPT_VERSIONS) this.#states.delete(this.#states.keys().next().value!);
  }

  // — everybody else —

  #ofReplica(record: TraceRecord, ref: RecordRef, trail: Trail): void {
    const { body } = record;
    switch (body.kind) {
      case 'replica':
        trail.isConnected = true;
        trail.highest.clear();
        return;
      case 'view':
        trail.isPartial = true;
        return;
      case 'snapshot':
        this.#snapshot(record, body, ref, trail);
        return;
      case 'apply':
        this.#apply(record, body, ref, trail);
        return;
      case 'repair':
        this.#repair(body, ref, trail);
        return;
      case 'mismatch':
        this.#mismatch(record, body, ref, trail);
        return;
      case 'hash':
        this.#hash(record, body, ref, trail);
        return;
      case 'divergence':
        this.#divergence(body, ref, trail);
        return;
      default:
        this.#ownMutation(record, ref, trail);
    }
  }

  #ownMutation({ body, time }: TraceRecord, ref: RecordRef, trail: Trail): void {
    const counts = { framesSent: trail.wasHeard, framesReceived: trail.heard };
    switch (body.kind) {
      case 'prediction': {
        const { version, changes } = body;
        const isFirst = trail.pending.size === 0;
        trail.pending.set(body.mutation.counter, {
          ref,
          time,
          version,
          changes,
          isFirst,
          toldAt: ref.position,
          ...counts,
        });
        return;
      }
      case 'rebase':
        body.pending.forEach(({ mutation, changes }, at) => {
          const known: Pending = trail.pending.get(mutation.counter) ?? {
            ...{ ref, time, version: body.version, changes, isFirst: false, toldAt: ref.position },
            ...counts,
          };
          trail.pending.set(mutation.counter, {
            ...known,
            version: body.version,
            changes,
            isFirst: at === 0,
            toldAt: ref.position,
          });
        });
        return;
      case 'confirmation':
      case 'rollback':
        trail.pending.delete(body.mutation.counter);
        return;
      default:
        return;
    }
  }

  #snapshot(record: TraceRecord, body: TraceBodyOf<'snapshot'>, ref: RecordRef, trail: Trail): void {
    const root = StateRoot.from(body.records.map(({ key, record: value }) => [key, value] as const));
    if (root.hash !== body.root) return;
    if (body.reason === 'mismatch') {
      this.#tellOwn(root, body.version, trail);
      return;
    }
    trail.committed(ref.position, body.version);
    this.#agreed(trail, ref);
    if (body.reason === 'full-sync') trail.isOfEarlierLife = false;
    if (body.reason === 'attach' && this.#isWrong(body.version, body.root, trail)) {
      this.#open(record, ref, trail, body.version, this.#atRest(trail, ref, body.version, body.root));
    }
    trail.took(body.version, root, ref);
  }

  #apply(record: TraceRecord, body: TraceBodyOf<'apply'>, ref: RecordRef, trail: Trail): void {
    trail.committed(ref.position, body.to);
    const known = this.#states.get(body.to);
    if (known?.hash === body.root) trail.isOfEarlierLife = false;
    const own = trail.root;
    const root = own && trail.version === body.from ? tried(own, body.changes) : undefined;
    if (root?.hash === body.root && !this.#isWrong(body.to, body.root, trail)) {
      this.#agreed(trail, ref);
      trail.took(body.to, root, ref);
      return;
    }
    if (known?.hash === body.root) {
      this.#agreed(trail, ref);
      trail.took(body.to, known, ref);
      return;
    }
    if (this.#isWrong(body.to, body.root, trail) || (own !== undefined && root?.hash !== body.root)) {
      const receipt = this.#frames.received(record.cause[0]);
      // Peers apply what they merge or agree on, which no frame says as a delta.
      if (receipt?.type === 'DELTA_SYNC') {
        this.#caseOf(record, ref, trail, receipt, { version: trail.version, got: body.root });
      }
    }
    trail.version = body.to;
    trail.root = root?.hash === body.root ? root : undefined;
  }

  #repair(body: TraceBodyOf<'repair'>, ref: RecordRef, trail: Trail): void {
    this.#agreed(trail, ref);
    const known = this.#states.get(body.version);
    if (trail.root?.hash === body.root) trail.took(body.version, trail.root, ref);
    else if (known?.hash === body.root) trail.took(body.version, known, ref);
    else {
      trail.version = body.version;
      trail.root = undefined;
    }
  }

  #mismatch(record: TraceRecord, body: TraceBodyOf<'mismatch'>, ref: RecordRef, trail: Trail): void {
    const held = trail.stepAt(body.version);
    if (held && held.root.hash !== body.own) {
      this.#open(record, ref, trail, body.version, this.#atRest(trail, ref, body.version, body.own));
      return;
    }
    if (body.reason === 'base') {
      const text = `${trail.id} is at v${body.version} and refused a delta from v${body.from}; it asked again.`;
      this.#verdicts.push({ verdict: 'refused-delta', replica: trail.id, record: ref, text });
      return;
    }
    const receipt = this.#frames.received(record.cause[0]);
    if (receipt && body.reason !== 'heartbeat') {
      this.#caseOf(record, ref, trail, receipt, { version: body.version, got: body.got });
    } else if (this.#isWrong(body.version, body.own, trail)) {
      this.#open(record, ref, trail, body.version, this.#atRest(trail, ref, body.version, body.own));
    }
  }

  #hash(record: TraceRecord, body: TraceBodyOf<'hash'>, ref: RecordRef, trail: Trail): void {
    const isTold = body.agrees === false || (body.agrees === undefined && this.#isWrong(body.version, body.own, trail));
    if (body.agrees === true || (!isTold && body.agrees !== undefined)) return;
    const held = trail.stepAt(body.version);
    const verdict = isTold || held ? this.#verdictOf(body, trail) : undefined;
    if (verdict) {
      if (isTold) this.#verdicts.push({ ...verdict, replica: trail.id, record: ref });
      return;
    }
    if (!isTold) return;
    // Said before it was put right, and heard only now.
    const sent = this.#frames.received(record.cause[0])?.sent;
    if (sent && sent.ref.position < trail.agreedAgain) return;
    this.#open(record, ref, trail, body.version, this.#atRest(trail, ref, body.version, body.own));
  }

  /** Why a hash that is not the one of its version is right nevertheless. */
  #verdictOf({ version, own }: TraceBodyOf<'hash'>, trail: Trail): { verdict: VerdictClass; text: string } | undefined {
    const other = [...this.#states].find(([, root]) => root.hash === own);
    if (other && other[0] !== version) {
      const text = `The hash is that of v${other[0]}, not of v${version}: two versions were compared.`;
      return { verdict: 'other-version', text };
    }
    if (!trail.root) return undefined;
    const changes = [...trail.pending.values()].flatMap((one) => one.changes);
    if (changes.length > 0 && tried(trail.root, changes)?.hash === own) {
      return { verdict: 'predicted', text: 'The hash is that of the state with what was predicted on top.' };
    }
    if (trail.isPartial && trail.root.hash === own) {
      return { verdict: 'partial-view', text: 'The hash is that of the part which the replica is shown.' };
    }
    return undefined;
  }

  #divergence(body: TraceBodyOf<'divergence'>, ref: RecordRef, trail: Trail): void {
    const harmless = body.differences.map(({ own, theirs }) => alike(own, theirs));
    const open = this.#cases.findLastIndex(({ key }) => key.startsWith(`${trail.id} `));
    if (harmless.length > 0 && harmless.every((one) => one !== undefined)) {
      const text = `${body.differences[0]!.key} is written in two ways that say the same.`;
      this.#verdicts.push({ verdict: harmless[0]!, replica: trail.id, record: ref, text });
      if (trail.isDiffering && open >= 0) this.#cases.splice(open, 1);
      return;
    }
    const first = body.differences.find(({ key, own }) => own !== null || trail.root?.get(key)) ?? body.differences[0];
    if (!first) return;
    const missed = trail.isPartial ? this.#missedExit(body, trail) : undefined;
    const value = missed?.value ?? wrongIn(first.key, first.own ?? undefined, first.theirs ?? undefined);
    if (!trail.isDiffering || open < 0) return;
    const one = this.#cases[open]!;
    this.#cases[open] = {
      key: one.key,
      judge: () => {
        const judged = one.judge();
        const told: Proof = { text: 'The replica told what it held.', record: ref };
        const changes = missed && judged.class === 'unknown' ? missed : {};
        const held = judged.value && !missed ? {} : { value };
        return { ...judged, ...changes, ...held, evidence: [...judged.evidence, told] };
      },
    };
  }

  /** What a replica still has, or has not yet, though its view moved. */
  #missedExit({ differences }: TraceBodyOf<'divergence'>, trail: Trail) {
    const state = this.#authority === undefined ? undefined : this.#trail(this.#authority).root;
    const kept = differences.find(({ key, own, theirs }) => (own === null) !== (theirs === null) && state?.has(key));
    if (!kept) return undefined;
    const isExit = kept.theirs === null;
    return {
      class: 'missed-change' as const,
      confidence: 'high' as const,
      reason: isExit
        ? `${kept.key} is still in the session but no longer in the view of ${trail.id}, which was not told so`
        : `${kept.key} came into the view of ${trail.id}, which was not told so`,
      confirm: 'compare the view before and after the delta: what left it must be removed by it',
      value: wrongIn(kept.key, kept.own ?? undefined, kept.theirs ?? undefined),
    };
  }

  // — frames —

  #sent(record: TraceRecord, body: TraceBodyOf<'send'>, ref: RecordRef): void {
    const made = record.cause[0] === undefined ? undefined : this.#refs.get(record.cause[0]);
    const frame = this.#frames.send(record, body, ref, made);
    if (holdsState(body.type)) this.#trail(body.to).deltas.push(frame);
  }

  #received(record: TraceRecord, body: TraceBodyOf<'receive'>, ref: RecordRef, trail: Trail): void {
    const frame = this.#frames.receive(record, body, ref, trail);
    trail.heard++;
    const sender = this.#trails.get(body.sender);
    if (sender) sender.wasHeard++;
    if (!isChanged(frame)) return;
    this.#caseOf(record, ref, trail, frame, { version: trail.version, got: undefined });
  }

  #refused(record: TraceRecord, body: TraceBodyOf<'refused'>, ref: RecordRef): void {
    const sent = record.wire && this.#frames.changed(record.replica, record.wire);
    if (!sent) return;
    const receipt: ReceivedFrame = {
      ...{ ref, type: sent.type, sequence: sent.sequence, wire: record.wire, sent },
      ...{ isRepeated: false, isLate: false },
    };
    this.#caseOf(record, ref, this.#trail(record.replica), receipt, { version: 0, got: undefined }, body.from);
  }

  #health(record: TraceRecord, body: TraceBodyOf<'health'>, ref: RecordRef): void {
    const trail = this.#trail(body.target);
    if (body.state === 'recovered') trail.stalled = undefined;
    else trail.stalled ??= { ref, time: record.time, heard: trail.heard, text: body.stalls.join(', ') };
  }

  // — divergences —

  #caseOf(
    record: TraceRecord,
    detected: RecordRef,
    trail: Trail,
    receipt: ReceivedFrame,
    at: { readonly version: Version; readonly got: string | undefined },
    from: ReplicaId | undefined = receipt.sent?.from,
  ): void {
    const sender = from ?? this.#authority ?? trail.id;
    const sent = this.#frames.delta(receipt.sent?.wire, sender);
    const received = this.#frames.delta(receipt.wire, sender);
    const one = {
      ...{ replica: trail.id, receipt, sent, received, detected, version: at.version, own: trail.root },
      got: at.got as Parameters<typeof judgeDelta>[0]['got'],
      steps: [...trail.steps],
      authority: trail.isPartial ? new Map<Version, StateRoot>() : new Map(this.#states),
      deltas: [...trail.deltas],
    };
    this.#open(record, detected, trail, received?.to ?? at.version, () => judgeDelta(one));
  }

  #open(record: TraceRecord, detected: RecordRef, trail: Trail, version: Version, judge: () => Differing): void {
    // What follows from the first is no finding of its own.
    if (trail.isDiffering && this.#cases.some(({ key }) => key.startsWith(`${trail.id} `))) return;
    trail.isDiffering = true;
    const against = this.#authority ?? trail.id;
    const { time } = record;
    this.#cases.push({
      key: `${trail.id} ${detected.position}`,
      judge: () => ({ replica: trail.id, against, version, time, detected, ...judge() }),
    });
  }

  #agreed(trail: Trail, ref: RecordRef): void {
    if (trail.isDiffering) trail.agreedAgain = ref.position;
    trail.isDiffering = false;
  }

  #isWrong(version: Version, root: string, trail: Trail): boolean {
    const known = trail.isPartial || trail.isOfEarlierLife ? undefined : this.#states.get(version);
    return known !== undefined && known.hash !== root;
  }

  /** Its own whole state, told after a mismatch: the values that are wrong at rest. */
  #tellOwn(root: StateRoot, version: Version, trail: Trail): void {
    const held = trail.stepAt(version)?.root;
    const open = this.#cases.findLastIndex(({ key }) => key.startsWith(`${trail.id} `));
    const value = wrongValue(root, held);
    const one = this.#cases[open];
    if (!one || !value || !trail.isDiffering) return;
    this.#cases[open] = { key: one.key, judge: () => ({ value, ...one.judge() }) };
  }

  #atRest(trail: Trail, detected: RecordRef, version: Version, own: string): () => Differing {
    const verified = trail.verified ?? detected;
    const held = trail.stepAt(version);
    return () => ({
      class: held ? 'corrupted-at-rest' : 'unknown',
      cause: verified,
      confidence: held ? 'high' : 'low',
      reason: held
        ? 'its own hash was right at this version, is another now, and no record lies between that changes it'
        : 'the capture does not hold what it had at this version',
      evidence: [
        { text: `It had the root ${held?.root.hash ?? 'unknown'} here.`, record: verified },
        { text: `It had the root ${own} at v${version} here.`, record: detected },
      ],
      confirm: 'look for code that writes into the committed state other than by deltas',
    });
  }

  #trail(id: ReplicaId): Trail {
    let trail = this.#trails.get(id);
    if (!trail) {
      trail = new Trail(id);
      this.#trails.set(id, trail);
    }
    return trail;
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
    ...{ cause: ref, detected: ref, confidence: 'high' },
    reason: 'a mutation counts once, and its number was committed twice in one life of the authority',
    evidence: [
      { text: `${id} was committed.`, record: before },
      { text: `${id} was committed again.`, record: ref },
    ],
    confirm: 'send one command twice: the second must be answered without being carried out',
  };
}

/** Of findings with one cause the one that says most, in order of detection. */
function oncePerCause(findings: readonly Finding[]): Finding[] {
  const kept = new Map<string, Finding>();
  for (const finding of findings) {
    const key = `${finding.class} ${finding.replica} ${finding.cause.position}`;
    const other = kept.get(key);
    if (!other || (finding.value && !other.value)) kept.set(key, finding);
  }
  return [...kept.values()].sort((a, b) => a.detected.position - b.detected.position);
}
