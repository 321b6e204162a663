import type { CaptureIndex } from '../capture/capture-index.ts';
import { KIND } from '../capture/envelope.ts';
import type { FrameNames } from '../capture/frame-names.ts';
import type { Explanation } from '../capture/query.ts';
import type { StateFolds } from '../capture/state-folds.ts';
import type { RecordReader } from '../capture/store.ts';
import type { TraceHeader } from '../trace/index.ts';
import { Audit, type AuditResult, type AuditStart } from './audit.ts';
import { type Episode, episodeAt, nextEpisodes } from './episodes.ts';
import type { Finding, NoDivergence, RecordRef } from './finding.ts';
import { sentenceOf } from './sentence.ts';

/** What a diagnosis reads. */
export interface Evidence {
  readonly index: CaptureIndex;
  readonly records: RecordReader;
  readonly folds: StateFolds;
  readonly names: FrameNames;
}

/** Records before and after an episode that are read along: causes and late arrivals are near. A shorter capture is read whole. */
const BEFORE = 8_192;
const AFTER = 4_096;
/** Of an episode that goes on and on, so many records are read. */
const MAX_EPISODE = 16_384;
const KEPT_WINDOWS = 16;
/** Kinds that a finding can be about though no replica is seen to differ. */
const TELLING = new Set([
  KIND.conflict,
  KIND.commit,
  KIND.prediction,
  KIND.health,
  KIND.refused,
  KIND.operation,
  KIND.apply,
  KIND.repair,
]);

/**
 * The diagnosis for single records: the audit of the records around them, which says of a divergence what that of the whole capture says.
 */
export class Explainer {
  readonly #evidence: Evidence;
  readonly #header: TraceHeader;
  readonly #windows = new Map<string, Promise<AuditResult>>();

  constructor(evidence: Evidence, header: TraceHeader) {
    this.#evidence = evidence;
    this.#header = header;
  }

  /**
   * Why a replica differs, for any record from the one after which it was wrong up to the repair; or the finding that a record has brought
   * about, noticed or proves. Undefined where the record belongs to none.
   */
  async at(position: number): Promise<Explanation | undefined> {
    const { index } = this.#evidence;
    const episode = episodeAt(index, position);
    if (episode) return this.#episode(episode);
    for (const next of nextEpisodes(index, position)) {
      if (next.detected - position > BEFORE) continue;
      const explanation = await this.#episode(next);
      if (explanation && explanation.firstDifference <= position) return explanation;
    }
    return TELLING.has(index.columns.kind(position)) ? this.#single(position) : undefined;
  }

