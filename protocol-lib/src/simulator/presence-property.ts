import { PNCounter } from '../crdt/index.ts';
import { isSyncError } from '../errors/index.ts';
import { FrameDecoder, FrameEncoder, type MessageBody } from '../messages/index.ts';
import { CrdtReplica } from '../peers/index.ts';
import { milliseconds } from '../ports/index.ts';
import { compressed, Heartbeats, type Transition } from '../presence/index.ts';
import { type ReplicaId, recordKey, replicaId } from '../state/index.ts';
import { Stream } from './choices.ts';

const STEP = milliseconds(100);
/** Steps with faults, and the fair ones after: until the latest heartbeat has come, and longer than it then takes to count as having left. */
const ROUGH = 100;
const FAIR = 400;
/** All times a tenth. */
const timeouts = compressed(10);
const COUNTER = 'clicks';
const NAMES = ['ann', 'ben', 'cid', 'dot'].map(replicaId);

interface Member {
  readonly id: ReplicaId;
  readonly replica: CrdtReplica<PNCounter>;
  heartbeats: Heartbeats;
  life: number;
  isUp: boolean;
  /** What was counted here, with a number of its own. */
  clicks: number;
}

interface Travelling {
  readonly due: number;
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  readonly frame: Uint8Array;
}

/**
 * A property of heartbeats that no simulated session has, since its clients have an authority: whatever is lost, doubled or late, who is gone
 * is noticed, nobody comes back from the dead, and those who are there end with one state that holds what each of them did.
 * Answers what is wrong, for people; undefined where all is right.
 */
export function findPresenceFault(seed: number): string | undefined {
  const mesh = new Mesh(seed);
  for (let step = 0; step < ROUGH; step++) {
    mesh.disturb();
    mesh.step();
    if (mesh.fault !== undefined) return mesh.fault;
  }
  mesh.isFair = true;
  for (let step = 0; step < FAIR; step++) mesh.step();
  return mesh.fault ?? mesh.unsettled();
}

class Mesh {
  isFair = false;
  fault: string | undefined;
  readonly #network: Stream;
  readonly #faults: Stream;
  readonly #loss: number;
  readonly #members: readonly Member[];
  /** Of each observer and observed: the highest life that was seen to leave. */
  readonly #gone = new Map<string, number>();
  #travelling: Travelling[] = [];
  #now = 0;

