import { compareHybrid, type HybridStamp, hybridStampSchema } from '../clock/index.ts';
import { SyncError } from '../errors/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { boolean, nullable, object, uint } from '../schema/index.ts';
import {
  type Change,
  type RecordKey,
  type ReplicaId,
  recordKey,
  replicaId,
  type SyncRecord,
  type Value,
} from '../state/index.ts';
import { foreignKey } from './counters.ts';
import { JoinedRecords } from './joined-records.ts';
import { stampValue } from './stamps.ts';

const switchSchema = nullable(object({ stay: uint, isOn: boolean, stamp: hybridStampSchema }));
const participantSchema = object({ joined: uint, left: uint, muted: switchSchema, held: switchSchema });
const endSchema = object({ ended: hybridStampSchema });

/** Mute or hold of one stay in the call; one that belongs to an earlier stay says nothing of a later one. */
interface Switch {
  readonly stay: number;
  readonly isOn: boolean;
  readonly stamp: HybridStamp;
}

/** A participant who is in the call. */
export interface CallParticipant {
  readonly replica: ReplicaId;
  readonly isMuted: boolean;
  readonly isHeld: boolean;
}

/**
 * The state of a call as a CRDT: joining, leaving, muting, holding and hanging up commute, so whoever has seen the same
 * has the same call. A hang-up that was lost is made good by the next merge, and a call that is over stays over.
 *
 * A record a participant, `name/participant`: how often it joined, up to which of these stays it has left, and mute and
 * hold with the stay and stamp that they were set at. All of them only grow, so a mute that comes after the leaving
 * does not bring anybody back. One record, `name/@end`, for the first hang-up.
 */
export class CallState {
  readonly #name: string;
  readonly #records: JoinedRecords;

  /** @param name of the call's records, such as `call/17` @throws SyncError where `root` holds other records */
  constructor(name: string, root: StateRoot = StateRoot.empty) {
    this.#name = name;
    this.#records = new JoinedRecords(root, joinCall, (key, record) => this.#read(key, record));
  }

  /** When the call was hung up, the first time; nothing while it goes on. */
  get ended(): HybridStamp | undefined {
    return this.#records.get(this.#endKey())?.ended as HybridStamp | undefined;
  }

  /** Who is in the call, ascending; nobody once it was hung up. */
  participants(): CallParticipant[] {
    if (this.ended !== undefined) return [];
    const participants: CallParticipant[] = [];
    for (const [key, record] of this.#records.entries()) {
      const { joined, left, muted, held } = record as unknown as Participant;
      if (joined <= left) continue;
      const isOn = (one: Switch | null) => one !== null && one.stay === joined && one.isOn;
      const replica = key.slice(this.#name.length + 1) as ReplicaId;
      participants.push({ replica, isMuted: isOn(muted), isHeld: isOn(held) });
    }
    return participants.sort((a, b) => (a.replica < b.replica ? -1 : 1));
  }

  /** Each of these answers the delta for the other replicas: one record, or nothing where nothing changes. */
  join(replica: ReplicaId): Change[] {
    const before = this.#participant(replica);
    return before.joined > before.left ? [] : this.#write(replica, { ...before, joined: before.joined + 1 });
  }

  leave(replica: ReplicaId): Change[] {
    const before = this.#participant(replica);
    return this.#write(replica, { ...before, left: before.joined });
  }

  /** Nothing where the participant is not in the call. */
  mute(replica: ReplicaId, isOn: boolean, stamp: HybridStamp): Change[] {
    return this.#switch(replica, 'muted', isOn, stamp);
  }

  /** Nothing where the participant is not in the call. */
  hold(replica: ReplicaId, isOn: boolean, stamp: HybridStamp): Change[] {
    return this.#switch(replica, 'held', isOn, stamp);
  }

  hangUp(stamp: HybridStamp): Change[] {
    return this.#put(this.#endKey(), { ended: stampValue(stamp) });
  }

  root(): StateRoot {
    return this.#records.root();
  }

  /** Joins a delta, in any order and as often as it comes. Answers what changed. @throws SyncError; the call is then as before */
  apply(delta: Iterable<readonly [RecordKey, SyncRecord]>): Change[] {
    return this.#records.joinAll(delta);
  }

  merge(other: StateRoot): Change[] {
    return this.#records.merge(other);
  }

  since(base: StateRoot): [RecordKey, SyncRecord][] {
    return this.#records.since(base);
  }

  #switch(replica: ReplicaId, field: 'muted' | 'held', isOn: boolean, stamp: HybridStamp): Change[] {
    const before = this.#participant(replica);
    if (before.joined <= before.left) return [];
    return this.#write(replica, { ...before, [field]: { stay: before.joined, isOn, stamp } });
  }