  async #episode(episode: Episode): Promise<Explanation | undefined> {
    const { replica, detected, ended } = episode;
    const last = ended < 0 ? detected + MAX_EPISODE : Math.min(ended, detected + MAX_EPISODE);
    const { findings, verdicts } = await this.#window(detected, last);
    const refused = verdicts.find((one) => one.replica === replica.id && one.record.position === detected);
    if (refused) return withoutDivergence(refused, ended);
    const isWithin = ({ position }: RecordRef) => position >= detected && (ended < 0 || position <= ended);
    const found =
      findings.find((one) => one.replica === replica.id && isWithin(one.detected)) ??
      findings.find((one) => one.replica === replica.id && covers(one, detected)) ??
      findings.find((one) => covers(one, detected));
    if (found) return this.#told(found, ended);
    const verdict = verdicts.find((one) => one.replica === replica.id && isWithin(one.record));
    if (verdict) return withoutDivergence(verdict, ended);
    const story = await this.#storyOf(detected, findings);
    if (story) return this.#told(story, -1);
    return episode.isRefusal ? undefined : this.#untold(episode);
  }

  /** The finding in whose time lies what a record names as its cause: others may notice, or be put right, long after the first has been. */
  async #storyOf(position: number, findings: readonly Finding[]): Promise<Finding | undefined> {
    const { index, records } = this.#evidence;
    const causes = (await records.read(position)).cause
      .map((seq) => index.positionOfSeq(seq))
      .filter((one) => one >= 0);
    const told = findings.filter((one) => causes.some((cause) => covers(one, cause)));
    return told.find((one) => one.class !== 'unknown') ?? told[0];
  }

  /** A replica said that it differs, and no finding is about that: what it said, in words. */
  async #untold({ replica, detected, ended }: Episode): Promise<Explanation> {
    const { index, records } = this.#evidence;
    const { body, cause, time, source } = await records.read(detected);
    const version = index.columns.number(detected);
    const heard = cause.map((seq) => index.positionOfSeq(seq)).filter((one) => one >= 0);
    return {
      sentence: `${replica.id} was found to differ at v${version}; no finding tells why`,
      replica: replica.id,
      against:
        body.kind === 'divergence' ? body.against : index.authority < 0 ? replica.id : index.nameOf(index.authority),
      ...{ sinceVersion: version, time, firstDifference: detected, detected },
      ...(ended < 0 ? {} : { repaired: ended }),
      ...{ class: 'unknown', confidence: 'low', reason: 'no record around it shows by what they came apart' },
      confirm: 'look at the finding before it, which others may notice later than the first',
      evidence: [
        { text: `${replica.id} found that it differs.`, position: detected },
        ...heard.map((position) => ({ text: 'What it found that by.', position })),
      ],
      differences: [],
      ...(source ? { source } : {}),
    };
  }

  async #single(position: number): Promise<Explanation | undefined> {
    const { findings } = await this.#window(position, position);
    const isAbout = ({ cause, detected, repaired, evidence }: Finding) =>
      [cause, detected, repaired, ...evidence.map(({ record }) => record)].some((one) => one?.position === position);
    const isRepair = this.#evidence.index.columns.kind(position) === KIND.repair;
    const found = findings.find(isAbout) ?? (isRepair ? await this.#storyOf(position, findings) : undefined);
    return found && this.#told(found, -1);
  }

  async #told(finding: Finding, ended: number): Promise<Explanation> {
    const { records } = this.#evidence;
    const { cause, detected, repaired, evidence } = finding;
    const source = (await records.read(cause.position)).source ?? (await records.read(detected.position)).source;
    const end = repaired?.position ?? (ended >= 0 ? ended : undefined);
    return {
      sentence: sentenceOf(finding),
      ...{ replica: finding.replica, against: finding.against, sinceVersion: finding.version, time: finding.time },
      ...{ firstDifference: cause.position, detected: detected.position },
      ...(end === undefined ? {} : { repaired: end }),
      ...{ class: finding.class, confidence: finding.confidence, reason: finding.reason, confirm: finding.confirm },
      evidence: evidence.map(({ text, record }) => ({ text, ...(record ? { position: record.position } : {}) })),
      differences: finding.differences,
      ...(source ? { source } : {}),
    };
  }

  /** The audit of the records around; windows begin and end at round positions, so that near records share one. */
  #window(first: number, last: number): Promise<AuditResult> {
    const { index } = this.#evidence;
    const from = first - BEFORE <= index.start + BEFORE ? index.start : roundDown(first - BEFORE);
    const to = Math.min(index.end, roundDown(last + AFTER) + AFTER);
    const key = `${from} ${to}`;
    const known = this.#windows.get(key);
    if (known) return known;
    const audited = this.#audit(from, to);
    // What failed once may be readable later.
    audited.catch(() => this.#windows.delete(key));
    this.#windows.set(key, audited);
    if (this.#windows.size > KEPT_WINDOWS) this.#windows.delete(this.#windows.keys().next().value!);
    return audited;
  }

  async #audit(from: number, to: number): Promise<AuditResult> {
    const { records } = this.#evidence;
    const audit = new Audit(this.#header, await this.#startAt(from));
    for (let position = from; position < to; position++) audit.take(position, await records.read(position));
    return audit.finish();
  }

  async #startAt(from: number): Promise<AuditStart | undefined> {
    const { index, folds, names } = this.#evidence;
    if (from === 0) return undefined;
    const standings = index.standingsAt(from - 1);
    const replicas: AuditStart['replicas'][number][] = [];
    for (const replica of index.knownReplicas()) {
      const told = replica.states.lastAtOrBelow(from - 1);
      const { version, root, unknown } = await folds.committed(replica, from - 1);
      if (told < 0 && unknown !== undefined) continue;
      const isPartial = standings[index.replicaNames.findText(replica.id)]?.isPartial ?? false;
      const verified = told < index.start ? { seq: 0, position: -1 } : { seq: index.seqAt(told), position: told };
      replicas.push({ id: replica.id, version, root: unknown === undefined ? root : undefined, isPartial, verified });
    }
    return { names: await names.at(from - 1), replicas };
  }
}

function roundDown(position: number): number {
  return Math.max(0, Math.floor(position / AFTER) * AFTER);
}

function covers({ cause, detected, repaired }: Finding, position: number): boolean {
  return cause.position <= position && position <= Math.max(detected.position, repaired?.position ?? 0);
}

/** What only looked like a divergence; its cause, where a delta did not fit. */
function withoutDivergence(verdict: NoDivergence, ended: number): Explanation {
  const { because, record } = verdict;
  const evidence = because?.evidence ?? [{ text: verdict.text, record }];
  return {
    sentence: `no divergence: ${verdict.text}`,
    ...{ replica: verdict.replica, against: verdict.against, sinceVersion: verdict.version, time: verdict.time },
    ...{ firstDifference: because?.cause.position ?? record.position, detected: record.position },
    ...(ended < 0 ? {} : { repaired: ended }),
    ...{ class: because?.class ?? 'unknown', verdict: verdict.verdict, confidence: because?.confidence ?? 'high' },
    reason: because?.reason ?? verdict.text,
    confirm: because?.confirm ?? 'compare the two where both are at one version with nothing pending',
    evidence: evidence.map(({ text, record: shown }) => ({ text, ...(shown ? { position: shown.position } : {}) })),
    differences: because?.differences ?? [],
  };
}
