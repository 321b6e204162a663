import { SyncError, unreachable } from '@syncscope/protocol/errors';
import { type MessageType, messageType } from '@syncscope/protocol/messages';
import type { Random } from '@syncscope/protocol/ports';
import { fitText } from '@syncscope/protocol/schema';
import type { ReplicaId } from '@syncscope/protocol/state';
import type { FaultSpec, Tap } from '@syncscope/protocol/trace';
import { FaultyLink, type LinkFate, type Timing } from './link.ts';
import { NO_TROUBLE, PRESETS, type Trouble } from './presets.ts';
import { checkFault } from './specs.ts';

export interface FaultBoardOptions {
  readonly tap: Tap;
  /** The replica whose link nobody else's trouble is; null where all are peers. */
  readonly authority: ReplicaId | null;
  /** Who reports faults of the whole session; the authority where absent. */
  readonly reporter?: ReplicaId;
  readonly random: Random;
  /** Replicas that are connected now. */
  readonly targets: () => readonly ReplicaId[];
  /** Changes a value in the target's own copy and says which; throws where the copy is not in this process. */
  readonly corrupt: (target: ReplicaId, key: string | undefined, field: string | undefined) => string;
  /** Ends the target without a word and starts it again after `downtime` milliseconds; answers what it forgets. Throws where it is not in this process. */
  readonly crash?: (target: ReplicaId, downtime: number) => string;
  /** Puts the target's clock wrong by so many milliseconds; throws where it has none in this process. */
  readonly skew?: (target: ReplicaId, by: number) => string;
  /** Makes the target's reducer unsteady for so many events; throws where it has none in this process. */
  readonly unsteady?: (target: ReplicaId, events: number) => string;
  /** How links are where nobody asked for trouble; healthy where absent. */
  readonly usual?: Trouble;
  /** What a frame does to the state of who gets it, such as `hang-up`; nothing where it does nothing. That of deltas is `delta`, where absent. */
  readonly newsOf?: (frame: Uint8Array) => string | undefined;
}

/** What is still to be lost on its way to a replica. */
interface Drop {
  /** Only news of this name; any where absent. */
  readonly news: string | undefined;
  count: number;
}

