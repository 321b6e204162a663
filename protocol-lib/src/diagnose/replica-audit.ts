import { StateRoot } from '../merkle/index.ts';
import type { Change, RecordKey, ReplicaId, StateHash, Version } from '../state/index.ts';
import type { TraceBodyOf, TraceRecord } from '../trace/index.ts';
import { alike, isIdentical } from './alike.ts';
import { atRest, type Suspicion } from './at-rest.ts';
import type { AuthorityAudit } from './authority-audit.ts';
import type { Cases } from './cases.ts';
import { type DeltaCase, judgeDelta, whyNotFitting } from './delta-cause.ts';
import { differenceIn, differencesBetween, tried } from './differences.ts';
import { Doubts } from './doubts.ts';
import { type Forgotten, MAX_DIFFERENCES, type Proof, type RecordRef, type VerdictClass } from './finding.ts';
import { type Frames, isChanged } from './frames.ts';
import { missedMove } from './missed-move.ts';
import { takeOwnMutation } from './own-mutations.ts';
import type { ReceivedFrame, Trail } from './trail.ts';
import { Witnesses } from './witnesses.ts';

/** Changes and the root that they lead to, where it is told. */
interface Followed extends Pick<TraceBodyOf<'apply'>, 'from' | 'to' | 'changes'> {
  readonly root?: StateHash;
}

