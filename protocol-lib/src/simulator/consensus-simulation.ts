import { milliseconds } from '../ports/index.ts';
import type { TraceRecord } from '../trace/index.ts';
import { Choices } from './choices.ts';
import { CONSENSUS_STRIKING } from './consensus-shape.ts';
import { ConsensusWorld, type MemberNode } from './consensus-world.ts';
import type { SimulationOptions } from './shape.ts';
import type { Phase, SimulationResult } from './simulation.ts';

const PROBE = milliseconds(100);
/**
 * From healing to agreement: what was in flight for a node that slept, several attempts with their pauses, clocks that went back; and for
 * each proposal that waits a slow round. Several hundred may wait, and a version comes after the other.
 */
const LIVENESS_BUDGET = milliseconds(45_000);
const BUDGET_PER_PROPOSAL = milliseconds(400);
/** After agreement, what was on the way arrives. */
const SETTLING = milliseconds(1_500);
const QUIET = milliseconds(3_000);
const DEEP_EVERY = 300;
/**
 * Rounds begun for each decision, once nothing fails any more: two questions a decision for those that find a new proposer, and some
 * that meet. More is a duel, which a budget of time alone only sees where much waits and every round is slow.
 */
const ROUNDS_PER_DECISION = 4;
/** Decisions' worth of rounds for what the faults have left behind. */
const LEFT_BEHIND = 10;

/** Runs one seed of a group to its end, or to the first rule that is broken. The same options give the same result. */
export function simulateConsensus(
  options: SimulationOptions,
  listener?: (record: TraceRecord) => void,
): SimulationResult {
  return new ConsensusSimulation(options, listener).run();
}

class Broken extends Error {}

/** The phases of a run. */
class ConsensusSimulation {
  readonly #options: SimulationOptions;
  readonly #world: ConsensusWorld;
  readonly #faults: Choices;
  readonly #healing: Choices;
  #phase: Phase = 'warm-up';
  #steps = 0;

  constructor(options: SimulationOptions, listener: ((record: TraceRecord) => void) | undefined) {
    this.#options = options;
    this.#world = new ConsensusWorld(options, listener);
    this.#faults = new Choices(options.seed, 'faults', options.skip ?? {});
    this.#healing = new Choices(options.seed, 'healing', {});
  }

  run(): SimulationResult {
    const { referee, members, ways } = this.#world;
    try {
      this.#world.start();
      this.#advance(this.#world.shape.warmUp);
      this.#safety();
      this.#liveness();
      this.#healAll();
      this.#phase = 'audit';
      referee.audit(members.map(({ peer }) => peer!));
    } catch (error) {
      if (!(error instanceof Broken))
        referee.report('no-throw', error instanceof Error ? `${error.stack}` : `${error}`);
    }
    this.#world.endRecording();
    const { violation } = referee;
    const failure = violation && { ...violation, step: this.#steps, time: this.#world.now, phase: this.#phase };
    const all = [this.#faults, ...members.map(({ operations }) => operations), ...ways.map(({ choices }) => choices)];
    return {
      options: this.#options,
      failure,
      hash: referee.hash,
      events: this.#steps,
      time: this.#world.now,
      frames: this.#world.frames,
      commits: referee.version,
      tally: Object.fromEntries(Object.entries(referee.tally).map(([what, count]) => [`group: ${what}`, count])),
      choices: Object.fromEntries(all.map(({ concern, count }) => [concern, count])),
    };
  }

  #safety(): void {
    this.#phase = 'safety';
    const { shape, queue, members, ways } = this.#world;
    for (const { conditions } of ways) conditions.isRough = true;
    const start = this.#world.now;
    for (let index = 0; index < shape.faultEvents; index++) {
      const { stream, isSkipped } = this.#faults.next();
      const at = start + stream.next() * shape.safety;
      const fault = stream.pick(CONSENSUS_STRIKING);
      const member = members[Math.floor(stream.next() * 5)];
      if (isSkipped || !member || !shape.faults.has(fault)) continue;
      queue.at(at, () => this.#world.strike(fault, member, stream));
    }
    this.#advance(start + shape.safety);
    if (this.#options.canary) this.#world.referee.report('canary', 'the canary sings');
    this.#world.isWorking = false;
  }

  /** A random majority is healed and the others cut off for ever: it must settle all that it was asked, and go on. */
  #liveness(): void {
    this.#phase = 'liveness';
    const { stream } = this.#healing.next();
    const waiting = [...this.#world.members];
    const healed: MemberNode[] = [];
    const count = stream.int(Math.floor(waiting.length / 2) + 1, waiting.length);
    while (healed.length < count) healed.push(...waiting.splice(stream.int(0, waiting.length - 1), 1));
    for (const member of waiting) this.#world.cutOff(member);
    this.#converge(healed);
  }

  #healAll(): void {
    this.#phase = 'healed';
    this.#converge(this.#world.members);
    this.#advance(Math.max(this.#world.now, this.#world.heldUntil) + SETTLING);
    this.#world.chatter = [];
    this.#advance(this.#world.now + QUIET);
    const chatter = [...new Set(this.#world.chatter)];
    if (chatter.length > 0) this.#fail(`all is well, yet they say ${chatter.join(', ')}`);
  }

  /** What was begun ends; so does what all of them want at once; and what one wants alone is agreed on. */
  #converge(group: readonly MemberNode[]): void {
    for (const member of group) this.#world.heal(member, group);
    this.#settle(group);
    for (const member of group) this.#world.perform(member);
    this.#settle(group);
    const [first] = group;
    for (let tries = 0; ; tries++) {
      const operation = this.#world.perform(first!);
      this.#settle(group);
      if (operation?.outcome?.state === 'committed') return;
      // What it wanted may be wrong, or be no longer possible; what is neither must be agreed on sooner or later.
      if (tries === 60) this.#fail(`${first!.replica} alone is not agreed with, ${operation?.outcome?.state} at last`);
    }
  }

  #settle(group: readonly MemberNode[]): void {
    const { referee } = this.#world;
    const open = group.reduce((sum, member) => sum + member.open.size, 0);
    const budget = LIVENESS_BUDGET + open * BUDGET_PER_PROPOSAL;
    const deadline = this.#world.now + budget;
    const before = { rounds: referee.rounds, version: referee.version };
    for (;;) {
      this.#advance(this.#world.now + PROBE);
      const rounds = referee.rounds - before.rounds;
      const decisions = referee.version - before.version;
      if (rounds > ROUNDS_PER_DECISION * (decisions + LEFT_BEHIND)) {
        this.#fail(`${rounds} rounds were begun for ${decisions} decisions, though nothing fails`);
      }
      const problem = this.#world.unsettled(group);
      if (problem === undefined) return;
      if (this.#world.now >= deadline) this.#fail(`after ${(budget / 1e9).toFixed(1)} s, ${problem}`);
    }
  }

  #advance(until: number): void {
    const { queue, referee, members } = this.#world;
    while (queue.step(until)) {
      this.#steps++;
      if (this.#steps % DEEP_EVERY === 0) {
        for (const { peer, damaged } of members) if (peer && peer !== damaged) referee.look(peer, true);
      }
      if (referee.violation) throw new Broken();
    }
    if (referee.violation) throw new Broken();
  }

  #fail(text: string): never {
    this.#world.referee.report('liveness', text);
    throw new Broken();
  }
}
