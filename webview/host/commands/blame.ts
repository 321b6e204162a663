import { type PathReading, pathReadings } from '@syncscope/protocol/capture';
import { type Blame, blame as blameValue } from '@syncscope/protocol/replay';
import { isRecordKey, recordKey, replicaId, type Value } from '@syncscope/protocol/state';
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
  const readings = readingsOf(path);
  const moment = parseMoment(options.at);
  const found = await withCapture(file, async (capture) => {
    const { header, replicas } = await capture.info();
    const first = header.authority ?? replicas[0]?.id;
    const replica = options.replica === undefined && first ? first : replicaId(options.replica ?? '');
    const { position } = await locate(capture, replica, moment);
    let found: Blame | undefined;
    for (const { key, path } of readings) {
      const [field, ...within] = path;
      const one = await blameValue(capture, replica, recordKey(key), field, position, within);
      if (one.entries.length > 0) return one;
      found = one;
    }
    return found ?? blameValue(capture, replica, recordKey(path), undefined, position);
  });
  if (options.json) printDocument('blame', { file, ...found });
  else console.log(describe(path, found));
}

/** A key may have dots and quotes: as it stands, or in quotes as in a filter. The longest key comes first: it is what the text says without any field. */
function readingsOf(text: string): readonly PathReading[] {
  const parts = text.split('.');
  const raw = parts.map((_, at) => ({ key: parts.slice(0, at + 1).join('.'), path: parts.slice(at + 1) }));
  const all = [...raw.toReversed(), ...pathReadings(text).toReversed()].filter(({ key }) => isRecordKey(key));
  return [...new Map(all.map((one) => [JSON.stringify(one), one])).values()];
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