const ONCE: readonly number[] = [0];
const LOST: LinkFate = { delays: [], isOvertaken: false };
const AT_ONCE: LinkFate = { delays: ONCE, isOvertaken: false };
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
  #everyone: Trouble;
  readonly #single = new Map<ReplicaId, Trouble>();
  /** Deltas, or what else brings news, still to be dropped. */
  readonly #drops = new Map<ReplicaId, Drop[]>();
  /** The group that a replica is cut off with; 0, or nothing, is that of everybody else. */
  #groups: ReadonlyMap<ReplicaId, number> = new Map();

  constructor(options: FaultBoardOptions) {
    this.#options = options;
    this.#everyone = this.#usual;
  }

  /** What faults are chosen by. */
  get random(): Random {
    return this.#options.random;
  }

  /**
   * Starts a fault now. Rates and times of 0 clear what was there.
   * @throws SyncError `FAULT_INVALID`, `FAULT_TARGET_UNKNOWN`, `FAULT_UNSUPPORTED`, and nothing was started
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
        this.#drop(spec.target, spec.news);
        return;
      case 'latency':
        this.#set(spec.fault, spec.target, { latency: spec.mean, jitter: spec.jitter });
        return;
      case 'loss':
        this.#set(spec.fault, spec.target, { loss: spec.rate });
        return;
      case 'duplication':
        this.#set(spec.fault, spec.target, { duplication: spec.rate });
        return;
      case 'reordering':
        this.#set(spec.fault, spec.target, { reordering: spec.rate, reorderBy: spec.by });
        return;
      case 'network':
        this.#set(spec.fault, spec.target, PRESETS[spec.preset], spec.preset);
        return;
      case 'partition':
        this.#part(spec.groups);
        return;
      case 'crash':
        this.#strike(spec.fault, spec.target, this.#options.crash?.(spec.target, spec.downtime));
        return;
      case 'clock-skew':
        this.#strike(spec.fault, spec.target, this.#options.skew?.(spec.target, spec.by));
        return;
      case 'reducer':
        this.#strike(spec.fault, spec.target, this.#options.unsteady?.(spec.target, spec.events));
        return;
      default:
        unreachable(spec);
    }
  }

  /** Tells which faults are armed, so that a capture that starts now knows them. */
  describe(): void {
    for (const [target, trouble] of [[undefined, this.#everyone] as const, ...this.#single]) {
      const { latency, jitter, loss, duplication, reordering } = trouble;
      const armed = { latency: latency + jitter, loss, duplication, reordering };
      for (const fault of ['latency', 'loss', 'duplication', 'reordering'] as const) {
        if (armed[fault] > 0) this.#emit(fault, 'armed', target, troubleText(trouble));
      }
    }
    if (this.#groups.size > 0) this.#emit('partition', 'armed', undefined, this.#groupsText());
    for (const [target, drops] of this.#drops) for (const { news } of drops) this.#emitDrop(target, news);
  }

  /** Starts a fault after `delay` milliseconds; one that cannot start then is a line in the trace, and told to `failed`. */
  schedule(delay: number, spec: FaultSpec, failed?: (error: SyncError) => void): void {
    this.#later(delay, () => {
      try {
        this.inject(spec);
      } catch (error) {
        if (!(error instanceof SyncError)) throw error;
        const { tap } = this.#options;
        tap.emit(this.#reporter, { kind: 'log', level: 'warn', text: `${error.code}: ${error.message}` });
        failed?.(error);
      }
    });
  }

  /** Whether no frame meets any fault now. */
  get isQuiet(): boolean {
    return (
      this.#everyone === NO_TROUBLE && this.#single.size === 0 && this.#drops.size === 0 && this.#groups.size === 0
    );
  }

  /** The way of frames from the server to a replica, which may be unknown until it said its name. */
  down(replica: () => ReplicaId | undefined, deliver: (frame: Uint8Array) => void): FaultyLink {
    return this.link(() => this.#options.authority ?? undefined, replica, deliver);
  }

  /** The way of frames from a replica to the server. */
  up(replica: () => ReplicaId | undefined, deliver: (frame: Uint8Array) => void): FaultyLink {
    return this.link(replica, () => this.#options.authority ?? undefined, deliver);
  }

  /** The way of frames from one replica to another. */
  link(
    from: () => ReplicaId | undefined,
    to: () => ReplicaId | undefined,
    deliver: (frame: Uint8Array) => void,
  ): FaultyLink {
    return new FaultyLink(this.#timing, (frame) => this.#fate(from(), to(), frame), deliver);
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

  #fate(from: ReplicaId | undefined, to: ReplicaId | undefined, frame: Uint8Array): LinkFate {
    if (this.#isCut(from, to)) return LOST;
    const trouble = this.#troubleOf(from) ?? this.#troubleOf(to) ?? this.#everyone;
    const drops = to === undefined ? undefined : this.#drops.get(to);
    if (trouble === NO_TROUBLE && !drops) return AT_ONCE;
    const type = typeOfFrame(frame);
    const strike = (fault: FaultSpec['fault'], what: string) =>
      this.#emit(
        fault,
        'struck',
        this.#struck(from, to),
        `${type ?? 'a frame'} from ${from} to ${to}, ${frame.length} bytes, ${what}`,
      );
    const isSpared = NEVER_LOST.has(type);
    if (!isSpared && this.#draws(trouble.loss)) {
      strike('loss', 'not delivered');
      return LOST;
    }
    if (to !== undefined && drops && this.#isDropped(to, drops, frame, type)) {
      strike('drop-delta', 'not delivered');
      return LOST;
    }
    const delays = [this.#delay(trouble)];
    if (!isSpared && this.#draws(trouble.duplication)) {
      delays.push(this.#delay(trouble));
      strike('duplication', 'delivered twice');
    }
    if (isSpared || !this.#draws(trouble.reordering)) return { delays, isOvertaken: false };
    strike('reordering', 'held back');
    const { random } = this.#options;
    return { delays: delays.map((delay) => delay + random.next() * trouble.reorderBy), isOvertaken: true };
  }

  #isDropped(to: ReplicaId, drops: Drop[], frame: Uint8Array, type: MessageType | undefined): boolean {
    const { newsOf } = this.#options;
    const news = newsOf ? newsOf(frame) : type === 'DELTA_SYNC' ? 'delta' : undefined;
    const due = news === undefined ? undefined : drops.find((one) => one.news === undefined || one.news === news);
    if (!due) return false;
    due.count--;
    const left = drops.filter(({ count }) => count > 0);
    if (left.length > 0) this.#drops.set(to, left);
    else this.#drops.delete(to);
    return true;
  }

  #drop(target: ReplicaId, news: string | undefined): void {
    const drops = this.#drops.get(target) ?? [];
    const same = drops.find((one) => one.news === news);
    if (same) same.count++;
    else drops.push({ news, count: 1 });
    this.#drops.set(target, drops);
    this.#emitDrop(target, news);
  }

  #draws(rate: number): boolean {
    return rate > 0 && this.#options.random.next() < rate;
  }

  #delay({ latency, jitter }: Trouble): number {
    const swing = jitter > 0 ? (this.#options.random.next() * 2 - 1) * jitter : 0;
    return Math.max(0, latency + swing);
  }

  #isCut(from: ReplicaId | undefined, to: ReplicaId | undefined): boolean {
    if (this.#groups.size === 0 || from === undefined || to === undefined) return false;
    return (this.#groups.get(from) ?? 0) !== (this.#groups.get(to) ?? 0);
  }

  #troubleOf(replica: ReplicaId | undefined): Trouble | undefined {
    return replica === undefined || replica === this.#options.authority ? undefined : this.#single.get(replica);
  }

  /** Of the two ends the one that is not the authority: it is whose link it is. Among peers, who does not get it. */
  #struck(from: ReplicaId | undefined, to: ReplicaId | undefined): ReplicaId | undefined {
    const { authority } = this.#options;
    return authority === null || from === authority ? to : from;
  }

  #set(fault: FaultSpec['fault'], target: ReplicaId | undefined, part: Partial<Trouble>, preset?: string): void {
    const merged = {
      ...(target === undefined ? this.#everyone : (this.#single.get(target) ?? this.#everyone)),
      ...part,
    };
    const trouble = isHealthy(merged) ? this.#usual : merged;
    if (target === undefined) this.#everyone = trouble;
    else this.#single.set(target, trouble);
    const isArmed = Object.values(part).some((value) => value > 0);
    const name = preset === undefined ? '' : `${preset}: `;
    this.#emit(fault, isArmed ? 'armed' : 'cleared', target, name + troubleText(trouble));
  }

  #part(groups: readonly (readonly ReplicaId[])[]): void {
    const before = this.#groups;
    this.#groups = new Map(groups.flatMap((group, index) => group.map((replica) => [replica, index + 1] as const)));
    if (this.#groups.size > 0) this.#emit('partition', 'armed', undefined, this.#groupsText());
    else if (before.size > 0) this.#emit('partition', 'cleared', undefined, 'everybody reaches everybody again');
  }

  #groupsText(): string {
    const groups = new Map<number, string[]>();
    for (const [replica, group] of this.#groups) groups.set(group, [...(groups.get(group) ?? []), replica]);
    return fitText(`cut off: ${[...groups.values()].map((group) => group.join(', ')).join(' | ')}`, 500);
  }

  #strike(fault: FaultSpec['fault'], target: ReplicaId, detail: string | undefined): void {
    if (detail === undefined) {
      throw new SyncError('FAULT_UNSUPPORTED', `this session has nothing that ${fault} could strike`, {
        origin: 'setting',
      });
    }
    this.#emit(fault, 'struck', target, detail);
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

  #emitDrop(target: ReplicaId, news: string | undefined): void {
    const what = news ?? (this.#options.newsOf ? 'change' : 'delta');
    this.#emit('drop-delta', 'armed', target, `the next ${what} will not be delivered`);
  }

  get #usual(): Trouble {
    return this.#options.usual ?? NO_TROUBLE;
  }

  get #reporter(): ReplicaId {
    const { authority, reporter = authority } = this.#options;
    if (reporter === null) throw new TypeError('a board of peers names who reports');
    return reporter;
  }

  #emit(
    fault: FaultSpec['fault'],
    phase: 'armed' | 'struck' | 'cleared',
    target: ReplicaId | undefined,
    detail: string,
  ): void {
    const { tap } = this.#options;
    tap.emit(target ?? this.#reporter, { kind: 'fault', fault, phase, target: target ?? null, detail });
  }
}

function isHealthy({ latency, jitter, loss, duplication, reordering }: Trouble): boolean {
  return latency === 0 && jitter === 0 && loss === 0 && duplication === 0 && reordering === 0;
}

function troubleText({ latency, jitter, loss, duplication, reordering, reorderBy }: Trouble): string {
  const parts: string[] = [];
  if (latency > 0 || jitter > 0) parts.push(`${latency} ms ± ${jitter} ms each way`);
  if (loss > 0) parts.push(`${percent(loss)} of frames lost`);
  if (duplication > 0) parts.push(`${percent(duplication)} twice`);
  if (reordering > 0) parts.push(`${percent(reordering)} held back up to ${reorderBy} ms`);
  return parts.join(', ') || 'a healthy line';
}

function percent(rate: number): string {
  return `${Number((rate * 100).toFixed(3))} %`;
}

/** The type of a frame, whose number stands first in its array. */
function typeOfFrame(frame: Uint8Array): MessageType | undefined {
  const [head] = frame;
  if (head === undefined) return undefined;
  return messageType((head & 0xf0) === 0x90 ? frame[1] : head === 0xdc ? frame[3] : undefined);
}
