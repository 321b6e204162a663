import type { AuthorityRoots } from './authority-roots.ts';
import type { Columns } from './columns.ts';
import { ABSENT, KIND, REASONS } from './envelope.ts';
import { FLAG, REASON_SHIFT } from './flags.ts';
import { AGREEMENT, type Agreement } from './query.ts';

/** A mutation that waits for its answer. */
export interface PendingMutation {
  readonly writer: number;
  readonly counter: number;
  readonly position: number;
  readonly time: number;
}

/** How one replica stands after some record, in figures only. */
export interface Standing {
  isPresent: boolean;
  isConnected: boolean;
  version: number;
  /** Whether it is shown only a part of the authority's state, so that only a comparison which the authority made says anything. */
  isPartial: boolean;
  /** Whether it has told a root hash. */
  hasRoot: boolean;
  high: number;
  low: number;
  base: Agreement;
  /** Since which version and position it differs; position -1 where it does not. */
  differsSince: number;
  differsPosition: number;
  /** Position of the record in which it refused a delta that did not fit, where it has not got on since; -1 where it does not ask again. */
  refusedPosition: number;
  pending: readonly PendingMutation[];
  /** How it said last that it is cut off from others, a number of {@link REASONS}; -1 where it is not. */
  cut: number;
  /** The version at which that began, and the position of the record that said so. */
  cutSince: number;
  cutPosition: number;
}

export function freshStanding(): Standing {
  return {
    isPresent: false,
    isConnected: false,
    version: 0,
    isPartial: false,
    hasRoot: false,
    high: 0,
    low: 0,
    base: AGREEMENT.unknown,
    differsSince: 0,
    differsPosition: -1,
    refusedPosition: -1,
    pending: [],
    cut: -1,
    cutSince: 0,
    cutPosition: -1,
  };
}

/** What is drawn: an agreeing replica with predictions is a predicted one. */
export function agreementOf(standing: Standing): Agreement {
  if (!standing.isConnected) return AGREEMENT.unknown;
  if (standing.base === AGREEMENT.agrees && standing.pending.length > 0) return AGREEMENT.predicted;
  return standing.base;
}

const BASE_MISMATCH = REASONS.indexOf('base');
const CUT: readonly number[] = ['minority', 'split', 'merging'].map((state) => REASONS.indexOf(state));

/**
 * Takes the record at `position` into its replica's standing; reads the index's columns only, so it can
 * be run again from any kept standing. A replica *differs* from the record in which it, or its hash, says
 * so, until one in which its root is the authority's again. One that refuses a delta which does not fit only
 * lacks something, unless what it holds is wrong: it asks again until it gets on.
 */
export function stepStanding(
  standing: Standing,
  columns: Columns,
  position: number,
  authority: number,
  roots: AuthorityRoots,
): void {
  const kind = columns.kind(position);
  const replica = columns.replica(position);
  standing.isPresent = true;
  // Whoever writes into the trace is there, unless it says that it leaves.
  standing.isConnected = kind !== KIND.gone && (standing.isConnected || isSignOfLife(kind));
  switch (kind) {
    case KIND.commit:
    case KIND.apply:
    case KIND.snapshot:
    case KIND.repair:
      standing.refusedPosition = -1;
      takeRoot(standing, columns, position, replica === authority, roots);
      if (kind === KIND.snapshot && REASONS[(columns.flags(position) >> REASON_SHIFT) - 1] === 'mismatch') {
        differ(standing, columns.number(position), position);
      } else settle(standing, position);
      return;
    case KIND.hash:
      takeHash(standing, columns, position, replica === authority, roots);
      settle(standing, position);
      return;
    case KIND.view:
      standing.isPartial = true;
      standing.base = AGREEMENT.unknown;
      return;
    case KIND.mismatch:
      takeMismatch(standing, columns, position, authority, roots);
      return;
    case KIND.divergence:
      differ(standing, columns.number(position), position);
      return;
    case KIND.partition:
      takePartition(standing, columns, position);
      return;
    case KIND.prediction:
      standing.pending = [
        ...standing.pending,
        {
          writer: columns.low(position),
          counter: columns.high(position),
          position,
          time: columns.time(position),
        },
      ];
      return;
    case KIND.confirmation:
    case KIND.rollback:
      settlePending(standing, columns.low(position), columns.high(position));
      return;
    default:
      return;
  }
}

