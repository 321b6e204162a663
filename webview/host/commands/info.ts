import type { CaptureInfo } from '@syncscope/protocol/capture';
import { TRACE_KINDS } from '@syncscope/protocol/trace';
import { withCapture } from '../capture-file.ts';
import { printDocument } from '../json.ts';
import { count, facts, seconds, size, table } from '../print.ts';

/** `info`: what a capture holds, and what it lacks. */
export async function info(file: string, options: { readonly json?: boolean }): Promise<void> {
  const found = await withCapture(file, (query) => query.info());
  if (options.json) printDocument('info', { file, ...found });
  else console.log(describe(file, found));
}

function describe(file: string, found: CaptureInfo): string {
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
  const replicas = table(
    ['replica', 'role', 'first seen', 'last seen', 'title'],
    found.replicas.map(({ id, role, title, first, last }) => [id, role, seconds(first), seconds(last), title ?? '']),
    ['first seen', 'last seen'],
  );
  const kinds = table(
    ['kind', 'records'],
    TRACE_KINDS.filter((kind) => (found.kinds[kind] ?? 0) > 0).map((kind) => [
      kind,
      found.kinds[kind]!.toLocaleString('en-US'),
    ]),
    ['records'],
  );
  return [about, replicas, kinds].join('\n\n');
}
