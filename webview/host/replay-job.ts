import {
  type Convergence,
  type ConvergenceKind,
  type ConvergeOptions,
  converge,
  type Edit,
  type ReplayResult,
  reexecute,
  type WhatIf,
  whatIf,
} from '@syncscope/protocol/replay';
import { type SessionCode, type Shrunk, shrinkCapture } from '@syncscope/protocol/shrink';
import { simulatedDefinition, simulatedGroup } from '@syncscope/protocol/simulator';
import { sampleDefinition, sampleGroup } from '@syncscope/sample-server/groups';
import { withCapture } from './capture-file.ts';

/** An app's code, as far as it is at hand. */
export type AppCode = SessionCode & Pick<ConvergeOptions, 'models'>;

/** What is to be run again of a capture file. Plain data: it may be done in another thread. */
export type ReplayJob =
  | { readonly kind: 'replay'; readonly file: string; readonly from?: number; readonly to?: number }
  | { readonly kind: 'whatif'; readonly file: string; readonly edits: readonly Edit[] }
  | {
      readonly kind: 'converge';
      readonly file: string;
      readonly orders?: number;
      readonly seed?: number;
      readonly of?: ConvergenceKind;
    }
  /** `finding` from 0; after `seconds` the smallest so far is the answer. */
  | { readonly kind: 'shrink'; readonly file: string; readonly finding: number; readonly seconds: number };

export type ReplayAnswer =
  | { readonly kind: 'replay'; readonly result: ReplayResult }
  | { readonly kind: 'whatif'; readonly result: Pick<WhatIf, 'comparison' | 'verdicts' | 'capture'> }
  | { readonly kind: 'converge'; readonly result: Convergence }
  /** Undefined where nothing is found. */
  | { readonly kind: 'shrink'; readonly result: Shrunk | undefined };

/** Does a job with the app's code, or with that of a session that is known here. @throws SyncError as `reexecute`, `whatIf`, `converge` and `shrinkCapture` */
export function runJob(
  job: ReplayJob,
  given: AppCode | undefined,
  onProgress?: (done: number, total: number) => void,
): Promise<ReplayAnswer> {
  return withCapture(job.file, async (capture) => {
    const { header, kinds } = await capture.info();
    const code: AppCode = given ?? {
      definition: simulatedDefinition(header) ?? sampleDefinition(header, (kinds.view ?? 0) > 0),
      group: simulatedGroup(header) ?? sampleGroup(header),
    };
    switch (job.kind) {
      case 'replay': {
        const { from, to } = job;
        return { kind: 'replay', result: await reexecute(capture, { ...code, from, to, onProgress }) };
      }
      case 'whatif': {
        const { comparison, verdicts, capture: bytes } = await whatIf(capture, job.edits, code);
        return { kind: 'whatif', result: { comparison, verdicts, capture: bytes } };
      }
      case 'converge': {
        const { kind, file: _, of, ...options } = job;
        const { models, group } = code;
        const all = { ...options, kind: of, models, merge: group?.merge, onProgress };
        return { kind, result: await converge(capture, all) };
      }
      case 'shrink': {
        const end = performance.now() + job.seconds * 1_000;
        const isOver = (): boolean => performance.now() > end;
        const { finding } = job;
        return { kind: 'shrink', result: await shrinkCapture(capture, { ...code, finding, isOver, onProgress }) };
      }
    }
  });
}
