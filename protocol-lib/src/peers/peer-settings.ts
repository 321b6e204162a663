import { milliseconds } from '../ports/index.ts';
import { PARTITION_DEFAULTS, type PartitionSettings } from './partition.ts';

export interface PeerSettings extends PartitionSettings {
  /** Nanoseconds between two statements of where we stand. */
  readonly statusInterval: number;
  /** Nanoseconds after which what had no answer is said again. */
  readonly resendAfter: number;
  /** Mutations in one message. */
  readonly maxBatch: number;
  /** Mutations that may wait for a cause that has not come; beyond, the oldest are dropped and asked for when their turn comes. */
  readonly maxHeld: number;
  /** Mutations kept behind an agreed point that everybody has, for those who ask late; beyond, the history is cut off there. */
  readonly keepHistory: number;
}

export const PEER_DEFAULTS: PeerSettings = {
  ...PARTITION_DEFAULTS,
  statusInterval: milliseconds(1_000),
  resendAfter: milliseconds(1_000),
  maxBatch: 500,
  maxHeld: 1_000,
  keepHistory: 1_000,
};
