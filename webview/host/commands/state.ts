import type { StateEntry, StatePage } from '@syncscope/protocol/capture';
import { replicaId } from '@syncscope/protocol/state';
import { withCapture } from '../capture-file.ts';
import { printDocument } from '../json.ts';
import { locate, parseMoment } from '../position.ts';
import { count, table, value } from '../print.ts';

export interface StateOptions {
  readonly replica: string;
  readonly at?: string;
  readonly json?: boolean;
}

/** `state`: every record of one replica at a moment, committed and, where it differs, predicted. */
export async function state(file: string, options: StateOptions): Promise<void> {
  const replica = replicaId(options.replica);
  const moment = parseMoment(options.at);
  const { page, position } = await withCapture(file, async (query) => {
    const { position } = await locate(query, replica, moment);
    return { position, page: await query.state(replica, position, '', Number.MAX_SAFE_INTEGER) };
  });
  if (options.json) printDocument('state', { file, position, ...page });
  else console.log(describe(page));
}

function describe(page: StatePage): string {
  const title = `${page.replica} at v${page.version}, ${count(page.total, 'record')}, root ${page.root ?? 'unknown'}`;
  if (page.unknown !== undefined) return `${title}\nunknown: ${page.unknown}`;
  const isPredicting = page.entries.some(({ optimistic }) => optimistic !== undefined);
  const head = isPredicting ? ['key', 'field', 'value', 'predicted'] : ['key', 'field', 'value'];
  return [title, '', table(head, page.entries.flatMap(rowsOf))].join('\n');
}

/** A line a field; the key stands on the first. */
function rowsOf({ key, record, optimistic }: StateEntry): string[][] {
  const fields = [...new Set([...Object.keys(record), ...Object.keys(optimistic ?? {})])].sort();
  const predicted = (field: string): string => {
    if (optimistic === undefined) return '';
    if (optimistic === null) return '-';
    const [before, after] = [value(record[field]), value(optimistic[field])];
    return before === after ? '' : after;
  };
  if (fields.length === 0) return [[key, '', '', optimistic === null ? '-' : '']];
  return fields.map((field, at) => [at === 0 ? key : '', field, value(record[field]), predicted(field)]);
}
