import { diffRoots, recordDifference, type StateRoot } from '../merkle/index.ts';
import type { ReplicaId, Value, Version } from '../state/index.ts';
import { alike } from './alike.ts';
import { differencesBetween, wrongValue } from './differences.ts';
import type { Finding, Forgotten, NoDivergence, RecordRef, VerdictClass } from './finding.ts';

/** A command that a client worked out on the very state that the authority did, and came to something else. */
export interface Misprediction {
  readonly replica: ReplicaId;
  readonly authority: ReplicaId;
  readonly event: string;
  readonly version: Version;
  readonly time: number;
  readonly prediction: RecordRef;
  readonly commit: RecordRef;
  readonly predicted: StateRoot;
  readonly committed: StateRoot;
}

/** Results of one command that are remembered; more of them say no more. */
const KEPT_SAMPLES = 64;
const KEPT_EVENTS = 1_024;

/** Commands that were worked out twice on one state, by what they did. */
export class Mispredictions {
  readonly #samples = new Map<string, Misprediction[]>();
  readonly #right = new Set<string>();
  /** Of each client and command the first result that was written otherwise and says the same. */
  readonly #harmless = new Map<string, NoDivergence>();
  #lost = 0;

  right(event: string): void {
    if (this.#right.size < KEPT_EVENTS) this.#right.add(event);
  }

  add(one: Misprediction): void {
    const verdict = harmlessly(one);
    if (verdict) {
      const key = `${one.replica} ${one.event} ${verdict}`;
      if (!this.#harmless.has(key) && this.#harmless.size < KEPT_EVENTS) this.#harmless.set(key, saying(one, verdict));
      return;
    }
    const samples = this.#samples.get(one.event) ?? [];
    if (samples.length >= KEPT_SAMPLES || (samples.length === 0 && this.#samples.size >= KEPT_EVENTS)) {
      this.#lost++;
      return;
    }
    samples.push(one);
    this.#samples.set(one.event, samples);
  }

  wasRight(event: string): boolean {
    return this.#right.has(event);
  }

  byEvent(): Iterable<readonly [string, readonly Misprediction[]]> {
    return this.#samples;
  }

  verdicts(): NoDivergence[] {
    return [...this.#harmless.values()];
  }

  get forgotten(): Forgotten {
    return { memory: 'predictions', kept: KEPT_SAMPLES, forgotten: this.#lost };
  }
}

/** Why two results say the same though they are written in two ways; undefined where they do not. */
function harmlessly({ predicted, committed }: Misprediction): VerdictClass | undefined {
  const verdicts = diffRoots(predicted, committed).map(({ left, right }) => alike(left ?? null, right ?? null));
  return verdicts.every((one) => one !== undefined) ? verdicts[0] : undefined;
}

function saying(
  { replica, authority, event, version, time, commit }: Misprediction,
  verdict: VerdictClass,
): NoDivergence {
  const text = `What ${replica} worked out of ${event} is written in another way than what ${authority} did, and says the same.`;
  return { verdict, replica, against: authority, version, time, record: commit, text };
}

/**
 * Same state, same command, other result: either the rules differ between the two builds, and then always in the same way, or
 * they are not a function of the state.
 */
export function judgePredictions(mispredictions: Mispredictions): Finding[] {
  const findings: Finding[] = [];
  for (const [event, ofEvent] of mispredictions.byEvent()) {
    if (isSystematic(ofEvent, mispredictions.wasRight(event))) {
      for (const ofReplica of Map.groupBy(ofEvent, (one) => one.replica).values()) findings.push(skew(ofReplica));
    } else findings.push(nondeterminism(event, ofEvent));
  }
  return findings;
}

function isSystematic(samples: readonly Misprediction[], othersAreRight: boolean): boolean {
  const shapes = samples.map(shapeOf);
  if (shapes.every((shape) => shape.startsWith('fields '))) return true;
  if (samples.length === 1) return othersAreRight;
  return shapes.every((shape) => shape === shapes[0]);
}

/** In what the two results differ, so that the same mistake on other values reads the same. */
function shapeOf({ predicted, committed }: Misprediction): string {
  const differences = diffRoots(predicted, committed).map(({ key, left, right }) => recordDifference(key, left, right));
  if (differences.some(({ side }) => side !== 'both')) return 'fields records';
  const fields = differences.flatMap((one) => one.fields);
  const oneSided = fields.filter(({ left, right }) => left === undefined || right === undefined);
  if (oneSided.length > 0) return `fields ${oneSided.map(({ field }) => field).join(' ')}`;
  return fields.map(({ field, left, right }) => `${field} ${stepText(left, right)}`).join(', ');
}

function stepText(left: Value | undefined, right: Value | undefined): string {
  if (typeof left === 'number' && typeof right === 'number') return `by ${right - left}`;
  return `${JSON.stringify(left)} ${JSON.stringify(right)}`;
}

function skew(samples: readonly Misprediction[]): Finding {
  const first = samples[0]!;
  return {
    ...common(first),
    class: 'build-skew',
    cause: first.prediction,
    confidence: samples.length > 1 ? 'high' : 'medium',
    reason: `${times(samples)} on the authority's own state, and it differed in the same way`,
    evidence: samples.slice(0, 3).flatMap(pairOf),
    confirm: `compare the builds and the rules of ${first.replica} and ${first.authority} for ${first.event}`,
  };
}

function nondeterminism(event: string, samples: readonly Misprediction[]): Finding {
  const first = samples[0]!;
  return {
    ...common(first),
    class: 'nondeterministic-reducer',
    cause: first.commit,
    confidence: samples.length > 1 ? 'high' : 'low',
    reason: `${times(samples)} on the authority's own state, and it differed in another way each time`,
    evidence: samples.slice(0, 3).flatMap(pairOf),
    confirm: `run the reducer of ${event} twice on one state: look for a clock, randomness, or a variable outside the state`,
  };
}

function common(first: Misprediction) {
  const differences = differencesBetween(first.predicted, first.committed);
  return {
    replica: first.replica,
    against: first.authority,
    version: first.version,
    time: first.time,
    detected: first.commit,
    differences,
    ...wrongValue(differences),
  };
}

function times(samples: readonly Misprediction[]): string {
  return samples.length === 1 ? 'it was worked out once' : `it was worked out ${samples.length} times`;
}

function pairOf({ replica, authority, event, prediction, commit }: Misprediction) {
  return [
    { text: `${replica} worked ${event} out ahead.`, record: prediction },
    { text: `${authority} came to something else on the same state.`, record: commit },
  ];
}
