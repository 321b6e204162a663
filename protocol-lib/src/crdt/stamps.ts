import { canonicalBytes } from '../bytes/index.ts';
import { compareHybrid, type HybridStamp, hybridStampSchema } from '../clock/index.ts';
import type { Value } from '../state/index.ts';

/** A stamp as it stands in a record. */
export function stampValue(stamp: HybridStamp): Value {
  return { time: stamp.time, count: stamp.count, replica: stamp.replica };
}

/** @throws SyncError `SCHEMA_MISMATCH` or `REPLICA_INVALID` with `path` where it is no stamp */
export function stampOf(value: Value | undefined, path: string): HybridStamp {
  return hybridStampSchema.parse(value, path);
}

/** The later of two stamps, either of which may be missing. */
export function laterStamp(left: HybridStamp | null, right: HybridStamp | null): HybridStamp | null {
  if (left === null || right === null) return left ?? right;
  return compareHybrid(left, right) >= 0 ? left : right;
}

/**
 * A total order of values, by their canonical bytes: the last resort where a faulty writer gave one stamp to two of
 * them, so that all replicas still choose the same.
 */
export function compareValues(left: Value, right: Value): number {
  const a = canonicalBytes(left);
  const b = canonicalBytes(right);
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) if (a[at] !== b[at]) return a[at]! - b[at]!;
  return a.length - b.length;
}
