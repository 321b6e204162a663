import { SyncError } from '../errors/index.ts';

/** The protocol versions that one side speaks, both ends included. */
export interface ProtocolRange {
  readonly min: number;
  readonly max: number;
}

/**
 * Every version of the sync protocol, one integer for all of it, the newest last. `schema` is the fingerprint of all messages' fields
 * (`schemaFingerprint`): whoever changes a message adds a line here, and `test/vectors` keeps what the lines before it said.
 */
export const PROTOCOL_HISTORY = [
  {
    version: 1,
    what: 'HELLO to HEARTBEAT; frames are msgpack tuples with interned names, or lines of text.',
    schema: '971b3b7dcd0ac6d3',
  },
] as const;

/** The version that this build speaks. */
export const PROTOCOL_VERSION = 1;

/** The oldest version that this build still understands. */
export const MIN_PROTOCOL = 1;

/** What this build speaks. */
export const OWN_PROTOCOLS: ProtocolRange = { min: MIN_PROTOCOL, max: PROTOCOL_VERSION };

/** What a side may leave out; used where both name it in the handshake. */
export const FEATURES = ['merkle', 'events'] as const;
export type Feature = (typeof FEATURES)[number];

/** The highest version that both ranges hold, or undefined where they do not meet. */
export function negotiateProtocol(
  theirMin: number,
  theirMax: number,
  own: ProtocolRange = OWN_PROTOCOLS,
): number | undefined {
  const highest = Math.min(theirMax, own.max);
  return highest >= Math.max(theirMin, own.min) ? highest : undefined;
}

/**
 * Checks the range of a HELLO, before all its other fields: a HELLO of another version may have others.
 * @throws SyncError `PROTOCOL_UNSUPPORTED` where the ranges do not meet; its message says which side is to be upgraded, and is what
 *   UPGRADE_REQUIRED carries
 */
export function requireProtocol(theirMin: number, theirMax: number, own: ProtocolRange = OWN_PROTOCOLS): void {
  if (negotiateProtocol(theirMin, theirMax, own) !== undefined) return;
  const older = theirMin > own.max ? 'server' : 'client';
  throw new SyncError(
    'PROTOCOL_UNSUPPORTED',
    `the client speaks protocol ${theirMin} to ${theirMax}, this side ${own.min} to ${own.max}: upgrade the ${older}`,
    { origin: 'protocol', place: { path: 'HELLO/protocolMin' } },
  );
}

/** The features that both sides name, in our order. Unknown ones are passed over. */
export function negotiateFeatures(own: readonly Feature[], theirs: readonly string[]): Feature[] {
  return own.filter((feature) => theirs.includes(feature));
}
