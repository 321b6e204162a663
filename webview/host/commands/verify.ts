import { type Verification, verifyCapture } from '@syncscope/protocol/diagnose';
import { withCapture } from '../capture-file.ts';
import { printDocument } from '../json.ts';
import { count, escapeText, facts, value } from '../print.ts';

/** Exit codes of `verify`; 2, cannot be read, is that of every error of a capture. */
const EXIT: Readonly<Record<Verification['status'], number>> = { agrees: 0, diverged: 1, incomplete: 3 };

/** `verify`: replays a capture and tells the first divergence. Answers the exit code. */
export async function verify(file: string, options: { readonly json?: boolean }): Promise<number> {
  const result = await withCapture(file, (capture) => verifyCapture(capture));
  if (options.json) printDocument('verify', { file, ...result });
  else console.log(describe(file, result));
  return EXIT[result.status];
}

function describe(file: string, { status, records, checked, divergence, missing }: Verification): string {
  const replayed = `${count(records, 'record')} replayed, ${checked.toLocaleString('en-US')} root hashes compared`;
  const lines = [escapeText(`${file}: ${WORDS[status]} (${replayed})`)];
  if (divergence) {
    const { sentence, replica, against, version, key, field, own, expected, seq } = divergence;
    lines.push(
      '',
      escapeText(sentence),
      '',
      facts([
        ['replica', `${replica}, against ${against}`],
        ['version', `v${version}`],
        ['key', key ?? 'unknown'],
        ['field', field ?? 'unknown'],
        [replica, value(own)],
        [against, value(expected)],
        ['record', String(seq)],
        ['class', divergence.class],
        ['repaired', divergence.repaired ? 'yes, later' : 'no'],
      ]),
    );
  }
  if (missing.length > 0) lines.push('', ...missing.map((sentence) => `missing: ${escapeText(sentence)}`));
  return lines.join('\n');
}

const WORDS: Readonly<Record<Verification['status'], string>> = {
  agrees: 'every replica agrees',
  diverged: 'a replica diverged',
  incomplete: 'nothing diverged, but something is missing',
};
