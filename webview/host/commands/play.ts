import { playLive } from '@syncscope/protocol/node';
import { type AtOnce, type PlayOrder, type PlayResult, readPlay } from '@syncscope/protocol/replay';
import { withCapture } from '../capture-file.ts';
import { describeDifference } from '../difference.ts';
import { printDocument } from '../json.ts';
import { count, escapeText } from '../print.ts';
import { clearProgress, progress } from '../progress.ts';

export interface PlayCommandOptions {
  readonly url: string;
  readonly token: string;
  readonly session?: string;
  readonly replica?: readonly string[];
  readonly order?: PlayOrder;
  readonly speed?: number;
  readonly patience?: number;
  readonly json?: boolean;
}

/** `play`: plays the clients of a capture against a live server. Answers the exit code: 0 its answers are those of the recording, 1 not. */
export async function play(file: string, options: PlayCommandOptions): Promise<number> {
  const { url, token, session, replica = [], order, speed, patience, json } = options;
  const only = replica.length > 0 ? new Set(replica) : undefined;
  const script = await withCapture(file, (capture) => readPlay(capture, only));
  const seconds = patience === undefined ? undefined : patience * 1_000;
  const how = { order, speed, patience: seconds, onProgress: progress() };
  const result = await playLive(script, { url, token, session, ...how }).finally(clearProgress);
  if (json) printDocument('play', { file, url, ...result });
  else console.log(describe(file, result));
  return result.status === 'equal' ? 0 : 1;
}

const IDS_SHOWN = 10;

function describe(file: string, result: PlayResult): string {
  const { status, intents, hashes, clients, others, undecided, breaks, reordered, ids, first } = result;
  const played = `${count(intents, 'intent')} of ${count(clients.length, 'client')} played, ${count(hashes, 'state')} compared`;
  const head = `${file}: ${status === 'equal' ? 'the server answers as recorded' : 'the server answers otherwise'} (${played})`;
  const lines = [escapeText(head)];
  if (others.recorded > others.came)
    lines.push(`${count(others.recorded - others.came, 'mutation')} that no client sent did not come`);
  if (breaks > 0) lines.push(`${count(breaks, 'connection')} broken and made again as in the recording`);
  if (undecided > 0) lines.push(`${count(undecided, 'command')} without an answer in the recording not played`);
  if (reordered > 0) lines.push(`${count(reordered, 'state')} of another order of commands not compared`);
  lines.push(...describeIds(ids));
  if (!first) return lines.join('\n');
  const rest = clients.flatMap(({ difference }) => (difference && difference !== first ? [difference.sentence] : []));
  const { what, version, key, field, live, atOnce } = first;
  const where = [
    ['version', version],
    ['key', key],
    ['field', field],
  ] as const;
  lines.push('', describeDifference({ ...first, differs: what }, ['live', live], where));
  if (atOnce) lines.push('', escapeText(describeDoubt(atOnce)));
  if (rest.length > 0) lines.push('', ...rest.map(escapeText));
  return lines.join('\n');
}

function describeIds({ mapped, unmapped }: PlayResult['ids']): string[] {
  const lines = mapped
    .slice(0, IDS_SHOWN)
    .map(
      ({ recorded, live, isGuess }) => `  ${recorded} is ${live} here${isGuess ? ', the first of several alike' : ''}`,
    );
  if (mapped.length > 0) lines.unshift(`${count(mapped.length, 'id')} of the server mapped:`);
  if (mapped.length > IDS_SHOWN) lines.push(`  and ${mapped.length - IDS_SHOWN} more, see --json`);
  for (const { recorded, seq, why, sent } of unmapped.slice(0, IDS_SHOWN)) {
    lines.push(`${recorded} (record ${seq}) is not mapped: ${why}; sent as recorded in ${count(sent, 'command')}`);
  }
  if (unmapped.length > IDS_SHOWN) lines.push(`and ${unmapped.length - IDS_SHOWN} more not mapped, see --json`);
  return lines.map(escapeText);
}

function describeDoubt(atOnce: readonly AtOnce[]): string {
  const named = atOnce.map(({ replica, counter, command }) => `${command} ${counter} of ${replica}`).join(', ');
  return `On their way at once: ${named}. The server may have decided them in another order; --order recorded plays them one after the other.`;
}
