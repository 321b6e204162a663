import {
  type Diagnosis,
  diagnoseCapture,
  type Finding,
  type NoDivergence,
  sentenceOf,
} from '@syncscope/protocol/diagnose';
import { withCapture } from '../capture-file.ts';
import { printDocument } from '../json.ts';
import { count, escapeText, facts, seconds, value } from '../print.ts';
import { progress } from '../progress.ts';

/** `diagnose`: every divergence of a capture with its cause. Answers the exit code: 0 clean, 1 findings, 3 none in what is there; 2 is that of every error. */
export async function diagnose(file: string, options: { readonly json?: boolean }): Promise<number> {
  const onProgress = progress();
  const result = await withCapture(file, (capture) => diagnoseCapture(capture, onProgress ? { onProgress } : {}));
  if (options.json) printDocument('diagnose', { file, ...result });
  else console.log(describe(file, result));
  if (result.findings.length > 0) return 1;
  return result.missing.length > 0 ? 3 : 0;
}

function describe(file: string, { findings, verdicts, records, missing, forgotten }: Diagnosis): string {
  const nothing = missing.length === 0 ? 'nothing is wrong' : 'nothing is found, but something is missing';
  const found = findings.length === 0 ? nothing : count(findings.length, 'finding');
  const lines = [escapeText(`${file}: ${found} (${count(records, 'record')})`)];
  for (const finding of findings) lines.push('', ...findingLines(finding));
  if (verdicts.length > 0) lines.push('', 'no divergence:');
  for (const verdict of verdicts) lines.push(escapeText(verdictLine(verdict)));
  for (const sentence of missing) lines.push('', `missing: ${escapeText(sentence)}`);
  if (forgotten.length > 0) {
    const what = forgotten.map((one) => `${one.memory} beyond ${one.kept.toLocaleString('en-US')}`).join(', ');
    lines.push('', `let go of to bound memory: ${what}`);
  }
  return lines.join('\n');
}

function findingLines(finding: Finding): string[] {
  const { replica, against, value: wrong } = finding;
  return [
    escapeText(sentenceOf(finding)),
    facts([
      ['class', `${finding.class} (${finding.confidence}: ${finding.reason})`],
      ['replica', `${replica}, against ${against}`],
      ['when', `${seconds(finding.time)}, v${finding.version}`],
      ['cause', `record ${finding.cause.seq}`],
      ['noticed', `record ${finding.detected.seq}`],
      ['repaired', finding.repaired ? `by record ${finding.repaired.seq}` : 'no'],
      ...(wrong
        ? ([
            ['key', wrong.field === undefined ? wrong.key : `${wrong.key} · ${wrong.field}`],
            ['is', value(wrong.own)],
            ['should be', value(wrong.expected)],
          ] as const)
        : []),
      ['to confirm', finding.confirm],
    ]),
    ...finding.evidence.map(({ text, record }) => escapeText(`  ${record ? `${record.seq}  ` : ''}${text}`)),
  ];
}

function verdictLine({ verdict, record, text, because }: NoDivergence): string {
  const why = because ? ` (${because.class}, record ${because.cause.seq})` : '';
  return `  ${record.seq}  ${verdict}: ${text}${why}`;
}
