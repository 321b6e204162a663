import type { ConflictResolver } from '../conflict/index.ts';
import { SyncError } from '../errors/index.ts';
import type { LogDisk } from '../events/index.ts';
import { type Clock, type Random, seededRandom } from '../ports/index.ts';
import type { Change, RecordKey, ReplicaId, SyncRecord, Value } from '../state/index.ts';
import type { Tap } from '../trace/index.ts';
import { parseArguments } from './arguments.ts';
import type { Input, InputOf } from './inputs.ts';
import { frameOf } from './machines.ts';
import { ReplayDisk } from './replay-disk.ts';
import type { Placed } from './steps.ts';

/** One node of a session without an authority, as it can be run again: frames and time come in, and whatever its definition can do to it. */
export interface GroupNode {
  /** `from` is undefined for a frame of a bus that does not say whose it is. */
  receive(frame: Uint8Array, from: ReplicaId | undefined): void;
  tick(): void;
  act(action: string, args: Value): void;
  corrupt(changes: readonly Change[]): void;
  end(reason: string): void;
}

/** What a node gets from the recording that it is run again from. */
export interface GroupPorts {
  readonly replica: ReplicaId;
  readonly session: string;
  /** Everybody, the node included. */
  readonly members: readonly ReplicaId[];
  /** Stands still during an input. */
  readonly clock: Clock;
  readonly random: Random;
  readonly tap: Tap;
  readonly disk: LogDisk;
  /** The bytes that the disk has as the node begins. */
  readonly contents: Uint8Array;
  readonly send: (to: ReplicaId, frame: Uint8Array) => void;
}

/** How peers merge what each of them did. */
export interface GroupMerge {
  readonly resolver: ConflictResolver;
  /** The state before any mutation. */
  readonly records: (members: readonly ReplicaId[]) => Iterable<readonly [RecordKey, SyncRecord]>;
}

/** How the nodes of a session without an authority are made: the app's code, as a `SessionDefinition` is where there is an authority. */
export interface GroupDefinition {
  /**
   * A node that begins. `made` is what the recording's driver wrote down of what it is made of; `before` the node of the same name that
   * was there before, whose memory it may take over where the real one did. With `standing`, it goes on from there, says nothing of it, and ends
   * with `REPLAY_INPUT_UNFIT` where it cannot.
   */
  open(ports: GroupPorts, made: Value, before: GroupNode | undefined, standing?: Uint8Array): GroupNode;
  /** Where its nodes are peers that write and merge. */
  readonly merge?: GroupMerge;
}

/** @throws SyncError `REPLAY_NEEDS_DEFINITION` */
export function needsGroup(group: GroupDefinition | undefined): GroupDefinition {
  if (group) return group;
  const text =
    'this session has no authority: give the definition of its group, which says how its peers are made and merge';
  throw new SyncError('REPLAY_NEEDS_DEFINITION', text, { origin: 'setting' });
}

/** A frame that a node handed to its link. */
export interface GroupFrame {
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  readonly frame: Uint8Array;
}

/** For who has to know what nodes do beside sending. */
export interface GroupWatch {
  /** Told of each operation of a disk that waits for its `flushed`. */
  readonly onFlush?: (replica: ReplicaId) => void;
  /** Stands between a node and what it draws. */
  readonly random?: (random: Random, replica: ReplicaId, clock: Clock) => Random;
}

/** One life of a node. */
interface Life {
  readonly node: GroupNode;
  readonly disk: ReplayDisk;
  readonly clock: { time: number };
  readonly draws: number[];
}

const NO_BYTES = new Uint8Array(0);
/** What is drawn where the recording has no number, as in a branch that goes another way. */
const SPARE_SEED = 1;

/** The nodes of a recorded session without an authority, made anew and handed the inputs of the recording, or of a branch of it. */
export class GroupMachines {
  readonly #tap: Tap;
  readonly #definition: GroupDefinition;
  readonly #lives = new Map<ReplicaId, Life>();
  readonly #drawn = new Map<ReplicaId, number[]>();
  readonly #spare = seededRandom(SPARE_SEED);
  readonly #watch: GroupWatch;
  #sent: GroupFrame[] = [];

  constructor(tap: Tap, definition: GroupDefinition, watch: GroupWatch = {}) {
    this.#tap = tap;
    this.#definition = definition;
    this.#watch = watch;
  }

