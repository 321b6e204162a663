import { isSyncError } from '../errors/index.ts';
import { decodeMessage, NameTables } from '../messages/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { TraceBodyOf, TraceRecord } from '../trace/index.ts';
import { firstDifferingByte, type StatedDelta } from './delta-cause.ts';
import type { RecordRef } from './finding.ts';
import type { ReceivedFrame, SentFrame, Trail } from './trail.ts';

const STATE_FRAMES: ReadonlySet<string> = new Set(['DELTA_SYNC', 'FULL_SYNC']);
/** Frames that a connection can have on its way at once, with room to spare. */
const KEPT_FRAMES = 4_096;
/** More than this and two frames of one length are two frames, not one that was changed. */
const MAX_CHANGED_BYTES = 8;

/** Frames as they were sent and received, paired, and read with the names that the capture tells. */
export class Frames {
  readonly #names = new NameTables();
  readonly #sent = new Map<string, SentFrame>();
  readonly #received = new Map<number, ReceivedFrame>();

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
    const key = keyOf(body.sender, to, sequence);
    this.#sent.delete(key);
    this.#sent.set(key, frame);
    drop(this.#sent);
    return frame;
  }

  receive(record: TraceRecord, body: TraceBodyOf<'receive'>, ref: RecordRef, trail: Trail): ReceivedFrame {
    const { type, sequence, sender } = body;
    const numbered = this.#sent.get(keyOf(sender, record.replica, sequence));
    const sent = numbered && isSameFrame(numbered, type, record.wire) ? numbered : undefined;
    const isRepeated = (sent?.receipts.length ?? 0) > 0;
    const highest = trail.highest.get(sender) ?? 0;
    trail.highest.set(sender, Math.max(highest, sequence));
    sent?.receipts.push(ref);
    const frame = { ref, type, sequence, wire: record.wire, sent, isRepeated, isLate: sequence < highest };
    this.#received.set(ref.seq, frame);
    drop(this.#received);
    return frame;
  }

  received(seq: number | undefined): ReceivedFrame | undefined {
    return seq === undefined ? undefined : this.#received.get(seq);
  }

  /** The frame that bytes which nobody could read were sent as, where they are not what was sent. */
  changed(receiver: ReplicaId, wire: Uint8Array): SentFrame | undefined {
    let found: SentFrame | undefined;
    for (const frame of this.#sent.values()) {
      if (frame.to !== receiver || frame.wire?.length !== wire.length) continue;
      const distance = changedBytes(frame.wire, wire);
      if (distance === 0) return undefined;
      if (distance <= MAX_CHANGED_BYTES && frame.receipts.length === 0) found = frame;
    }
    return found;
  }

  delta(wire: Uint8Array | undefined, sender: ReplicaId): StatedDelta | undefined {
    if (!wire) return undefined;
    try {
      const message = decodeMessage(wire, this.#names.of(sender));
      return message.type === 'DELTA_SYNC' ? message : undefined;
    } catch (error) {
      if (isSyncError(error)) return undefined;
      throw error;
    }
  }
}

export function holdsState(type: string): boolean {
  return STATE_FRAMES.has(type);
}

export function isChanged(frame: ReceivedFrame): boolean {
  const left = frame.sent?.wire;
  return left !== undefined && frame.wire !== undefined && firstDifferingByte(left, frame.wire) >= 0;
}

/** Numbers start again with each connection: frames of one number that have little in common are two frames. */
function isSameFrame(sent: SentFrame, type: string, wire: Uint8Array | undefined): boolean {
  if (sent.type !== type) return false;
  if (!sent.wire || !wire) return true;
  return sent.wire.length === wire.length && changedBytes(sent.wire, wire) <= MAX_CHANGED_BYTES;
}

function keyOf(sender: ReplicaId, receiver: ReplicaId, sequence: number): string {
  return `${sequence} ${sender} ${receiver}`;
}

function changedBytes(left: Uint8Array, right: Uint8Array): number {
  let count = 0;
  for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) count++;
  return count;
}

function drop(frames: Map<unknown, unknown>): void {
  if (frames.size <= KEPT_FRAMES) return;
  const [oldest] = frames.keys();
  frames.delete(oldest);
}
