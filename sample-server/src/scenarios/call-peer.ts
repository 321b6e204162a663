import { HybridClock, type HybridStamp, hybridStampSchema, VersionVector } from '@syncscope/protocol/clock';
import { isSyncError } from '@syncscope/protocol/errors';
import { StateRoot } from '@syncscope/protocol/merkle';
import { decodeMessage, FrameEncoder, type Message, type MessageBody, noNames } from '@syncscope/protocol/messages';
import { CrdtReplica, crdtStandingSchema } from '@syncscope/protocol/peers';
import { milliseconds } from '@syncscope/protocol/ports';
import {
  compressed,
  Heartbeats,
  heartbeatsStandingSchema,
  PRESENCE_DEFAULTS,
  type PresenceState,
} from '@syncscope/protocol/presence';
import { array, finite, fitText, type Infer, object, string, uint } from '@syncscope/protocol/schema';
import {
  type Change,
  type RecordKey,
  type ReplicaId,
  recordKey,
  recordKeySchema,
  recordSchema,
  replicaId,
  type SyncRecord,
  type Value,
} from '@syncscope/protocol/state';
import type { StateView } from '@syncscope/protocol/sync';
import { vectorSchema } from '@syncscope/protocol/trace';
import type { PeerNode, PeerPorts } from '../peers/peer-scenario.ts';
import { CallMind, type CallWish } from './call-mind.ts';
import { CallSeries } from './call-series.ts';

/** Milliseconds between two ticks of media, before times are shorter. */
const MEDIA_MS = 1_000;
/** A tick of media: no message begins with this byte, which msgpack never uses. Real media would not go over this way, nor into the trace. */
const MEDIA = 0xc1;
const STORED = 'life';

/** What somebody's device keeps over a crash: how many lives and operations it had, and the call as it knew it. */
interface StoredLife {
  readonly lives: number;
  readonly clock: { readonly time: number; readonly count: number };
  readonly vector: readonly { readonly replica: string; readonly counter: number }[];
  readonly records: readonly (readonly [string, SyncRecord])[];
}

/** All that a participant holds beside its storage. Times in nanoseconds on its timer. */
const standingSchema = object({
  incarnation: uint,
  sequence: uint,
  clock: object({ time: uint, count: uint }),
  call: crdtStandingSchema,
  vector: vectorSchema,
  records: array(object({ key: recordKeySchema, record: recordSchema })),
  heartbeats: heartbeatsStandingSchema,
  since: object({ name: string(200), at: finite }),
  thinkAt: finite,
  mediaAt: finite,
  unsteady: uint,
});
type CallStanding = Infer<typeof standingSchema>;

/**
 * A participant of a conference: the call as a CRDT that each has a copy of, heartbeats with the hash of that copy, media, and whoever sits there.
 * What gets lost on the way is found by the heartbeats; who is silent for too long is taken out by whoever of the others comes
 * first in the order of names.
 */
export class CallPeer implements PeerNode {
  readonly replica: ReplicaId;
  readonly #ports: PeerPorts;
  readonly #mind: CallMind;
  readonly #clock: HybridClock;
  readonly #encoder: FrameEncoder;
  readonly #call: CrdtReplica<CallSeries>;
  readonly #heartbeats: Heartbeats;
  readonly #others: readonly ReplicaId[];
  /** When the present call began, or was over, as known here; and which it is. */
  #since: { readonly name: string; readonly at: number };
  #thinkAt: number;
  #mediaAt: number;
  #unsteady = 0;
  readonly #incarnation: number;

