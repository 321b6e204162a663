import type { StateRoot } from '../merkle/index.ts';
import type { Change, ReplicaId, Version } from '../state/index.ts';
import type { RecordRef } from './finding.ts';

/** A frame as it was sent, until the capture ends: with the receipts that it had. */
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
}

export interface ReceivedFrame {
  readonly ref: RecordRef;
  readonly type: string;
  readonly sequence: number;
  readonly wire: Uint8Array | undefined;
  readonly sent: SentFrame | undefined;
  readonly isRepeated: boolean;
  /** A later one of the same sender had been received on this connection. */
  readonly isLate: boolean;
}

export interface Pending {
  readonly ref: RecordRef;
  readonly time: number;
  /** The version that it was last worked out on, alone, and what it changes there. */
  readonly version: Version;
  readonly changes: readonly Change[];
  readonly isFirst: boolean;
  /** Position of the last record that told of it. */
  readonly toldAt: number;
  readonly framesSent: number;
  readonly framesReceived: number;
}

/** The committed state of a replica at a version, as its records give it. */
export interface Step {
  readonly version: Version;
  readonly root: StateRoot;
}

const KEPT_STEPS = 64;

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
  /** Whether the authority has started anew, without what was, since the state that it has. */
  isOfEarlierLife = false;
  /** Whether it was found to differ and has not agreed since. */
  isDiffering = false;
  /** The record with which it last agreed again. */
  agreedAgain = -1;
  isConnected = true;
  /** Frames of the authority that it received and own ones that arrived. */
  heard = 0;
  wasHeard = 0;
  readonly steps: Step[] = [];
  readonly pending = new Map<number, Pending>();
  /** The highest number received of each sender on this connection. */
  readonly highest = new Map<ReplicaId, number>();
  /** Frames with state that were sent to it. */
  readonly deltas: SentFrame[] = [];
  stalled:
    | { readonly ref: RecordRef; readonly time: number; readonly heard: number; readonly text: string }
    | undefined;

  constructor(id: ReplicaId) {
    this.id = id;
  }

  #lastCommit = -1;

  /**
   * A newer state was taken in: it gets on. What is still pending is told of right after that, so what was not told of since the last
   * time is gone, as after a restart without memory.
   */
  committed(position: number, version: Version): void {
    if (version > this.version) this.stalled = undefined;
    for (const [counter, { toldAt }] of this.pending) if (toldAt < this.#lastCommit) this.pending.delete(counter);
    this.#lastCommit = position;
  }

  took(version: Version, root: StateRoot, at: RecordRef): void {
    this.version = version;
    this.root = root;
    this.verified = at;
    this.steps.push({ version, root });
    if (this.steps.length > KEPT_STEPS) this.steps.shift();
  }

  stepAt(version: Version): Step | undefined {
    return this.steps.findLast((step) => step.version === version);
  }
}
