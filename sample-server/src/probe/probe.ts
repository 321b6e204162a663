import { SyncError } from '@syncscope/protocol/errors';
import { type Random, seededRandom } from '@syncscope/protocol/ports';
import { literal, object, string, uint } from '@syncscope/protocol/schema';
import { replicaId } from '@syncscope/protocol/state';
import { closedTap, type NetworkPreset } from '@syncscope/protocol/trace';
import { FaultBoard } from '../faults/fault-board.ts';
import { PRESETS } from '../faults/presets.ts';
import { STATUS_PATH, SYNC_PATH } from '../http-app.ts';
import { SCENARIOS } from '../scenarios/index.ts';
import type { Scenario } from '../scenarios/scenario.ts';
import { BUDGETS, type Budgets, type Figures, type Finding, findings } from './budgets.ts';
import { ProbeClient } from './probe-client.ts';

export interface ProbeOptions {
  /** `ws://HOST:PORT/sync` for WebSockets, `http://HOST:PORT` for event streams. */
  readonly url: string;
  readonly token: string;
  /** 3 by default, two at least: one's change is waited for at another. */
  readonly clients?: number;
  /** How long they play, in all; 10 by default. */
  readonly seconds?: number;
  /** Between the clients and the server; a healthy one by default. */
  readonly network?: NetworkPreset | 'healthy';
  readonly budgets?: Partial<Budgets>;
  /** Of what the clients do and of what the network loses. */
  readonly seed?: number;
}

export interface ProbeReport {
  readonly session: string;
  readonly scenario: string;
  readonly transport: 'WebSocket' | 'SSE';
  readonly network: string;
  readonly clients: number;
  readonly findings: readonly Finding[];
  readonly isMet: boolean;
}

const SERVER = replicaId('server');
const START_MS = 15_000;
const SETTLE_MS = 10_000;
const POLL_MS = 20;
const STATUS_MS = 5_000;

/** What the probe needs of a server's status; whatever else it tells is passed over. */
const statusSchema = object({
  session: string(100),
  scenario: string(100),
  version: uint,
  view: literal('all', 'room'),
});

/**
 * Measures a running session from outside, end to end: cold start, reconnection, delay, bytes and agreement.
 * @throws SyncError `PROBE_UNREACHABLE`, `PROBE_REFUSED`, `SCENARIO_UNKNOWN` where nothing can be measured
 */
export async function probe(options: ProbeOptions): Promise<ProbeReport> {
  const { url, token, seconds = 10, network = 'healthy', budgets = {}, seed = 1 } = options;
  const count = Math.max(2, options.clients ?? 3);
  const status = await askStatus(url, token);
  const scenario = Object.hasOwn(SCENARIOS, status.scenario) ? SCENARIOS[status.scenario] : undefined;
  if (!scenario) throw failure('SCENARIO_UNKNOWN', `${status.scenario} is no scenario that the probe can play`);
  const board = new FaultBoard({
    tap: closedTap,
    authority: SERVER,
    random: seededRandom(seed),
    targets: () => [],
    corrupt: () => 'nothing',
  });
  if (network !== 'healthy') board.inject({ fault: 'network', preset: network });
  const clients = Array.from({ length: count }, (_, index) =>
    newClient(index, {
      url,
      token,
      session: status.session,
      network: board,
      scenario,
      random: seededRandom(seed + index),
    }),
  );
  try {
    await run(clients, seconds * 1_000);
    const { latency, jitter } = PRESETS[network];
    const found = findings(figuresOf(clients, latency + jitter, status.view === 'all'), { ...BUDGETS, ...budgets });
    return {
      session: status.session,
      scenario: status.scenario,
      transport: url.startsWith('ws') ? 'WebSocket' : 'SSE',
      network,
      clients: count,
      findings: found,
      isMet: found.every(({ isMet }) => isMet),
    };
  } finally {
    await Promise.all(clients.map((client) => client.close()));
    board.close();
  }
}

async function askStatus(url: string, token: string) {
  const status = httpOf(url) + STATUS_PATH;
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(status, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(STATUS_MS),
    });
    body = await response.json();
  } catch (cause) {
    throw failure('PROBE_UNREACHABLE', `${status} gave no answer: ${cause instanceof Error ? cause.message : cause}`);
  }
  if (!response.ok)
    throw failure('PROBE_REFUSED', `${status} answered ${response.status}; is the token right (--token)?`);
  const { members: _, ...known } = body as { readonly members?: unknown };
  return statusSchema.parse(known, 'the status');
}

