import { milliseconds } from '../ports/index.ts';
import type { TraceRecord } from '../trace/index.ts';
import { Choices } from './choices.ts';
import { STRIKING } from './faults.ts';
import type { ClientNode } from './nodes.ts';
import type { Violation } from './oracle.ts';
import type { SimulationOptions } from './shape.ts';
import { World } from './world.ts';

export type Phase = 'warm-up' | 'safety' | 'liveness' | 'healed' | 'audit';

export interface Failure extends Violation {
  /** Events before it. */
  readonly step: number;
  /** Virtual nanoseconds. */
  readonly time: number;
  readonly phase: Phase;
}

/** What a run came to. */
export interface SimulationResult {
  readonly options: SimulationOptions;
  readonly failure: Failure | undefined;
  /** Hash of everything that was traced. */
  readonly hash: string;
  readonly events: number;
  /** Virtual nanoseconds. */
  readonly time: number;
  readonly frames: number;
  readonly commits: number;
  /** How often each fault struck, and each kind of repair put things right. */
  readonly tally: Readonly<Record<string, number>>;
  /** Choices that were made, by concern: what may be taken out. */
  readonly choices: Readonly<Record<string, number>>;
}

const PROBE = milliseconds(100);
/** From healing to convergence: two waits of 30 s may follow upon each other, and clocks differ. */
const LIVENESS_BUDGET = milliseconds(150_000);
/** After convergence, what was on the way arrives. */
const SETTLING = milliseconds(1_500);
const QUIET = milliseconds(2_100);
const DEEP_EVERY = 200;

/** Runs one seed of the bazaar to its end, or to the first rule that is broken. */
export function simulateBazaar(options: SimulationOptions, listener?: (record: TraceRecord) => void): SimulationResult {
  return new Simulation(options, listener).run();
}

/** The phases of a run. */
class Simulation {
  readonly #options: SimulationOptions;
  readonly #world: World;
  readonly #faults: Choices;
  readonly #healing: Choices;
  #phase: Phase = 'warm-up';
  #steps = 0;

  constructor(options: SimulationOptions, listener: ((record: TraceRecord) => void) | undefined) {
    this.#options = options;
    this.#world = new World(options, listener);
    this.#faults = new Choices(options.seed, 'faults', options.skip ?? {});
    this.#healing = new Choices(options.seed, 'healing', {});
  }

  run(): SimulationResult {
    let failure: Failure | undefined;
    try {
      this.#world.start();
      this.#advance(this.#world.shape.warmUp);
      this.#safety();
      this.#liveness();
      this.#healAll();
      this.#phase = 'audit';
      this.#world.referee.audit(this.#world);
      this.#throwIfBroken();
    } catch (error) {
      const { step, time, phase } = { step: this.#steps, time: this.#world.now, phase: this.#phase };
      if (error instanceof Broken) failure = { ...error.violation, step, time, phase };
      else failure = { invariant: 'no-throw', text: stackOf(error), step, time, phase };
    }
    this.#world.endRecording();
    const { clients, commits, frames, referee, server } = this.#world;
    const all = [this.#faults, server.operations];
    for (const client of clients) all.push(client.operations, client.upChoices, client.downChoices);
    return {
      options: this.#options,
      failure,
      hash: referee.hash,
      events: this.#steps,
      time: this.#world.now,
      frames: frames,
      commits: commits,
      tally: referee.tally,
      choices: Object.fromEntries(all.map(({ concern, count }) => [concern, count])),
    };
  }

  #safety(): void {
    this.#phase = 'safety';
    for (const client of this.#world.clients) client.conditions.isRough = true;
    const start = this.#world.now;
    for (let index = 0; index < this.#world.shape.faultEvents; index++) {
      const { stream, isSkipped } = this.#faults.next();
      const at = start + stream.next() * this.#world.shape.safety;
      const fault = stream.pick(STRIKING);
      const client = this.#world.clients[Math.floor(stream.next() * 4)];
      if (isSkipped || !client || !this.#world.shape.faults.has(fault)) continue;
      this.#world.queue.at(at, () => this.#world.strike(fault, client, stream));
    }
    this.#advance(start + this.#world.shape.safety);
    if (this.#options.canary) this.#world.referee.report({ invariant: 'canary', text: 'the canary sings' });
    this.#world.isWorking = false;
  }

  /** The authority and a random majority of the clients are healed, the others cut off; the healed ones must converge. */
  #liveness(): void {
    this.#phase = 'liveness';
    const { stream } = this.#healing.next();
    const waiting = [...this.#world.clients];
    const healed: ClientNode[] = [];
    const count = stream.int(Math.ceil(waiting.length / 2), waiting.length);
    while (healed.length < count) healed.push(...waiting.splice(stream.int(0, waiting.length - 1), 1));
    for (const client of waiting) this.#world.cutOff(client);
    this.#world.server.resume();
    for (const client of healed) this.#world.heal(client);
    this.#converge(healed);
  }

  #healAll(): void {
    this.#phase = 'healed';
    for (const client of this.#world.clients) this.#world.heal(client);
    this.#converge(this.#world.clients);
    this.#disturbRest();
    this.#advance(this.#world.now + SETTLING);
    this.#world.chatter = [];
    this.#advance(this.#world.now + QUIET);
    const chatter = [...new Set(this.#world.chatter)];
    if (chatter.length > 0)
      this.#fail({ invariant: 'liveness', text: `all is well, yet they say ${chatter.join(', ')}` });
  }

  /** A copy changes while nothing else happens, so that no delta can bring it to light. */
  #disturbRest(): void {
    const { stream, isSkipped } = this.#faults.next();
    const client = this.#world.clients[Math.floor(stream.next() * 4)];
    if (isSkipped || !client || !this.#world.shape.faults.has('corrupt')) return;
    this.#world.strike('corrupt', client, stream);
    this.#waitForConvergence(this.#world.clients);
  }

  /** Everybody becomes equal while nothing new happens, and again when everybody has done one thing more: it must go on. */
  #converge(clients: readonly ClientNode[]): void {
    this.#waitForConvergence(clients);
    for (const client of clients) client.handle(() => this.#world.perform(client));
    this.#waitForConvergence(clients);
  }

  #waitForConvergence(clients: readonly ClientNode[]): void {
    const deadline = this.#world.now + LIVENESS_BUDGET;
    for (;;) {
      this.#advance(this.#world.now + PROBE);
      const problem = clients
        .map(({ state }) => this.#world.referee.unsettled(state, this.#world))
        .find((one) => one !== undefined);
      if (problem === undefined) return;
      if (this.#world.now >= deadline)
        this.#fail({ invariant: 'liveness', text: `after ${LIVENESS_BUDGET / 1e9} s, ${problem}` });
    }
  }

  #advance(until: number): void {
    const { queue, referee } = this.#world;
    while (queue.step(until)) {
      this.#steps++;
      referee.check(this.#world);
      if (this.#steps % DEEP_EVERY === 0) referee.checkDeeply(this.#world);
      this.#throwIfBroken();
    }
    this.#throwIfBroken();
  }

  #throwIfBroken(): void {
    const { violation } = this.#world.referee;
    if (violation) throw new Broken(violation);
  }

  #fail(violation: Violation): never {
    throw new Broken(this.#world.referee.violation ?? violation);
  }
}

class Broken extends Error {
  readonly violation: Violation;

  constructor(violation: Violation) {
    super(violation.text);
    this.violation = violation;
  }
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
