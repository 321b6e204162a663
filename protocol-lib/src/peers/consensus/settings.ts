import { milliseconds } from '../../ports/index.ts';

/** Times in nanoseconds. */
export interface ConsensusSettings {
  /** Within which a majority must have answered each question before an attempt is given up; doubles with each that came to nothing. */
  readonly roundTimeout: number;
  /** After which a question is asked again of who has not said yes, and missing versions are asked for again. */
  readonly resendInterval: number;
  /** Longest pause before a second attempt; doubles with each one, up to `backoffMax`. The pause is drawn evenly from 0 to there. */
  readonly backoff: number;
  readonly backoffMax: number;
  /** Attempts of one intent, the first included. */
  readonly maxAttempts: number;
  readonly heartbeatInterval: number;
  /**
   * After which a member finishes what somebody else has left undecided, or goes ahead of somebody else's round: once to twice that, or
   * `roundTimeout` where that is more.
   */
  readonly takeOver: number;
  /** Rounds of others that a member with a change of its own lets pass before it goes ahead of them; drawn from once to twice that. */
  readonly givenWay: number;
  /** Decided changes that are kept for members that lag; of more they get the whole state. */
  readonly kept: number;
  /** Decided changes in one answer. */
  readonly perAnswer: number;
  /** Intents that wait at one member. */
  readonly maxQueue: number;
  /** Changes of one intent. */
  readonly maxChanges: number;
  /** Canonical bytes of one intent's changes and arguments. */
  readonly maxBytes: number;
  /** Votes that may wait to become durable before a member says that it has no room. */
  readonly maxUndurable: number;
  /** Answers and other effects that may wait for the disk before nothing more is taken in. */
  readonly maxWaiting: number;
  /** Bytes after which the log is written anew as what it comes to. */
  readonly compactBytes: number;
}

export const CONSENSUS_DEFAULTS: ConsensusSettings = {
  roundTimeout: milliseconds(1_000),
  resendInterval: milliseconds(250),
  backoff: milliseconds(100),
  backoffMax: milliseconds(5_000),
  maxAttempts: 12,
  heartbeatInterval: milliseconds(1_000),
  takeOver: milliseconds(2_000),
  givenWay: 8,
  kept: 256,
  perAnswer: 32,
  maxQueue: 1_000,
  maxChanges: 10_000,
  maxBytes: 1024 * 1024,
  maxUndurable: 1_000,
  maxWaiting: 10_000,
  compactBytes: 4 * 1024 * 1024,
};

/** @throws RangeError where a value is not a positive integer */
export function consensusSettings(options: Partial<ConsensusSettings>): ConsensusSettings {
  const settings = { ...CONSENSUS_DEFAULTS, ...options };
  for (const [name, value] of Object.entries(settings)) {
    if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`${name} is a positive integer, not ${value}`);
  }
  return settings;
}
