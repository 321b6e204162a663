import { messageHead } from '@syncscope/protocol/node';

/**
 * Messages as a server writes them on a WebSocket (RFC 6455, 5.2): whole, binary, unmasked. Made once for all clients that get the
 * same, since in one step the same frames go out to one after the other.
 */

/** The bytes of some messages, one behind the other. The answer is shared and not to be changed. */
export function prepareFrames(frames: readonly Uint8Array[]): Buffer {
  return Buffer.concat(frames.flatMap((frame) => [messageHead(frame.length), frame]));
}

let lastFrames: readonly Uint8Array[] = [];
let lastPrepared: Buffer = Buffer.alloc(0);

/** As {@link prepareFrames}; where these are the frames that were asked for last, so is the answer. */
export function preparedFrames(frames: readonly Uint8Array[]): Buffer {
  if (!isSame(frames, lastFrames)) {
    lastPrepared = prepareFrames(frames);
    lastFrames = frames;
  }
  return lastPrepared;
}

function isSame(left: readonly Uint8Array[], right: readonly Uint8Array[]): boolean {
  if (left === right) return true;
  if (left.length !== right.length) return false;
  for (let index = 0; index < left.length; index++) if (left[index] !== right[index]) return false;
  return true;
}
