import { type ComparedRecord, type Comparison, compareCaptures } from '@syncscope/protocol/replay';
import { withCapture } from '../capture-file.ts';
import { short } from '../difference.ts';
import { printDocument } from '../json.ts';
import { count, escapeText, table } from '../print.ts';

/** `compare`: aligns two captures by what happened and names where they part. Answers the exit code: 0 alike, 1 not. */
export async function compare(left: string, right: string, options: { readonly json?: boolean }): Promise<number> {
  const found = await withCapture(left, (one) => withCapture(right, (other) => compareCaptures(one, other)));
  if (options.json) printDocument('compare', { left, right, ...found });
  else console.log(comparisonText(found, left, right));
  return found.isEqual ? 0 : 1;
}

/** Where two captures part, and how much of what each has. */
export function comparisonText(comparison: Comparison, left: string, right: string, head?: string): string {
  const { first, differences, counts, ends } = comparison;
  const lines: string[] = [];
  if (!first)
    lines.push(escapeText(head ?? `${left} and ${right} are alike${comparison.earlier ? ' where both tell' : ''}`));
  else {
    const path = first.path === undefined ? '' : `, in ${first.path}`;
    lines.push(escapeText(head ?? `${left} and ${right} part on ${first.replica}${path}`));
    if (first.values)
      lines.push(
        escapeText(`${left}: ${short(first.values.left)}`),
        escapeText(`${right}: ${short(first.values.right)}`),
      );
  }
  lines.push(...earlierLines(comparison, { left, right }));
  if (differences.length > 0) lines.push('', differencesTable(differences, left, right));
  lines.push('', alignedText(comparison, left, right));
  lines.push(
    '',
    table(
      ['kind', left, right],
      counts.map((one) => [one.kind, `${one.left}`, `${one.right}`]),
    ),
  );
  const ended = ends.map(({ replica, left: one, right: other }) => [replica, endText(one), endText(other)]);
  lines.push('', table(['end of', left, right], ended));
  return lines.join('\n');
}

function earlierLines({ earlier = {} }: Comparison, names: Readonly<Record<'left' | 'right', string>>): string[] {
  return (['left', 'right'] as const).flatMap((side) => {
    const before = earlier[side];
    if (!before) return [];
    const version = before.version === undefined ? '' : `, up to version ${before.version}`;
    return [escapeText(`${names[side]} begins earlier: ${count(before.records, 'record')}${version}`)];
  });
}

function differencesTable(differences: Comparison['differences'], left: string, right: string): string {
  const only = { left: `only ${left}`, right: `only ${right}`, content: 'content', structure: 'structure' } as const;
  const rows = differences.map(({ replica, differs, left: one, right: other, resumes }) => {
    const again = resumes ? `${resumes.left.seq} and ${resumes.right.seq}` : '-';
    return [replica, only[differs], recordText(one), recordText(other), differs === 'content' ? '' : again];
  });
  return table(['replica', 'differs', left, right, 'alike again from'], rows);
}

function alignedText({ aligned }: Comparison, left: string, right: string): string {
  const { same, renumbered, changed, onlyLeft, onlyRight, described } = aligned;
  const parts: Array<readonly [number, string]> = [
    [same, 'alike'],
    [renumbered, 'alike but for their numbers'],
    [changed, 'changed'],
    [onlyLeft, `only in ${left}`],
    [onlyRight, `only in ${right}`],
    [described, 'of endpoints that say where they are as a recording begins'],
  ];
  const told = parts.filter(([number], at) => number > 0 || at === 0);
  return escapeText(`records: ${told.map(([number, what]) => `${number.toLocaleString('en-US')} ${what}`).join(', ')}`);
}

function recordText(record: ComparedRecord | undefined): string {
  return record ? `${record.seq}: ${record.identity}` : '-';
}

function endText(end: { readonly version: number; readonly root: string } | undefined): string {
  return end ? `v${end.version} ${end.root}` : '-';
}
