import { SyncError, unreachable } from '@syncscope/protocol/errors';
import { type MessageType, messageType } from '@syncscope/protocol/messages';
import type { Random } from '@syncscope/protocol/ports';
import type { ReplicaId } from '@syncscope/protocol/state';
import type { FaultSpec, Tap } from '@syncscope/protocol/trace';
import { FaultyLink, type LinkFate, type Timing } from './link.ts';
import { checkFault } from './specs.ts';

/** How the links of one replica, or of all, misbehave now. Milliseconds; the rate from 0 to 1. */
interface Trouble {
  latency: number;
  jitter: number;
  loss: number;
}

export interface FaultBoardOptions {
  readonly tap: Tap;
  /** Who reports faults of the whole session. */
  readonly authority: ReplicaId;
  readonly random: Random;
  /** Replicas that are connected now. */
  readonly targets: () => readonly ReplicaId[];
  /** Changes a value in the target's own copy and says which; throws where the copy is not in this process. */
  readonly corrupt: (target: ReplicaId, key: string | undefined, field: string | undefined) => string;
}

const NO_TROUBLE: Readonly<Trouble> = { latency: 0, jitter: 0, loss: 0 };
/** A connection that never begins shows nothing; what opens or ends one is not lost. */
const NEVER_LOST: ReadonlySet<MessageType | undefined> = new Set(['HELLO', 'WELCOME', 'UPGRADE_REQUIRED', 'BYE']);

/**
 * The faults of a session: what is armed, for whom, and the links that carry them out. Each fault is in
 * the trace when it is armed, each time it strikes, and when it is cleared.
 */
