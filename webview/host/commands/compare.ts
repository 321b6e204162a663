import { type ComparedRecord, type Comparison, compareCaptures } from '@syncscope/protocol/replay';
import { withCapture } from '../capture-file.ts';
import { printDocument } from '../json.ts';
import { escapeText, table } from '../print.ts';

/** `compare`: aligns two captures by what happened and names where they part. Answers the exit code: 0 alike, 1 not. */
export async function compare(left: string, right: string, options: { readonly json?: boolean }): Promise<number> {
  const found = await withCapture(left, (one) => withCapture(right, (other) => compareCaptures(one, other)));
  if (options.json) printDocument('compare', { left, right, ...found });
  else console.log(comparisonText(found, left, right));
  return found.isEqual ? 0 : 1;
}

/** Where two captures part, and how much of what each has. */
export function comparisonText(
  { first, differences, counts, ends }: Comparison,
  left: string,
  right: string,
  head?: string,
): string {
  const lines: string[] = [];
  if (!first) lines.push(escapeText(head ?? `${left} and ${right} are alike`));
  else {
    const path = first.path === undefined ? '' : `, in ${first.path}`;
    lines.push(escapeText(head ?? `${left} and ${right} part on ${first.replica}${path}`), '');
    const only = { left: `only ${left}`, right: `only ${right}`, content: 'content', structure: 'structure' } as const;
    const rows = differences.map((one) => [
      one.replica,
      only[one.differs],
      recordText(one.left),
      recordText(one.right),
    ]);
    lines.push(table(['replica', 'differs', left, right], rows));
  }
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

function recordText(record: ComparedRecord | undefined): string {
  return record ? `${record.seq}: ${record.identity}` : '-';
}

function endText(end: { readonly version: number; readonly root: string } | undefined): string {
  return end ? `v${end.version} ${end.root}` : '-';
}
