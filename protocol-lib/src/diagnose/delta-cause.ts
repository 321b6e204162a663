import { changesBetween, type RecordDifference, type StateRoot } from '../merkle/index.ts';
import type { Change, StateHash, Version } from '../state/index.ts';
import { differingBytes } from './channel.ts';
import { differenceIn, differencesBetween, tried } from './differences.ts';
import type { Because, Proof, RecordRef } from './finding.ts';
import { misreadAs } from './misreadings.ts';
import type { ReceivedFrame, SentFrame, Step } from './trail.ts';
import type { Witness } from './witnesses.ts';

/** Why a delta did not give the root that it said. */
export type Judgement = Because;

export interface StatedDelta {
  readonly from: Version;
  readonly to: Version;
  readonly changes: readonly Change[];
  readonly root: StateHash;
}

/** A delta that did not fit, with everything that the capture tells of it. */
export interface DeltaCase {
  readonly replica: string;
  readonly receipt: ReceivedFrame;
  /** As it was sent, and as it was received; undefined where that cannot be decoded. */
  readonly sent: StatedDelta | undefined;
  readonly received: StatedDelta | undefined;
  /** What the replica came to with it, where it told. */
  readonly got: StateHash | undefined;
  /** Where the replica was. */
  readonly version: Version;
  readonly own: StateRoot | undefined;
  /** What it held before, newest last. */
  readonly steps: readonly Step[];
  /** The authority's states by version; empty where the replica sees a part. */
  readonly authority: ReadonlyMap<Version, StateRoot>;
  /** Frames with state that were sent to it, oldest first; receipts may come after the case. */
  readonly deltas: readonly SentFrame[];
  /** What a frame says, where it can be read. */
  stated(frame: SentFrame): StatedDelta | undefined;
  /** Others who had a state at a version, where the authority tells of none. */
  others(version: Version): readonly Witness[];
  readonly detected: RecordRef;
}

/** Tries what is known to go wrong, from the wire inwards; each try is decided by bytes or by a root hash. */
export function judgeDelta(one: DeltaCase): Judgement {
  return (
    changedOnTheWay(one) ??
    otherVersion(one) ??
    wronglyMade(one) ??
    wronglyApplied(one) ??
    missedExit(one) ??
    besideOthers(one) ??
    undecided(one)
  );
}

function changedOnTheWay({ receipt, sent, received, own }: DeltaCase): Judgement | undefined {
  const left = receipt.sent?.wire;
  const right = receipt.wire;
  const range = left && right && differingBytes(left, right);
  if (!range) return undefined;
  return {
    class: 'corrupted-in-transit',
    cause: receipt.ref,
    confidence: 'high',
    reason: 'the bytes that were sent and those that were received are both in the capture and differ',
    evidence: [
      { text: `${left.length} bytes were sent.`, record: receipt.sent!.ref },
      { text: `${right.length} bytes were received; ${rangeText(range)}.`, record: receipt.ref },
    ],
    confirm: 'compare the two frames in the Bytes tab, and look at what stands between the two ends of the connection',
    differences:
      own && sent && received ? differencesBetween(tried(own, received.changes), tried(own, sent.changes)) : [],
  };
}

/** Bytes are counted from 0, as the Bytes tab does. */
function rangeText({ first, leftEnd, rightEnd }: NonNullable<ReturnType<typeof differingBytes>>): string {
  const was = leftEnd - first;
  const is = rightEnd - first;
  if (was === is) return was === 1 ? `byte ${first} differs` : `bytes ${first} to ${leftEnd - 1} differ`;
  if (is === 0) return `${was} bytes from byte ${first} on are missing`;
  if (was === 0) return `${is} bytes from byte ${first} on were put in`;
  return `from byte ${first} on, ${is} bytes are in the place of ${was}`;
}

/** The replica applied a delta though it was not at the version that the delta starts from. */
function otherVersion(one: DeltaCase): Judgement | undefined {
  const { received, version } = one;
  return received && received.from !== version ? whyNotFitting(one, received, 'was applied') : undefined;
}

