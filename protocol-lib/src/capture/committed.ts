import { StateRoot } from '../merkle/index.ts';
import type { Change, RecordKey, SyncRecord, Version } from '../state/index.ts';
import type { TraceBodyOf, TraceRecord } from '../trace/index.ts';

export type Divergence = TraceBodyOf<'divergence'>;

/** A record in which a replica tells the values that it held itself. */
export type OwnValues = Divergence | TraceBodyOf<'snapshot'>;

/** A replica's committed state after some record, as far as the records tell it. */
export interface Committed {
  readonly version: Version;
  readonly root: StateRoot;
  /** Why the values may be wrong; absent where the hash that the replica told confirms them. */
  readonly unknown?: string;
  /** The last divergence that was found, for the repair that follows it. */
  readonly found?: Divergence;
}

export const nothingKnown: Committed = {
  version: 0,
  root: StateRoot.empty,
  unknown: 'the capture has no snapshot of it up to here',
};

/**
 * The state after one more record of the replica. Never throws: what does not fit makes the state
 * `unknown`, and the next record whose root hash fits makes it known again.
 *
 * `found` is given with the first record whose hash shows that the replica held other values than its
 * records give, and tells those values. They are shown from that record on until the repair.
 */
export function advance(state: Committed, record: TraceRecord, found: OwnValues | undefined): Committed {
  const body = record.body;
  switch (body.kind) {
    case 'snapshot': {
      if (state.unknown === undefined && state.root.hash === body.root) return known(state, body.version, state.root);
      return confirm(state, body.version, rootOfRecords(body), body.root);
    }
    case 'commit':
      return step(state, body.version - 1, body.version, body.changes, body.root);
    case 'apply':
      return step(state, body.from, body.to, body.changes, body.root);
    case 'hash':
      return reveal(state, body.version, body.own, found);
    case 'mismatch':
      return reveal(state, body.version, body.own, found);
    case 'divergence':
      return { ...state, root: tolerant(state.root, ownValues(body)), found: body };
    case 'repair':
      return repair(state, body);
    default:
      return state;
  }
}

function rootOfRecords(body: TraceBodyOf<'snapshot'>): StateRoot {
  return StateRoot.from(body.records.map((entry) => [entry.key, entry.record] as const));
}

function known(state: Committed, version: Version, root: StateRoot): Committed {
  return state.version === version && state.root === root && state.unknown === undefined && !state.found
    ? state
    : { version, root };
}

function confirm(state: Committed, version: Version, root: StateRoot, told: string): Committed {
  if (root.hash === told) return known(state, version, root);
  return {
    version,
    root,
    unknown: `its records give the root hash ${root.hash} at v${version}, but it told ${told}`,
  };
}

function step(
  state: Committed,
  from: Version,
  to: Version,
  changes: readonly Change[],
  told: string | undefined,
): Committed {
  let root: StateRoot;
  try {
    root = state.root.apply(changes);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { ...state, version: to, unknown: state.unknown ?? `the changes to v${to} do not fit: ${reason}` };
  }
  if (told === undefined) return follow(state, from, to, root);
  const after = confirm(state, to, root, told);
  if (after.unknown === undefined) return after;
  if (state.unknown !== undefined) return { ...after, unknown: state.unknown };
  if (state.version !== from) {
    return { ...after, unknown: `records are missing: it was at v${state.version}, and the changes are from v${from}` };
  }
  return after;
}

/** A state of which no root is told: it is known where the one before was, and nothing is missing between the two. */
function follow(state: Committed, from: Version, to: Version, root: StateRoot): Committed {
  if (state.unknown !== undefined) return { version: to, root, unknown: state.unknown };
  // A mutation that changed nothing makes no version.
  if (state.version === from || (state.version === to && root === state.root)) return known(state, to, root);
  const unknown = `records are missing: it was at v${state.version}, and the changes are from v${from}`;
  return { version: to, root, unknown };
}

/** A hash that the replica worked out over its own state. */
function reveal(state: Committed, version: Version, own: string, found: OwnValues | undefined): Committed {
  if (state.root.hash === own) return state.unknown === undefined ? state : { ...known(state, version, state.root) };
  if (found) {
    const root = found.kind === 'snapshot' ? rootOfRecords(found) : tolerant(state.root, ownValues(found));
    if (root.hash === own) return { version, root, ...(found.kind === 'divergence' ? { found } : {}) };
  }
  if (version !== state.version || state.unknown !== undefined) return state;
  return {
    ...state,
    unknown: `its own root hash is ${own}, its records give ${state.root.hash}, and the capture does not tell the values that it held`,
  };
}

function repair(state: Committed, body: TraceBodyOf<'repair'>): Committed {
  const { found } = state;
  if (found) {
    const root = tolerant(state.root, theirValues(found));
    if (root.hash === body.root) return known(state, body.version, root);
  }
  return confirm(state, body.version, state.root, body.root);
}

function ownValues(divergence: Divergence): Change[] {
  return divergence.differences.map(({ key, own }) => toChange(key, own));
}

function theirValues(divergence: Divergence): Change[] {
  return divergence.differences.map(({ key, theirs }) => toChange(key, theirs));
}

function toChange(key: RecordKey, record: SyncRecord | null): Change {
  return record === null ? { op: 'remove', key } : { op: 'put', key, record };
}

/** Applies what can be: removing what is not there is nothing. */
export function tolerant(root: StateRoot, changes: readonly Change[]): StateRoot {
  try {
    return root.apply(changes.filter((change) => change.op !== 'remove' || root.has(change.key)));
  } catch {
    return root;
  }
}
