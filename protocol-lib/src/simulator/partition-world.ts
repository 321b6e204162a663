import type { ConflictResolver, Mutation } from '../conflict/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import { type PeerFrame, PeerReplica } from '../peers/index.ts';
import { milliseconds } from '../ports/index.ts';
import { carryOutInput, type Input, InputJournal, peerMade } from '../replay/index.ts';
import { type ReplicaId, recordKey, replicaId } from '../state/index.ts';
import { TraceHub, type TraceRecord } from '../trace/index.ts';
import { Choices, type Stream } from './choices.ts';
import { EventQueue } from './event-queue.ts';
import { type Conditions, Line } from './network.ts';
import { NodeClock } from './node-clock.ts';
import type { Violation } from './oracle.ts';
import {
  drawPartitionShape,
  type PARTITION_STRIKING,
  type PartitionMemberShape,
  type PartitionShape,
} from './partition-shape.ts';
import { drawTableIntent, makeTable, recordsOf, tableProblem } from './partition-table.ts';
import type { SimulationOptions } from './shape.ts';
import { TraceDigest } from './trace-digest.ts';

const TICK = milliseconds(200);
const SESSION = 'table';
const EPOCH = 1_767_225_600_000;

/** A member: its replica, its clock, and the lines to all others. */
export interface PeerNode {
  readonly shape: PartitionMemberShape;
  readonly id: ReplicaId;
  readonly clock: NodeClock;
  readonly operations: Choices;
  readonly lines: Map<ReplicaId, Line>;
  peer: PeerReplica;
  side: number;
  pausedUntil: number;
  /** The state that was looked at last. */
  checked: StateRoot | undefined;
}

/** A directed line, with its conditions. */
interface Way {
  readonly from: number;
  readonly to: number;
  readonly conditions: Conditions & { isCutOff: boolean };
  readonly choices: Choices;
}

/** A group of peers in virtual time. Reports what breaks a rule as it happens. */
export class PartitionWorld {
  readonly shape: PartitionShape;
  readonly queue = new EventQueue();
  readonly nodes: PeerNode[] = [];
  readonly ways: Way[] = [];
  readonly names: readonly string[];
  /** Every mutation that anybody made, and what was last known to have become of it. */
  readonly made = new Map<string, Mutation>();
  readonly tally: Record<string, number> = {};
  isWorking = true;
  frames = 0;
  violation: Violation | undefined;
  readonly #resolver: ConflictResolver = makeTable();
  readonly #digest = new TraceDigest();
  readonly #hub: TraceHub;
  readonly #checked = new Map<string, string>();
  /** Where the inputs go that the group is run again from. */
  readonly #journal: InputJournal | undefined;

  constructor(options: SimulationOptions, listener: ((record: TraceRecord) => void) | undefined) {
    this.shape = drawPartitionShape(options);
    this.names = this.shape.members.map(({ name }) => name);
    this.#hub = new TraceHub(this.queue);
    this.#hub.listen((record) => this.#heed(record));
    if (listener) this.#hub.listen(listener);
    this.#journal = options.inputs ? new InputJournal(this.#hub, replicaId(this.names[0]!)) : undefined;
    const skips = options.skip ?? {};
    for (const shape of this.shape.members) {
      const clock = new NodeClock(this.queue, shape.clock);
      const id = replicaId(shape.name);
      const operations = new Choices(options.seed, `peer/${shape.name}`, skips);
      const peer = this.#start(shape, id, clock);
      this.nodes.push({
        shape,
        id,
        clock,
        operations,
        lines: new Map(),
        peer,
        side: 0,
        pausedUntil: 0,
        checked: undefined,
      });
    }
    for (const [from, node] of this.nodes.entries()) {
      for (const [to, other] of this.nodes.entries()) if (from !== to) this.#connect(options, node, from, other, to);
    }
  }

  get now(): number {
    return this.queue.now();
  }

  get hash(): string {
    return this.#digest.hash;
  }