/** Why a delta came that does not start where the replica is; `fate` is what the replica did with it. */
export function whyNotFitting(
  one: DeltaCase,
  received: Pick<StatedDelta, 'from' | 'to'>,
  fate: 'was applied' | 'arrived',
): Judgement {
  const { version, receipt, replica } = one;
  // What a replica lacks is known; what it made of what it should not have applied is not.
  const differences = fate === 'arrived' ? differencesBetween(one.own, one.authority.get(received.to)) : [];
  const notFitting = {
    text: `A delta from v${received.from} to v${received.to} ${fate} while ${replica} was at v${version}.`,
    record: one.detected,
  };
  const confirm =
    fate === 'was applied'
      ? 'run the replica with its check of the base version in place: it refuses this delta'
      : 'look at the frames between the two ends of the connection';
  if (receipt.isRepeated) {
    return {
      class: 'duplicated',
      cause: receipt.ref,
      confidence: 'high',
      reason: 'the same frame, by sender and number, was received before',
      evidence: [{ text: 'The frame was received for the second time.', record: receipt.ref }, notFitting],
      confirm,
      differences,
    };
  }
  if (receipt.isLate) return outOfOrder(receipt.ref, notFitting, confirm, differences);
  const skipped = skippedBefore(one);
  if (skipped && skipped.receipts.length > 0) {
    const late = { text: 'The frame that it overtook arrived later.', record: skipped.receipts[0]! };
    return outOfOrder(receipt.ref, notFitting, confirm, differences, late);
  }
  if (skipped) {
    const { from, to, sequence } = skipped;
    const delta = one.stated(skipped);
    const versions = delta ? ` from v${delta.from} to v${delta.to}` : '';
    return {
      class: 'lost',
      cause: skipped.ref,
      confidence: 'high',
      reason: `a frame with changes was sent, never received, and a later one ${fate} without it`,
      evidence: [
        {
          text: `${from} sent ${to} a delta${versions} as its frame ${sequence}, and it was never received.`,
          record: skipped.ref,
        },
        notFitting,
      ],
      confirm,
      differences,
    };
  }
  const { missing = [] } = receipt;
  const [overtaken] = missing.flatMap(({ heard }) => heard);
  if (overtaken) {
    const late = { text: 'A frame that it overtook arrived later.', record: overtaken };
    return outOfOrder(receipt.ref, notFitting, confirm, differences, late);
  }
  if (missing.length > 0 && received.from > version) {
    return {
      class: 'lost',
      cause: receipt.ref,
      confidence: 'medium',
      reason: `by their numbers frames of ${receipt.from} never came, and a later one ${fate} without them`,
      evidence: [{ text: 'The first with changes after them.', record: receipt.ref }, notFitting],
      confirm: `record ${receipt.from} as well: it tells what it sent`,
      differences,
    };
  }
  return {
    class: 'wrong-base',
    cause: receipt.ref,
    confidence: 'medium',
    reason: receipt.sent
      ? 'nothing that was sent to the replica is missing, repeated or late'
      : 'by their numbers none of the frames that came to the replica is missing, repeated or late',
    evidence: [notFitting],
    confirm,
    differences,
  };
}

/** The delta from where the replica is that was sent before and had not come; else the oldest such that leads further. */
function skippedBefore({ receipt, deltas, version, stated }: DeltaCase): SentFrame | undefined {
  const before = receipt.sent?.ref.position ?? 0;
  const skipped = deltas.filter(
    (sent) =>
      sent.ref.position < before &&
      sent.sequence < receipt.sequence &&
      sent.type === 'DELTA_SYNC' &&
      !sent.receipts.some((at) => at.position < receipt.ref.position),
  );
  return (
    skipped.findLast((sent) => stated(sent)?.from === version) ??
    skipped.find((sent) => (stated(sent)?.to ?? Number.POSITIVE_INFINITY) > version)
  );
}

function outOfOrder(
  cause: RecordRef,
  notFitting: Proof,
  confirm: string,
  differences: readonly RecordDifference[],
  late?: Proof,
): Judgement {
  return {
    class: 'reordered',
    cause,
    confidence: 'high',
    reason: 'the numbers of the frames say in which order they were sent',
    evidence: [{ text: 'The frame arrived out of order.', record: cause }, ...(late ? [late] : []), notFitting],
    confirm,
    differences,
  };
}