  constructor(ports: PeerPorts) {
    const { replica, tap, timer } = ports;
    this.replica = replica;
    this.#ports = ports;
    this.#others = ports.members.filter((one) => one !== replica);
    this.#mind = new CallMind(replica, ports.random);
    this.#encoder = new FrameEncoder(replica);
    // Any frame may be lost, so none may lean on one before it.
    this.#encoder.names.seal();
    const life = ports.storage.get(STORED) as unknown as StoredLife | undefined;
    const stands = ports.standing === undefined ? undefined : standingSchema.parse(ports.standing, 'standing');
    const saved = stands?.clock ?? life?.clock;
    this.#clock = new HybridClock(replica, saved ? { saved } : {});
    this.#call = stands ? replicaAt(ports, stands) : replicaOf(ports, life);
    this.#incarnation = stands?.incarnation ?? (life?.lives ?? 0) + 1;
    this.#heartbeats = new Heartbeats({
      replica,
      state: this.#call,
      incarnation: this.#incarnation,
      user: `user of ${replica}`,
      device: 'sample server',
      timeouts: compressed(ports.compress, PRESENCE_DEFAULTS),
      tap,
    });
    if (stands) {
      this.#encoder.resume({ names: [], announced: 0, sequence: stands.sequence });
      this.#heartbeats.resume(stands.heartbeats);
      this.#since = stands.since;
      this.#thinkAt = stands.thinkAt;
      this.#mediaAt = stands.mediaAt;
      this.#unsteady = stands.unsteady;
      return;
    }
    const now = timer.now();
    this.#thinkAt = now + milliseconds(this.#mind.pause());
    this.#mediaAt = now;
    this.#since = { name: this.#callName(), at: now };
    this.#store(this.#incarnation);
    this.describe();
    for (const other of this.#others) this.#say(this.#heartbeats.connect(other, now));
  }

  get state(): StateView {
    return this.#call.root();
  }

  get call(): CrdtReplica<CallSeries> {
    return this.#call;
  }

  get heartbeats(): Heartbeats {
    return this.#heartbeats;
  }

  receive(from: ReplicaId, frame: Uint8Array): void {
    const { tap, replica, timer } = this.#ports;
    if (frame[0] === MEDIA) {
      this.#heartbeats.media(from, timer.now());
      return;
    }
    try {
      const message = decodeMessage(frame, noNames);
      const { type, sender, sequence } = message;
      const body = { kind: 'receive', from, type, sender, sequence } as const;
      const cause = tap.isOpen ? tap.emit(replica, body, [], frame) : 0;
      this.#onMessage(from, message, cause);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      const told = { kind: 'refused', from, code: error.code, message: fitText(error.message, 2_000) } as const;
      if (tap.isOpen) tap.emit(replica, told, [], frame);
    }
    this.#noticeCall(timer.now());
  }

  tick(): void {
    const now = this.#ports.timer.now();
    const { outgoing } = this.#heartbeats.tick(now);
    this.#say(outgoing);
    this.#noticeCall(now);
    this.#sendMedia(now);
    this.#reap();
    if (now < this.#thinkAt && this.#thinkAt - now < milliseconds(10_000)) return;
    this.#thinkAt = now + milliseconds(this.#mind.pause());
    const { present } = this.#call.state;
    const since = (now - this.#since.at) / milliseconds(1);
    const isOver = present.ended !== undefined;
    const wish = this.#mind.think({ participants: present.participants(), isOver, since });
    if (wish) this.fulfil(wish);
  }

  describe(): void {
    const { tap } = this.#ports;
    if (!tap.isOpen) return;
    tap.emit(this.replica, { kind: 'replica', role: 'peer' });
    this.#traceSnapshot('attach');
    for (const { replica, device, state } of this.#heartbeats.roster.all()) {
      tap.emit(this.replica, { kind: 'presence', target: replica, device, state, detail: 'as it was when this began' });
    }
  }

  corrupt(change: Change): void {
    if (change.op !== 'patch') return;
    const record = { ...this.#call.root().get(change.key), ...change.fields };
    // The state only grows: what is wrong with one copy is something that could be, and was never said.
    this.#call.state.apply([[change.key, record]]);
  }

  unsteady(events: number): string {
    this.#unsteady += events;
    return `what ${this.replica} makes of the next ${events} operations is not what they say`;
  }

  stop(reason: string, isCrash: boolean): void {
    const { tap, timer } = this.#ports;
    if (!isCrash) this.#say(this.#heartbeats.leave(timer.now()));
    if (tap.isOpen) tap.emit(this.replica, { kind: 'gone', reason });
  }

  standing(): Value | undefined {
    const heartbeats = this.#heartbeats.standing;
    if (!heartbeats) return undefined;
    const standing: CallStanding = {
      incarnation: this.#incarnation,
      sequence: this.#encoder.standing.sequence,
      clock: { ...this.#clock.state },
      call: this.#call.standing,
      vector: this.#call.vector.entries(),
      records: Array.from(this.#call.root().entries(), ([key, record]) => ({ key, record })),
      heartbeats,
      since: this.#since,
      thinkAt: this.#thinkAt,
      mediaAt: this.#mediaAt,
      unsteady: this.#unsteady,
    };
    return standing as unknown as Value;
  }

  /** Somebody does something, and everybody is told. `detail` names the operation. */
  #operate(detail: string, operation: (state: CallSeries) => Change[]): void {
    const body = this.#call.operate(detail, operation);
    if (!body) return;
    this.#store();
    this.#say(this.#others.map((to) => ({ to, body, cause: [] })));
  }

  /** Does what somebody wants; nothing where it would change nothing, such as to mute who is not in the call. */
  fulfil(wish: CallWish): void {
    const stamp = this.#clock.tick(this.#ports.wallTime());
    const { replica } = this;
    switch (wish.wish) {
      case 'join':
        return this.#operate('join', (calls) => calls.operate((call) => call.join(replica)));
      case 'leave':
        return this.#operate('leave', (calls) => calls.operate((call) => call.leave(replica)));
      case 'hang-up':
        return this.#operate('hang-up', (calls) => calls.operate((call) => call.hangUp(stamp)));
      case 'call-again':
        return this.#operate('call-again', (calls) => calls.operate((call) => call.join(replica), true));
      case 'mute':
        return this.#operate(wish.isOn ? 'mute' : 'unmute', (calls) =>
          calls.operate((call) => call.mute(replica, wish.isOn, stamp)),
        );
      case 'hold':
        return this.#operate(wish.isOn ? 'hold' : 'resume', (calls) =>
          calls.operate((call) => call.hold(replica, wish.isOn, stamp)),
        );
    }
  }

  #onMessage(from: ReplicaId, message: Message, cause: number): void {
    const now = this.#ports.timer.now();
    switch (message.type) {
      case 'OPERATION':
        this.#observe(message.entries.map(({ record }) => record));
        if (this.#call.receive(message, cause) === 'duplicate') return;
        if (this.#unsteady > 0) this.#goWrong(message.entries[0]?.key);
        this.#store();
        return;
      case 'PRESENCE':
      case 'RECONCILE':
      case 'MERKLE_QUERY':
      case 'MERKLE_ANSWER':
        this.#say(this.#heartbeats.receive(from, message, now, cause));
        this.#store();
        return;
      default:
    }
  }

  /** What this replica does next must be later than what it has seen. @throws SyncError `CLOCK_TOO_FAR_AHEAD`; nothing of it is taken then */
  #observe(records: readonly SyncRecord[]): void {
    const wall = this.#ports.wallTime();
    for (const stamp of records.flatMap(stampsOf)) this.#clock.observe(stamp, wall);
  }

  /** A reducer that answers something else: it counts a stay that nobody began, and that is over. */
  #goWrong(key: RecordKey | undefined): void {
    const record = key && this.#call.root().get(key);
    if (!key || typeof record?.joined !== 'number') return;
    this.#unsteady--;
    const joined = record.joined + 1;
    this.corrupt({ op: 'patch', key, fields: { joined, left: joined }, removed: [] });
  }

  /** Media goes to everybody, while one is in the call and neither muted nor on hold; that it is missed is known from the heartbeats. */
  #sendMedia(now: number): void {
    const participants = this.#call.state.present.participants();
    const self = participants.find(({ replica }) => replica === this.replica);
    const isTalking = self !== undefined && !self.isMuted && !self.isHeld;
    this.#heartbeats.hasMedia = isTalking;
    if (now < this.#mediaAt) return;
    this.#mediaAt = now + milliseconds(MEDIA_MS / this.#ports.compress);
    if (!isTalking) return;
    for (const other of this.#others) this.#ports.send(other, Uint8Array.of(MEDIA));
  }

  /** Who was silent for so long that it has left is taken out of the call by the first of those who are there. */
  #reap(): void {
    const { roster } = this.#heartbeats;
    const participants = this.#call.state.present.participants().map(({ replica }) => replica);
    const isHere = (one: ReplicaId): boolean => one === this.replica || isPresent(roster.get(one)?.state);
    if (participants.find(isHere) !== this.replica) return;
    for (const one of participants) {
      if (one === this.replica || roster.get(one)?.state !== 'left') continue;
      this.#operate(`remove ${one}`, (calls) => calls.operate((call) => call.leave(one)));
    }
  }

  #say(
    frames: readonly { readonly to: ReplicaId; readonly body: MessageBody; readonly cause: readonly number[] }[],
  ): void {
    const { tap } = this.#ports;
    for (const { to, body, cause } of frames) {
      const { type, sender, sequence, frame } = this.#encoder.encode(body).at(-1)!;
      if (tap.isOpen) tap.emit(this.replica, { kind: 'send', to, type, sender, sequence }, cause, frame);
      this.#ports.send(to, frame);
    }
  }

  #callName(): string {
    const { number, present } = this.#call.state;
    return `${number} ${present.ended === undefined ? 'on' : 'over'}`;
  }

  #noticeCall(now: number): void {
    const name = this.#callName();
    if (name !== this.#since.name) this.#since = { name, at: now };
  }

  #store(lives?: number): void {
    const before = this.#ports.storage.get(STORED) as unknown as StoredLife | undefined;
    const stored = {
      lives: lives ?? before?.lives ?? 1,
      clock: { ...this.#clock.state },
      vector: this.#call.vector.entries(),
      records: [...this.#call.root().entries()],
    };
    this.#ports.storage.put(STORED, stored as unknown as Value);
  }

  #traceSnapshot(reason: 'attach'): void {
    const root = this.#call.root();
    const records = Array.from(root.entries(), ([key, record]) => ({ key, record }));
    const { version, vector } = this.#call;
    this.#ports.tap.emit(this.replica, {
      kind: 'snapshot',
      reason,
      version,
      records,
      root: root.hash,
      vector: vector.entries(),
    });
  }
}

