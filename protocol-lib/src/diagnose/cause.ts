import type { CaptureIndex, ReplicaIndex } from '../capture/capture-index.ts';
import { hashOf, KIND } from '../capture/envelope.ts';
import { FLAG } from '../capture/flags.ts';
import type { DivergenceClass } from '../capture/query.ts';
import type { RecordReader } from '../capture/store.ts';
import { short, typeWords } from '../capture/summary.ts';
import type { TraceBodyOf } from '../trace/index.ts';
import type { Episode } from './episodes.ts';

/** Why a replica came to differ, with the records that show it. Faults that were asked for are never looked at. */
export interface Cause {
  readonly class: DivergenceClass;
  /** The first record after which they disagreed. */
  readonly firstDifference: number;
  readonly evidence: ReadonlyArray<{ readonly text: string; readonly position?: number }>;
}

interface Case {
  readonly index: CaptureIndex;
  readonly records: RecordReader;
  readonly replica: ReplicaIndex;
  readonly detected: number;
  /** The replica's last record before that its root hash was verified at; -1 where there is none. */
  readonly verified: number;
  /** Where it came to the version that it had when this was noticed, at or before {@link verified}. */
  readonly reached: number;
}

export async function findCause(index: CaptureIndex, records: RecordReader, episode: Episode): Promise<Cause> {
  const { replica, detected } = episode;
  const verified = lastVerified(index, replica, detected);
  const one: Case = { index, records, replica, detected, verified, reached: reachedVersion(index, replica, verified) };
  const record = await records.read(detected);
  return (
    (await changedOnTheWay(one)) ??
    (record.body.kind === 'mismatch' && record.body.reason === 'base'
      ? await wrongBase(one, record.body)
      : changedAtRest(one)) ??
    (await lostBefore(one)) ??
    undecided(one)
  );
}

function lastVerified(index: CaptureIndex, replica: ReplicaIndex, before: number): number {
  const { columns, roots } = index;
  for (let at = replica.states.countBelow(before) - 1; at >= 0; at--) {
    const position = replica.states.at(at);
    const kind = columns.kind(position);
    if (kind === KIND.mismatch || kind === KIND.divergence) continue;
    if (roots.agrees(columns.number(position), columns.high(position), columns.low(position)) === true) return position;
  }
  return -1;
}

/** The first of the verified records in a row, up to `verified`, that have its version. */
function reachedVersion(index: CaptureIndex, replica: ReplicaIndex, verified: number): number {
  if (verified < 0) return verified;
  const { columns } = index;
  const version = columns.number(verified);
  let reached = verified;
  for (let at = replica.states.countBelow(verified) - 1; at >= 0; at--) {
    const position = replica.states.at(at);
    if (columns.number(position) !== version) break;
    reached = position;
  }
  return reached;
}

/** Bytes that arrived other than they were sent. */
async function changedOnTheWay({ index, records, replica, detected, reached }: Case): Promise<Cause | undefined> {
  for (const position of receiptsOf(index, replica, reached, detected)) {
    const sentAt = index.columns.partner(position);
    if (sentAt < index.start) continue;
    const sent = await records.read(sentAt);
    const received = await records.read(position);
    if (!sent.wire || !received.wire) continue;
    const differing = firstDifferingByte(sent.wire, received.wire);
    if (differing < 0) continue;
    return {
      class: 'corrupted-in-transit',
      firstDifference: position,
      evidence: [
        { text: `${sent.replica} sent ${sent.wire.length} bytes.`, position: sentAt },
        {
          text: `${replica.id} received ${received.wire.length} bytes that differ from byte ${differing} on.`,
          position,
        },
      ],
    };
  }
  return undefined;
}

/** A delta that did not start where the replica was. */
async function wrongBase(one: Case, body: TraceBodyOf<'mismatch'>): Promise<Cause | undefined> {
  const { index, replica, detected } = one;
  const notFitting = {
    text: `A delta from v${body.from} to v${body.to} arrived while ${replica.id} was at v${body.version}.`,
    position: detected,
  };
  const receipt = index.columns.cause(detected);
  const flags = receipt >= index.start ? index.columns.flags(receipt) : 0;
  if (flags & FLAG.duplicate) {
    return {
      class: 'duplicated',
      firstDifference: receipt,
      evidence: [{ text: 'The frame had been received before, with the same number.', position: receipt }, notFitting],
    };
  }
  if (flags & FLAG.late) {
    return {
      class: 'reordered',
      firstDifference: receipt,
      evidence: [{ text: 'The frame arrived after a later one of the same sender.', position: receipt }, notFitting],
    };
  }
  const lost = body.from > body.version ? await lostBefore(one) : undefined;
  if (lost) return { ...lost, evidence: [...lost.evidence, notFitting] };
  const made = madeFrom(index, receipt);
  return {
    class: 'wrong-base',
    firstDifference: made >= 0 ? made : detected,
    evidence: [
      notFitting,
      {
        text: `Nothing that was sent to ${replica.id} since v${body.version} is missing, so the delta was made on a base that it never had.`,
        ...(made >= 0 ? { position: made } : {}),
      },
    ],
  };
}