/** The delta itself does not lead from the authority's state at its base to its state at its end. */
function wronglyMade({ receipt, sent, authority }: DeltaCase): Judgement | undefined {
  if (!sent) return undefined;
  const base = authority.get(sent.from);
  const target = authority.get(sent.to);
  if (!base || target?.hash !== sent.root) return undefined;
  const made = tried(base, sent.changes);
  if (made?.hash === sent.root) return undefined;
  const cause = receipt.sent?.cause ?? receipt.sent?.ref ?? receipt.ref;
  const differences = differencesBetween(made, target);
  const wrong = {
    text: `The delta from v${sent.from} to v${sent.to} does not lead from the one state of the authority to the other.`,
    record: cause,
  };
  const confirm = 'apply the delta to the state of the authority at its base: the root is not the one that it says';
  const known = { cause, confirm, differences };
  const other = [...authority].find(
    ([version, root]) => version !== sent.from && sameEffect(root, target, sent.changes, base),
  );
  if (other) {
    return {
      ...known,
      class: 'wrong-base',
      confidence: 'high',
      reason: `its changes are exactly those from v${other[0]} on`,
      evidence: [wrong, { text: `It was made on v${other[0]}.` }],
    };
  }
  const right = changesBetween(base, target);
  const told = new Set(sent.changes.map(({ key }) => key));
  const left = right.filter(({ key }) => !told.has(key));
  const isSubset = left.length > 0 && tried(made ?? base, left)?.hash === sent.root;
  return {
    ...known,
    class: isSubset ? 'missed-change' : 'codec-fault',
    confidence: isSubset ? 'high' : 'medium',
    reason: isSubset
      ? 'with the changes that it leaves out it gives the right root'
      : 'the sent bytes say other values than the state that they were made of',
    evidence: [wrong, ...left.slice(0, 3).map(({ key }) => ({ text: `It says nothing of ${key}.` }))],
  };
}

/** Whether a delta's changes are those between two states, though they were said to start elsewhere. */
function sameEffect(base: StateRoot, target: StateRoot, changes: readonly Change[], said: StateRoot): boolean {
  if (base.hash === said.hash) return false;
  const right = changesBetween(base, target);
  return right.length === changes.length && tried(base, changes)?.hash === target.hash;
}

/** The delta was right and so was the state that it came to: what was made of it is not. */
function wronglyApplied(one: DeltaCase): Judgement | undefined {
  const { own, received, receipt, got, steps, version } = one;
  if (!own || !received) return undefined;
  const right = tried(own, received.changes);
  if (right?.hash !== received.root) return undefined;
  const cause = receipt.ref;
  const fits = {
    text: `The frame is right: applied to v${version} as the capture knows it, it gives the root that it says.`,
    record: cause,
  };
  const confirm = 'decode and apply this frame on the replica’s own build, under a debugger';
  const older = steps.findLast(
    (step) => step.root.hash !== own.hash && (got ? tried(step.root, received.changes)?.hash === got : false),
  );
  if (older) {
    const differences = differencesBetween(tried(older.root, received.changes), right);
    return {
      class: 'wrong-base',
      cause,
      confidence: 'high',
      reason: `the root that it came to is that of the delta applied to its state at v${older.version}`,
      evidence: [fits, { text: `It was applied to the state of v${older.version}.`, record: one.detected }],
      confirm,
      differences,
    };
  }
  const skipped = got && withoutOne(own, received.changes, got);
  if (skipped) {
    const differences = differencesBetween(skipped.root, right);
    return {
      class: 'missed-change',
      cause,
      confidence: 'high',
      reason: 'the root that it came to is that of the delta without this one change',
      evidence: [fits, { text: `The change of ${skipped.change.key} was not applied.`, record: one.detected }],
      confirm,
      differences,
    };
  }
  const misread = got && misreadAs(own, received.changes, got);
  if (misread) {
    const differences = differencesBetween(misread.root, right);
    return {
      class: 'codec-fault',
      cause,
      confidence: 'high',
      reason: `the root that it came to is that of the delta with ${misread.how}`,
      evidence: [fits, { text: `Its numbers were read with ${misread.how}.`, record: one.detected }],
      confirm,
      differences,
    };
  }
  return {
    class: got ? 'codec-fault' : 'wrong-base',
    cause,
    confidence: 'low',
    reason: 'the right frame on the right state gave something else, and no known fault gives that root',
    evidence: [fits],
    confirm,
    differences: [],
  };
}

