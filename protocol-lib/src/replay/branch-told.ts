import { fitText } from '../schema/index.ts';
import type { TraceBodyOf, TraceHeader } from '../trace/index.ts';
import { type Edit, editText } from './edits.ts';

/** The first record of a branch: of which session it is, and what was edited. */
export function branchTold({ sessionId }: TraceHeader, edits: readonly Edit[]): TraceBodyOf<'log'> {
  const text = `a branch of ${sessionId}: ${edits.map(editText).join('; ') || 'nothing is edited'}`;
  return { kind: 'log', level: 'info', text: fitText(text, 10_000) };
}

/** The header of a branch, whose title says that it is one. */
export function branchHeader(header: TraceHeader): TraceHeader {
  return { ...header, title: fitText(`${header.title} (branch)`, 200) };
}
