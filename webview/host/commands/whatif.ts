import { SyncError } from '@syncscope/protocol/errors';
import type { Edit } from '@syncscope/protocol/replay';
import type { Value } from '@syncscope/protocol/state';
import { printDocument } from '../json.ts';
import { refuseInput, writeWhole } from '../output.ts';
import { escapeText } from '../print.ts';
import { type DefinitionOptions, replayJob } from '../replay-thread.ts';
import { comparisonText } from './compare.ts';

/** The options that say what is otherwise. */
export const EDIT_OPTIONS = ['at', 'drop', 'delay', 'duplicate', 'swap', 'edit'] as const;
/** One of them as it was given, its value checked. */
export type EditWord = readonly [option: (typeof EDIT_OPTIONS)[number], value: string];

export interface WhatIfOptions extends DefinitionOptions {
  readonly output?: string;
  readonly json?: boolean;
}

/** `whatif`: runs a capture again with messages otherwise, and tells what comes of it. `words` are in the order in which they were given. */
export async function whatif(file: string, options: WhatIfOptions, words: readonly EditWord[]): Promise<void> {
  const edits = editsOf(words);
  if (options.output !== undefined) await refuseInput(options.output, [file]);
  const answer = await replayJob({ kind: 'whatif', file, edits }, options);
  if (answer.kind !== 'whatif') throw new TypeError('a branch was asked for');
  const { comparison, verdicts, capture } = answer.result;
  if (options.output !== undefined) await writeWhole(options.output, capture);
  if (options.json) {
    printDocument('whatif', { file, edit: edits[0], edits, ...comparison, verdicts, output: options.output ?? null });
    return;
  }
  const isSame = comparison.differences.every(({ differs, resumes }) => differs === 'right' && !resumes);
  const head = isSame ? 'nothing comes of it: the branch goes as was recorded, and on' : undefined;
  const lines = [comparisonText(comparison, 'recorded', 'branch', head), ''];
  lines.push(`recorded  ${escapeText(verdicts.recorded.text)}`, `branch    ${escapeText(verdicts.branch.text)}`);
  if (options.output !== undefined) lines.push('', escapeText(`the branch is in ${options.output}`));
  console.log(lines.join('\n'));
}

/**
 * Each `--at` names a message; what follows it is done to that one. Where there is one alone, the order does not matter.
 * @throws SyncError `EDIT_INVALID` where a message has nothing or two things done to it, or the value of a field is no JSON
 */
function editsOf(words: readonly EditWord[]): readonly Edit[] {
  const isOne = words.filter(([option]) => option === 'at').length === 1;
  const ordered = isOne ? words.toSorted(([a], [b]) => Number(b === 'at') - Number(a === 'at')) : words;
  const edits: Edit[] = [];
  let at: { readonly seq: number; done?: EditWord[0] } | undefined;
  for (const [option, value] of ordered) {
    if (option === 'at') {
      if (at && !at.done) throw invalid(oneEach(at.seq));
      at = { seq: Number(value) };
      continue;
    }
    if (!at) throw invalid(`--${option} comes behind the --at of its message`);
    // Several fields of one message may be other ones.
    if (at.done && !(at.done === 'edit' && option === 'edit')) throw invalid(oneEach(at.seq));
    at.done = option;
    edits.push(editOf(at.seq, option, value));
  }
  if (!at?.done) throw invalid(oneEach(at?.seq));
  return edits;
}

function oneEach(seq: number | undefined): string {
  return `say of the message at ${seq} one of --drop, --delay, --duplicate, --swap and --edit`;
}

function editOf(seq: number, option: Exclude<EditWord[0], 'at'>, value: string): Edit {
  switch (option) {
    case 'delay':
      return { kind: option, seq, by: Number(value) * 1e6 };
    case 'swap':
      return { kind: option, seq, other: Number(value) };
    case 'edit':
      return fieldEdit(seq, value);
    default:
      return { kind: option, seq };
  }
}

function fieldEdit(seq: number, text: string): Edit {
  const at = text.indexOf('=');
  try {
    if (at > 0) return { kind: 'edit', seq, path: text.slice(0, at), value: JSON.parse(text.slice(at + 1)) as Value };
  } catch {
    // Told below: whether the sign or the JSON is wrong, the way to write it is the same.
  }
  throw invalid(`${JSON.stringify(text)} is not PATH=JSON, such as changes.0.fields.x=1`);
}

function invalid(text: string): SyncError {
  return new SyncError('EDIT_INVALID', text, { origin: 'setting' });
}
