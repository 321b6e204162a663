export type { ExplainedDifference, Reconciliation, Standing, ToPeer } from './exchange.ts';
export { type HeartbeatMessage, Heartbeats, type HeartbeatsOptions } from './heartbeats.ts';
export {
  type Beat,
  type Presence,
  PresenceRoster,
  type PresenceState,
  type RosterOptions,
  type Transition,
} from './roster.ts';
export type { SharedState } from './shared-state.ts';
export { type HeartbeatsStanding, heartbeatsStandingSchema } from './standing.ts';
export { compressed, PRESENCE_DEFAULTS, type PresenceTimeouts } from './timeouts.ts';
