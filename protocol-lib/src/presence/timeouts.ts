import { milliseconds } from '../ports/index.ts';

/** Nanoseconds. */
export interface PresenceTimeouts {
  /** Between two heartbeats. */
  readonly heartbeatInterval: number;
  /** Silence after which a replica counts as disconnected. */
  readonly disconnectAfter: number;
  /** Without media, where there was some, for so long: a connection problem. */
  readonly mediaTimeout: number;
  /** Disconnected for so long, a replica has left. */
  readonly leaveAfter: number;
  /** How long two replicas may differ because something is on its way before they come to terms. */
  readonly differenceGrace: number;
  /** An exchange without an answer for so long is given up. */
  readonly exchangeTimeout: number;
}

export const PRESENCE_DEFAULTS: PresenceTimeouts = {
  heartbeatInterval: milliseconds(5_000),
  disconnectAfter: milliseconds(30_000),
  mediaTimeout: milliseconds(10_000),
  leaveAfter: milliseconds(120_000),
  differenceGrace: milliseconds(5_000),
  exchangeTimeout: milliseconds(10_000),
};

/** All times shorter by the same factor: for demonstrations, where nobody waits half a minute. */
export function compressed(factor: number, timeouts: PresenceTimeouts = PRESENCE_DEFAULTS): PresenceTimeouts {
  const shorter = (time: number) => Math.max(1, Math.round(time / factor));
  return {
    heartbeatInterval: shorter(timeouts.heartbeatInterval),
    disconnectAfter: shorter(timeouts.disconnectAfter),
    mediaTimeout: shorter(timeouts.mediaTimeout),
    leaveAfter: shorter(timeouts.leaveAfter),
    differenceGrace: shorter(timeouts.differenceGrace),
    exchangeTimeout: shorter(timeouts.exchangeTimeout),
  };
}