function httpOf(url: string): string {
  const http = url.replace(/^ws/, 'http');
  return http.endsWith(SYNC_PATH) ? http.slice(0, -SYNC_PATH.length) : http;
}

function newClient(
  index: number,
  options: Pick<ProbeOptions, 'url' | 'token'> & {
    readonly session: string;
    readonly network: FaultBoard;
    readonly scenario: Scenario;
    readonly random: Random;
  },
): ProbeClient {
  const { scenario, random, ...rest } = options;
  // A name of its own each time: who probes twice is not taken for itself come back.
  const name = `probe-${process.pid}-${index + 2}`;
  const mind = scenario.mind(replicaId(name), random);
  return new ProbeClient({ ...rest, name, mind, definition: scenario.asPlayed, server: SERVER });
}

async function run(clients: readonly ProbeClient[], duration: number): Promise<void> {
  for (const client of clients) client.connect();
  await until(clients, (client) => client.coldStart !== undefined, START_MS);
  for (const client of clients) client.play();
  await wait(duration / 2);
  for (const client of clients) {
    await client.cut();
    client.connect();
  }
  await until(clients, (client) => client.reconnects.length > 0, START_MS);
  await wait(duration / 2);
  for (const client of clients) client.rest();
  await until(clients, (client) => client.state.isSettled, SETTLE_MS);
}

/** Until it is so for all, or so many milliseconds have passed: what is missing then shows in the figures. */
async function until(
  clients: readonly ProbeClient[],
  test: (client: ProbeClient) => boolean,
  patience: number,
): Promise<void> {
  const end = performance.now() + patience;
  while (!clients.every(test) && performance.now() < end) {
    const ended = clients.find((client) => client.ended !== undefined && client.coldStart === undefined)?.ended;
    if (ended !== undefined) throw failure('PROBE_REFUSED', ended);
    await wait(POLL_MS);
  }
}

function wait(duration: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, duration));
}

function figuresOf(clients: readonly ProbeClient[], network: number, isWhole: boolean): Figures {
  const reconnects = clients.flatMap((client) => client.reconnects);
  const { compared, disagreements } = agreement(clients, isWhole);
  return {
    coldStarts: clients.flatMap(({ coldStart }) => (coldStart ? [coldStart.took] : [])),
    reconnects: reconnects.map(({ took }) => took),
    resumed: reconnects.filter(({ isResumed }) => isResumed).length,
    delays: delaysOf(clients),
    // The last second is not whole.
    bytes: clients.flatMap(({ bytes }) => bytes.slice(0, -1)),
    compared,
    disagreements,
    network,
  };
}

/** From a change at one client to its being applied at each of the others that was connected all the while. */
function delaysOf(clients: readonly ProbeClient[]): number[] {
  const delays: number[] = [];
  for (const client of clients) {
    for (const { madeAt, version } of client.committed) {
      for (const other of clients) {
        const applied = other === client ? undefined : other.applied.find((one) => one.version >= version);
        const isCut = applied && other.reconnects.some(({ at, took }) => at > madeAt && at - took < applied.at);
        if (applied && !isCut && applied.at >= madeAt) delays.push(applied.at - madeAt);
      }
    }
  }
  return delays;
}

/** Two clients with one version have one root. Where each is shown a part of its own, each is compared with what the server says it has. */
function agreement(clients: readonly ProbeClient[], isWhole: boolean): Pick<Figures, 'compared' | 'disagreements'> {
  const disagreements: string[] = [];
  for (const { state, ended, mismatches } of clients) {
    if (!state.isSettled) disagreements.push(`${state.replica} never came to rest${ended ? `: ${ended}` : ''}`);
    if (mismatches.includes('root')) disagreements.push(`${state.replica} had another root than the server`);
  }
  const seen = new Map<number, { readonly root: string; readonly by: string }>();
  const shared = new Set<number>();
  for (const { applied, state } of clients) {
    for (const { version, root } of applied) {
      const other = seen.get(version);
      if (other && other.by !== state.replica) shared.add(version);
      if (isWhole && other && other.root !== root) {
        disagreements.push(`${state.replica} and ${other.by} differ at version ${version}`);
      }
      if (!other) seen.set(version, { root, by: state.replica });
    }
  }
  return { compared: shared.size, disagreements };
}

function failure(code: string, message: string): SyncError {
  return new SyncError(code, message, { origin: 'setting' });
}
