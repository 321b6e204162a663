import type { OpenCapture } from '../capture/index.ts';
import { SyncError } from '../errors/index.ts';
import type { GroupDefinition } from '../replay/index.ts';
import type { SessionDefinition } from '../sync/index.ts';
import { type FindingIdentity, findingsOf, matching, targetsOf } from './found.ts';
import { type Size, sizeOf, withBytes } from './item.ts';
import { shrinkInputs } from './shrink-inputs.ts';
import { shrinkRecords } from './shrink-records.ts';
import type { ShrinkWatch } from './watch.ts';

/** The app's code that a session is run again with, as far as it is at hand. */
export interface SessionCode {
  readonly definition?: SessionDefinition | undefined;
  /** Of a session without an authority. */
  readonly group?: GroupDefinition | undefined;
}

export interface ShrinkOptions extends SessionCode {
  /** Which of the findings, in order of detection, from 0; the first where absent. */
  readonly finding?: number | undefined;
  /** Whether the time is over: what is smallest then is the answer. */
  readonly isOver?: (() => boolean) | undefined;
  /** After each capture that was tried: how many that were, and how many records or inputs the smallest has. */
  readonly onProgress?: ((tried: number, left: number) => void) | undefined;
  /** Each smaller capture that still has the finding. */
  readonly onStep?: ((capture: Uint8Array) => Promise<void>) | undefined;
}

export interface Shrunk {
  readonly finding: FindingIdentity;
  readonly before: Size;
  readonly after: Size;
  readonly capture: Uint8Array;
  /** The session with the fewest inputs that still lead to the finding, which can be run again; absent where that cannot be done. */
  readonly session?: Uint8Array;
  /** Captures that were tried, and those that still had the finding. */
  readonly tried: number;
  readonly steps: number;
  /** Whether nothing more can be left out; false where the time was over before that was known. */
  readonly isMinimal: boolean;
}

/**
 * The smallest capture that still shows a finding of a capture. Where the inputs are in it the session is run again with fewer of them first;
 * then records are left out. Undefined where nothing is found.
 * @throws SyncError `SHRINK_FINDING` where there is no finding of that number, `SHRINK_TOO_LARGE`, and what reading the capture throws
 */
export async function shrinkCapture(capture: OpenCapture, options: ShrinkOptions = {}): Promise<Shrunk | undefined> {
  const { finding: number = 0, definition, group, isOver = () => false, onProgress, onStep } = options;
  const targets = targetsOf(await findingsOf(capture));
  if (targets.length === 0) return undefined;
  const target = targets[number];
  if (!target) {
    const text = `there are ${targets.length} findings, and none is number ${number + 1}`;
    throw new SyncError('SHRINK_FINDING', text, { origin: 'setting' });
  }
  let tried = 0;
  let steps = 0;
  let smallest = Number.POSITIVE_INFINITY;
  const watch: ShrinkWatch = {
    isOver,
    onStep,
    tried: (keeps, left) => {
      tried++;
      if (keeps) {
        steps++;
        smallest = left;
      }
      onProgress?.(tried, smallest);
    },
  };
  const session = await shrinkInputs(capture, target.identity, { definition, group }, watch);
  const bytes = session
    ? await withBytes(session, (one) => shrunkRecords(one, target.identity, watch))
    : await shrunkRecords(capture, target.identity, watch);
  return {
    finding: target.identity,
    before: await sizeOf(capture),
    after: await withBytes(bytes, sizeOf),
    capture: bytes,
    ...(session ? { session } : {}),
    tried,
    steps,
    isMinimal: !isOver(),
  };
}

async function shrunkRecords(capture: OpenCapture, wanted: FindingIdentity, watch: ShrinkWatch): Promise<Uint8Array> {
  const whole = await findingsOf(capture);
  const target = matching(whole, wanted);
  if (!target) throw new TypeError('each step keeps the finding');
  return shrinkRecords(capture, whole, target, watch);
}