  has(replica: ReplicaId): boolean {
    return this.#lives.has(replica);
  }

  get replicas(): ReplicaId[] {
    return [...this.#lives.keys()];
  }

  /** What a process of this name would find on its disk. */
  durable(replica: ReplicaId): Uint8Array | undefined {
    return this.#lives.get(replica)?.disk.durable;
  }

  /** Operations of a node's disk that are not done. */
  waiting(replica: ReplicaId): number {
    return this.#lives.get(replica)?.disk.waiting ?? 0;
  }

  /**
   * Hands over one input and answers the frames that were sent. `records` are what it made when it was recorded; `frame` is what it
   * brings, by default what the recording has.
   * @throws SyncError `REPLAY_INPUT_UNFIT` where it is none of a group, and what the nodes throw
   */
  apply(input: Input, records: readonly Placed[], frame: Uint8Array | undefined = frameOf(records)): GroupFrame[] {
    if (input.op === 'drawn') {
      const drawn = this.#drawn.get(input.replica);
      if (drawn) drawn.push(input.value);
      else this.#drawn.set(input.replica, [input.value]);
      return [];
    }
    // One that is run again already needs not be told where it stands; in a branch it may stand elsewhere.
    if (input.op === 'nodeStands' && this.has(input.replica)) return [];
    if (input.op === 'node' || input.op === 'nodeStands') this.#open(input);
    else this.#hand(input, frame);
    // A recorded number is for the input that it was drawn in.
    this.#drawn.delete(input.replica);
    const sent = this.#sent;
    this.#sent = [];
    return sent;
  }

  #open(input: InputOf<'node' | 'nodeStands'>): void {
    const { replica, session, members, now, made } = input;
    const { contents = NO_BYTES } = input.op === 'node' ? input : {};
    const standing = input.op === 'nodeStands' ? input.standing : undefined;
    const before = this.#lives.get(replica)?.node;
    const clock = { time: now };
    const disk = new ReplayDisk(contents, () => this.#watch.onFlush?.(replica));
    const draws = this.#takeDraws(replica);
    const life = { node: idle, disk, clock, draws };
    this.#lives.set(replica, life);
    const ownClock: Clock = { now: () => clock.time };
    const random: Random = { next: () => draws.shift() ?? this.#spare.next() };
    const ports: GroupPorts = {
      replica,
      session,
      members,
      clock: ownClock,
      random: this.#watch.random?.(random, replica, ownClock) ?? random,
      tap: this.#tap,
      disk,
      contents,
      send: (to, frame) => {
        // A life that is over says nothing any more.
        if (this.#lives.get(replica)?.disk === disk) this.#sent.push({ from: replica, to, frame });
      },
    };
    const node = this.#definition.open(ports, parseArguments(made), before, standing);
    this.#lives.set(replica, { ...life, node });
  }

  #hand(input: Exclude<Input, InputOf<'node' | 'nodeStands' | 'drawn'>>, frame: Uint8Array | undefined): void {
    const life = this.#lives.get(input.replica);
    if (!life) {
      const text = `something was done to ${input.replica} before it began`;
      throw new SyncError('REPLAY_INPUT_UNFIT', text, { origin: 'capture' });
    }
    const { node, disk, clock, draws } = life;
    clock.time = input.now;
    draws.splice(0, draws.length, ...this.#takeDraws(input.replica));
    switch (input.op) {
      case 'take': {
        const bytes = input.frame ?? frame;
        // A frame that left no record was not looked at.
        if (bytes) node.receive(bytes, input.from ?? undefined);
        return;
      }
      case 'tick':
        node.tick();
        return;
      case 'act':
        node.act(input.action, parseArguments(input.args));
        return;
      case 'corrupt':
        node.corrupt(input.changes);
        return;
      case 'flushed':
        disk.complete(input.failure);
        return;
      case 'end':
        node.end(input.reason);
        return;
      default:
        throw new SyncError('REPLAY_INPUT_UNFIT', `${input.op} is no input of a session without an authority`, {
          origin: 'capture',
        });
    }
  }

  #takeDraws(replica: ReplicaId): number[] {
    return this.#drawn.get(replica)?.slice() ?? [];
  }
}

/** A node whose beginning is not over: nothing can be done to it. */
const idle: GroupNode = { receive() {}, tick() {}, act() {}, corrupt() {}, end() {} };
