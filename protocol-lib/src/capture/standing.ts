import type { Columns } from './columns.ts';
import { ABSENT, KIND, REASONS } from './envelope.ts';
import { FLAG, REASON_SHIFT } from './flags.ts';
import { AGREEMENT, type Agreement } from './query.ts';

/** Root hash of the authority at each version, in order of versions. */
export class AuthorityRoots {
  #versions = new Float64Array(64);
  #words = new Uint32Array(128);
  #positions = new Int32Array(64);
  length = 0;

  /** The first hash said of a version stands. Versions out of order are left out. */
  add(version: number, high: number, low: number, position: number): void {
    if (this.length > 0 && version <= this.#versions[this.length - 1]!) return;
    if (this.length === this.#versions.length) this.#grow();
    this.#versions[this.length] = version;
    this.#words[this.length * 2] = high;
    this.#words[this.length * 2 + 1] = low;
    this.#positions[this.length] = position;
    this.length++;
  }

  /** Whether a hash is the authority's at a version; undefined where that is not known. */
  agrees(version: number, high: number, low: number): boolean | undefined {
    const index = this.#find(version);
    if (index < 0) return undefined;
    return this.#words[index * 2] === high && this.#words[index * 2 + 1] === low;
  }

  /** Position of the record that first told the root at a version; -1 where none did. */
  positionOf(version: number): number {
    const index = this.#find(version);
    return index < 0 ? -1 : this.#positions[index]!;
  }

  #find(version: number): number {
    let low = 0;
    let high = this.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const there = this.#versions[middle]!;
      if (there === version) return middle;
      if (there < version) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  #grow(): void {
    const versions = new Float64Array(this.length * 2);
    versions.set(this.#versions);
    const words = new Uint32Array(this.length * 4);
    words.set(this.#words);
    const positions = new Int32Array(this.length * 2);
    positions.set(this.#positions);
    this.#versions = versions;
    this.#words = words;
    this.#positions = positions;
  }
}

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
  pending: readonly PendingMutation[];
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
    pending: [],
  };
}

/** What is drawn: an agreeing replica with predictions is a predicted one. */
export function agreementOf(standing: Standing): Agreement {
  if (!standing.isConnected) return AGREEMENT.unknown;
  if (standing.base === AGREEMENT.agrees && standing.pending.length > 0) return AGREEMENT.predicted;
  return standing.base;
}

const BASE_MISMATCH = REASONS.indexOf('base');

/**
 * Takes the record at `position` into its replica's standing; reads the index's columns only, so it can
 * be run again from any kept standing. A replica *differs* from the record in which it, or its hash, says
 * so, until one in which its root is the authority's again.
 */
export function stepStanding(
  standing: Standing,
  columns: Columns,
  position: number,
  authority: number,
  roots: AuthorityRoots,
): void {
  const index = position - columns.start;
  const kind = columns.kind[index]!;
  const replica = columns.replica[index]!;
  standing.isPresent = true;
  // Whoever writes into the trace is there, unless it says that it leaves.
  standing.isConnected = kind !== KIND.gone && (standing.isConnected || isSignOfLife(kind));
  switch (kind) {
    case KIND.commit:
    case KIND.apply:
    case KIND.snapshot:
    case KIND.repair:
      takeRoot(standing, columns, index, replica === authority, roots);
      if (kind === KIND.snapshot && REASONS[(columns.flags[index]! >> REASON_SHIFT) - 1] === 'mismatch') {
        differ(standing, columns.number[index]!, position);
      } else settle(standing, position);
      return;
    case KIND.hash:
      takeHash(standing, columns, index, replica === authority, roots);
      settle(standing, position);
      return;
    case KIND.view:
      standing.isPartial = true;
      standing.base = AGREEMENT.unknown;
      return;
    case KIND.mismatch:
      takeMismatch(standing, columns, index, roots);
      return;
    case KIND.divergence:
      differ(standing, columns.number[index]!, position);
      return;
    case KIND.prediction:
      standing.pending = [
        ...standing.pending,
        {
          writer: columns.low[index]!,
          counter: columns.high[index]!,
          position,
          time: columns.time[index]!,
        },
      ];
      return;
    case KIND.confirmation:
    case KIND.rollback:
      settlePending(standing, columns.low[index]!, columns.high[index]!);
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
  index: number,
  isAuthority: boolean,
  roots: AuthorityRoots,
): void {
  standing.version = columns.number[index]!;
  standing.hasRoot = true;
  standing.high = columns.high[index]!;
  standing.low = columns.low[index]!;
  compare(standing, isAuthority, roots);
}

function compare(standing: Standing, isAuthority: boolean, roots: AuthorityRoots): void {
  if (standing.isPartial && !isAuthority) return;
  const agrees = isAuthority || roots.agrees(standing.version, standing.high, standing.low);
  standing.base = agrees === undefined ? AGREEMENT.unknown : agrees ? AGREEMENT.agrees : AGREEMENT.differs;
}

function takeHash(
  standing: Standing,
  columns: Columns,
  index: number,
  isAuthority: boolean,
  roots: AuthorityRoots,
): void {
  const wasDiffering = standing.differsPosition >= 0;
  takeRoot(standing, columns, index, isAuthority, roots);
  const flags = columns.flags[index]!;
  if (flags & FLAG.agreesKnown) standing.base = flags & FLAG.agrees ? AGREEMENT.agrees : AGREEMENT.differs;
  // Agreement at a version before the one that it lacks or has wrong says nothing about that one.
  if (wasDiffering && standing.base !== AGREEMENT.differs && standing.version < standing.differsSince) {
    standing.base = AGREEMENT.differs;
  }
}

function takeMismatch(standing: Standing, columns: Columns, index: number, roots: AuthorityRoots): void {
  const version = columns.number[index]!;
  standing.version = version;
  standing.hasRoot = true;
  standing.high = columns.high[index]!;
  standing.low = columns.low[index]!;
  const reason = (columns.flags[index]! >> REASON_SHIFT) - 1;
  const agreedThere = reason === BASE_MISMATCH || roots.agrees(version, standing.high, standing.low) === true;
  differ(standing, agreedThere ? version + 1 : version, index + columns.start);
}

function differ(standing: Standing, since: number, position: number): void {
  standing.base = AGREEMENT.differs;
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