function replicaOf(ports: PeerPorts, life: StoredLife | undefined): CrdtReplica<CallSeries> {
  const records = (life?.records ?? []).map(([key, record]) => ({ key: recordKey(key), record }));
  const vector = (life?.vector ?? []).map((one) => ({ replica: replicaId(one.replica), counter: one.counter }));
  return replicaAt(ports, { records, vector });
}

function replicaAt(
  { replica, tap }: PeerPorts,
  { records, vector, call }: Pick<CallStanding, 'records' | 'vector'> & Partial<Pick<CallStanding, 'call'>>,
): CrdtReplica<CallSeries> {
  return new CrdtReplica({
    ...(call ? { standing: call } : {}),
    replica,
    crdt: 'call',
    state: new CallSeries(StateRoot.from(records.map(({ key, record }) => [key, record] as const))),
    vector: VersionVector.from(vector),
    tap,
    writersOf: (key) => (key.endsWith('/@end') ? [] : [replicaId(key.slice(key.indexOf('/') + 1))]),
  });
}

function isPresent(state: PresenceState | undefined): boolean {
  return state !== undefined && state !== 'disconnected' && state !== 'left';
}

/** The stamps in a record of a call. */
function stampsOf({ muted, held, ended }: SyncRecord): HybridStamp[] {
  const stamps = [ended, ...[muted, held].map((one) => (isRecord(one) ? one.stamp : undefined))];
  return stamps.flatMap((stamp) => (stamp ? [hybridStampSchema.parse(stamp, 'stamp')] : []));
}

function isRecord(value: Value | undefined): value is SyncRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}