/** More records than this are not tried one by one. */
const MAX_TRIED = 5_000;
const MAX_TRIED_IN_PAIRS = 64;

/** Of a part of the state the base is known from the receiver alone: the delta is right but for records that it does not take away. */
function missedExit({ own, sent, version, receipt, detected }: DeltaCase): Judgement | undefined {
  if (!own || !sent || sent.from !== version) return undefined;
  const result = tried(own, sent.changes);
  const kept = result && keptTooLong(result, sent);
  if (!kept) return undefined;
  const cause = receipt.sent?.cause ?? receipt.sent?.ref ?? receipt.ref;
  const [key] = kept;
  return {
    class: 'missed-change',
    cause,
    confidence: 'high',
    reason: 'with these records taken away it gives the root that it says',
    evidence: [
      { text: `The delta to v${sent.to} does not take away ${kept.join(' and ')}.`, record: cause },
      { text: 'What was made of it had another root.', record: detected },
    ],
    confirm: 'compare the view before and after the delta: what left it must be removed by it',
    differences: [differenceIn(key!, result.get(key!) ?? null, null)],
  };
}

function keptTooLong(result: StateRoot, { changes, root }: StatedDelta) {
  const told = new Set(changes.map(({ key }) => key));
  const keys = Array.from(result.entries(), ([key]) => key).filter((key) => !told.has(key));
  if (keys.length > MAX_TRIED) return undefined;
  for (const [at, key] of keys.entries()) {
    const without = tried(result, [{ op: 'remove', key }]);
    if (without?.hash === root) return [key];
    if (!without || keys.length > MAX_TRIED_IN_PAIRS) continue;
    const other = keys.slice(at + 1).find((one) => tried(without, [{ op: 'remove', key: one }])?.hash === root);
    if (other) return [key, other];
  }
  return undefined;
}

/** Where the authority tells nothing: what another client had, by which the root that the frame says comes out. */
function besideOthers({ own, received, receipt, replica, steps, others }: DeltaCase): Judgement | undefined {
  if (!own || !received) return undefined;
  const { from, to, changes, root } = received;
  const confirm = 'record the authority as well: it tells what it sent, and of which states it was made';
  const base = others(from).find((one) => one.root.hash !== own.hash && tried(one.root, changes)?.hash === root);
  if (base) {
    const cause = steps.at(-1)?.at ?? receipt.ref;
    return {
      ...{ class: 'unknown', cause, confidence: 'medium', confirm },
      reason: `the frame gives the root that it says on what ${base.replica} had at v${from}; ${replica} had something else`,
      evidence: [
        { text: `${replica} came to what it had at v${from}.`, record: cause },
        { text: `The frame says that it leads to the root ${root}.`, record: receipt.ref },
      ],
      differences: differencesBetween(own, base.root),
    };
  }
  const same = others(from).find((one) => one.root.hash === own.hash);
  const target = others(to).find((one) => one.root.hash === root);
  if (!same || !target) return undefined;
  return {
    ...{ class: 'unknown', cause: receipt.ref, confidence: 'medium', confirm },
    reason: `${same.replica} had the same at v${from}, and ${target.replica} has the root that the frame says: it was made wrong, or changed on its way`,
    evidence: [{ text: `The frame does not lead to the root ${root} that it says.`, record: receipt.ref }],
    differences: differencesBetween(tried(own, changes), target.root),
  };
}

function undecided({ receipt, detected }: DeltaCase): Judgement {
  return {
    class: 'unknown',
    cause: receipt.sent?.cause ?? receipt.ref,
    confidence: 'low',
    reason: 'the capture does not hold the states that the delta leads from and to',
    evidence: [{ text: 'The delta did not give the root that it says.', record: detected }],
    confirm: 'record from the start of the session, with the authority in the same capture',
    differences: [],
  };
}

function withoutOne(own: StateRoot, changes: readonly Change[], got: StateHash) {
  for (const change of changes) {
    const root = tried(
      own,
      changes.filter((other) => other !== change),
    );
    if (root?.hash === got) return { change, root };
  }
  return undefined;
}