function isSignOfLife(kind: number): boolean {
  return kind !== KIND.names && kind !== KIND.fault && kind !== KIND.gap && kind !== KIND.log && kind !== KIND.send;
}

function takeRoot(
  standing: Standing,
  columns: Columns,
  position: number,
  isAuthority: boolean,
  roots: AuthorityRoots,
): void {
  standing.version = columns.number(position);
  standing.hasRoot = (columns.flags(position) & FLAG.hash) !== 0;
  standing.high = columns.high(position);
  standing.low = columns.low(position);
  compare(standing, isAuthority, roots);
}

function compare(standing: Standing, isAuthority: boolean, roots: AuthorityRoots): void {
  if (standing.isPartial && !isAuthority) return;
  const agrees =
    isAuthority || (standing.hasRoot ? roots.agrees(standing.version, standing.high, standing.low) : undefined);
  standing.base = agrees === undefined ? AGREEMENT.unknown : agrees ? AGREEMENT.agrees : AGREEMENT.differs;
}

function takeHash(
  standing: Standing,
  columns: Columns,
  position: number,
  isAuthority: boolean,
  roots: AuthorityRoots,
): void {
  const wasDiffering = standing.differsPosition >= 0;
  takeRoot(standing, columns, position, isAuthority, roots);
  const flags = columns.flags(position);
  if (flags & FLAG.agreesKnown) standing.base = flags & FLAG.agrees ? AGREEMENT.agrees : AGREEMENT.differs;
  // Agreement at a version before the one that it lacks or has wrong says nothing about that one.
  if (wasDiffering && standing.base !== AGREEMENT.differs && standing.version < standing.differsSince) {
    standing.base = AGREEMENT.differs;
  }
}

function takeMismatch(
  standing: Standing,
  columns: Columns,
  position: number,
  authority: number,
  roots: AuthorityRoots,
): void {
  const version = columns.number(position);
  standing.version = version;
  standing.hasRoot = true;
  standing.high = columns.high(position);
  standing.low = columns.low(position);
  const reason = (columns.flags(position) >> REASON_SHIFT) - 1;
  const isRight = standing.isPartial ? undefined : roots.agrees(version, standing.high, standing.low);
  // A delta that does not fit says nothing of what is held, which only others than the authority's own could.
  if (reason === BASE_MISMATCH && (isRight ?? authority >= 0)) {
    takeRefusal(standing, isRight === true, authority >= 0, position);
    return;
  }
  differ(standing, isRight === true ? version + 1 : version, position);
}

/** What it lacks may be what it was found to lack before: then that goes on. In a group it is a proposal that does not fit, and may come to nothing. */
function takeRefusal(standing: Standing, isRight: boolean, hasAuthority: boolean, position: number): void {
  if (standing.differsPosition >= 0) return;
  if (isRight) standing.base = AGREEMENT.agrees;
  if (hasAuthority && standing.refusedPosition < 0) standing.refusedPosition = position;
}

/** A cut that goes on, or is being mended, is one; it began where the first record said so. */
function takePartition(standing: Standing, columns: Columns, position: number): void {
  const state = (columns.flags(position) >> REASON_SHIFT) - 1;
  const wasCut = standing.cut >= 0;
  standing.cut = CUT.includes(state) ? state : -1;
  if (standing.cut < 0 || wasCut) return;
  standing.cutSince = columns.number(position);
  standing.cutPosition = position;
}

function differ(standing: Standing, since: number, position: number): void {
  standing.base = AGREEMENT.differs;
  standing.refusedPosition = -1;
  if (standing.differsPosition >= 0) return;
  standing.differsSince = since;
  standing.differsPosition = position;
}

/** Notes the beginning or the end of differing after a comparison. */
function settle(standing: Standing, position: number): void {
  if (standing.base === AGREEMENT.differs) differ(standing, standing.version, position);
  else standing.differsPosition = -1;
}

function settlePending(standing: Standing, writer: number, counter: number): void {
  if (writer === ABSENT || standing.pending.length === 0) return;
  standing.pending = standing.pending.filter((one) => one.writer !== writer || one.counter !== counter);
}
