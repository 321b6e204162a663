import { unpackMsgpack } from '../bytes/index.ts';
import { isSyncError } from '../errors/index.ts';
import { decodeMessage, type Message, NameTables } from '../messages/index.ts';
import type { ReplicaId, Value } from '../state/index.ts';
import type { TraceBodyOf, TraceRecord } from '../trace/index.ts';
import { Channel, differingBytes, KEPT_FRAMES } from './channel.ts';
import type { StatedDelta } from './delta-cause.ts';
import type { Forgotten, RecordRef } from './finding.ts';
import { Recent } from './recent.ts';
import type { ReceivedFrame, SentFrame, Trail } from './trail.ts';
import { Unsent } from './unsent.ts';

const STATE_FRAMES: ReadonlySet<string> = new Set(['DELTA_SYNC', 'FULL_SYNC']);
const KEPT_CHANNELS = 4_096;
const KEPT_RECEIPTS = 4_096;

/** Frames as they were sent and received, paired, and read with the names that the capture tells. */
export class Frames {
  readonly #names: NameTables;
  readonly #channels = new Map<ReplicaId, Recent<ReplicaId, Channel>>();
  /** How often each was heard, by receiver and name. */
  readonly #strangers = new Recent<string, number>('frames', KEPT_CHANNELS);
  /** What was heard of those who tell nothing, by receiver and name. */
  readonly #unsent = new Recent<string, Unsent>('frames', KEPT_CHANNELS);
  readonly #received = new Recent<number, ReceivedFrame>('frames', KEPT_RECEIPTS);
  readonly #found = new Recent<number, ReceivedFrame>('frames', KEPT_RECEIPTS);

  constructor(names = new NameTables()) {
    this.#names = names;
  }

  names(body: TraceBodyOf<'names'>): void {
    try {
      this.#names.add(body.sender, body.first, body.names);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      // Earlier names are missing: frames that use these cannot be read, and say so then.
    }
  }

  send(record: TraceRecord, body: TraceBodyOf<'send'>, ref: RecordRef, cause: RecordRef | undefined): SentFrame {
    const { type, sequence, to } = body;
    const frame = { ref, from: body.sender, to, type, sequence, wire: record.wire, cause, receipts: [] };
    return this.#channel(body.sender, to).sent(frame);
  }

  receive(record: TraceRecord, body: TraceBodyOf<'receive'>, ref: RecordRef, trail: Trail): ReceivedFrame {
    const { type, sequence, sender } = body;
    const channel = this.#known(sender, record.replica);
    if (!channel) return this.#ofStranger(record, body, ref, trail);
    const sent = channel.match(type, sequence, record.wire);
    const isRepeated = (sent?.receipts.length ?? 0) > 0;
    const highest = trail.highest.get(sender) ?? 0;
    trail.highest.set(sender, Math.max(highest, sequence));
    sent?.receipts.push(ref);
    const frame = {
      ref,
      from: sender,
      type,
      sequence,
      wire: record.wire,
      sent,
      isRepeated,
      isLate: sequence < highest,
    };
    this.#received.set(ref.seq, frame);
    return frame;
  }

  /** Records are missing: what was sent and received meanwhile is not known. */
  lapse(): void {
    this.#channels.clear();
    this.#unsent.clear();
    this.#received.clear();
    this.#found.clear();
  }

  /** How often a replica heard somebody of whom no sending is told. */
  heardOfStranger(receiver: ReplicaId, sender: ReplicaId): number {
    return this.#strangers.get(`${receiver} ${sender}`) ?? 0;
  }

