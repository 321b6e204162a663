import { type CallParticipant, CallState } from '../crdt/index.ts';
import { isSyncError } from '../errors/index.ts';
import { FrameDecoder, FrameEncoder, type MessageBody } from '../messages/index.ts';
import { CrdtReplica } from '../peers/index.ts';
import { milliseconds, type Random } from '../ports/index.ts';
import { type ReplicaId, replicaId } from '../state/index.ts';
import type { Tap } from '../trace/index.ts';
import { Heartbeats, type HeartbeatsOptions, type Transition } from './index.ts';

/** What the network does to a frame: the delays, in nanoseconds, with which it arrives; none where it is lost. */
export type Weather = (from: ReplicaId, to: ReplicaId) => readonly number[];

export const fairWeather: Weather = () => [0];

/** Loses, doubles and reorders, everything drawn from one stream. */
export function roughWeather(random: Random, loss: number, duplication: number): Weather {
  const delay = () => milliseconds(Math.floor(random.next() * 200));
  return () => {
    if (random.next() < loss) return [];
    return random.next() < duplication ? [delay(), delay()] : [delay()];
  };
}

/** A participant of a call: a CRDT replica with heartbeats, behind real frames. */
export class CallNode {
  readonly id: ReplicaId;
  readonly call: CrdtReplica<CallState>;
  readonly heartbeats: Heartbeats;
  readonly transitions: Transition[] = [];
  readonly refusals: string[] = [];
  isUp = true;
  // Datagrams arrive in any order, so no frame may lean on one before it.
  readonly encoder: FrameEncoder;
  readonly decoders = new Map<ReplicaId, FrameDecoder>();

  constructor(name: string, options: Partial<HeartbeatsOptions> & { readonly tap?: Tap } = {}) {
    this.id = replicaId(name);
    this.encoder = new FrameEncoder(this.id);
    this.encoder.names.seal();
    const tap = options.tap ? { tap: options.tap } : {};
    this.call = new CrdtReplica({
      replica: this.id,
      crdt: 'call',
      state: new CallState('call/1'),
      writersOf: (key) => [replicaId(key.slice(key.lastIndexOf('/') + 1).replace('@end', 'anybody'))],
      ...tap,
    });
    this.heartbeats = new Heartbeats({ replica: this.id, state: this.call, incarnation: 1, ...tap, ...options });
  }

  get participants(): CallParticipant[] {
    return this.call.state.participants();
  }
}

interface Travelling {
  readonly due: number;
  readonly order: number;
  readonly from: CallNode;
  readonly to: CallNode;
  readonly frame: Uint8Array;
}

/** Nodes and what is between them. */
export class CallMesh {
  readonly nodes: readonly CallNode[];
  weather: Weather;
  now = 0;
  #travelling: Travelling[] = [];
  #order = 0;
  #frames = 0;

  constructor(nodes: readonly CallNode[], weather: Weather = fairWeather) {
    this.nodes = nodes;
    this.weather = weather;
    for (const node of nodes) {
      for (const other of nodes) {
        if (other !== node) for (const one of node.heartbeats.connect(other.id, 0)) this.#send(node, one.to, one.body);
      }
    }
  }

  /** Frames sent so far. */
  get frames(): number {
    return this.#frames;
  }

  node(name: string): CallNode {
    return this.nodes.find(({ id }) => id === name)!;
  }

  /** An operation, told to everybody. */
  operate(node: CallNode, detail: string, operation: Parameters<CrdtReplica<CallState>['operate']>[1]): void {
    const body = node.call.operate(detail, operation);
    if (body) for (const other of this.nodes) if (other !== node) this.#send(node, other.id, body);
  }

  leave(node: CallNode): void {
    for (const one of node.heartbeats.leave(this.now)) this.#send(node, one.to, one.body);
    node.isUp = false;
  }

  /** Lets so many milliseconds go by in steps of 100. */
  run(duration: number): void {
    const end = this.now + milliseconds(duration);
    while (this.now < end) {
      this.now += milliseconds(100);
      for (const node of this.nodes) {
        if (!node.isUp) continue;
        const { outgoing, transitions } = node.heartbeats.tick(this.now);
        node.transitions.push(...transitions);
        for (const one of outgoing) this.#send(node, one.to, one.body);
      }
      this.#deliver();
    }
  }

  #send(from: CallNode, to: ReplicaId, body: MessageBody): void {
    const receiver = this.node(to);
    for (const { frame } of from.encoder.encode(body)) {
      this.#frames++;
      for (const delay of this.weather(from.id, to)) {
        this.#travelling.push({ due: this.now + delay, order: this.#order++, from, to: receiver, frame });
      }
    }
  }

  #deliver(): void {
    for (;;) {
      const due = this.#travelling.filter((one) => one.due <= this.now);
      if (due.length === 0) return;
      this.#travelling = this.#travelling.filter((one) => one.due > this.now);
      due.sort((a, b) => a.due - b.due || a.order - b.order);
      for (const one of due) if (one.to.isUp) this.#arrive(one);
    }
  }

  #arrive({ from, to, frame }: Travelling): void {
    const decoder = to.decoders.get(from.id) ?? new FrameDecoder();
    to.decoders.set(from.id, decoder);
    try {
      const message = decoder.decode(frame);
      switch (message.type) {
        case 'OPERATION':
          to.call.receive(message);
          return;
        case 'PRESENCE':
        case 'RECONCILE':
        case 'MERKLE_QUERY':
        case 'MERKLE_ANSWER':
          for (const one of to.heartbeats.receive(from.id, message, this.now)) this.#send(to, one.to, one.body);
          return;
        default:
          throw new Error(`${message.type} is no message of this mesh`);
      }
    } catch (error) {
      if (!isSyncError(error)) throw error;
      to.refusals.push(error.code);
    }
  }
}
