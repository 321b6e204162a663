import type { OpenCapture } from '../capture/index.ts';
import { isSyncError } from '../errors/index.ts';
import type { Change, ReplicaId } from '../state/index.ts';
import type { SessionDefinition } from '../sync/index.ts';
import type { Tap, TraceBody, TraceRecord } from '../trace/index.ts';
import { checkpointsBefore } from './checkpoints.ts';
import { runnable } from './device-machines.ts';
import { type DifferenceKind, recordDifference, type Told } from './difference.ts';
import { appDecisions, RecordedDecisions } from './driven.ts';
import { type GroupDefinition, GroupMachines, needsGroup } from './group-machines.ts';
import { accountOf, isAtEdge, type LeftOut } from './left-out.ts';
import { isOfSession } from './live-steps.ts';
import { Machines } from './machines.ts';
import { isGroup, type Placed, readSteps, type Step } from './steps.ts';

/** The first record of a recording that its re-execution does not come to. */
export interface ReplayDifference {
  readonly position: number;
  readonly seq: number;
  readonly replica: ReplicaId;
  readonly kind: string;
  /** `missing`: it was recorded and not made again; `extra`: something was made again before it that was not recorded. */
  readonly differs: DifferenceKind | 'missing' | 'extra' | 'error';
  /** Path into the record's body, `cause` or `wire`. */
  readonly path: string;
  readonly recorded: unknown;
  readonly replayed: unknown;
  readonly sentence: string;
}

export interface ReplayOptions {
  /** The app's own definition: its commands and reducers are run again. Where absent, mutations do what was recorded. */
  readonly definition?: SessionDefinition | undefined;
  /** The same of a session without an authority, which cannot be run again without it. */
  readonly group?: GroupDefinition | undefined;
  /**
   * The first and last position that is compared. Of what is before, each endpoint is run from its last beginning on; what is behind is not run.
   */
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface ReplayResult {
  /**
   * `equal`: every record that was made from where each endpoint first says that it stands up to the last inputs came out again. `partial`: every one that
   * was compared did, and somebody was not run, or not throughout: {@link leftOut} says who and why. `differs`: {@link difference}.
   */
  readonly status: 'equal' | 'partial' | 'differs';
  /** Whether the app's commands and reducers were run again, or what they did was taken from the recording. */
  readonly level: 'app' | 'protocol';
  /** Those that were run again; of others a capture has what they said, and not what was done to them. */
  readonly replicas: readonly ReplicaId[];
  readonly inputs: number;
  /** Records that were compared, and those of them that tell a root hash. */
  readonly records: number;
  readonly hashes: number;
  /** Whose records were not compared, and why; those at the edges of what the capture knows make nothing partial. */
  readonly leftOut: readonly LeftOut[];
  /** Records that no endpoint makes: faults, presence, and lines for whoever reads. */
  readonly beside: number;
  readonly difference?: ReplayDifference;
}

const STEPS_BETWEEN_PROGRESS = 1_024;
const NO_CHECKPOINTS: ReadonlyMap<ReplicaId, number> = new Map();

/**
 * Runs a recorded session again: real state machines are handed every recorded input, and each record that they make is compared
 * with the recorded one: state, order, causes and bytes. Equal throughout is a proof that the session is deterministic.
 * @throws SyncError as `readSteps`, `REPLAY_NEEDS_DEFINITION`
 */
export async function reexecute(capture: OpenCapture, options: ReplayOptions = {}): Promise<ReplayResult> {
  const { steps } = await readSteps(capture);
  return reexecuteSteps(steps, options);
}

/** {@link reexecute} of steps at hand. */
export function reexecuteSteps(recorded: readonly Step[], options: ReplayOptions = {}): ReplayResult {
  const steps = runnable(recorded, options.definition !== undefined);
  const { definition, from = 0, to = Number.POSITIVE_INFINITY, onProgress } = options;
  const expectation = new Expectation(from);
  let machines = machinesOf(steps, options, expectation);
  const replicas = new Set<ReplicaId>();
  let inputs = 0;
  const isSession = !isGroup(steps);
  const checkpoints = from > 0 ? checkpointsBefore(steps, from) : NO_CHECKPOINTS;
  for (const [at, { input, records, snapshot, isCut }] of steps.entries()) {
    if (at % STEPS_BETWEEN_PROGRESS === 0) onProgress?.(at, steps.length);
    const [first] = records;
    if (first && first.position > to) break;
    if (isCut && inputs > 0) machines = machinesOf(steps, options, expectation);
    if (input === undefined || at < (checkpoints.get(input.replica) ?? 0)) continue;
    inputs++;
    replicas.add(input.replica);
    expectation.expect(isSession ? records.filter(isOfSession) : records);
    try {
      if (machines instanceof Machines) machines.apply(input, records, undefined, snapshot);
      else machines.apply(input, records);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      expectation.failed(input.replica, `${error.code}: ${error.message}`);
    }
    expectation.finish();
    if (expectation.difference) break;
  }
  const { difference, compared, hashes } = expectation;
  const account = accountOf(steps, from, to);
  const isWhole = account.leftOut.every(isAtEdge);
  return {
    status: difference ? 'differs' : isWhole ? 'equal' : 'partial',
    level: definition || isGroup(steps) ? 'app' : 'protocol',
    replicas: [...replicas].sort(),
    inputs,
    records: compared,
    hashes,
    ...account,
    ...(difference ? { difference } : {}),
  };
}

/** What takes the inputs. @throws SyncError `REPLAY_NEEDS_DEFINITION` */
function machinesOf(steps: readonly Step[], { definition, group }: ReplayOptions, tap: Tap): Machines | GroupMachines {
  if (isGroup(steps)) return new GroupMachines(tap, needsGroup(group));
  return new Machines(tap, definition ? appDecisions(definition, steps) : new RecordedDecisions(steps));
}

/** Takes what the machines report, and compares it with what an input made when it was recorded. */
class Expectation implements Tap {
  readonly isOpen = true;
  readonly #from: number;
  #expected: readonly Placed[] = [];
  #at = 0;
  #lastPosition = 0;
  compared = 0;
  hashes = 0;
  difference: ReplayDifference | undefined;

