import type { VersionVector } from '../clock/index.ts';
import type { ReplicaId, Version } from '../state/index.ts';
import type { PlayedIntent, PlayScript, RecordedCommit } from './play-script.ts';
import { WhereInTheRecording } from './play-where.ts';

/** Which recorded mutations the vectors of here stand for: commands by the counter that they have here, the authority's own by their number. */
export class WhereHere {
  readonly #authority: ReplicaId;
  readonly #recording: WhereInTheRecording;
  /** What was sent, by the counter that it has here. */
  readonly #sent = new Map<ReplicaId, Map<number, PlayedIntent>>();
  /** Where the authority's own mutations were before anything was played. */
  #ownAtStart = 0;

  constructor(script: PlayScript) {
    this.#authority = script.authority;
    this.#recording = new WhereInTheRecording(script);
  }

  begin(vector: VersionVector): void {
    this.#ownAtStart = vector.get(this.#authority);
  }

  join(replica: ReplicaId): void {
    this.#sent.set(replica, new Map());
  }

  sent(counter: number, intent: PlayedIntent): void {
    this.#sent.get(intent.replica)?.set(counter, intent);
  }

  /** How many of a client's commands were sent. */
  countOf(replica: ReplicaId): number {
    return this.#sent.get(replica)?.size ?? 0;
  }

  /** Whether the authority's own mutation that had this counter has come. */
  hasOwn(vector: VersionVector, counter: number): boolean {
    return this.#settledOf(this.#authority, vector)! >= counter - this.#recording.before(this.#authority);
  }

  /** Whether a vector has all mutations that a recorded version was made of, of those that are played; the authority's own as well where it is asked for. */
  covers(vector: VersionVector, version: Version, own: boolean): boolean {
    return this.#recording.writers.every((writer) => {
      if (writer === this.#authority && !own) return true;
      const settled = this.#settledOf(writer, vector);
      return settled === undefined || settled >= this.#recording.atLeast(writer, version);
    });
  }

  /** Whether a vector has other commands than a recorded version came of. */
  isReordered(vector: VersionVector, version: Version): boolean {
    return this.#recording.writers.some((writer) => {
      const settled = writer === this.#authority ? undefined : this.#settledOf(writer, vector);
      if (settled === undefined) return false;
      return settled < this.#recording.atLeast(writer, version) || settled > this.#recording.atMost(writer, version);
    });
  }

  /** Whether the authority here has made more mutations of its own than it had by a recorded version. */
  hasExtra(vector: VersionVector, version: Version): boolean {
    return this.#settledOf(this.#authority, vector)! > this.#recording.atLeast(this.#authority, version);
  }

  /** The recorded commits of the mutations that one vector has and one before had not, in their order. */
  commitsBetween(before: VersionVector | undefined, vector: VersionVector): RecordedCommit[] {
    const found: RecordedCommit[] = [];
    const take = (writer: ReplicaId, counter: number | undefined): void => {
      const commit = counter === undefined ? undefined : this.#recording.commitOf(writer, counter);
      if (commit) found.push(commit);
    };
    for (const [writer, sent] of this.#sent) {
      for (let here = (before?.get(writer) ?? 0) + 1; here <= vector.get(writer); here++) {
        take(writer, sent.get(here)?.counter);
      }
    }
    const shift = this.#recording.before(this.#authority) - this.#ownAtStart;
    const last = vector.get(this.#authority);
    for (let own = (before?.get(this.#authority) ?? this.#ownAtStart) + 1; own <= last; own++) {
      take(this.#authority, own + shift);
    }
    return found.sort((left, right) => left.seq - right.seq);
  }

  /** How many recorded mutations of a writer a vector of here has; undefined for one that is not played. */
  #settledOf(writer: ReplicaId, vector: VersionVector): number | undefined {
    if (writer === this.#authority) return vector.get(writer) - this.#ownAtStart;
    const sent = this.#sent.get(writer);
    if (!sent) return undefined;
    const [first] = sent.keys();
    if (first === undefined) return 0;
    return Math.min(sent.size, Math.max(0, vector.get(writer) - first + 1));
  }
}