  #participant(replica: ReplicaId): Participant {
    const record = this.#records.get(this.#keyOf(replica));
    return (record ?? { joined: 0, left: 0, muted: null, held: null }) as unknown as Participant;
  }

  #write(replica: ReplicaId, participant: Participant): Change[] {
    return this.#put(this.#keyOf(replica), participantRecord(participant));
  }

  #put(key: RecordKey, record: SyncRecord): Change[] {
    const change = this.#records.join(key, record);
    return change === undefined ? [] : [change];
  }

  #keyOf(replica: ReplicaId): RecordKey {
    return recordKey(`${this.#name}/${replica}`);
  }

  #endKey(): RecordKey {
    return recordKey(`${this.#name}/@end`);
  }

  #read(key: RecordKey, record: SyncRecord): SyncRecord {
    if (key === this.#endKey()) return { ended: stampValue(endSchema.parse(record, key).ended) };
    if (!key.startsWith(`${this.#name}/`)) throw foreignKey(key, this.#name);
    replicaId(key.slice(this.#name.length + 1));
    const participant = participantSchema.parse(record, key);
    const { joined, left, muted, held } = participant;
    const lastStay = Math.max(muted?.stay ?? 0, held?.stay ?? 0);
    if (left > joined || lastStay > joined) {
      throw new SyncError(
        'CRDT_CALL_INVALID',
        `${key}: joined ${joined} times, yet speaks of stay ${Math.max(left, lastStay)}`,
        {
          origin: 'protocol',
          place: { key },
        },
      );
    }
    return participantRecord(participant);
  }
}

interface Participant {
  readonly joined: number;
  readonly left: number;
  readonly muted: Switch | null;
  readonly held: Switch | null;
}

function participantRecord({ joined, left, muted, held }: Participant): SyncRecord {
  return { joined, left, muted: switchValue(muted), held: switchValue(held) };
}

function switchValue(one: Switch | null): Value {
  return one === null ? null : { stay: one.stay, isOn: one.isOn, stamp: stampValue(one.stamp) };
}

function joinCall(left: SyncRecord, right: SyncRecord): SyncRecord {
  if (left.ended !== undefined) {
    return compareHybrid(right.ended as unknown as HybridStamp, left.ended as unknown as HybridStamp) < 0
      ? right
      : left;
  }
  const [ours, theirs] = [left as unknown as Participant, right as unknown as Participant];
  const joined: Participant = {
    joined: Math.max(ours.joined, theirs.joined),
    left: Math.max(ours.left, theirs.left),
    muted: laterSwitch(ours.muted, theirs.muted),
    held: laterSwitch(ours.held, theirs.held),
  };
  const isOurs =
    joined.joined === ours.joined &&
    joined.left === ours.left &&
    joined.muted === ours.muted &&
    joined.held === ours.held;
  return isOurs ? left : participantRecord(joined);
}

/** Of a later stay, or of a later stamp; at one stamp, which no clock makes twice, on wins. */
function laterSwitch(left: Switch | null, right: Switch | null): Switch | null {
  if (left === null || right === null) return left ?? right;
  const order =
    left.stay - right.stay || compareHybrid(left.stamp, right.stamp) || Number(left.isOn) - Number(right.isOn);
  return order >= 0 ? left : right;
}
