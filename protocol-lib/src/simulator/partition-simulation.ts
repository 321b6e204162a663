import { idOf } from '../conflict/index.ts';
import { milliseconds } from '../ports/index.ts';
import type { TraceRecord } from '../trace/index.ts';
import { Choices } from './choices.ts';
import { PARTITION_STRIKING } from './partition-shape.ts';
import { boxOf, expectedBox, lastWrites } from './partition-table.ts';
import { PartitionWorld, type PeerNode } from './partition-world.ts';
import type { SimulationOptions } from './shape.ts';
import type { Phase, SimulationResult } from './simulation.ts';

const PROBE = milliseconds(200);
const LIVENESS_BUDGET = milliseconds(60_000);

/** Runs one seed of a group without an authority to its end, or to the first rule that is broken. The same options give the same result. */
export function simulatePartition(
  options: SimulationOptions,
  listener?: (record: TraceRecord) => void,
): SimulationResult {
  return new PartitionSimulation(options, listener).run();
}

class Broken extends Error {}

/** The phases of a run. */
class PartitionSimulation {
  readonly #options: SimulationOptions;
  readonly #world: PartitionWorld;
  readonly #faults: Choices;
  #phase: Phase = 'warm-up';
  #steps = 0;

  constructor(options: SimulationOptions, listener: ((record: TraceRecord) => void) | undefined) {
    this.#options = options;
    this.#world = new PartitionWorld(options, listener);
    this.#faults = new Choices(options.seed, 'faults', options.skip ?? {});
  }

  run(): SimulationResult {
    const world = this.#world;
    try {
      world.start();
      this.#advance(world.shape.warmUp);
      this.#safety();
      this.#heal();
      this.#phase = 'audit';
      this.#audit();
      this.#stopIfBroken();
    } catch (error) {
      if (!(error instanceof Broken)) world.report('no-throw', error instanceof Error ? `${error.stack}` : `${error}`);
    }
    world.endRecording();
    const { violation } = world;
    const failure = violation && { ...violation, step: this.#steps, time: world.now, phase: this.#phase };
    const all = [
      this.#faults,
      ...world.nodes.map(({ operations }) => operations),
      ...world.ways.map(({ choices }) => choices),
    ];
    return {
      options: this.#options,
      failure,
      hash: world.hash,
      events: this.#steps,
      time: world.now,
      frames: world.frames,
      commits: world.made.size,
      tally: Object.fromEntries(Object.entries(world.tally).map(([what, count]) => [`peers: ${what}`, count])),
      choices: Object.fromEntries(all.map(({ concern, count }) => [concern, count])),
    };
  }

  #safety(): void {
    this.#phase = 'safety';
    const world = this.#world;
    const { shape, nodes, queue } = world;
    for (const { conditions } of world.ways) conditions.isRough = true;
    const start = world.now;
    for (let index = 0; index < shape.faultEvents; index++) {
      const { stream, isSkipped } = this.#faults.next();
      const at = start + stream.next() * shape.safety;
      const fault = stream.pick([...PARTITION_STRIKING, 'partition', 'partition'] as const);
      const node = nodes[stream.int(0, 4) % nodes.length]!;
      if (isSkipped || !shape.faults.has(fault)) continue;
      queue.at(at, () => world.strike(fault, node, stream));
    }
    this.#advance(start + shape.safety);
    if (this.#options.canary) world.report('canary', 'the canary sings');
  }

  /** All can reach each other again and nothing new happens: they must agree, and again after everybody did one thing more. */
  #heal(): void {
    this.#phase = 'healed';
    const world = this.#world;
    world.isWorking = false;
    for (const { conditions } of world.ways) conditions.isRough = false;
    world.heal();
    this.#converge();
    for (const node of world.nodes) world.act(node, node.operations.next().stream);
    this.#converge();
  }

