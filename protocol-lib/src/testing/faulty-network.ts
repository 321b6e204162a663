import type { Clock, Transport } from '../ports/index.ts';
import { Choices } from '../simulator/choices.ts';
import { EventQueue } from '../simulator/event-queue.ts';
import { type Conditions, Line } from '../simulator/network.ts';
import type { LinkShape } from '../simulator/shape.ts';

/** A link without any trouble: in order, whole, at once. */
const HEALTHY: LinkShape = {
  model: 'stream',
  latency: 0,
  jitter: 0,
  bandwidth: 0,
  loss: 0,
  duplication: 0,
  reordering: 0,
};

const RATES = ['loss', 'duplication', 'reordering'] as const;
const SIZES = ['latency', 'jitter', 'bandwidth'] as const;

/** `up` is from {@link FaultyConnection.near} to {@link FaultyConnection.far}. */
export type Way = 'up' | 'down' | 'both';

/**
 * The network of the simulator, for tests of an app's own clients, servers and adapters: in virtual time, and everything that happens on it is drawn from
 * one seed, so that a run can be had again. Nothing moves but in {@link run}.
 */
export class FaultyNetwork implements Clock {
  readonly #queue = new EventQueue();
  readonly #seed: number;
  #connections = 0;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Nanoseconds since the network was made. */
  now(): number {
    return this.#queue.now();
  }

  /** Carries out `action` so many nanoseconds from now, such as the ticks of a client. */
  after(delay: number, action: () => void): void {
    this.#queue.after(delay, action);
  }

  /** Lets so many nanoseconds go by: delivers, and carries out, whatever is due by then. */
  run(duration: number): void {
    const until = this.#queue.now() + duration;
    while (this.#queue.step(until));
  }

  /**
   * A new connection of two ends. `shape`: times in nanoseconds, rates from 0 to 1, bandwidth in bytes a nanosecond (0 is without limit). A `stream` is in
   * order and whole until it breaks, and of the rest knows latency, jitter and bandwidth only; with `datagram`, frames may be lost, come twice or overtake each other.
   * @throws RangeError for a time or rate that is none
   */
  connect(shape: Partial<LinkShape> = {}): FaultyConnection {
    const whole = { ...HEALTHY, ...shape };
    for (const name of RATES) {
      if (!(whole[name] >= 0 && whole[name] <= 1)) throw new RangeError(`${name} is from 0 to 1, not ${whole[name]}`);
    }
    for (const name of SIZES) {
      if (!(whole[name] >= 0 && Number.isFinite(whole[name])))
        throw new RangeError(`${name} is a number from 0 on, not ${whole[name]}`);
    }
    return new FaultyConnection(this.#queue, whole, this.#seed, this.#connections++);
  }
}

const nothing = (): void => {};

/** One end: what is sent goes into its line; what comes out of the other one's is told here. */
class End implements Transport {
  readonly #other: () => End;
  readonly #line: () => Line;
  #isOpen = true;
  #onFrame: (frame: Uint8Array) => void = nothing;
  #onClose: (reason: string) => void = nothing;

  constructor(line: () => Line, other: () => End) {
    this.#line = line;
    this.#other = other;
  }

  send(frame: Uint8Array): void {
    // What the sender does with its memory afterwards is its own affair.
    if (this.#isOpen) this.#line().send(frame.slice());
  }

  close(reason: string): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#line().finish(() => this.#other().hear(reason));
  }

  onFrame(listener: (frame: Uint8Array) => void): void {
    this.#onFrame = listener;
  }

  onClose(listener: (reason: string) => void): void {
    this.#onClose = listener;
  }

  take(frame: Uint8Array): void {
    if (this.#isOpen) this.#onFrame(frame);
  }

  hear(reason: string): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#onClose(reason);
  }
}

/** A connection of a {@link FaultyNetwork}, and the faults that can be done to it. */
export class FaultyConnection {
  readonly near: Transport;
  readonly far: Transport;
  readonly #queue: EventQueue;
  readonly #conditions: Conditions;
  readonly #ends: { readonly near: End; readonly far: End };
  readonly #lines: { readonly up: Line; readonly down: Line };
  readonly #faults: Choices;

  constructor(queue: EventQueue, shape: LinkShape, seed: number, index: number) {
    this.#queue = queue;
    this.#conditions = { shape, isRough: true, blockedUntil: { up: 0, down: 0 }, isCutOff: false };
    const near: End = new End(
      () => this.#lines.up,
      () => far,
    );
    const far: End = new End(
      () => this.#lines.down,
      () => near,
    );
    const line = (way: 'up' | 'down', to: End): Line =>
      new Line(queue, this.#conditions, way, new Choices(seed, `${way}/${index}`, {}), (frame) => to.take(frame));
    this.#lines = { up: line('up', far), down: line('down', near) };
    this.#faults = new Choices(seed, `faults/${index}`, {});
    this.#ends = { near, far };
    this.near = near;
    this.far = far;
  }

  /** Frames on their way, in both directions. */
  get inFlight(): number {
    return this.#lines.up.inFlight + this.#lines.down.inFlight;
  }

  /** Whether the rates of the shape count from now on; they do at first. */
  set isRough(isRough: boolean) {
    this.#conditions.isRough = isRough;
  }

  /** Nothing arrives for so many nanoseconds: a stream holds it up, datagrams are lost. */
  block(duration: number, way: Way = 'both'): void {
    const until = this.#queue.now() + duration;
    const { blockedUntil } = this.#conditions;
    if (way !== 'down') blockedUntil.up = Math.max(blockedUntil.up, until);
    if (way !== 'up') blockedUntil.down = Math.max(blockedUntil.down, until);
  }

  /**
   * The connection breaks: of what is on its way, a part that is drawn still arrives. Each end hears of it after so many nanoseconds, and believes in it until
   * then; what it sends goes nowhere.
   */
  cut(heard: { readonly near?: number; readonly far?: number } = {}, reason = 'the connection broke'): void {
    const { stream } = this.#faults.next();
    this.#lines.up.cut(stream.next());
    this.#lines.down.cut(stream.next());
    for (const end of ['near', 'far'] as const) this.#queue.after(heard[end] ?? 0, () => this.#ends[end].hear(reason));
  }
}
