import type { ReplicaId, Version } from '../state/index.ts';
import type { PlayScript, RecordedCommit } from './play-script.ts';

/** Which mutations a version of a recording is made of, by how many of each writer were settled since it began. */
export class WhereInTheRecording {
  readonly #script: PlayScript;
  /** Whose mutations are played, or waited for. */
  readonly writers: readonly ReplicaId[];
  readonly #commits = new Map<ReplicaId, Map<number, RecordedCommit>>();
  readonly #played = new Map<ReplicaId, readonly number[]>();
  /** Where each version was made; its root may be told later, or not at all. */
  readonly #made = new Map<Version, number>();

  constructor(script: PlayScript) {
    this.#script = script;
    this.writers = [...new Set([...script.clients, script.authority])];
    for (const [version, { seq }] of script.roots) this.#made.set(version, seq);
    for (const commit of script.commits) {
      this.#made.set(commit.version, commit.seq);
      if (!commit.mutation) continue;
      const { writer, counter } = commit.mutation;
      const known = this.#commits.get(writer);
      if (known) known.set(counter, commit);
      else this.#commits.set(writer, new Map([[counter, commit]]));
    }
    const seqs = new Map<ReplicaId, number[]>();
    for (const action of script.actions) {
      if (action.kind !== 'intent') continue;
      const known = seqs.get(action.replica);
      if (known) known.push(action.answer.seq);
      else seqs.set(action.replica, [action.answer.seq]);
    }
    for (const [writer, list] of seqs) this.#played.set(writer, list);
    this.#played.set(script.authority, script.settled.get(script.authority) ?? []);
  }

  /** The commit of a recorded mutation; undefined where it was refused or changed nothing. */
  commitOf(writer: ReplicaId, counter: number): RecordedCommit | undefined {
    return this.#commits.get(writer)?.get(counter);
  }

  /** A writer's counter before the recording. */
  before(writer: ReplicaId): number {
    return this.#script.start.vector.find(({ replica }) => replica === writer)?.counter ?? 0;
  }

  /** How many of a writer's were settled when a version had just been made. */
  atLeast(writer: ReplicaId, version: Version): number {
    if (version <= this.#script.start.version) return 0;
    const seq = this.#made.get(version);
    return seq === undefined ? 0 : this.#settledBefore(writer, seq + 1);
  }

  /** And before the next one was. */
  atMost(writer: ReplicaId, version: Version): number {
    const next = this.#made.get(version + 1);
    return this.#settledBefore(writer, next ?? Number.POSITIVE_INFINITY);
  }

  #settledBefore(writer: ReplicaId, seq: number): number {
    const seqs = this.#played.get(writer) ?? [];
    let [low, high] = [0, seqs.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (seqs[middle]! < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
