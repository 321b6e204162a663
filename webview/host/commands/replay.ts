import type { LeftOut, ReplayResult } from '@syncscope/protocol/replay';
import { describeDifference } from '../difference.ts';
import { printDocument } from '../json.ts';
import { count, escapeText } from '../print.ts';
import { type DefinitionOptions, replayJob } from '../replay-thread.ts';

export interface ReplayCommandOptions extends DefinitionOptions {
  readonly from?: number;
  readonly to?: number;
  readonly json?: boolean;
}

const EXIT_CODES: Readonly<Record<ReplayResult['status'], number>> = { equal: 0, differs: 1, partial: 3 };

/** `replay`: runs a capture again through the state machines. Answers the exit code: 0 equal, 1 differs, 3 equal as far as it was run. */
export async function replay(file: string, options: ReplayCommandOptions): Promise<number> {
  const { from, to } = options;
  const range = { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
  const answer = await replayJob({ kind: 'replay', file, ...range }, options);
  if (answer.kind !== 'replay') throw new TypeError('a replay was asked for');
  const { result } = answer;
  if (options.json) printDocument('replay', { file, ...result });
  else console.log(describe(file, result));
  return EXIT_CODES[result.status];
}

function describe(file: string, result: ReplayResult): string {
  const { level, replicas, inputs, records, leftOut, difference } = result;
  const how = level === 'app' ? 'with the app’s commands and reducers' : 'with what its commands did as recorded';
  const ran = `${count(inputs, 'input')} of ${replicas.join(', ')} run again ${how}, ${count(records, 'record')} compared`;
  const lines = [escapeText(`${file}: ${verdictOf(result)} (${ran})`)];
  if (leftOut.length > 0) lines.push('', ...leftOut.map((one) => escapeText(leftOutLine(one))));
  if (!difference) return lines.join('\n');
  const { kind, path, replayed } = difference;
  const what = [
    ['kind', kind],
    ['path', path],
  ] as const;
  return [...lines, '', describeDifference(difference, ['replayed', replayed], what)].join('\n');
}

function verdictOf({ status, hashes }: ReplayResult): string {
  const equal = `equal at ${hashes.toLocaleString('en-US')} ${hashes === 1 ? 'hash' : 'hashes'}`;
  if (status === 'equal') return equal;
  return status === 'partial' ? `${equal}, and not all of it was run` : 'a record came out otherwise';
}

function leftOutLine({ sentence, records, first, last }: LeftOut): string {
  if (records === 0) return sentence;
  const where = first === last ? `record ${first}` : `${count(records, 'record')} from ${first} to ${last}`;
  return `${sentence} (${where} not compared)`;
}