  constructor(from: number) {
    this.#from = from;
  }

  expect(records: readonly Placed[]): void {
    this.#expected = records;
    this.#at = 0;
  }

  emit(replica: ReplicaId, body: TraceBody, cause: readonly number[] = [], wire?: Uint8Array): number {
    const expected = this.#expected[this.#at++];
    const told: Told = { replica, body, cause: cause.filter((seq) => seq > 0), ...(wire ? { wire } : {}) };
    if (!expected) {
      const where = this.#expected.at(-1) ?? { position: this.#lastPosition, record: { seq: 0 } };
      const sentence = `${replica} made one ${body.kind} more than was recorded`;
      const place = { position: where.position, seq: where.record.seq, replica, kind: body.kind };
      this.#differ({ ...place, differs: 'extra', path: 'kind', recorded: undefined, replayed: body.kind, sentence });
      return 0;
    }
    this.#compare(expected, told);
    return expected.record.seq;
  }

  #compare({ position, record }: Placed, told: Told): void {
    this.#lastPosition = position;
    if (position < this.#from) return;
    this.compared++;
    if ('root' in record.body || 'own' in record.body) this.hashes++;
    const found = recordDifference(record, told);
    if (!found) return;
    const { differs, path, left, right } = found;
    this.#differ({
      ...placeOf(position, record),
      differs,
      path,
      recorded: left,
      replayed: right,
      sentence: sentenceOf(record, told, differs, path),
    });
  }

  /** The machines have taken the input: all that it made must have come. */
  finish(): void {
    const missing = this.#expected[this.#at];
    if (!missing || missing.position < this.#from) return;
    const { position, record } = missing;
    const sentence = `${record.replica} did not make the ${record.body.kind} again that was recorded`;
    const differs = 'missing' as const;
    this.#differ({
      ...placeOf(position, record),
      differs,
      path: 'kind',
      recorded: record.body.kind,
      replayed: undefined,
      sentence,
    });
  }

  failed(replica: ReplicaId, text: string): void {
    const where = this.#expected[this.#at] ?? this.#expected.at(-1);
    const position = where?.position ?? this.#lastPosition;
    const place = { position, seq: where?.record.seq ?? 0, replica, kind: where?.record.body.kind ?? 'nothing' };
    const sentence = `${replica} could not take what was recorded: ${text}`;
    this.#differ({ ...place, differs: 'error', path: '', recorded: undefined, replayed: text, sentence });
  }

  #differ(difference: ReplayDifference): void {
    this.difference ??= difference;
  }
}

function placeOf(position: number, { seq, replica, body }: TraceRecord) {
  return { position, seq, replica, kind: body.kind };
}

/** Names the command or event whose outcome is another one now, where that is what differs. */
function sentenceOf(record: TraceRecord, { body: made }: Told, differs: DifferenceKind, path: string): string {
  const { body, replica, seq } = record;
  const head = `record ${seq}, ${body.kind} of ${replica}`;
  if (differs === 'bytes') return `${head}: the same message has other bytes`;
  if (body.kind === 'log' && body.level === 'error' && made.kind !== 'log') {
    return `${head}: it does not come to this again: ${body.text}`;
  }
  if (body.kind === 'commit' && made.kind === 'commit' && path.startsWith('changes')) {
    return `${head}: the reducer of ${body.event.type} made other changes (${changeText(body.changes)}; now ${changeText(made.changes)})`;
  }
  if (body.kind === 'prediction' && made.kind === 'prediction' && path.startsWith('changes')) {
    return `${head}: the prediction of ${body.command} made other changes (${changeText(body.changes)}; now ${changeText(made.changes)})`;
  }
  if (body.kind === 'rebase' && path.startsWith('pending')) {
    return `${head}: what is pending came to other changes on the same state`;
  }
  return `${head}: ${path} is another one`;
}

function changeText(changes: readonly Change[]): string {
  return changes.map(({ op, key }) => `${op} ${key}`).join(', ') || 'none';
}
