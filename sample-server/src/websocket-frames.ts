/**
 * Messages as a server writes them on a WebSocket (RFC 6455, 5.2): whole, binary, unmasked. Made once for all clients that get the
 * same, since in one step the same frames go out to one after the other.
 */

const FINAL_BINARY = 0x82;
const SHORT_MAX = 125;
const MEDIUM = 126;
const MEDIUM_MAX = 0xffff;
const LONG = 127;

/** The bytes of some messages, one behind the other. The answer is shared and not to be changed. */
export function prepareFrames(frames: readonly Uint8Array[]): Buffer {
  const size = frames.reduce((sum, frame) => sum + headLength(frame.length) + frame.length, 0);
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  for (const frame of frames) {
    at = writeHead(bytes, at, frame.length);
    bytes.set(frame, at);
    at += frame.length;
  }
  return bytes;
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

function headLength(length: number): number {
  if (length <= SHORT_MAX) return 2;
  return length <= MEDIUM_MAX ? 4 : 10;
}

function writeHead(bytes: Buffer, at: number, length: number): number {
  bytes[at] = FINAL_BINARY;
  if (length <= SHORT_MAX) {
    bytes[at + 1] = length;
    return at + 2;
  }
  if (length <= MEDIUM_MAX) {
    bytes[at + 1] = MEDIUM;
    return bytes.writeUInt16BE(length, at + 2);
  }
  bytes[at + 1] = LONG;
  return bytes.writeBigUInt64BE(BigInt(length), at + 2);
}
