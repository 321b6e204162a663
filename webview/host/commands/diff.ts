import type { RecordDifference, StateDiff } from '@syncscope/protocol/capture';
import { withCapture } from '../capture-file.ts';
import { printDocument } from '../json.ts';
import { locate, parseReplicaAt } from '../position.ts';
import { count, escapeText, table, value } from '../print.ts';

export interface DiffOptions {
  readonly left: string;
  readonly right: string;
  readonly json?: boolean;
}

/** `diff`: keys and fields in which two replicas, or one at two moments, differ. */
export async function diff(file: string, options: DiffOptions): Promise<void> {
  const left = parseReplicaAt(options.left);
  const right = parseReplicaAt(options.right);
  const found = await withCapture(file, async (query) => {
    const from = await locate(query, left.replica, left.moment);
    const to = await locate(query, right.replica, right.moment);
    const { left: leftState, right: rightState, ...rest } = await query.diff(from, to, Number.MAX_SAFE_INTEGER);
    return { left: { ...from, ...leftState }, right: { ...to, ...rightState }, ...rest };
  });
  if (options.json) printDocument('diff', { file, ...found });
  else console.log(describe(found, options));
}

function describe(found: StateDiff, { left, right }: DiffOptions): string {
  const sides = `${left} (v${found.left.version}) and ${right} (v${found.right.version})`;
  if (found.unknown !== undefined) return escapeText(`${sides}: unknown: ${found.unknown}`);
  if (found.total === 0) return escapeText(`${sides} agree on ${count(found.equal, 'record')}`);
  const summary = `${sides} differ in ${count(found.total, 'record')}; ${found.equal.toLocaleString('en-US')} are equal`;
  return [escapeText(summary), '', differences(found.differences, left, right)].join('\n');
}

/** A line a field that differs; a record that only one side has says so. */
export function differences(list: readonly RecordDifference[], left: string, right: string): string {
  const rows = list.flatMap(({ key, side, fields }) => {
    const lines = fields.map((one) => [one.field, value(one.left), value(one.right)]);
    if (side === 'left') lines.unshift(['', 'present', 'missing']);
    if (side === 'right') lines.unshift(['', 'missing', 'present']);
    return lines.map((line, at) => [at === 0 ? key : '', ...line]);
  });
  return table(['key', 'field', left, right], rows);
}
