import type { DivergenceClass } from '../capture/query.ts';
import { changesBetween, diffRoots, recordDifference, type StateRoot } from '../merkle/index.ts';
import type { Change, StateHash, SyncRecord, Value, Version } from '../state/index.ts';
import type { Confidence, Proof, RecordRef, WrongValue } from './finding.ts';
import type { ReceivedFrame, SentFrame, Step } from './trail.ts';

/** Why a delta did not give the root that it said. */
export interface Judgement {
  readonly class: DivergenceClass;
  readonly cause: RecordRef;
  readonly confidence: Confidence;
  readonly reason: string;
  readonly evidence: readonly Proof[];
  readonly confirm: string;
  readonly value?: WrongValue;
}

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
    undecided(one)
  );
}

function changedOnTheWay({ receipt, sent, received, own }: DeltaCase): Judgement | undefined {
  const left = receipt.sent?.wire;
  const right = receipt.wire;
  if (!left || !right) return undefined;
  const at = firstDifferingByte(left, right);
  if (at < 0) return undefined;
  const value =
    own && sent && received ? wrongValue(tried(own, received.changes), tried(own, sent.changes)) : undefined;
  return {
    class: 'corrupted-in-transit',
    cause: receipt.ref,
    confidence: 'high',
    reason: 'the bytes that were sent and those that were received are both in the capture and differ',
    evidence: [
      { text: `${left.length} bytes were sent.`, record: receipt.sent!.ref },
      { text: `${right.length} bytes were received; they differ from byte ${at} on.`, record: receipt.ref },
    ],
    confirm: 'compare the two frames in the Bytes tab, and look at what stands between the two ends of the connection',
    ...(value ? { value } : {}),
  };
}

/** The replica applied a delta though it was not at the version that the delta starts from. */
function otherVersion(one: DeltaCase): Judgement | undefined {
  const { received, version, receipt, replica } = one;
  if (!received || received.from === version) return undefined;
  const notFitting = {
    text: `A delta from v${received.from} to v${received.to} was applied while ${replica} was at v${version}.`,
    record: one.detected,
  };
  const confirm = 'run the replica with its check of the base version in place: it refuses this delta';
  if (receipt.isRepeated) {
    return {
      class: 'duplicated',
      cause: receipt.ref,
      confidence: 'high',
      reason: 'the same frame, by sender and number, was received before',
      evidence: [{ text: 'The frame was received for the second time.', record: receipt.ref }, notFitting],
      confirm,
    };
  }
  if (receipt.isLate) return outOfOrder(receipt.ref, notFitting, confirm);
  const skipped = one.deltas.find(
    (sent) =>
      sent.ref.position < (receipt.sent?.ref.position ?? 0) &&
      sent.sequence < receipt.sequence &&
      sent.type === 'DELTA_SYNC' &&
      !sent.receipts.some((at) => at.position < receipt.ref.position),
  );
  if (skipped && skipped.receipts.length > 0) {
    const late = { text: 'The frame that it overtook arrived later.', record: skipped.receipts[0]! };
    return outOfOrder(receipt.ref, notFitting, confirm, late);
  }
  if (skipped) {
    return {
      class: 'lost',
      cause: skipped.ref,
      confidence: 'high',
      reason: 'a frame with changes was sent, never received, and a later one was applied without it',
      evidence: [{ text: 'This delta was sent and never received.', record: skipped.ref }, notFitting],
      confirm,
    };
  }
  return {
    class: 'wrong-base',
    cause: receipt.ref,
    confidence: 'medium',
    reason: 'nothing that was sent to the replica is missing, repeated or late',
    evidence: [notFitting],
    confirm,
  };
}

