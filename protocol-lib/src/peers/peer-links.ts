import { SyncError } from '../errors/index.ts';
import { FrameDecoder, FrameEncoder, type Message, type MessageBody } from '../messages/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { PeerTrace } from './peer-trace.ts';

/** A frame for another member. */
export interface PeerFrame {
  readonly to: ReplicaId;
  readonly frame: Uint8Array;
}

/**
 * A peer's frames in and out. Names are written out: a frame must be readable whichever of those before it were lost, since members are
 * cut off from each other without anybody's being told.
 */
export class PeerLinks {
  readonly #members: ReadonlySet<ReplicaId>;
  readonly #encoder: FrameEncoder;
  readonly #decoder = new FrameDecoder();
  readonly #trace: PeerTrace;
  #out: PeerFrame[] = [];

  constructor(replica: ReplicaId, members: readonly ReplicaId[], trace: PeerTrace) {
    this.#members = new Set(members.filter((one) => one !== replica));
    this.#encoder = new FrameEncoder(replica);
    this.#encoder.names.seal();
    this.#trace = trace;
  }

  /** The other members. */
  get others(): ReadonlySet<ReplicaId> {
    return this.#members;
  }

  send(to: Iterable<ReplicaId>, body: MessageBody, cause: readonly number[]): void {
    const encoded = this.#encoder.encode(body);
    for (const member of to) {
      for (const one of encoded) {
        this.#trace.sent(one, member, cause);
        this.#out.push({ to: member, frame: one.frame });
      }
    }
  }

  /**
   * Reads a frame that came over the link of `from`.
   * @throws SyncError `PEER_STRANGER` for one who is no member, or who speaks in another's name; and as `FrameDecoder.decode`
   */
  read(from: ReplicaId, frame: Uint8Array): Message {
    if (!this.#members.has(from)) {
      throw new SyncError('PEER_STRANGER', `${from} is no member of the group; what it says does not count`, {
        origin: 'protocol',
      });
    }
    const message = this.#decoder.decode(frame);
    if (message.sender !== from) {
      throw new SyncError('PEER_STRANGER', `${from} speaks in the name of ${message.sender}`, { origin: 'protocol' });
    }
    return message;
  }

  drain(): PeerFrame[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }
}
