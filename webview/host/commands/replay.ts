import type { ReplayResult } from '@syncscope/protocol/replay';
import { printDocument } from '../json.ts';
import { count, escapeText, facts } from '../print.ts';
import { type DefinitionOptions, replayJob } from '../replay-thread.ts';

export interface ReplayCommandOptions extends DefinitionOptions {
  readonly from?: number;
  readonly to?: number;
  readonly json?: boolean;
}

/** `replay`: runs a capture again through the state machines. Answers the exit code: 0 equal, 1 differs. */
export async function replay(file: string, options: ReplayCommandOptions): Promise<number> {
  const { from, to } = options;
  const range = { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
  const answer = await replayJob({ kind: 'replay', file, ...range }, options);
  if (answer.kind !== 'replay') throw new TypeError('a replay was asked for');
  const { result } = answer;
  if (options.json) printDocument('replay', { file, ...result });
  else console.log(describe(file, result));
  return result.status === 'equal' ? 0 : 1;
}

function describe(
  file: string,
  { status, level, replicas, inputs, records, hashes, difference }: ReplayResult,
): string {
  const what = level === 'app' ? 'with the app’s commands and reducers' : 'with what its commands did as recorded';
  const ran = `${count(inputs, 'input')} of ${replicas.join(', ')} run again ${what}, ${count(records, 'record')} compared`;
  const end =
    status === 'equal'
      ? `equal at ${hashes.toLocaleString('en-US')} ${hashes === 1 ? 'hash' : 'hashes'}`
      : 'a record came out otherwise';
  const head = `${file}: ${end} (${ran})`;
  if (!difference) return escapeText(head);
  const { sentence, seq, replica, kind, differs, path, recorded, replayed } = difference;
  return [
    escapeText(head),
    '',
    escapeText(sentence),
    '',
    facts([
      ['record', String(seq)],
      ['replica', replica],
      ['kind', kind],
      ['differs', differs],
      ['path', path],
      ['recorded', short(recorded)],
      ['replayed', short(replayed)],
    ]),
  ].join('\n');
}

/** Any value of a record in a line. */
export function short(value: unknown): string {
  if (value instanceof Uint8Array) return `0x${Buffer.from(value).toString('hex').slice(0, 120)}`;
  const text = JSON.stringify(value) ?? '-';
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
