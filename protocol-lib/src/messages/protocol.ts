/**
 * The version of the sync protocol that this build speaks, one integer for all of it.
 *
 * History:
 * - 1: HELLO to HEARTBEAT as in `message.ts`; frames are msgpack tuples with interned names.
 */
export const PROTOCOL_VERSION = 1;

/** The oldest version that this build still understands. */
export const MIN_PROTOCOL = 1;

/** What a side may leave out; used where both name it in the handshake. */
export const FEATURES = ['merkle', 'events'] as const;
export type Feature = (typeof FEATURES)[number];

/** The highest version that both ranges hold, or undefined where they do not meet. */
export function negotiateProtocol(theirMin: number, theirMax: number): number | undefined {
  const highest = Math.min(theirMax, PROTOCOL_VERSION);
  return highest >= Math.max(theirMin, MIN_PROTOCOL) ? highest : undefined;
}

/** The features that both sides name, in our order. Unknown ones are passed over. */
export function negotiateFeatures(own: readonly Feature[], theirs: readonly string[]): Feature[] {
  return own.filter((feature) => theirs.includes(feature));
}
