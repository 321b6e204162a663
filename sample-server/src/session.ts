import { SyncError } from '@syncscope/protocol/errors';
import { type RunningPeers, startPeers } from './peers/peer-server.ts';
import { PEER_SCENARIOS } from './scenarios/index.ts';
import { type RunningServer, type ServerOptions, startServer } from './server.ts';

export interface SessionOptions extends ServerOptions {
  /** By how much all times of a scenario of peers are shorter; as the scenario says where absent. */
  readonly compress?: number;
}

/** Options that only a session with an authority can follow. */
const AUTHORITY_ONLY = [
  'view',
  'log',
  'bus',
  'durable',
  'host',
  'token',
  'idle',
  'guestBook',
] as const satisfies readonly (keyof ServerOptions)[];

/**
 * Runs a session of either kind: one with an authority, that clients join, or one of peers.
 * @throws SyncError as {@link startServer} and {@link startPeers}; `OPTION_UNSUPPORTED` where a session of that kind cannot do what is asked
 */
export async function startSession(options: SessionOptions = {}): Promise<RunningServer | RunningPeers> {
  const { scenario = 'adventure', compress, ...rest } = options;
  const peers = Object.hasOwn(PEER_SCENARIOS, scenario) ? PEER_SCENARIOS[scenario] : undefined;
  if (!peers) {
    if (compress !== undefined) throw unsupported('compress', scenario, 'no times that could be shorter');
    return startServer({ ...rest, scenario });
  }
  const asked = AUTHORITY_ONLY.find((name) => options[name] !== undefined);
  if (asked)
    throw unsupported(asked, scenario, 'peers without a server that others could connect to or that keeps a log');
  const { bots, port, seed, session, faults, onFaultFailed, assets, sessionsFolder, flightRecorder } = rest;
  const all = { bots, port, seed, session, faults, onFaultFailed, assets, sessionsFolder, flightRecorder, compress };
  const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  return startPeers({ ...given, scenario: peers });
}

export function isPeers(running: RunningServer | RunningPeers): running is RunningPeers {
  return 'truth' in running;
}

function unsupported(option: string, scenario: string, why: string): SyncError {
  const flag = option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return new SyncError('OPTION_UNSUPPORTED', `--${flag} is not for ${scenario}: it has ${why}`, {
    origin: 'setting',
  });
}