/** The record that made the frame which a receipt received; -1 where it is not known. */
function madeFrom(index: CaptureIndex, receipt: number): number {
  if (receipt < index.start) return -1;
  const sent = index.columns.partner(receipt);
  return sent < index.start ? -1 : index.columns.cause(sent);
}

/** A frame with state that was sent to the replica and never received, though later ones were. */
async function lostBefore({ index, records, replica, detected, reached }: Case): Promise<Cause | undefined> {
  const { columns } = index;
  const own = index.replicaNames.findText(replica.id);
  for (let position = Math.max(reached, index.start); position < detected; position++) {
    if (columns.kind(position) !== KIND.send || columns.high(position) >>> 16 !== own || !index.isLost(position))
      continue;
    const { body } = await records.readKind(position, 'send');
    if (body.type !== 'DELTA_SYNC' && body.type !== 'FULL_SYNC') continue;
    const overtakenBy = nextReceipt(index, position, own);
    const delta = columns.cause(position);
    const versions =
      delta >= index.start && columns.kind(delta) === KIND.delta
        ? ` from v${columns.high(delta)} to v${columns.number(delta)}`
        : '';
    return {
      class: 'lost',
      firstDifference: position,
      evidence: [
        {
          text: `${body.sender} sent ${replica.id} a ${typeWords(body.type)}${versions} as its frame ${body.sequence}, and it was never received.`,
          position,
        },
        ...(overtakenBy < 0 ? [] : [{ text: `A later frame of ${body.sender} was received.`, position: overtakenBy }]),
      ],
    };
  }
  return undefined;
}

/** The first receipt of a later frame of the same sender by the same receiver. */
function nextReceipt(index: CaptureIndex, sent: number, receiver: number): number {
  const { columns } = index;
  const sender = columns.high(sent) & 0xffff;
  const sequence = columns.number(sent);
  for (let position = sent + 1; position < index.end; position++) {
    if (columns.kind(position) !== KIND.receive || columns.replica(position) !== receiver) continue;
    if ((columns.high(position) & 0xffff) === sender && columns.number(position) > sequence) return position;
  }
  return -1;
}

/** Two root hashes of one replica at one version, and no record between that could have changed it. */
function changedAtRest({ index, replica, detected, verified }: Case): Cause | undefined {
  if (verified < 0) return undefined;
  const { columns } = index;
  if (!(columns.flags(detected) & FLAG.hash) || columns.number(verified) !== columns.number(detected)) return undefined;
  if (columns.high(verified) === columns.high(detected) && columns.low(verified) === columns.low(detected))
    return undefined;
  const version = columns.number(detected);
  return {
    class: 'corrupted-at-rest',
    firstDifference: verified,
    evidence: [
      {
        text: `At v${version} ${replica.id} had the root hash ${short(hashOf(columns.high(verified), columns.low(verified)))}, the same as the authority.`,
        position: verified,
      },
      {
        text: `Later, still at v${version}, it had ${short(hashOf(columns.high(detected), columns.low(detected)))} instead.`,
        position: detected,
      },
      { text: 'No delta, snapshot or repair came in between: its copy was changed in its own memory.' },
    ],
  };
}

function undecided({ index, replica, detected, verified }: Case): Cause {
  const duplicate = receiptsOf(index, replica, verified, detected).find(
    (position) => index.columns.flags(position) & FLAG.duplicate,
  );
  if (duplicate !== undefined) {
    return {
      class: 'duplicated',
      firstDifference: duplicate,
      evidence: [{ text: `${replica.id} received a frame for the second time.`, position: duplicate }],
    };
  }
  return {
    class: 'unknown',
    firstDifference: verified >= 0 ? verified : detected,
    evidence: [
      ...(verified >= 0 ? [{ text: `${replica.id} still agreed here.`, position: verified }] : []),
      { text: 'Nothing was lost, repeated or changed on the way, as far as the capture shows.', position: detected },
    ],
  };
}

/** Receipts of a replica after one position, up to another. */
function receiptsOf(index: CaptureIndex, replica: ReplicaIndex, after: number, upTo: number): number[] {
  const { columns } = index;
  const own = index.replicaNames.findText(replica.id);
  const receipts: number[] = [];
  for (let position = Math.max(after + 1, index.start); position <= upTo; position++) {
    if (columns.kind(position) === KIND.receive && columns.replica(position) === own) receipts.push(position);
  }
  return receipts;
}

function firstDifferingByte(left: Uint8Array, right: Uint8Array): number {
  const length = Math.max(left.length, right.length);
  for (let at = 0; at < length; at++) if (left[at] !== right[at]) return at;
  return -1;
}
