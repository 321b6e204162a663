import { SyncError } from '@syncscope/protocol/errors';
import type { Edit } from '@syncscope/protocol/replay';
import type { Value } from '@syncscope/protocol/state';
import { printDocument } from '../json.ts';
import { refuseInput, writeWhole } from '../output.ts';
import { escapeText } from '../print.ts';
import { type DefinitionOptions, replayJob } from '../replay-thread.ts';
import { comparisonText } from './compare.ts';

export interface WhatIfOptions extends DefinitionOptions {
  readonly at: number;
  readonly drop?: boolean;
  readonly delay?: number;
  readonly duplicate?: boolean;
  readonly swap?: number;
  readonly edit?: string;
  readonly output?: string;
  readonly json?: boolean;
}

/** `whatif`: runs a capture again with one message otherwise, and tells what comes of it. */
export async function whatif(file: string, options: WhatIfOptions): Promise<void> {
  const edit = editOf(options);
  if (options.output !== undefined) await refuseInput(options.output, [file]);
  const answer = await replayJob({ kind: 'whatif', file, edits: [edit] }, options);
  if (answer.kind !== 'whatif') throw new TypeError('a branch was asked for');
  const { comparison, verdicts, capture } = answer.result;
  if (options.output !== undefined) await writeWhole(options.output, capture);
  if (options.json) {
    printDocument('whatif', { file, edit, ...comparison, verdicts, output: options.output ?? null });
    return;
  }
  const lines = [comparisonText(comparison, 'recorded', 'branch'), ''];
  lines.push(`recorded  ${escapeText(verdicts.recorded.text)}`, `branch    ${escapeText(verdicts.branch.text)}`);
  if (options.output !== undefined) lines.push('', escapeText(`the branch is in ${options.output}`));
  console.log(lines.join('\n'));
}

/** @throws SyncError `EDIT_INVALID` where there is not exactly one edit, or its value is no JSON */
function editOf({ at: seq, drop, delay, duplicate, swap, edit }: WhatIfOptions): Edit {
  const edits: Edit[] = [];
  if (drop) edits.push({ kind: 'drop', seq });
  if (duplicate) edits.push({ kind: 'duplicate', seq });
  if (delay !== undefined) edits.push({ kind: 'delay', seq, by: delay * 1e6 });
  if (swap !== undefined) edits.push({ kind: 'swap', seq, other: swap });
  if (edit !== undefined) edits.push(fieldEdit(seq, edit));
  const [first] = edits;
  if (first && edits.length === 1) return first;
  throw new SyncError('EDIT_INVALID', 'give one of --drop, --delay, --duplicate, --swap and --edit', {
    origin: 'setting',
  });
}

function fieldEdit(seq: number, text: string): Edit {
  const at = text.indexOf('=');
  try {
    if (at > 0) return { kind: 'edit', seq, path: text.slice(0, at), value: JSON.parse(text.slice(at + 1)) as Value };
  } catch {
    // Told below: whether the sign or the JSON is wrong, the way to write it is the same.
  }
  throw new SyncError('EDIT_INVALID', `${JSON.stringify(text)} is not PATH=JSON, such as changes.0.fields.x=1`, {
    origin: 'setting',
  });
}
