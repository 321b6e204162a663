import { SyncError } from '@syncscope/protocol/errors';
import { milliseconds, type Random } from '@syncscope/protocol/ports';
import { type ReplicaId, replicaId } from '@syncscope/protocol/state';
import type { Tap } from '@syncscope/protocol/trace';
import { chooseDrift } from '../faults/drift.ts';
import { FaultBoard } from '../faults/fault-board.ts';
import type { FaultyLink } from '../faults/link.ts';
import { NO_TROUBLE, type Trouble } from '../faults/presets.ts';
import type { PeerNode, PeerScenario } from './peer-scenario.ts';
import { SkewedClock } from './skewed-clock.ts';
import { PeerStorage } from './storage.ts';

export interface PeerWorldOptions {
  readonly scenario: PeerScenario;
  readonly session: string;
  readonly seed: number;
  /** A stream of its own for each part. */
  readonly random: (part: string) => Random;
  readonly tap: Tap;
  /** How many; the scenario's own number where absent. */
  readonly peers?: number;
  readonly compress?: number;
}

/** One member over all its lives. */
interface Member {
  readonly replica: ReplicaId;
  readonly clock: SkewedClock;
  readonly storage: PeerStorage;
  readonly links: ReadonlyMap<ReplicaId, FaultyLink>;
  /** Absent while it is down. */
  node: PeerNode | undefined;
  lives: number;
}

const TICK_MS = 50;
/** Peers are some way apart: without that nobody would ever do anything at the same time. */
const USUAL: Trouble = { ...NO_TROUBLE, latency: 15, jitter: 10 };

/**
 * The peers of one session, in this process. Each has its own state, clock and storage; every two are joined by links of the fault board
 * that carry real frames. A frame is received after what sent it has ended, in the order of arrival.
 */
export class PeerWorld {
  readonly faults: FaultBoard;
  readonly #options: PeerWorldOptions;
  readonly #members = new Map<ReplicaId, Member>();
  readonly #restarts = new Set<NodeJS.Timeout>();
  readonly #arrived: {
    readonly from: ReplicaId;
    readonly to: Member;
    readonly life: number;
    readonly frame: Uint8Array;
  }[] = [];
  #delivering: NodeJS.Immediate | undefined;
  #ticking: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** @throws SyncError `PEERS_INVALID` where the scenario is not for so many */
  constructor(options: PeerWorldOptions) {
    this.#options = options;
    const { scenario, tap, random } = options;
    const names = peerNames(scenario, options.peers ?? scenario.peers);
    this.faults = new FaultBoard({
      tap,
      authority: null,
      reporter: names[0]!,
      random: random('faults'),
      targets: () => this.targets,
      usual: USUAL,
      newsOf: (frame) => scenario.newsOf(frame),
      corrupt: (target, key, field) => this.#corrupt(target, key, field),
      crash: (target, downtime) => this.#crash(target, downtime),
      skew: (target, by) => this.#skew(target, by),
      unsteady: (target, events) => this.#running(target).unsteady(events),
    });
    for (const name of names) this.#members.set(name, this.#member(name, names));
  }

  /** Peers that are up. */
  get targets(): ReplicaId[] {
    return this.peers.map(({ replica }) => replica);
  }

  get peers(): PeerNode[] {
    return [...this.#members.values()].flatMap(({ node }) => node ?? []);
  }

  peer(replica: ReplicaId): PeerNode | undefined {
    return this.#members.get(replica)?.node;
  }

  start(): void {
    for (const member of this.#members.values()) this.#open(member);
    this.#ticking = setInterval(() => this.tick(), TICK_MS);
  }

  tick(): void {
    for (const { node } of this.#members.values()) node?.tick();
  }

  describe(): void {
    for (const { node } of this.#members.values()) node?.describe();
    this.faults.describe();
  }

  close(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#ticking);
    clearImmediate(this.#delivering);
    for (const timer of this.#restarts) clearTimeout(timer);
    for (const { node } of this.#members.values()) node?.stop(reason, false);
    this.faults.close();
  }

  #member(replica: ReplicaId, names: readonly ReplicaId[]): Member {
    const links = new Map<ReplicaId, FaultyLink>();
    for (const other of names) {
      if (other === replica) continue;
      const deliver = (frame: Uint8Array): void => this.#arrive(replica, other, frame);
      links.set(
        other,
        this.faults.link(
          () => replica,
          () => other,
          deliver,
        ),
      );
    }
    return { replica, clock: new SkewedClock(), storage: new PeerStorage(), links, node: undefined, lives: 0 };
  }

  #open(member: Member): void {
    const { scenario, session, seed, tap, random, compress = scenario.compress } = this.#options;
    const { replica, clock, storage, links } = member;
    const life = ++member.lives;
    member.node = scenario.open({
      replica,
      members: [...this.#members.keys()],
      session,
      seed,
      // Another life draws other numbers: it would else make the ballots and pauses of the one before again.
      random: random(life === 1 ? replica : `${replica} ${life}`),
      clock,
      timer: clock.timer,
      wallTime: () => clock.wallTime(),
      tap,
      storage,
      compress,
      send: (to, frame) => {
        if (member.lives === life && member.node) links.get(to)?.push(frame);
      },
    });
  }

  #arrive(from: ReplicaId, to: ReplicaId, frame: Uint8Array): void {
    const member = this.#members.get(to);
    if (!member?.node || this.#isClosed) return;
    this.#arrived.push({ from, to: member, life: member.lives, frame });
    this.#delivering ??= setImmediate(() => this.#deliver());
  }

  #deliver(): void {
    this.#delivering = undefined;
    // What comes meanwhile is for the next turn.
    for (const { from, to, life, frame } of this.#arrived.splice(0)) {
      if (to.lives === life) to.node?.receive(from, frame);
    }
  }

  #crash(target: ReplicaId, downtime: number): string {
    const node = this.#running(target);
    const member = this.#members.get(target)!;
    member.node = undefined;
    node.stop('it crashed', true);
    const timer = setTimeout(() => {
      this.#restarts.delete(timer);
      this.#open(member);
    }, downtime);
    this.#restarts.add(timer);
    return `ended without a word; starts again after ${downtime} ms with what it has on its disk`;
  }

  #skew(target: ReplicaId, by: number): string {
    this.#running(target);
    this.#members.get(target)!.clock.skew(milliseconds(by));
    return by === 0 ? 'its clock is right again' : `its clock is ${Math.abs(by)} ms ${by > 0 ? 'ahead' : 'behind'}`;
  }

  #corrupt(target: ReplicaId, key: string | undefined, field: string | undefined): string {
    const node = this.#running(target);
    const { shown } = this.#options.scenario;
    const { change, before, after, ...drift } = chooseDrift(node.state, this.faults.random, key, field, shown);
    node.corrupt(change);
    return `${drift.key} ${drift.field}: ${JSON.stringify(before)} became ${JSON.stringify(after)}`;
  }

  #running(target: ReplicaId): PeerNode {
    const node = this.#members.get(target)?.node;
    if (node) return node;
    throw new SyncError('FAULT_TARGET_UNKNOWN', `${target} is not up; up are ${this.targets.join(', ') || 'none'}`, {
      origin: 'setting',
      retry: 'backoff',
    });
  }
}

function peerNames({ name, least, most }: PeerScenario, count: number): ReplicaId[] {
  if (!Number.isInteger(count) || count < least || count > most) {
    throw new SyncError('PEERS_INVALID', `${count} peers: ${name} is for ${least} to ${most}`, { origin: 'setting' });
  }
  return Array.from({ length: count }, (_, index) => replicaId(`peer-${index + 1}`));
}
