import type { TraceRecord } from '../../trace/index.ts';
import type { OpenCapture } from '../engine.ts';

const PAGE = 2_000;

/** A record where it lies in its capture. */
export interface Passing {
  readonly position: number;
  readonly record: TraceRecord;
  readonly summary: string;
  readonly severity: string;
}

/** The records that pass a filter, in order, a page at a time; all where it is empty. @throws SyncError `FILTER_SYNTAX`, or what reading throws */
export async function* passing(capture: OpenCapture, filter = ''): AsyncGenerator<Passing> {
  for (let offset = 0; ; offset += PAGE) {
    const { rows, total } = await capture.rows(filter, offset, PAGE);
    for (const { position, summary, severity } of rows) {
      for await (const { record } of capture.trace(position, position + 1))
        yield { position, record, summary, severity };
    }
    if (offset + PAGE >= total) return;
  }
}