export class FaultBoard {
  readonly #options: FaultBoardOptions;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #timing: Timing = {
    now: () => performance.now(),
    later: (delay, action) => this.#later(delay, action),
  };
  readonly #everyone: Trouble = { ...NO_TROUBLE };
  readonly #single = new Map<ReplicaId, Trouble>();
  /** Deltas still to be dropped. */
  readonly #drops = new Map<ReplicaId, number>();

  constructor(options: FaultBoardOptions) {
    this.#options = options;
  }

  /** What faults are chosen by. */
  get random(): Random {
    return this.#options.random;
  }

  /**
   * Starts a fault now. Latency 0 and loss 0 clear what was there.
   * @throws SyncError `FAULT_INVALID`, `FAULT_TARGET_UNKNOWN`, and nothing was started
   */
  inject(spec: FaultSpec): void {
    checkFault(spec);
    this.#checkTarget(spec);
    switch (spec.fault) {
      case 'corrupt': {
        const changed = this.#options.corrupt(spec.target, spec.key, spec.field);
        this.#emit('corrupt', 'struck', spec.target, changed);
        return;
      }
      case 'drop-delta':
        this.#drops.set(spec.target, (this.#drops.get(spec.target) ?? 0) + 1);
        this.#emitDrop(spec.target);
        return;
      case 'latency': {
        const trouble = this.#troubleToSet(spec.target);
        trouble.latency = spec.mean;
        trouble.jitter = spec.jitter;
        this.#emitLatency(spec.target, trouble);
        return;
      }
      case 'loss': {
        const trouble = this.#troubleToSet(spec.target);
        trouble.loss = spec.rate;
        this.#emitLoss(spec.target, trouble);
        return;
      }
      default:
        unreachable(spec);
    }
  }

  /** Tells which faults are armed, so that a capture that starts now knows them. */
  describe(): void {
    for (const [target, trouble] of [[undefined, this.#everyone] as const, ...this.#single]) {
      if (isSlow(trouble)) this.#emitLatency(target, trouble);
      if (trouble.loss > 0) this.#emitLoss(target, trouble);
    }
    for (const [target, count] of this.#drops) if (count > 0) this.#emitDrop(target);
  }

  /** Starts a fault after `delay` milliseconds; one that cannot start then is a line in the trace. */
  schedule(delay: number, spec: FaultSpec): void {
    this.#later(delay, () => {
      try {
        this.inject(spec);
      } catch (error) {
        if (!(error instanceof SyncError)) throw error;
        const { tap, authority } = this.#options;
        tap.emit(authority, { kind: 'log', level: 'warn', text: `${error.code}: ${error.message}` });
      }
    });
  }

  /** The way of frames from the server to a replica, which may be unknown until it said its name. */
  down(replica: () => ReplicaId | undefined, deliver: (frame: Uint8Array) => void): FaultyLink {
    return new FaultyLink(this.#timing, (frame) => this.#fate(replica(), frame, 'from'), deliver);
  }

  /** The way of frames from a replica to the server. */
  up(replica: () => ReplicaId | undefined, deliver: (frame: Uint8Array) => void): FaultyLink {
    return new FaultyLink(this.#timing, (frame) => this.#fate(replica(), frame, 'to'), deliver);
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #later(delay: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, delay);
    this.#timers.add(timer);
  }

  #fate(replica: ReplicaId | undefined, frame: Uint8Array, way: 'from' | 'to'): LinkFate {
    const { latency, jitter, loss } = (replica && this.#single.get(replica)) ?? this.#everyone;
    const { random } = this.#options;
    const type = typeOfFrame(frame);
    const what = (): string => `${type ?? 'a frame'} ${way} the server, ${frame.length} bytes, not delivered`;
    if (loss > 0 && !NEVER_LOST.has(type) && random.next() < loss) {
      this.#emit('loss', 'struck', replica, what());
      return { delay: 0, isLost: true };
    }
    const drops = replica && way === 'from' && type === 'DELTA_SYNC' ? (this.#drops.get(replica) ?? 0) : 0;
    if (replica && drops > 0) {
      this.#drops.set(replica, drops - 1);
      this.#emit('drop-delta', 'struck', replica, what());
      return { delay: 0, isLost: true };
    }
    const swing = jitter > 0 ? (random.next() * 2 - 1) * jitter : 0;
    return { delay: Math.max(0, latency + swing), isLost: false };
  }

  #troubleToSet(target: ReplicaId | undefined): Trouble {
    if (target === undefined) return this.#everyone;
    let trouble = this.#single.get(target);
    if (!trouble) {
      trouble = { ...this.#everyone };
      this.#single.set(target, trouble);
    }
    return trouble;
  }

  /** Links may be told of a replica before it comes; what strikes at once needs it to be there. */
  #checkTarget(spec: FaultSpec): void {
    if (spec.fault !== 'corrupt' && spec.fault !== 'drop-delta') return;
    const targets = this.#options.targets();
    if (targets.includes(spec.target)) return;
    throw new SyncError(
      'FAULT_TARGET_UNKNOWN',
      `${spec.target} is not connected; connected are ${targets.join(', ') || 'none'}`,
      { origin: 'setting', retry: 'backoff' },
    );
  }

  #emitDrop(target: ReplicaId): void {
    this.#emit('drop-delta', 'armed', target, 'the next delta will not be delivered');
  }

  #emitLatency(target: ReplicaId | undefined, trouble: Trouble): void {
    const detail = `${trouble.latency} ms ± ${trouble.jitter} ms each way`;
    this.#emit('latency', isSlow(trouble) ? 'armed' : 'cleared', target, detail);
  }

  #emitLoss(target: ReplicaId | undefined, { loss }: Trouble): void {
    this.#emit('loss', loss > 0 ? 'armed' : 'cleared', target, `${Number((loss * 100).toFixed(3))} % of frames`);
  }

  #emit(
    fault: FaultSpec['fault'],
    phase: 'armed' | 'struck' | 'cleared',
    target: ReplicaId | undefined,
    detail: string,
  ): void {
    const { tap, authority } = this.#options;
    tap.emit(target ?? authority, { kind: 'fault', fault, phase, target: target ?? null, detail });
  }
}

function isSlow({ latency, jitter }: Trouble): boolean {
  return latency > 0 || jitter > 0;
}

/** The type of a frame, whose number stands first in its array. */
function typeOfFrame(frame: Uint8Array): MessageType | undefined {
  const [head] = frame;
  if (head === undefined) return undefined;
  return messageType((head & 0xf0) === 0x90 ? frame[1] : head === 0xdc ? frame[3] : undefined);
}
