import type { CaptureIndex } from '../capture/capture-index.ts';
import { KIND } from '../capture/envelope.ts';
import type { Explanation, RecordDifference } from '../capture/query.ts';
import type { StateFolds } from '../capture/state-folds.ts';
import type { RecordReader } from '../capture/store.ts';
import { diffRoots, recordDifference, sameRecord } from '../merkle/index.ts';
import type { ReplicaId, SyncRecord, Value } from '../state/index.ts';
import type { TraceBodyOf } from '../trace/index.ts';
import { type Cause, findCause } from './cause.ts';
import { type Episode, episodeAt, nextEpisodes } from './episodes.ts';

/** What a diagnosis reads. */
export interface Evidence {
  readonly index: CaptureIndex;
  readonly records: RecordReader;
  readonly folds: StateFolds;
}

const MAX_DIFFERENCES = 100;

/**
 * Why a replica differs, from what the records say alone: for any record from the one after which they
 * disagreed up to the repair. Undefined where the record belongs to no divergence.
 */
export async function explainAt(evidence: Evidence, position: number): Promise<Explanation | undefined> {
  const episode = episodeAt(evidence.index, position);
  if (episode) return explainEpisode(evidence, episode);
  for (const next of nextEpisodes(evidence.index, position)) {
    const explanation = await explainEpisode(evidence, next);
    if (explanation.firstDifference <= position) return explanation;
  }
  return undefined;
}

async function explainEpisode(evidence: Evidence, episode: Episode): Promise<Explanation> {
  const { index, records } = evidence;
  const { replica, detected, ended } = episode;
  const standing = index.standingsAt(detected)[index.replicaNames.findText(replica.id)]!;
  const cause = await findCause(index, records, episode);
  const divergence = await divergenceOf(evidence, episode);
  const against = divergence?.against ?? authorityName(index) ?? replica.id;
  const sinceVersion = standing.differsSince;
  const differences = await differencesOf(evidence, episode, divergence, sinceVersion);
  const source = (await records.read(cause.firstDifference)).source ?? (await records.read(detected)).source;
  return {
    sentence: sentence(replica.id, against, sinceVersion, differences),
    replica: replica.id,
    against,
    sinceVersion,
    firstDifference: cause.firstDifference,
    detected,
    ...(ended >= 0 ? { repaired: ended } : {}),
    class: cause.class,
    evidence: cause.evidence as Cause['evidence'],
    differences: differences.slice(0, MAX_DIFFERENCES),
    ...(source ? { source } : {}),
  };
}

function authorityName(index: CaptureIndex): ReplicaId | undefined {
  return index.authority < 0 ? undefined : index.nameOf(index.authority);
}

/** The divergence record of an episode, in which the replica tells its own values. */
async function divergenceOf(evidence: Evidence, episode: Episode): Promise<TraceBodyOf<'divergence'> | undefined> {
  const { index, records } = evidence;
  const { states } = episode.replica;
  for (let at = states.countBelow(episode.detected); at < states.length; at++) {
    const position = states.at(at);
    if (episode.ended >= 0 && position > episode.ended) return undefined;
    if (index.columns.kind(position) !== KIND.divergence) continue;
    return (await records.readKind(position, 'divergence')).body;
  }
  return undefined;
}

/** Left is what the replica has, right what it should have. */
async function differencesOf(
  evidence: Evidence,
  episode: Episode,
  divergence: TraceBodyOf<'divergence'> | undefined,
  sinceVersion: number,
): Promise<RecordDifference[]> {
  const { index, folds } = evidence;
  const { replica, detected } = episode;
  if (divergence) {
    const before = (await folds.committed(replica, detected - 1)).root;
    const told = divergence.differences.map(({ key, own, theirs }) => ({
      key,
      own: own ?? undefined,
      theirs: theirs ?? undefined,
    }));
    // A replica that is behind lacks newer changes too; what it holds that no record gave it is the fault itself.
    const wrong = told.filter(({ key, own }) => !same(before.get(key), own));
    return (wrong.length > 0 ? wrong : told).map(({ key, own, theirs }) => recordDifference(key, own, theirs));
  }
  const authority = index.replicas[index.authority];
  if (!authority || authority === replica) return [];
  const own = await folds.committed(replica, detected);
  const at = index.roots.positionOf(Math.max(sinceVersion, own.version));
  if (at < index.start) return [];
  const theirs = await folds.committed(authority, at);
  return diffRoots(own.root, theirs.root).map((change) => recordDifference(change.key, change.left, change.right));
}

function same(left: SyncRecord | undefined, right: SyncRecord | undefined): boolean {
  if (left === undefined || right === undefined) return left === right;
  return sameRecord(left, right);
}

function sentence(
  replica: ReplicaId,
  against: ReplicaId,
  since: number,
  differences: readonly RecordDifference[],
): string {
  const head = `${replica} differs from ${against} since v${since}`;
  const first = differences[0];
  if (!first) return `${head}; the capture does not tell in which values`;
  const more = differences.length > 1 ? `, and ${differences.length - 1} more` : '';
  return `${head}: ${differenceText(first)}${more}`;
}

/** `item/golden_key · owner is 3, should be 1` */
export function differenceText(difference: RecordDifference): string {
  if (difference.side === 'left') return `${difference.key} is there and should not be`;
  if (difference.side === 'right') return `${difference.key} is missing`;
  const field = difference.fields[0];
  if (!field) return difference.key;
  const is = field.left === undefined ? 'is missing' : `is ${valueText(field.left)}`;
  const should = field.right === undefined ? 'should not be there' : `should be ${valueText(field.right)}`;
  return `${difference.key} · ${field.field} ${is}, ${should}`;
}

const VALUE_MAX_LENGTH = 60;

function valueText(value: Value): string {
  const text =
    value instanceof Uint8Array
      ? `${value.length} bytes`
      : Object.is(value, -0)
        ? '-0'
        : (JSON.stringify(value) ?? 'NaN');
  return text.length > VALUE_MAX_LENGTH ? `${text.slice(0, VALUE_MAX_LENGTH)}…` : text;
}
