import type { CaptureInfo, CaptureQuery } from '@syncscope/protocol/capture';
import { TRACE_KINDS } from '@syncscope/protocol/trace';
import { withCapture } from '../capture-file.ts';
import { printDocument } from '../json.ts';
import { count, facts, seconds, size, table } from '../print.ts';

/** `info`: what a capture holds, and what it lacks. */
export async function info(file: string, options: { readonly json?: boolean }): Promise<void> {
  await withCapture(file, async (query) => {
    const found = await query.info();
    if (options.json) printDocument('info', { file, ...found });
    else console.log(describe(file, found, await replicaRows(query, found)));
  });
}

async function replicaRows(query: CaptureQuery, { replicas }: CaptureInfo): Promise<string[][]> {
  const timeOf = async (position: number): Promise<string> => {
    const { rows } = await query.rows('', position, 1);
    return rows[0] ? seconds(rows[0].time) : '';
  };
  return Promise.all(
    replicas.map(async ({ id, role, title, first, last }) => {
      return [id, role, await timeOf(first), await timeOf(last), title ?? ''];
    }),
  );
}

function describe(file: string, found: CaptureInfo, replicas: readonly string[][]): string {
  const { header, range, versions } = found;
  const about = facts([
    ['file', `${file}, ${size(found.size)}`],
    ['session', `${header.title} (${header.sessionId})`],
    ['scenario', header.scenario],
    ['started', new Date(header.startedAt).toISOString()],
    ['time', `${seconds(range.from)} to ${seconds(range.to)}`],
    ['versions', `v${versions.first} to v${versions.last}`],
    ['records', found.records.toLocaleString('en-US')],
    ['lost', found.lost === 0 ? 'none' : `${count(found.lost, 'record')} dropped before the capture`],
    ['cut', found.cut ? `${found.cut.message} (offset ${found.cut.offset})` : 'no'],
    ['build', `${header.build}, protocol ${header.protocolVersion}, trace ${header.traceVersion}`],
  ]);
  const lanes = table(['replica', 'role', 'first seen', 'last seen', 'title'], replicas, ['first seen', 'last seen']);
  const kinds = table(
    ['kind', 'records'],
    TRACE_KINDS.filter((kind) => (found.kinds[kind] ?? 0) > 0).map((kind) => [
      kind,
      found.kinds[kind]!.toLocaleString('en-US'),
    ]),
    ['records'],
  );
  return [about, lanes, kinds].join('\n\n');
}
