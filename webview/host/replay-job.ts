import { type Edit, type ReplayResult, reexecute, type WhatIf, whatIf } from '@syncscope/protocol/replay';
import { simulatedDefinition } from '@syncscope/protocol/simulator';
import type { SessionDefinition } from '@syncscope/protocol/sync';
import { withCapture } from './capture-file.ts';

/** What is to be run again of a capture file. Plain data: it may be done in another thread. */
export type ReplayJob =
  | { readonly kind: 'replay'; readonly file: string; readonly from?: number; readonly to?: number }
  | { readonly kind: 'whatif'; readonly file: string; readonly edits: readonly Edit[] };

export type ReplayAnswer =
  | { readonly kind: 'replay'; readonly result: ReplayResult }
  | { readonly kind: 'whatif'; readonly result: Pick<WhatIf, 'comparison' | 'verdicts' | 'capture'> };

/** Does a job with a definition, or with that of a session that is known here. @throws SyncError as `reexecute` and `whatIf` */
export function runJob(
  job: ReplayJob,
  given: SessionDefinition | undefined,
  onProgress?: (done: number, total: number) => void,
): Promise<ReplayAnswer> {
  return withCapture(job.file, async (capture) => {
    const definition = given ?? simulatedDefinition((await capture.info()).header);
    if (job.kind === 'replay') {
      const { from, to } = job;
      return { kind: 'replay', result: await reexecute(capture, { definition, from, to, onProgress }) };
    }
    const { comparison, verdicts, capture: bytes } = await whatIf(capture, job.edits, { definition });
    return { kind: 'whatif', result: { comparison, verdicts, capture: bytes } };
  });
}