  /** A frame in a name that nobody sent under: of a process that is not in the capture, or another's, whose name was changed on the way. */
  #ofStranger(
    record: TraceRecord,
    { type, sequence, sender }: TraceBodyOf<'receive'>,
    ref: RecordRef,
    trail: Trail,
  ): ReceivedFrame {
    const name = `${record.replica} ${sender}`;
    const heard = (this.#strangers.get(name) ?? 0) + 1;
    this.#strangers.set(name, heard);
    const sent = record.wire && heard === 1 ? this.#misnamed(record.replica, type, sequence, record.wire) : undefined;
    const highest = trail.highest.get(sender) ?? 0;
    trail.highest.set(sender, Math.max(highest, sequence));
    const told = { ref, from: sender, type, sequence, wire: record.wire, sent };
    const unsent = this.#unsent.get(name) ?? new Unsent();
    this.#unsent.set(name, unsent);
    const known = {
      ...told,
      isLate: sequence < highest,
      ...unsent.hear(ref, { type, sequence }, highest, record.wire),
    };
    const frame = sent ? { ...known, isMisnamed: true } : known;
    this.#received.set(ref.seq, frame);
    return frame;
  }

  /** The frame that a record was made by, or what was found by it. */
  received(seq: number | undefined): ReceivedFrame | undefined {
    return seq === undefined ? undefined : (this.#received.get(seq) ?? this.#found.get(seq));
  }

  /** What was found by a frame: what follows from that comes of the frame as well. */
  found({ seq, cause }: TraceRecord): void {
    const frame = this.received(cause[0]);
    if (frame) this.#found.set(seq, frame);
  }

  /** The frame that bytes which nobody could read were sent as, where they are not what was sent. */
  changed(receiver: ReplicaId, from: ReplicaId, wire: Uint8Array): SentFrame | undefined {
    const channel = this.#known(from, receiver);
    const sequence = numberOf(wire, from);
    if (!channel || (sequence !== undefined && channel.isBefore(sequence))) return undefined;
    return channel.mostAlike(wire, true);
  }

  /** Frames with state that were sent to a replica of late, oldest first. */
  stateFramesTo(receiver: ReplicaId): SentFrame[] {
    const channels = this.#channels.get(receiver)?.values() ?? [];
    const frames = [...channels].flatMap(({ log }) => log.filter(({ type }) => STATE_FRAMES.has(type)));
    return frames.sort((a, b) => a.ref.position - b.ref.position);
  }

  /** The last frame of a kind that was sent to somebody; of late. */
  lastTo(receiver: ReplicaId, fits: (frame: SentFrame) => boolean): SentFrame | undefined {
    for (const { log } of this.#channels.get(receiver)?.values() ?? []) {
      const found = log.findLast(fits);
      if (found) return found;
    }
    return undefined;
  }

  message(wire: Uint8Array | undefined, sender: ReplicaId): Message | undefined {
    if (!wire) return undefined;
    try {
      return decodeMessage(wire, this.#names.of(sender));
    } catch (error) {
      if (isSyncError(error)) return undefined;
      throw error;
    }
  }

  delta(wire: Uint8Array | undefined, sender: ReplicaId): StatedDelta | undefined {
    const message = this.message(wire, sender);
    return message?.type === 'DELTA_SYNC' ? message : undefined;
  }

  get forgotten(): Forgotten[] {
    const channels = [...this.#channels.values()];
    const frames = channels.flatMap((ofReceiver) => [...ofReceiver.values()].map(({ forgotten }) => forgotten));
    return [
      { memory: 'frames', kept: KEPT_FRAMES, forgotten: frames.reduce((sum, one) => sum + one, 0) },
      ...channels.map((ofReceiver) => ofReceiver.forgotten),
    ];
  }

  /** A frame in the name of one who never sent anything may be another's, whose name was changed on the way. */
  #misnamed(receiver: ReplicaId, type: string, sequence: number, wire: Uint8Array): SentFrame | undefined {
    for (const channel of this.#channels.get(receiver)?.values() ?? []) {
      const found = channel.mostAlike(wire);
      if (found?.type === type && found.sequence === sequence) return found;
    }
    return undefined;
  }

  #known(sender: ReplicaId, receiver: ReplicaId): Channel | undefined {
    return this.#channels.get(receiver)?.get(sender);
  }

  #channel(sender: ReplicaId, receiver: ReplicaId): Channel {
    let ofReceiver = this.#channels.get(receiver);
    if (!ofReceiver) {
      ofReceiver = new Recent('frames', KEPT_CHANNELS);
      this.#channels.set(receiver, ofReceiver);
    }
    let channel = ofReceiver.get(sender);
    if (!channel) {
      channel = new Channel();
      ofReceiver.set(sender, channel);
    }
    return channel;
  }
}

/** The number that a frame bears, where so much of it can be read and it is of that sender. */
function numberOf(wire: Uint8Array, from: ReplicaId): number | undefined {
  try {
    const tuple = unpackMsgpack(wire);
    const [, sender, sequence] = Array.isArray(tuple) ? (tuple as readonly Value[]) : [];
    return sender === from && typeof sequence === 'number' ? sequence : undefined;
  } catch (error) {
    if (isSyncError(error)) return undefined;
    throw error;
  }
}

export function isChanged(frame: ReceivedFrame): boolean {
  const left = frame.sent?.wire;
  return left !== undefined && frame.wire !== undefined && differingBytes(left, frame.wire) !== undefined;
}
