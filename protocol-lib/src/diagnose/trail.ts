import type { StateRoot } from '../merkle/index.ts';
import type { Change, ReplicaId, StateHash, Version } from '../state/index.ts';
import type { Forgotten, RecordRef } from './finding.ts';
import { Recent } from './recent.ts';

/** A frame as it was sent, with the receipts that it has had so far. */
export interface SentFrame {
  readonly ref: RecordRef;
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  readonly type: string;
  readonly sequence: number;
  readonly wire: Uint8Array | undefined;
  /** The record that made it. */
  readonly cause: RecordRef | undefined;
  readonly receipts: RecordRef[];
  /** Which connection it went over, counted for the two. */
  readonly epoch: number;
}

export interface ReceivedFrame {
  readonly ref: RecordRef;
  /** Who sent it, as it says itself. */
  readonly from: ReplicaId;
  readonly type: string;
  readonly sequence: number;
  readonly wire: Uint8Array | undefined;
  readonly sent: SentFrame | undefined;
  readonly isRepeated: boolean;
  /** Whether `sent` is another's than the one whose name it bears, and only alike. */
  readonly isMisnamed?: boolean;
  /** A later one of the same sender had been received on this connection. */
  readonly isLate: boolean;
  /** Where its sender tells nothing: numbers since its last frame of this kind that had not been heard then, and what was heard under them since. */
  readonly missing?: ReadonlyArray<{ readonly heard: readonly RecordRef[] }>;
}

export interface Pending {
  readonly ref: RecordRef;
  readonly time: number;
  /** The version that it was last worked out on, alone, and what it changes there. */
  readonly version: Version;
  readonly changes: readonly Change[];
  readonly isFirst: boolean;
  /** Whether `time` is when it was made; else it was only told of then. */
  readonly isAged: boolean;
  /** Position of the last record that told of it. */
  readonly toldAt: number;
  readonly framesSent: number;
  readonly framesReceived: number;
}

/** The committed state of a replica at a version, as its records give it. */
export interface Step {
  readonly version: Version;
  readonly root: StateRoot;
  /** The record with which it came to it. */
  readonly at: RecordRef;
}

const KEPT_STEPS = 64;
/** What it predicted of late: what it says of itself is heard only after a while. */
const KEPT_PREDICTED = 64;
/** More than a replica is allowed to have waiting. */
const KEPT_PENDING = 4_096;

/** What is known of one replica while its records are read in order. */
export class Trail {
  readonly id: ReplicaId;
  version = 0;
  /** Undefined while its records do not say what it holds. */
  root: StateRoot | undefined;
  /** The last record at which it was what its records say. */
  verified: RecordRef | undefined;
  /** Whether it is shown only a part. */
  isPartial = false;
  /** The hash for which its open case was opened, with what its records say that it had at that version; absent where it is of a frame. */
  suspect: { readonly own: StateHash; readonly held: StateRoot | undefined } | undefined;
  /** Whether its open case rests on nothing but a comparison with the whole state of the authority. */
  isOnlyCompared = false;
  /** Whether the authority has started anew, without what was, since the state that it has. */
  isOfEarlierLife = false;
  /** The record with which it last agreed again. */
  agreedAgain = -1;
  isConnected = true;
  /** Frames of the authority that it received and own ones that arrived. */
  heard = 0;
  wasHeard = 0;
  readonly steps: Step[] = [];
  /** Committed states with what was predicted on top, oldest first. */
  readonly predicted: { readonly root: StateRoot; readonly changes: readonly Change[] }[] = [];
  #forgottenSteps = 0;
  readonly pending = new Recent<number, Pending>('predictions', KEPT_PENDING);
  /** The highest number received of each sender on this connection. */
  readonly highest = new Map<ReplicaId, number>();
  stalled:
    | { readonly ref: RecordRef; readonly time: number; readonly heard: number; readonly text: string }
    | undefined;

  constructor(id: ReplicaId) {
    this.id = id;
  }

  #lastCommit = -1;
  /** Its state was never known, or records are missing since it was. */
  isLapsed = true;
  /** Whether it was seen to have the whole state of the authority, and not a part. */
  isWhole = false;
  /** Whether all that it waits for is known, each from when it was made. */
  isPendingKnown = false;

  /**
   * A newer state was taken in: it gets on. What is still pending is told of right after that, so what was not told of since the last
   * time is gone, as after a restart without memory.
   */
  committed(position: number, version: Version): void {
    if (version > this.version) this.stalled = undefined;
    for (const [counter, { toldAt }] of [...this.pending.entries()])
      if (toldAt < this.#lastCommit) this.pending.delete(counter);
    this.#lastCommit = position;
  }

  /** Records are missing: what it holds, waits for and was told is not known. */
  lapse(): void {
    this.root = undefined;
    this.verified = undefined;
    this.stalled = undefined;
    this.isLapsed = true;
    this.isWhole = false;
    this.isPendingKnown = false;
    this.pending.clear();
    this.highest.clear();
    this.steps.length = 0;
    this.predicted.length = 0;
  }

  took(version: Version, root: StateRoot, at: RecordRef): void {
    this.version = version;
    this.root = root;
    this.verified = at;
    this.isLapsed = false;
    this.steps.push({ version, root, at });
    if (this.steps.length <= KEPT_STEPS) return;
    this.steps.shift();
    this.#forgottenSteps++;
  }

  /** It came to a version, and its records do not say with what. */
  lostAt(version: Version): void {
    this.version = version;
    this.root = undefined;
  }

  /** What is pending is another now. */
  repredicted(): void {
    const changes = [...this.pending.values()].flatMap((one) => one.changes);
    if (!this.root || changes.length === 0) return;
    this.predicted.push({ root: this.root, changes });
    if (this.predicted.length > KEPT_PREDICTED) this.predicted.shift();
  }

  get forgotten(): Forgotten[] {
    return [{ memory: 'states', kept: KEPT_STEPS, forgotten: this.#forgottenSteps }, this.pending.forgotten];
  }

  stepAt(version: Version): Step | undefined {
    return this.steps.findLast((step) => step.version === version);
  }
}
