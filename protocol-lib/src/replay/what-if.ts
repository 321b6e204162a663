import {
  CaptureWriter,
  encodeTraceRecord,
  memorySink,
  memorySource,
  type OpenCapture,
  openCapture,
  type Verdict,
} from '../capture/index.ts';
import { type Branch, type BranchOptions, runBranch } from './branch.ts';
import { type Comparison, compareTraces } from './compare.ts';
import type { Edit } from './edits.ts';
import { isBeside } from './left-out.ts';
import { type Placed, type RecordedSteps, readSteps } from './steps.ts';

/** A branch beside the recording that it leaves. */
export interface WhatIf {
  readonly branch: Branch;
  /** The recording on the left, the branch on the right. */
  readonly comparison: Comparison;
  /** At the end of each. */
  readonly verdicts: { readonly recorded: Verdict; readonly branch: Verdict };
  /** The branch as a capture, which opens like any other. */
  readonly capture: Uint8Array;
}

/** Branches a recorded session and compares. @throws SyncError as `readSteps` and `runBranch` */
export async function whatIf(
  capture: OpenCapture,
  edits: readonly Edit[],
  options: BranchOptions = {},
): Promise<WhatIf> {
  const recorded = await readSteps(capture);
  const branch = runBranch(recorded, edits, options);
  const bytes = await branchCapture(branch);
  const original: Placed[] = [];
  for await (const one of capture.trace()) original.push(one);
  const opened = await openCapture(memorySource(bytes));
  try {
    // The first record says what was edited, and is no part of the session.
    const other = branch.records.map((record, position) => ({ position, record })).slice(1);
    const whole = compareTraces(original, other);
    const { counts, ends } = whole;
    return {
      branch,
      comparison: edits.length > 0 ? { ...whereTheyPart(original, other, recorded), counts, ends } : whole,
      verdicts: { recorded: await verdictOf(capture), branch: await verdictOf(opened) },
      capture: bytes,
    };
  } finally {
    await opened.close();
  }
}

/** Behind the last input of the recording nothing is run again as it was: what its endpoints did there is no difference. */
function whereTheyPart(original: readonly Placed[], other: readonly Placed[], { steps }: RecordedSteps) {
  const last = steps.findLastIndex(({ input }) => input !== undefined);
  const behind = new Set(
    steps
      .slice(last + 1)
      .flatMap(({ records }) => records)
      .filter(({ record }) => !isBeside(record))
      .map(({ position }) => position),
  );
  const { isEqual, first, differences, aligned } = compareTraces(
    original.filter(({ position }) => !behind.has(position)),
    other,
  );
  return { isEqual, differences, aligned, ...(first ? { first } : {}) };
}

async function verdictOf(capture: OpenCapture): Promise<Verdict> {
  const { records } = await capture.info();
  return (await capture.status(records - 1)).verdict;
}

/** A branch as a capture file. */
export async function branchCapture({ header, records }: Branch): Promise<Uint8Array> {
  const sink = memorySink();
  const writer = new CaptureWriter(sink, header);
  for (const record of records) writer.append(encodeTraceRecord(record));
  await writer.end();
  return sink.bytes();
}
