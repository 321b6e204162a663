import { type Blame, blame as blameValue } from '@syncscope/protocol/replay';
import { recordKey, replicaId, type Value } from '@syncscope/protocol/state';
import { withCapture } from '../capture-file.ts';
import { printDocument } from '../json.ts';
import { locate, parseMoment } from '../position.ts';
import { escapeText, seconds, table, value } from '../print.ts';

export interface BlameOptions {
  readonly replica?: string;
  readonly at?: string;
  readonly json?: boolean;
}

/** `blame`: every record that touched a value, who wrote it, and why it stands. `path` is `KEY` or `KEY.FIELD`. */
export async function blame(file: string, path: string, options: BlameOptions): Promise<void> {
  // A key may have dots; a field's name begins behind the last one after the collection.
  const dot = path.indexOf('.', path.indexOf('/'));
  const key = recordKey(dot < 0 ? path : path.slice(0, dot));
  const field = dot < 0 ? undefined : path.slice(dot + 1);
  const moment = parseMoment(options.at);
  const found = await withCapture(file, async (capture) => {
    const { header, replicas } = await capture.info();
    const first = header.authority ?? replicas[0]?.id;
    const replica = options.replica === undefined && first ? first : replicaId(options.replica ?? '');
    const { position } = await locate(capture, replica, moment);
    return blameValue(capture, replica, key, field, position);
  });
  if (options.json) printDocument('blame', { file, ...found });
  else console.log(describe(path, found));
}

function describe(path: string, { replica, entries }: Blame): string {
  if (entries.length === 0) return escapeText(`nothing in this capture touched ${path} on ${replica}`);
  const rows = entries.map((one) => [
    String(one.seq),
    seconds(one.time),
    `v${one.version}`,
    one.writer ?? '-',
    one.rule,
    'after' in one ? value(one.after as Value | undefined) : '',
    one.sentence,
    one.vector?.map(({ replica, counter }) => `${replica}:${counter}`).join(' ') ?? '',
  ]);
  return table(['record', 'time', 'version', 'writer', 'rule', 'value', 'why', 'had seen'], rows);
}