function outOfOrder(cause: RecordRef, notFitting: Proof, confirm: string, late?: Proof): Judgement {
  return {
    class: 'reordered',
    cause,
    confidence: 'high',
    reason: 'the numbers of the frames say in which order they were sent',
    evidence: [{ text: 'The frame arrived out of order.', record: cause }, ...(late ? [late] : []), notFitting],
    confirm,
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
  const value = wrongValue(made, target);
  const wrong = {
    text: `The delta from v${sent.from} to v${sent.to} does not lead from the one state of the authority to the other.`,
    record: cause,
  };
  const confirm = 'apply the delta to the state of the authority at its base: the root is not the one that it says';
  const known = { cause, confirm, ...(value ? { value } : {}) };
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
    const value = wrongValue(tried(older.root, received.changes), right);
    return {
      class: 'wrong-base',
      cause,
      confidence: 'high',
      reason: `the root that it came to is that of the delta applied to its state at v${older.version}`,
      evidence: [fits, { text: `It was applied to the state of v${older.version}.`, record: one.detected }],
      confirm,
      ...(value ? { value } : {}),
    };
  }
  const skipped = got && withoutOne(own, received.changes, got);
  if (skipped) {
    const value = wrongValue(skipped.root, right);
    return {
      class: 'missed-change',
      cause,
      confidence: 'high',
      reason: 'the root that it came to is that of the delta without this one change',
      evidence: [fits, { text: `The change of ${skipped.change.key} was not applied.`, record: one.detected }],
      confirm,
      ...(value ? { value } : {}),
    };
  }
  const misread = got && misreadAs(own, received.changes, got);
  if (misread) {
    const value = wrongValue(misread.root, right);
    return {
      class: 'codec-fault',
      cause,
      confidence: 'high',
      reason: `the root that it came to is that of the delta with ${misread.how}`,
      evidence: [fits, { text: `Its numbers were read with ${misread.how}.`, record: one.detected }],
      confirm,
      ...(value ? { value } : {}),
    };
  }
  return {
    class: got ? 'codec-fault' : 'wrong-base',
    cause,
    confidence: 'low',
    reason: 'the right frame on the right state gave something else, and no known fault gives that root',
    evidence: [fits],
    confirm,
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
    value: wrongIn(key!, result.get(key!), undefined),
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

function undecided({ receipt, detected }: DeltaCase): Judgement {
  return {
    class: 'unknown',
    cause: receipt.sent?.cause ?? receipt.ref,
    confidence: 'low',
    reason: 'the capture does not hold the states that the delta leads from and to',
    evidence: [{ text: 'The delta did not give the root that it says.', record: detected }],
    confirm: 'record from the start of the session, with the authority in the same capture',
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

/** What codecs do to numbers that they have no room for. */
const MISREADINGS: ReadonlyArray<readonly [string, (value: number) => number]> = [
  ['integers cut to 8 bits', (value) => value & 0xff],
  ['integers cut to 16 bits', (value) => value & 0xffff],
  ['integers cut to 16 bits with sign', (value) => (value << 16) >> 16],
  ['integers cut to 24 bits', (value) => value & 0xffffff],
  ['integers cut to 32 bits with sign', (value) => value | 0],
  ['integers cut to 32 bits', (value) => value >>> 0],
];

function misreadAs(own: StateRoot, changes: readonly Change[], got: StateHash) {
  for (const [how, cut] of MISREADINGS) {
    const read = (value: number) => (Number.isInteger(value) ? cut(value) : value);
    const root = tried(
      own,
      changes.map((change) => mapped(change, read)),
    );
    if (root?.hash === got) return { how, root };
  }
  for (const [how, turn] of [
    ['numbers of single precision', Math.fround],
    ['fractions cut off', Math.trunc],
  ] as const) {
    const root = tried(
      own,
      changes.map((change) => mapped(change, turn)),
    );
    if (root?.hash === got) return { how, root };
  }
  return undefined;
}

function mapped(change: Change, read: (value: number) => number): Change {
  if (change.op === 'put') return { ...change, record: mappedRecord(change.record, read) };
  if (change.op === 'patch') return { ...change, fields: mappedRecord(change.fields, read) };
  return change;
}

function mappedRecord(record: SyncRecord, read: (value: number) => number): SyncRecord {
  return Object.fromEntries(Object.entries(record).map(([field, value]) => [field, mappedValue(value, read)]));
}

function mappedValue(value: Value, read: (value: number) => number): Value {
  if (typeof value === 'number') return read(value);
  if (Array.isArray(value)) return value.map((inner: Value) => mappedValue(inner, read));
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  return mappedRecord(value as SyncRecord, read);
}

/** The state after changes; undefined where they do not fit. */
export function tried(root: StateRoot, changes: readonly Change[]): StateRoot | undefined {
  try {
    return root.apply(changes);
  } catch {
    return undefined;
  }
}

/** The first field in which a state differs from the one that it should be. */
export function wrongValue(own: StateRoot | undefined, expected: StateRoot | undefined): WrongValue | undefined {
  if (!own || !expected) return undefined;
  const [first] = diffRoots(own, expected);
  return first && wrongIn(first.key, first.left, first.right);
}

export function wrongIn(key: WrongValue['key'], own: SyncRecord | undefined, expected: SyncRecord | undefined) {
  const { fields } = recordDifference(key, own, expected);
  const field = fields[0];
  if (!own || !expected || !field) {
    return { key, ...(own ? { own } : {}), ...(expected ? { expected } : {}) };
  }
  return {
    key,
    field: field.field,
    ...(field.left === undefined ? {} : { own: field.left }),
    ...(field.right === undefined ? {} : { expected: field.right }),
  };
}

export function firstDifferingByte(left: Uint8Array, right: Uint8Array): number {
  const length = Math.max(left.length, right.length);
  for (let at = 0; at < length; at++) if (left[at] !== right[at]) return at;
  return -1;
}