/** Frames in names that nobody has. */
const MAX_MISNAMED = 64;
/** What those say who are compared with an authority, or with each other where there is none. */
export class ReplicaAudit {
  readonly #authority: AuthorityAudit | undefined;
  readonly #frames: Frames;
  readonly #cases: Cases;
  readonly #doubts = new Doubts();
  readonly #witnesses = new Witnesses();
  readonly #misnamed: {
    readonly isSure: (isKnown: (replica: ReplicaId) => boolean) => boolean;
    readonly open: () => void;
  }[] = [];

  constructor(authority: AuthorityAudit | undefined, frames: Frames, cases: Cases) {
    this.#authority = authority;
    this.#frames = frames;
    this.#cases = cases;
  }

  take(record: TraceRecord, ref: RecordRef, trail: Trail): void {
    this.#take(record, ref, trail);
    if (trail.verified === ref && this.#authority && !this.#authority.tellsStates) this.#witnesses.took(trail);
  }

  get forgotten(): Forgotten {
    return this.#witnesses.forgotten;
  }

  #take(record: TraceRecord, ref: RecordRef, trail: Trail): void {
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
      case 'commit':
        this.#commit(record, body, ref, trail);
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
        this.#divergence(record, body, ref, trail);
        return;
      default:
        takeOwnMutation(record, ref, trail);
    }
  }

  /** A frame came other than it was sent. */
  received(record: TraceRecord, ref: RecordRef, trail: Trail, frame: ReceivedFrame): void {
    if (!isChanged(frame)) return;
    const at = { version: trail.version, got: undefined };
    if (!frame.isMisnamed || record.body.kind !== 'receive') {
      this.#caseOf(record, ref, trail, frame, at);
      return;
    }
    const { sender } = record.body;
    if (this.#misnamed.length >= MAX_MISNAMED) return;
    this.#misnamed.push({
      isSure: (isKnown) =>
        !isKnown(sender) && this.#frames.heardOfStranger(trail.id, sender) === 1 && frame.sent!.receipts.length === 0,
      open: this.#caseOpener(record, ref, trail, frame, at, frame.sent?.from),
    });
  }

  /**
   * Nothing more comes: a name that was heard once, of nobody who tells anything, was another's, whose frame never arrived.
   * @param isKnown whether a replica tells anything
   */
  finish(isKnown: (replica: ReplicaId) => boolean): void {
    for (const { isSure, open } of this.#misnamed) if (isSure(isKnown)) open();
    this.#doubts.finish();
  }

  /** A frame could not be read, or was not wanted. */
  refused(record: TraceRecord, body: TraceBodyOf<'refused'>, ref: RecordRef, trail: Trail): void {
    const { wire } = record;
    // Where it could be read it was told of as received, and is that record's case.
    const sent = wire && record.cause.length === 0 && this.#frames.changed(record.replica, body.from, wire);
    if (!sent) return;
    const receipt: ReceivedFrame = {
      ...{ ref, from: body.from, type: sent.type, sequence: sent.sequence, wire, sent },
      ...{ isRepeated: false, isLate: false },
    };
    this.#caseOf(record, ref, trail, receipt, { version: trail.version, got: undefined }, body.from);
  }

  #snapshot(record: TraceRecord, body: TraceBodyOf<'snapshot'>, ref: RecordRef, trail: Trail): void {
    const root = StateRoot.from(body.records.map(({ key, record: value }) => [key, value] as const));
    if (root.hash !== body.root) return;
    if (body.reason === 'mismatch') {
      this.#tellOwn(root, body.version, trail);
      return;
    }
    trail.committed(ref.position, body.version);
    if (body.reason === 'full-sync') trail.isOfEarlierLife = false;
    if (this.#isSurelyWrong(body.version, body.root, trail)) {
      this.#openAtRest(record, ref, trail, body.version, body.root, 'compared');
    } else if (body.reason === 'full-sync' || this.#isRight(body.version, body.root, trail)) {
      this.#cases.agreed(trail, ref, false);
    } else this.#cases.ended(trail);
    trail.took(body.version, root, ref);
  }

  /** What a peer did itself, or decided with others. */
  #commit(record: TraceRecord, body: TraceBodyOf<'commit'>, ref: RecordRef, trail: Trail): void {
    this.#follow(record, ref, trail, { from: body.version - 1, to: body.version, ...body });
  }

  #apply(record: TraceRecord, body: TraceBodyOf<'apply'>, ref: RecordRef, trail: Trail): void {
    trail.committed(ref.position, body.to);
    if (!this.#authority) {
      this.#follow(record, ref, trail, body);
      return;
    }
    if (trail.isLapsed) trail.version = body.from;
    const known = this.#authority.stateAt(body.to);
    if (known?.hash === body.root) trail.isOfEarlierLife = false;
    const own = trail.root;
    const root = own && trail.version === body.from ? tried(own, body.changes) : undefined;
    const receipt = this.#frames.received(record.cause[0]);
    const stated = known ? undefined : this.#statedIn(receipt, body.to);
    if (stated === body.root && root === undefined) {
      // Whatever it was made of, it is what its authority says.
      this.#cases.agreed(trail, ref, false);
      const again = own && tried(own, body.changes);
      if (again?.hash === body.root) trail.took(body.to, again, ref);
      else trail.lostAt(body.to);
      return;
    }
    const isDenied = stated !== undefined && stated !== body.root;
    if (root?.hash === body.root && !isDenied && !this.#isSurelyWrong(body.to, body.root, trail)) {
      this.#cases.agreed(trail, ref, false);
      this.#doubts.settle(trail.id, ref.position);
      trail.took(body.to, root, ref);
      return;
    }
    if (known?.hash === body.root) {
      trail.isWhole ||= !trail.isPartial;
      this.#cases.agreed(trail, ref, false);
      trail.took(body.to, known, ref);
      return;
    }
    const isOther = isDenied || (own !== undefined && root?.hash !== body.root);
    if (this.#isSurelyWrong(body.to, body.root, trail) || isOther) {
      if (receipt?.type === 'DELTA_SYNC') {
        this.#caseOf(record, ref, trail, receipt, { version: trail.version, got: body.root });
        trail.isOnlyCompared = !isOther && !isChanged(receipt);
      } else this.#openAtRest(record, ref, trail, body.to, body.root, isOther ? 'changes' : 'compared');
    }
    trail.version = body.to;
    trail.root = root?.hash === body.root && !isDenied ? root : undefined;
  }

  /** The root that a frame says of a version. */
  #statedIn(receipt: ReceivedFrame | undefined, version: Version): StateHash | undefined {
    const delta = receipt && this.#frames.delta(receipt.wire, receipt.sent?.from ?? receipt.from);
    return delta?.to === version ? delta.root : undefined;
  }

  /** Changes of a replica's own records, which must lead from what it had to what it says. */
  #follow(record: TraceRecord, ref: RecordRef, trail: Trail, { from, to, changes, root: told }: Followed): void {
    const own = trail.version === from ? trail.root : undefined;
    const root = own && tried(own, changes);
    if (root && (told === undefined || root.hash === told)) {
      trail.took(to, root, ref);
      return;
    }
    if (own && told !== undefined) {
      this.#openAtRest(record, ref, trail, from, told, 'changes');
    }
    trail.version = to;
    trail.root = undefined;
  }

  #repair(body: TraceBodyOf<'repair'>, ref: RecordRef, trail: Trail): void {
    this.#cases.agreed(trail, ref, true);
    const known = this.#authority?.stateAt(body.version);
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
      this.#openAtRest(record, ref, trail, body.version, body.own, 'own');
      return;
    }
    // Peers that took in the same and hold another state are compared with each other.
    if (!this.#authority) return;
    const receipt = this.#frames.received(record.cause[0]);
    if (body.reason === 'base') {
      this.#refusedDelta(record, body, ref, trail, receipt);
      return;
    }
    if (receipt && body.reason !== 'heartbeat') {
      this.#caseOf(record, ref, trail, receipt, { version: body.version, got: body.got });
      if (!held && !isChanged(receipt)) trail.suspect ??= { own: body.own, held: undefined };
    } else if (!receipt || !isChanged(receipt)) {
      this.#openAtRest(record, ref, trail, body.version, body.own, 'told');
      this.#compareWith(body, trail, held?.root);
    }
  }

  /** Another client had what the authority says that it should have. */
  #compareWith({ version, expected }: TraceBodyOf<'mismatch'>, trail: Trail, held: StateRoot | undefined): void {
    const right = this.#witnesses.at(version, trail.id).find(({ root }) => root.hash === expected);
    const differences = differencesBetween(held, right?.root);
    if (!right || differences.length === 0) return;
    const proof: Proof = {
      text: `${right.replica} had the root ${expected} at v${version}, which the authority says.`,
    };
    this.#cases.amend(trail, (judged) =>
      judged.differences.length > 0 ? judged : { ...judged, differences, evidence: [...judged.evidence, proof] },
    );
  }

  #refusedDelta(
    { time }: TraceRecord,
    body: TraceBodyOf<'mismatch'>,
    ref: RecordRef,
    trail: Trail,
    receipt: ReceivedFrame | undefined,
  ): void {
    const text = `${trail.id} is at v${body.version} and refused a delta from v${body.from}; it asked again.`;
    const told = { verdict: 'refused-delta' as const, version: body.version, time, record: ref, text };
    const one = receipt && this.#deltaCase(ref, trail, receipt, { version: body.version, got: undefined });
    this.#cases.verdict(
      { ...told, replica: trail.id, against: this.#against(trail) },
      one && (() => whyNotFitting(one, body, 'arrived')),
    );
  }

  #hash(record: TraceRecord, body: TraceBodyOf<'hash'>, ref: RecordRef, trail: Trail): void {
    if (body.agrees === true) {
      this.#agrees(record, body, trail);
      return;
    }
    const held = trail.stepAt(body.version);
    const isOwn = body.agrees === undefined && held !== undefined && held.root.hash !== body.own;
    if (body.agrees === undefined && !isOwn && !this.#isSurelyWrong(body.version, body.own, trail)) return;
    const receipt = this.#frames.received(record.cause[0]);
    if (receipt && isChanged(receipt)) return;
    const sent = receipt?.sent;
    const open = (how: Suspicion): void => this.#openAtRest(record, ref, trail, body.version, body.own, how);
    const verdict = this.#verdictOf(body, trail);
    if (verdict) {
      const told = { ...verdict, version: body.version, time: record.time, record: ref };
      this.#doubts.take(trail, held, sent ?? { ref, cause: undefined }, {
        isOwn: trail.root?.hash === body.own,
        key: `${body.version} ${body.own}`,
        verdict: verdict.verdict,
        sure: () => this.#cases.verdict({ ...told, replica: trail.id, against: this.#against(trail) }),
        otherwise: () => open('doubted'),
      });
      return;
    }
    if (!this.#authority && held?.root.hash === body.own) return;
    // Said before it was put right, and heard only now.
    if (sent && sent.ref.position < trail.agreedAgain) return;
    open(body.agrees === false || isOwn ? 'told' : 'compared');
  }

  /** The authority finds a hash to be right. Where it is not that of the whole state, it shows the replica a part. */
  #agrees(record: TraceRecord, { version, own }: TraceBodyOf<'hash'>, trail: Trail): void {
    const sent = this.#frames.received(record.cause[0])?.sent;
    if (sent) this.#doubts.settle(trail.id, sent.ref.position);
    if (record.replica === this.#authority?.id || !this.#isWrong(version, own, trail)) return;
    trail.isPartial = true;
    if (trail.isOnlyCompared) this.#cases.dismiss(trail);
    trail.isOnlyCompared = false;
  }

  /** Why a hash that is not the one of its version is right nevertheless. */
  #verdictOf({ version, own }: TraceBodyOf<'hash'>, trail: Trail): { verdict: VerdictClass; text: string } | undefined {
    const states = [
      ...(this.#authority?.states() ?? []),
      ...trail.steps.map((step) => [step.version, step.root] as const),
    ];
    const other = states.find(([known, root]) => root.hash === own && known !== version);
    if (other && !states.some(([known, root]) => root.hash === own && known === version)) {
      const text = `The hash is that of v${other[0]}, not of v${version}: two versions were compared.`;
      return { verdict: 'other-version', text };
    }
    if (!trail.root) return undefined;
    if (trail.predicted.some(({ root, changes }) => tried(root, changes)?.hash === own)) {
      return { verdict: 'predicted', text: 'The hash is that of the state with what was predicted on top.' };
    }
    if (trail.isPartial && trail.root.hash === own) {
      return { verdict: 'partial-view', text: 'The hash is that of the part which the replica is shown.' };
    }
    return undefined;
  }

  /** The replica tells what it holds where it differs. */
  #divergence(record: TraceRecord, told: TraceBodyOf<'divergence'>, ref: RecordRef, trail: Trail): void {
    // What both have by now, since one has taken it from the other, says nothing of what they had.
    const body = { ...told, differences: told.differences.filter(({ own, theirs }) => !isIdentical(own, theirs)) };
    if (told.differences.length > 0 && body.differences.length === 0) return;
    const harmless = body.differences.map(({ own, theirs }) => alike(own, theirs));
    if (harmless.length > 0 && harmless.every((one) => one !== undefined)) {
      const changes = body.differences.map(({ key, own }): Change => ({ op: 'put', key, record: own! }));
      this.#harmless(record, ref, trail, body.version, body.differences[0]!.key, harmless[0]!, changes);
      return;
    }
    const all = body.differences.map(({ key, own, theirs }) => differenceIn(key, own, theirs));
    // A replica that is behind lacks newer changes too; what it holds that no record gave it is the fault itself.
    const { root } = trail;
    const wrong = root
      ? all.filter((_, at) => !isHeld(root, body.differences[at]!))
      : all.filter(({ side }) => side !== 'right');
    const differences = (wrong.length > 0 ? wrong : all).slice(0, MAX_DIFFERENCES);
    if (differences.length === 0) return;
    if (this.#authority) this.#openAtRest(record, ref, trail, body.version, undefined, 'told');
    const missed = trail.isPartial && missedMove(body, trail.id, this.#authority?.current);
    const proof: Proof = { text: 'The replica told what it held.', record: ref };
    this.#cases.amend(trail, (judged) => ({
      ...judged,
      ...(missed && judged.class === 'unknown' ? missed : {}),
      differences: missed ? missed.differences : judged.differences.length > 0 ? judged.differences : differences,
      evidence: [...judged.evidence, proof],
    }));
  }

  /**
   * Values that say the same, written in another way. They are the whole of the open case where with them the replica has the hash for which it was
   * opened, or where nobody knows what it had.
   */
  #harmless(
    { time }: TraceRecord,
    ref: RecordRef,
    trail: Trail,
    version: Version,
    key: RecordKey,
    verdict: VerdictClass,
    changes: readonly Change[],
  ): void {
    const text = `${key} is written in two ways that say the same.`;
    const told = { verdict, version, time, record: ref, text };
    this.#cases.verdict({ ...told, replica: trail.id, against: this.#against(trail) });
    const { suspect } = trail;
    if (!suspect) return;
    if (suspect.held === undefined || tried(suspect.held, changes)?.hash === suspect.own) this.#cases.dismiss(trail);
  }

  #caseOf(
    record: TraceRecord,
    detected: RecordRef,
    trail: Trail,
    receipt: ReceivedFrame,
    at: Pick<DeltaCase, 'version' | 'got'>,
    from: ReplicaId | undefined = receipt.sent?.from,
  ): void {
    this.#caseOpener(record, detected, trail, receipt, at, from)();
  }

  /** Whether a replica takes in deltas of an authority, so that it is seen when it is right again. */
  #isFollowing({ id }: Trail): boolean {
    return this.#authority !== undefined && id !== this.#authority.id;
  }

  /** Opens the case of a frame now or later, from what is known now. */
  #caseOpener(
    record: TraceRecord,
    detected: RecordRef,
    trail: Trail,
    receipt: ReceivedFrame,
    at: Pick<DeltaCase, 'version' | 'got'>,
    from: ReplicaId | undefined,
  ): () => void {
    const one = this.#deltaCase(detected, trail, receipt, at, from);
    const version = one.received?.to ?? at.version;
    const where = { version, against: this.#against(trail, from) };
    return () => {
      const opening = [record, detected, trail, where, () => judgeDelta(one)] as const;
      if (!this.#isFollowing(trail)) this.#cases.happened(...opening);
      else if (this.#cases.open(...opening)) {
        trail.suspect = undefined;
        trail.isOnlyCompared = false;
      }
    };
  }

  #deltaCase(
    detected: RecordRef,
    trail: Trail,
    receipt: ReceivedFrame,
    at: Pick<DeltaCase, 'version' | 'got'>,
    from: ReplicaId | undefined = receipt.sent?.from,
  ): DeltaCase {
    const sender = from ?? this.#authority?.id ?? trail.id;
    return {
      ...{ replica: trail.id, receipt, detected, own: trail.root, ...at },
      sent: this.#frames.delta(receipt.sent?.wire, sender),
      received: this.#frames.delta(receipt.wire, sender),
      steps: [...trail.steps],
      authority: trail.isPartial ? new Map() : (this.#authority?.states() ?? new Map()),
      deltas: this.#frames.stateFramesTo(trail.id),
      others: (version) => this.#witnesses.at(version, trail.id),
      stated: (frame) => this.#frames.delta(frame.wire, frame.from),
    };
  }

  /** Its own whole state, told after a mismatch: the values that are wrong at rest. */
  #tellOwn(root: StateRoot, version: Version, trail: Trail): void {
    const differences = differencesBetween(root, trail.stepAt(version)?.root);
    if (differences.length === 0) return;
    this.#cases.amend(trail, (judged) => (judged.differences.length > 0 ? judged : { ...judged, differences }));
  }

  /** @param own its hash, where it is told */
  #openAtRest(
    record: TraceRecord,
    detected: RecordRef,
    trail: Trail,
    version: Version,
    own: StateHash | undefined,
    how: Suspicion,
  ): void {
    const held = trail.stepAt(version);
    const judged = atRest(trail, held, detected, version, own, how);
    const where = { version, against: this.#against(trail) };
    if (!this.#cases.open(record, detected, trail, where, () => judged)) {
      if (trail.isOnlyCompared && how !== 'compared') this.#cases.behind(record, detected, trail, where, () => judged);
      return;
    }
    this.#doubts.drop(trail.id);
    trail.suspect = own === undefined ? undefined : { own, held: held?.root };
    trail.isOnlyCompared = how === 'compared';
  }

  #against(trail: Trail, from?: ReplicaId): ReplicaId {
    return this.#authority?.id ?? from ?? trail.id;
  }

  #isRight(version: Version, root: StateHash, trail: Trail): boolean {
    const isRight = !trail.isPartial && !trail.isOfEarlierLife && this.#authority?.stateAt(version)?.hash === root;
    trail.isWhole ||= isRight;
    return isRight;
  }

  /** Whether it has another state than the authority had at that version, and is not shown a part of which the capture does not tell. */
  #isSurelyWrong(version: Version, root: StateHash, trail: Trail): boolean {
    if (this.#isRight(version, root, trail)) return false;
    return (trail.isWhole || this.#authority?.tellsViews === true) && this.#isWrong(version, root, trail);
  }

  #isWrong(version: Version, root: StateHash, trail: Trail): boolean {
    const known = trail.isPartial || trail.isOfEarlierLife ? undefined : this.#authority?.stateAt(version);
    return known !== undefined && known.hash !== root;
  }
}

/** Whether a value that a replica tells is the one that its records gave it. */
function isHeld(root: StateRoot, { key, own }: TraceBodyOf<'divergence'>['differences'][number]): boolean {
  const held = root.get(key);
  if (held === undefined || own === null) return held === undefined && own === null;
  return differenceIn(key, own, held).fields.length === 0;
}
