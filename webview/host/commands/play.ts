import { playLive } from '@syncscope/protocol/node';
import { type PlayResult, readPlay } from '@syncscope/protocol/replay';
import { withCapture } from '../capture-file.ts';
import { printDocument } from '../json.ts';
import { count, escapeText, facts } from '../print.ts';
import { progress } from '../replay-thread.ts';
import { short } from './replay.ts';

export interface PlayCommandOptions {
  readonly url: string;
  readonly token: string;
  readonly session?: string;
  readonly replica?: readonly string[];
  readonly speed?: number;
  readonly patience?: number;
  readonly json?: boolean;
}

/** `play`: plays the clients of a capture against a live server. Answers the exit code: 0 its answers are those of the recording, 1 not. */
export async function play(file: string, options: PlayCommandOptions): Promise<number> {
  const { url, token, session, replica = [], speed, patience, json } = options;
  const only = replica.length > 0 ? new Set(replica) : undefined;
  const script = await withCapture(file, (capture) => readPlay(capture, only));
  const seconds = patience === undefined ? undefined : patience * 1_000;
  const result = await playLive(script, { url, token, session, speed, patience: seconds, onProgress: progress() });
  if (json) printDocument('play', { file, url, ...result });
  else console.log(describe(file, result));
  return result.status === 'equal' ? 0 : 1;
}

function describe(file: string, { status, intents, hashes, clients, others, undecided, first }: PlayResult): string {
  const played = `${count(intents, 'intent')} of ${count(clients.length, 'client')} played, ${count(hashes, 'state')} compared`;
  const head = `${file}: ${status === 'equal' ? 'the server answers as recorded' : 'the server answers otherwise'} (${played})`;
  const lines = [escapeText(head)];
  if (others.recorded > others.came)
    lines.push(`${count(others.recorded - others.came, 'mutation')} that no client sent did not come`);
  if (undecided > 0) lines.push(`${count(undecided, 'command')} without an answer in the recording not played`);
  if (!first) return lines.join('\n');
  const { sentence, seq, replica, what, recorded, live } = first;
  const rest = clients.flatMap(({ difference }) => (difference && difference !== first ? [difference.sentence] : []));
  return [
    ...lines,
    '',
    escapeText(sentence),
    '',
    facts([
      ['record', String(seq)],
      ['replica', replica],
      ['differs', what],
      ['recorded', short(recorded)],
      ['live', short(live)],
    ]),
    ...(rest.length > 0 ? ['', ...rest.map(escapeText)] : []),
  ].join('\n');
}
