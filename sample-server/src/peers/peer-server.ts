import { randomBytes, randomInt } from 'node:crypto';
import { SyncError } from '@syncscope/protocol/errors';
import { PROTOCOL_VERSION } from '@syncscope/protocol/messages';
import { type FlightRecorderSettings, type Inspectable, inspectable, monotonicClock } from '@syncscope/protocol/node';
import { milliseconds, randomOf } from '@syncscope/protocol/ports';
import { InputJournal } from '@syncscope/protocol/replay';
import { replicaId } from '@syncscope/protocol/state';
import { secretFields } from '@syncscope/protocol/sync';
import { TRACE_VERSION, TraceHub } from '@syncscope/protocol/trace';
import type { PlannedFault } from '../faults/specs.ts';
import type { PeerScenario } from './peer-scenario.ts';
import { PeerWorld } from './peer-world.ts';

export interface PeerServerOptions {
  readonly scenario: PeerScenario;
  /** The scenario's own number where absent. */
  readonly bots?: number;
  readonly port?: number;
  /** The same seed gives the same peers. Random where absent. */
  readonly seed?: number;
  /** The session's name; a new one where absent. */
  readonly session?: string;
  readonly faults?: readonly PlannedFault[];
  /** Told of one of `faults` that could not start when its time had come. */
  readonly onFaultFailed?: (error: SyncError) => void;
  /** By how much all times of the scenario are shorter. */
  readonly compress?: number;
  readonly assets?: string;
  readonly sessionsFolder?: string;
  /** Saves the last seconds by itself when a peer is found to differ. */
  readonly flightRecorder?: FlightRecorderSettings;
}

/** Peers that run in this process. Nobody else joins them; who wants to see them attaches. */
export interface RunningPeers {
  readonly truth: 'peers';
  readonly session: string;
  readonly seed: number;
  readonly compress: number;
  readonly inspect: Inspectable;
  readonly world: PeerWorld;
  close(reason?: string): Promise<void>;
}

/**
 * Runs a session of peers, its faults, and the endpoint to attach to.
 * @throws SyncError `PEERS_INVALID`, `COMPRESS_INVALID`, or what {@link inspectable} throws
 */
export async function startPeers(options: PeerServerOptions): Promise<RunningPeers> {
  const { scenario, seed = randomInt(2 ** 31), compress = scenario.compress, bots, faults = [] } = options;
  const session = options.session ?? `${scenario.name}-${randomBytes(4).toString('hex')}`;
  if (!(compress >= 1 && compress <= 1_000)) {
    throw new SyncError('COMPRESS_INVALID', `times ${compress} times shorter: 1 to 1000`, { origin: 'setting' });
  }
  const hub = new TraceHub(monotonicClock);
  const random = (part: string) => randomOf(seed, part);
  const peers = bots === undefined ? {} : { peers: bots };
  const journal = new InputJournal(hub, replicaId('peer-1'));
  const world = new PeerWorld({ scenario, session, seed, random, tap: hub, compress, journal, ...peers });
  world.start();
  try {
    const inspect = await inspectable({
      hub,
      header: {
        sessionId: session,
        title: `${scenario.title} (seed ${seed})`,
        scenario: scenario.name,
        traceVersion: TRACE_VERSION,
        protocolVersion: PROTOCOL_VERSION,
        startedAt: Date.now(),
        authority: null,
        build: 'syncscope 0.1.0',
        ...secretFields(scenario),
      },
      describe: () => world.describe(),
      flush: () => journal.flush(),
      targets: () => world.targets,
      injectFault: (spec) => world.faults.inject(spec),
      port: options.port ?? 0,
      ...(options.assets === undefined ? {} : { assets: options.assets }),
      ...(options.sessionsFolder === undefined ? {} : { sessionsFolder: options.sessionsFolder }),
      ...(options.flightRecorder === undefined ? {} : { flightRecorder: options.flightRecorder }),
    });
    for (const { spec, at } of faults) world.faults.schedule(at / milliseconds(1), spec, options.onFaultFailed);
    return {
      truth: 'peers',
      session,
      seed,
      compress,
      inspect,
      world,
      async close(reason = 'the session ended') {
        world.close(reason);
        await inspect.close(reason);
      },
    };
  } catch (error) {
    world.close('the session could not start');
    throw error;
  }
}