  constructor(seed: number) {
    this.#network = Stream.of(seed, 'network');
    this.#faults = Stream.of(seed, 'faults');
    this.#loss = this.#network.next() * 0.4;
    this.#members = NAMES.map((id) => {
      const replica = new CrdtReplica({ replica: id, crdt: COUNTER, state: new PNCounter(COUNTER, id) });
      return { id, replica, heartbeats: heartbeatsOf(replica, 1), life: 1, isUp: true, clicks: 0 };
    });
    for (const member of this.#members) this.#connect(member);
  }

  /** Something happens to somebody: mostly a click. */
  disturb(): void {
    const member = this.#faults.pick(this.#members);
    const kind = this.#faults.next();
    if (!member.isUp) {
      if (kind < 0.3) this.#restart(member);
    } else if (kind < 0.02) {
      for (const one of member.heartbeats.leave(this.#now)) this.#send(member, one.to, one.body);
      member.isUp = false;
    } else if (kind < 0.04) {
      member.isUp = false;
    } else if (kind < 0.4) {
      this.#click(member, this.#faults.chance(0.5));
    }
  }

  step(): void {
    this.#now += STEP;
    for (const member of this.#members) {
      if (!member.isUp) continue;
      const { outgoing, transitions } = member.heartbeats.tick(this.#now);
      for (const one of transitions) this.#watch(member, one);
      for (const one of outgoing) this.#send(member, one.to, one.body);
    }
    const due = this.#travelling.filter((one) => one.due <= this.#now);
    this.#travelling = this.#travelling.filter((one) => one.due > this.#now);
    for (const one of due) this.#arrive(one);
  }

  /** What is not as it should be once everything has calmed down. */
  unsettled(): string | undefined {
    const here = this.#members.filter(({ isUp }) => isUp);
    for (const member of here) {
      for (const other of this.#members) {
        if (other === member) continue;
        const state = member.heartbeats.roster.get(other.id)?.state;
        const wanted = other.isUp ? 'active' : 'left';
        // Who was never heard of cannot be missed.
        if (state !== wanted && (other.isUp || state !== undefined)) {
          return `${member.id} takes ${other.id} for ${state}, and it is ${wanted}`;
        }
      }
    }
    if (new Set(here.map(({ replica }) => replica.root().hash)).size > 1) return 'those who are there differ';
    for (const { id, clicks } of here) {
      const record = here[0]!.replica.root().get(recordKey(`${COUNTER}/${id}`));
      const counted = Number(record?.increments ?? 0) + Number(record?.decrements ?? 0);
      if (counted !== clicks) return `${counted} of ${clicks} clicks of ${id} are known`;
    }
    return undefined;
  }

  #click(member: Member, isUpwards: boolean): void {
    member.clicks++;
    const body = member.replica.operate('click', (counter) => (isUpwards ? counter.increment() : counter.decrement()));
    if (body) for (const { id } of this.#members) if (id !== member.id) this.#send(member, id, body);
  }

  #restart(member: Member): void {
    member.life++;
    member.heartbeats = heartbeatsOf(member.replica, member.life);
    member.isUp = true;
    this.#connect(member);
  }

  #connect(member: Member): void {
    for (const { id } of this.#members) {
      if (id === member.id) continue;
      for (const one of member.heartbeats.connect(id, this.#now)) this.#send(member, one.to, one.body);
    }
  }

  /** Nobody comes back in a life that was seen to end. */
  #watch(observer: Member, { presence, change }: Transition): void {
    const pair = `${observer.id}/${observer.life} ${presence.replica}`;
    const gone = this.#gone.get(pair) ?? 0;
    if (change === 'left') this.#gone.set(pair, presence.incarnation);
    else if (presence.incarnation <= gone) {
      this.fault ??= `${presence.replica} left in its life ${gone}, and is ${change} for ${observer.id} in ${presence.incarnation}`;
    }
  }

  #send(from: Member, to: ReplicaId, body: MessageBody): void {
    const encoder = new FrameEncoder(from.id);
    encoder.names.seal();
    for (const { frame } of encoder.encode(body)) {
      if (!this.isFair && this.#network.chance(this.#loss)) continue;
      this.#travel(from, to, frame);
      if (!this.isFair && this.#network.chance(0.2)) this.#travel(from, to, frame);
    }
  }

  #travel(from: Member, to: ReplicaId, frame: Uint8Array): void {
    // Some are late by more than the time after which somebody counts as gone.
    const delay = this.isFair
      ? 0
      : this.#network.chance(0.1)
        ? this.#network.int(1, 20_000)
        : this.#network.int(0, 400);
    this.#travelling.push({ due: this.#now + milliseconds(delay), from: from.id, to, frame });
  }

  #arrive({ from, to, frame }: Travelling): void {
    const member = this.#members.find(({ id }) => id === to)!;
    if (!member.isUp) return;
    const message = new FrameDecoder().decode(frame);
    const before = new Map(member.heartbeats.roster.all().map((one) => [one.replica, one]));
    try {
      if (message.type === 'OPERATION') member.replica.receive(message);
      else if (
        message.type === 'PRESENCE' ||
        message.type === 'RECONCILE' ||
        message.type === 'MERKLE_QUERY' ||
        message.type === 'MERKLE_ANSWER'
      ) {
        for (const one of member.heartbeats.receive(from, message, this.#now)) this.#send(member, one.to, one.body);
      }
    } catch (error) {
      if (!isSyncError(error)) throw error;
    }
    const after = member.heartbeats.roster.get(from);
    if (!after || (after.state === before.get(from)?.state && after.incarnation === before.get(from)?.incarnation))
      return;
    this.#watch(member, { presence: after, change: after.state, reason: '' });
  }
}

function heartbeatsOf(replica: CrdtReplica<PNCounter>, incarnation: number): Heartbeats {
  return new Heartbeats({ replica: replica.replica, state: replica, incarnation, timeouts });
}
