import type { OpenCapture } from '../capture/index.ts';
import { SyncError } from '../errors/index.ts';
import { Beginnings } from './beginnings.ts';
import { ddmin } from './ddmin.ts';
import { diagnosed, type FoundFinding, type FoundFindings, hasNothingNew, matching, verified } from './found.ts';
import { captureOf, type Item, withBytes } from './item.ts';
import { inOrder, messageUnits, replicaUnits, singleUnits, type Unit } from './units.ts';
import type { ShrinkWatch } from './watch.ts';

/** Records around a finding that are held at once. */
const MAX_WINDOW = 500_000;
/** Distances before the noticing record at which a capture may begin that are tried one by one. */
const NEAR = 2_048;

/**
 * The fewest records of a capture that still show a finding, by leaving out: first what was before and after it, for which snapshots and
 * names stand in; then replicas, messages, single records. A smaller capture counts only where the finding was noticed by the same record, for the same
 * reason, and where nothing is found that the whole one does not show: what is left out must not be the fault.
 * @throws SyncError `SHRINK_TOO_LARGE`
 */
export async function shrinkRecords(
  capture: OpenCapture,
  whole: FoundFindings,
  target: FoundFinding,
  watch: ShrinkWatch,
): Promise<Uint8Array> {
  const { header } = await capture.info();
  const truth = await Truth.of(capture, whole, target);
  const attempt = async (items: readonly Item[]): Promise<boolean> => {
    if (watch.isOver()) return false;
    const bytes = await captureOf(header, items);
    const keeps = await withBytes(bytes, (smaller) => truth.isIn(smaller, items));
    watch.tried(keeps, items.length);
    if (keeps) await watch.onStep?.(bytes);
    return keeps;
  };
  let items = await windowOf(capture, target, attempt, watch.isOver);
  for (const unitsOf of [replicaUnits, messageUnits, singleUnits]) {
    const order = new Map(items.map((item, at) => [item, at]));
    const keepsUnits = (units: readonly Unit[]): Promise<boolean> => attempt(inOrder(units, order));
    items = inOrder(await ddmin(unitsOf(items), keepsUnits, watch.isOver), order);
  }
  return captureOf(header, items);
}

/** What a smaller capture is held against. */
class Truth {
  readonly #whole: FoundFindings;
  readonly #target: FoundFinding;
  readonly #cause: number;
  readonly #detected: number;

  private constructor(whole: FoundFindings, target: FoundFinding, cause: number, detected: number) {
    this.#whole = whole;
    this.#target = target;
    this.#cause = cause;
    this.#detected = detected;
  }

  static async of(capture: OpenCapture, whole: FoundFindings, target: FoundFinding): Promise<Truth> {
    const { record: cause } = await capture.record(target.cause);
    const { record: detected } = await capture.record(target.detected);
    return new Truth(whole, target, cause.seq, detected.seq);
  }

  async isIn(smaller: OpenCapture, items: readonly Item[]): Promise<boolean> {
    const findings = await diagnosed(smaller);
    // Most captures fail here: the verification, which takes as long, is asked of the others alone.
    const isDiagnosed = this.#target.identity.by === 'diagnosis';
    if (isDiagnosed && !this.#isTarget(matching({ findings, verification: undefined }, this.#target.identity), items)) {
      return false;
    }
    const found = { findings, verification: await verified(smaller) };
    return hasNothingNew(found, this.#whole) && this.#isTarget(matching(found, this.#target.identity), items);
  }

  #isTarget(same: FoundFinding | undefined, items: readonly Item[]): boolean {
    if (!same || items[same.detected]?.seq !== this.#detected) return false;
    // The cause of what changed in memory is the last record at which it was right, and that is another where fewer are left.
    return this.#target.identity.class === 'corrupted-at-rest' || items[same.cause]?.seq === this.#cause;
  }
}

type Attempt = (items: readonly Item[]) => Promise<boolean>;

/** The part of a capture around a finding that shows it as a capture of its own. */
async function windowOf(
  capture: OpenCapture,
  target: FoundFinding,
  attempt: Attempt,
  isOver: () => boolean,
): Promise<Item[]> {
  const { records } = await capture.info();
  const starts = startsBefore(target.detected);
  const beginnings = await beginningsAt(capture, starts);
  const cut = async (start: number, end: number): Promise<Item[]> => {
    if (end - start > MAX_WINDOW) {
      const text = `more than ${MAX_WINDOW} records lie between the cause and what shows it: filter the capture first`;
      throw new SyncError('SHRINK_TOO_LARGE', text, { origin: 'capture' });
    }
    const items = beginnings.at(start);
    for await (const { record } of capture.trace(start, end)) items.push(record);
    return items;
  };
  for (const end of endsBehind(target, records)) {
    const start = await latest(starts, async (one) => {
      return end - one <= MAX_WINDOW && !isOver() && attempt(await cut(one, end));
    });
    if (start !== undefined) return cut(start, end);
  }
  return cut(0, records);
}

/** Places at which the part may begin, the latest first: every one nearby, then ever farther ones. */
function startsBefore(detected: number): number[] {
  const starts: number[] = [];
  for (let distance = 0; distance < detected; distance = distance < NEAR ? distance + 1 : distance * 2) {
    starts.push(detected - distance);
  }
  return [...starts, 0];
}

function endsBehind({ detected, last }: FoundFinding, records: number): number[] {
  const ends = [detected + 1];
  for (let end = last + 1; end < records; end += Math.max(1, end - detected)) ends.push(end);
  return [...new Set([...ends, records])];
}

/** The latest start that works, as far as doubling steps and halving them between the last two tell. */
async function latest(
  starts: readonly number[],
  works: (start: number) => Promise<boolean>,
): Promise<number | undefined> {
  let fails = -1;
  for (let at = 0; ; at = Math.min(starts.length - 1, at * 2 + 1)) {
    if (await works(starts[at]!)) {
      let good = at;
      while (good - fails > 1) {
        const middle = (good + fails) >> 1;
        if (await works(starts[middle]!)) good = middle;
        else fails = middle;
      }
      return starts[good];
    }
    fails = at;
    if (at === starts.length - 1) return undefined;
  }
}

async function beginningsAt(capture: OpenCapture, starts: readonly number[]): Promise<Beginnings> {
  const beginnings = new Beginnings();
  const wanted = new Set(starts);
  for await (const { position, record } of capture.trace(0, Math.max(...starts) + 1)) {
    if (wanted.has(position) && position > 0) beginnings.keep(position, record.time);
    beginnings.take(record);
  }
  return beginnings;
}