  /** Hands an input to a member, and keeps it where the group is to be run again. */
  #hand<T>(input: Input, work: () => T): T {
    return this.#journal ? this.#journal.run(input, work) : work();
  }

  /** The recording is to end here. */
  endRecording(): void {
    this.#journal?.flush();
  }

  start(): void {
    for (const node of this.nodes) {
      this.#tick(node);
      this.#work(node);
    }
  }

  /** Lets a member do something, where it can. */
  act(node: PeerNode, stream: Stream): void {
    const before = node.peer;
    const intent = drawTableIntent(before, this.names, stream);
    if (!intent) return;
    const now = node.clock.now();
    const made = this.#hand(carryOutInput(node.id, now, intent), () => before.carryOut(intent, now));
    if ('rejected' in made) {
      if (/stamped|GAP|is known here/.test(made.rejected)) this.report('no-throw', `${node.id}: ${made.rejected}`);
      this.count('refused here');
      return;
    }
    const mutation = before.saved.mutations.find(
      ({ writer, counter }) => writer === made.mutation.writer && counter === made.mutation.counter,
    );
    if (mutation) this.made.set(`${mutation.writer}:${mutation.counter}`, mutation);
    this.send(node, made.frames);
  }

  send(node: PeerNode, frames: readonly PeerFrame[]): void {
    for (const { to, frame } of frames) node.lines.get(to)?.send(frame);
    this.check(node);
  }

  strike(fault: (typeof PARTITION_STRIKING)[number], node: PeerNode, stream: Stream): void {
    this.count(fault);
    switch (fault) {
      case 'partition':
        this.cut(stream.int(2, 3), stream);
        this.queue.after(milliseconds(stream.int(500, 8_000)), () => this.heal());
        return;
      case 'restart':
        // Every mutation is on disk before it is told of: what is saved is what was.
        node.peer = this.#start(node.shape, node.id, node.clock, node.peer);
        return;
      case 'pause':
        node.pausedUntil = this.now + milliseconds(stream.int(500, 6_000));
        return;
      case 'corrupt': {
        const key = recordKey('note/0');
        // Only where two others stand against it.
        if (this.nodes.length > 2 && node === this.nodes.at(-1)) {
          const text = `corrupt ${stream.int(0, 99)}`;
          const strange = ['note/7', 'note/8', 'note/9'].map(recordKey);
          const changes = [key, ...strange].map((one) => ({ op: 'put' as const, key: one, record: { text } }));
          const input: Input = { op: 'corrupt', replica: node.id, now: node.clock.now(), changes };
          this.#hand(input, () => node.peer.corruptCheckpoint(changes));
        }
      }
    }
  }

  /** Cuts the group into sides; what is on its way over a cut is lost. */
  cut(sides: number, stream: Stream): void {
    for (const node of this.nodes) node.side = stream.int(0, sides - 1);
    this.#applySides();
  }

  heal(): void {
    for (const node of this.nodes) node.side = 0;
    this.#applySides();
  }

  count(what: string): void {
    this.tally[what] = (this.tally[what] ?? 0) + 1;
  }

  report(invariant: Violation['invariant'], text: string): void {
    this.violation ??= { invariant, text };
  }

  /** The rules that hold for a member at any moment. */
  check(node: PeerNode): void {
    const { vector, root } = node.peer;
    if (node.checked === root) return;
    node.checked = root;
    const problem = tableProblem(root, this.names);
    if (problem) this.report('domain', `${node.id}: ${problem}`);
    if (this.shape.faults.has('corrupt')) return;
    // Whoever has the same mutations has the same state, at every moment of the run.
    const name = vector
      .entries()
      .map(({ replica, counter }) => `${replica}:${counter}`)
      .join(' ');
    const known = this.#checked.get(name);
    if (known === undefined) this.#checked.set(name, root.hash);
    else if (known !== root.hash)
      this.report('convergence', `${node.id} has ${root.hash} at ${name}, another ${known}`);
  }

  #start({ role }: PartitionMemberShape, id: ReplicaId, clock: NodeClock, before?: PeerReplica): PeerReplica {
    const { settings } = this.shape;
    const members = this.names.map(replicaId);
    const made = peerMade({ epoch: EPOCH, role, settings, isRestored: before !== undefined });
    const input: Input = { op: 'node', replica: id, now: clock.now(), session: SESSION, members, made };
    return this.#hand(input, () => {
      return new PeerReplica({
        replica: id,
        session: SESSION,
        members,
        resolver: this.#resolver,
        records: recordsOf(this.names),
        epoch: EPOCH,
        role,
        settings,
        tap: this.#hub,
        ...(before ? { saved: before.saved } : {}),
      });
    });
  }

  #connect(options: SimulationOptions, node: PeerNode, from: number, other: PeerNode, to: number): void {
    const conditions = {
      shape: this.shape.link,
      isRough: false,
      blockedUntil: { up: 0, down: 0 },
      isCutOff: false,
    };
    const choices = new Choices(options.seed, `way/${node.id}-${other.id}`, options.skip ?? {});
    const line = new Line(this.queue, conditions, 'up', choices, (frame) => {
      if (conditions.isCutOff) return;
      this.frames++;
      this.#arrive(other, node.id, frame);
    });
    node.lines.set(other.id, line);
    this.ways.push({ from, to, conditions, choices });
  }

  #arrive(node: PeerNode, from: ReplicaId, frame: Uint8Array): void {
    if (node.pausedUntil > this.now) {
      this.queue.at(node.pausedUntil, () => this.#arrive(node, from, frame));
      return;
    }
    const now = node.clock.now();
    const input: Input = { op: 'take', replica: node.id, now, from };
    this.send(
      node,
      this.#hand(input, () => node.peer.receive(from, frame, now)),
    );
  }

  #applySides(): void {
    for (const { from, to, conditions } of this.ways) {
      conditions.isCutOff = this.nodes[from]!.side !== this.nodes[to]!.side;
    }
  }

  #tick(node: PeerNode): void {
    if (node.pausedUntil <= this.now) this.#live(node);
    this.queue.after(TICK, () => this.#tick(node));
  }

  #live(node: PeerNode): void {
    const now = node.clock.now();
    this.send(
      node,
      this.#hand({ op: 'tick', replica: node.id, now }, () => node.peer.tick(now)),
    );
  }

  #work(node: PeerNode): void {
    const { stream, isSkipped } = node.operations.next();
    const wait = node.shape.pace * (0.5 + stream.next());
    this.queue.after(wait, () => {
      if (!this.isWorking) return;
      if (!isSkipped && node.pausedUntil <= this.now) this.act(node, stream);
      this.#work(node);
    });
  }

  #heed(record: TraceRecord): void {
    this.#digest.add(record);
    const { body } = record;
    if (body.kind === 'refused') {
      this.count(`refused ${body.code}`);
      // No member lies and no clock is far off: whatever is refused is refused wrongly. A checkpoint may move while it is taken over.
      const mayBe = ['MERKLE_UNVERIFIED', ...(this.shape.faults.has('corrupt') ? ['ROOT_DIFFERS'] : [])];
      if (!mayBe.includes(body.code))
        this.report('no-throw', `${record.replica} refused ${body.code}: ${body.message}`);
    }
    if (body.kind === 'conflict') this.count(`conflict ${body.state} by ${body.policy}`);
    if (body.kind === 'partition') this.count(body.state);
    if (body.kind === 'repair') this.count(`repair by ${body.method}`);
  }
}