  #converge(): void {
    const deadline = this.#world.now + LIVENESS_BUDGET;
    for (;;) {
      this.#advance(this.#world.now + PROBE);
      const problem = this.#disagreement();
      if (problem === undefined) return;
      if (this.#world.now >= deadline) {
        this.#world.report('liveness', `after ${LIVENESS_BUDGET / 1e9} s, ${problem}`);
        this.#stopIfBroken();
      }
    }
  }

  #disagreement(): string | undefined {
    const [first, ...rest] = this.#world.nodes as [PeerNode, ...PeerNode[]];
    for (const { id, peer } of rest) {
      if (peer.vector.compare(first.peer.vector) !== 'equal') return `${id} has not what ${first.id} has`;
      if (peer.root.hash !== first.peer.root.hash) return `${id} and ${first.id} have two states of one history`;
    }
    const cut = this.#world.nodes.find(({ peer }) => peer.partition.view.state !== 'connected');
    return cut && `${cut.id} still takes the group for ${cut.peer.partition.view.state}`;
  }

  #audit(): void {
    const world = this.#world;
    const made = [...world.made.values()];
    for (const { id, peer } of world.nodes) {
      for (const { writer, counter } of made) {
        if (peer.vector.get(writer) < counter) world.report('nothing-vanishes', `${id} never had ${writer}:${counter}`);
      }
      this.#auditOutcomes(id, peer.outcomes);
      for (const report of peer.partition.reports) this.#auditOutcomes(id, report.changes);
      const [expected, is] = [JSON.stringify(expectedBox(made)), JSON.stringify(boxOf(peer.root))];
      if (expected !== is)
        world.report('nothing-vanishes', `${id} has the box ${is}; all that was done to it makes ${expected}`);
      if (peer.held > world.shape.settings.maxHeld) world.report('bounded', `${id} holds ${peer.held} mutations`);
    }
    this.#auditKnown();
  }

  /** Every mutation since the checkpoint has an outcome, and whatever is not applied says why. */
  #auditOutcomes(id: string, outcomes: PeerNode['peer']['outcomes']): void {
    for (const { mutation, state, parts } of outcomes) {
      const isMute = parts.length === 0 || parts.some((part) => part.state !== 'applied' && part.reason === '');
      if (isMute) this.#world.report('nothing-vanishes', `${id} says of ${idOf(mutation)} only ${state}`);
    }
  }

  #auditKnown(): void {
    const [{ peer }] = this.#world.nodes as [PeerNode];
    const told = new Set(peer.outcomes.map(({ mutation }) => idOf(mutation)));
    for (const mutation of this.#world.made.values()) {
      if (peer.isFinal(mutation) || told.has(idOf(mutation))) continue;
      this.#world.report('nothing-vanishes', `nobody says what became of ${idOf(mutation)}`);
    }
    this.#auditTold(peer);
    this.#auditWrites(peer);
  }

  /** Of the last writes that knew nothing of each other one is applied, and every other is listed as rejected. */
  #auditWrites(peer: PeerNode['peer']): void {
    const writes = lastWrites([...this.#world.made.values()]);
    if (writes.length < 2 || writes.some((one) => peer.isFinal(one))) return;
    const applied = writes.filter((one) =>
      peer.outcome(one)?.parts.some(({ part, state }) => part === 'x,y,by' && state === 'applied'),
    );
    if (applied.length !== 1) {
      this.#world.report(
        'nothing-vanishes',
        `of ${writes.map(idOf).join(' ')}, which knew nothing of each other, ${applied.length} count as applied`,
      );
    }
  }

  /** A transfer or bet that did not happen must be listed as rejected: the accounts are what the applied ones make. */
  #auditTold(peer: PeerNode['peer']): void {
    if (peer.checkpoint.vector.size > 0) return;
    for (const { mutation, state } of peer.outcomes) {
      const made = this.#world.made.get(idOf(mutation));
      if (made?.command !== 'roll' || state === 'rejected') continue;
      const { round, first, second } = made.args as { round: number; first: number; second: number };
      const dice = [...peer.root.entries(`roll/${round}`)].find(([key]) => key === `roll/${round}`)?.[1];
      if (dice && (dice.first !== first || dice.second !== second || dice.by !== made.writer)) {
        this.#world.report(
          'nothing-vanishes',
          `${idOf(mutation)} is said to be applied, but ${dice.by} rolled round ${round}`,
        );
      }
    }
  }

  #advance(until: number): void {
    while (this.#world.queue.step(until)) {
      this.#steps++;
      this.#stopIfBroken();
    }
  }

  #stopIfBroken(): void {
    if (this.#world.violation) throw new Broken();
  }
}
