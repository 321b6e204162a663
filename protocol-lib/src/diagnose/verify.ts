import { advance, type Committed, nothingKnown } from '../capture/committed.ts';
import type { OpenCapture } from '../capture/engine.ts';
import type { DivergenceClass } from '../capture/query.ts';
import type { RecordKey, ReplicaId, Value, Version } from '../state/index.ts';
import type { TraceRecord } from '../trace/index.ts';
import { Audit } from './audit.ts';
import type { Finding } from './finding.ts';
import { sentenceOf } from './sentence.ts';

/** What a replay of a capture found. */
export interface Verification {
  /** `incomplete` where nothing diverged, but something is missing that could have. */
  readonly status: 'agrees' | 'diverged' | 'incomplete';
  readonly records: number;
  /** Root hashes that were worked out from the records and compared with what the replicas told. */
  readonly checked: number;
  /** The first place where a replica differed from the authority, or from its own records. */
  readonly divergence?: VerifiedDivergence;
  /** What the capture does not hold, a sentence each. */
  readonly missing: readonly string[];
}

export interface VerifiedDivergence {
  readonly sentence: string;
  readonly replica: ReplicaId;
  readonly against: ReplicaId;
  readonly version: Version;
  readonly key?: RecordKey;
  readonly field?: string;
  /** What it had and what it should have had, where a field is known. */
  readonly own?: Value;
  readonly expected?: Value;
  /** Of the record that noticed it. */
  readonly seq: number;
  readonly position: number;
  readonly class: DivergenceClass;
  readonly repaired: boolean;
}

const RECORDS_BETWEEN_CHECKS = 4_096;

/**
 * Replays every record: what each replica was told must give the root hashes that it told, and those must
 * be the authority's. The first divergence is that of the diagnosis, and counts even where it was repaired.
 * @throws SyncError where a record cannot be read, or `ABORTED`
 */
export async function verifyCapture(
  capture: OpenCapture,
  options: { readonly onProgress?: (done: number, total: number) => void } = {},
): Promise<Verification> {
  const info = await capture.info();
  const states = new Map<ReplicaId, Committed>();
  const audit = new Audit(info.header);
  let checked = 0;
  let unfit: { position: number; record: TraceRecord; sentence: string } | undefined;
  for await (const { position, record } of capture.trace()) {
    audit.take(position, record);
    const before = states.get(record.replica) ?? nothingKnown;
    const after = advance(before, record, undefined);
    states.set(record.replica, after);
    if (tellsRoot(record)) checked++;
    if (unfit === undefined && before.unknown === undefined && after.unknown !== undefined && isFollowed(record)) {
      unfit = { position, record, sentence: `${record.replica}: ${after.unknown}` };
    }
    if (position % RECORDS_BETWEEN_CHECKS === 0) options.onProgress?.(position, info.records);
  }
  const divergence = earlier(
    firstDivergence(audit.finish().findings),
    unfit && fromReplay(unfit, info.header.authority ?? unfit.record.replica),
  );
  const missing = missingOf(info, states);
  const status = divergence ? 'diverged' : missing.length > 0 ? 'incomplete' : 'agrees';
  return { status, records: info.records, checked, ...(divergence ? { divergence } : {}), missing };
}

function tellsRoot({ body }: TraceRecord): boolean {
  return body.kind === 'commit' || body.kind === 'apply' || body.kind === 'snapshot' || body.kind === 'hash';
}

/** Records whose changes say by themselves what the root must be; a differing hash or mismatch is a desync with its own record. */
function isFollowed({ body }: TraceRecord): boolean {
  return body.kind === 'commit' || body.kind === 'apply' || (body.kind === 'snapshot' && body.reason !== 'mismatch');
}

/** Who is connected and does not get on need not differ from anybody. */
function firstDivergence(findings: readonly Finding[]): VerifiedDivergence | undefined {
  for (const finding of findings) {
    const { class: found, replica, against, version, value, detected, repaired } = finding;
    if (found === 'not-progressing' || found === 'pending-stuck') continue;
    // A rule that was broken without harm is no divergence.
    if (found === 'split-decision' && finding.differences.length === 0) continue;
    return {
      ...{ sentence: sentenceOf(finding), replica, against, version },
      ...(value ? { key: value.key } : {}),
      ...(value?.field === undefined ? {} : { field: value.field }),
      ...(value?.own === undefined ? {} : { own: value.own }),
      ...(value?.expected === undefined ? {} : { expected: value.expected }),
      ...{ seq: detected.seq, position: detected.position, class: found, repaired: repaired !== undefined },
    };
  }
  return undefined;
}

function fromReplay(
  { position, record, sentence }: { position: number; record: TraceRecord; sentence: string },
  against: ReplicaId,
): VerifiedDivergence {
  const { body } = record;
  const version = body.kind === 'apply' ? body.to : 'version' in body ? body.version : 0;
  return {
    sentence,
    replica: record.replica,
    against,
    version,
    seq: record.seq,
    position,
    class: 'unknown',
    repaired: false,
  };
}

function earlier(
  left: VerifiedDivergence | undefined,
  right: VerifiedDivergence | undefined,
): VerifiedDivergence | undefined {
  if (!left || !right) return left ?? right;
  return right.position < left.position ? right : left;
}

function missingOf(
  info: Awaited<ReturnType<OpenCapture['info']>>,
  states: ReadonlyMap<ReplicaId, Committed>,
): string[] {
  const missing: string[] = [];
  if (info.cut) missing.push(info.cut.message);
  if (info.lost > 0) missing.push(`${info.lost} records were lost before they reached the capture.`);
  else if (info.kinds.gap) missing.push('A gap of unknown size: the recording lost its session.');
  for (const [replica, state] of states) {
    if (state === nothingKnown || (state.unknown !== undefined && state.root.size === 0)) {
      missing.push(`${replica}: ${nothingKnown.unknown}, so its state could not be checked.`);
    }
  }
  return missing;
}
