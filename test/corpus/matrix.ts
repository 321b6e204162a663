import type { CleanOutcome, LookalikeOutcome, Outcome, PartOutcome } from './corpus.ts';

export const TO_REACH = { class: 0.95, record: 0.9, falseAlarms: 0 } as const;

export interface Scores {
  readonly sessions: number;
  readonly clean: number;
  /** Parts of one. */
  readonly class: number;
  readonly record: number;
  readonly lookalikes: number;
  /** Of sessions in which something only looks like a divergence, those in which the right verdict was given. */
  readonly verdicts: number;
  /** Clean sessions and such with a finding, and sessions with a fault in which another was found as well. */
  readonly falseAlarms: number;
  /** Parts of sessions of which something was said that is not so. */
  readonly wrongParts: number;
  readonly reached: boolean;
}

/** What was made and how it was diagnosed. */
export interface Corpus {
  readonly outcomes: readonly Outcome[];
  readonly clean: readonly CleanOutcome[];
  readonly lookalikes: readonly LookalikeOutcome[];
  /** Parts of sessions of which something was said that is not so. */
  readonly parts: readonly PartOutcome[];
}

export function scores({ outcomes, clean, lookalikes, parts }: Corpus): Scores {
  const part = (fits: (one: Outcome) => boolean) => outcomes.filter(fits).length / Math.max(1, outcomes.length);
  const ofClass = part(({ said, expected }) => said === expected);
  const ofRecord = part(({ isExact }) => isExact);
  const falseAlarms =
    [...clean, ...lookalikes].filter(({ findings }) => findings.length > 0).length +
    outcomes.filter(({ extra }) => extra.length > 0).length;
  const verdicts = lookalikes.filter(isRightVerdict).length / Math.max(1, lookalikes.length);
  const isReached = ofClass >= TO_REACH.class && ofRecord >= TO_REACH.record && falseAlarms <= TO_REACH.falseAlarms;
  return {
    ...{ sessions: outcomes.length, clean: clean.length, class: ofClass, record: ofRecord, falseAlarms },
    ...{ lookalikes: lookalikes.length, verdicts, wrongParts: parts.length },
    reached: isReached && parts.length === 0 && (lookalikes.length === 0 || verdicts === 1),
  };
}

function isRightVerdict({ expected, said }: LookalikeOutcome): boolean {
  return expected === undefined ? said.length === 0 : said.includes(expected);
}

/** A table in Markdown: a row a fault, a column a class that was said. */
export function matrixText(corpus: Corpus): string {
  const { outcomes, clean, lookalikes } = corpus;
  const said = [...new Set(outcomes.map((one) => one.said))].sort();
  const head = ['fault', 'class', ...said, 'record exact', 'also said'];
  const rows = [...Map.groupBy(outcomes, ({ fault }) => fault)].map(([fault, ofFault]) => [
    fault,
    ofFault[0]!.expected,
    ...said.map((one) => String(ofFault.filter((outcome) => outcome.said === one).length || '')),
    `${ofFault.filter(({ isExact }) => isExact).length} of ${ofFault.length}`,
    String(ofFault.filter(({ extra }) => extra.length > 0).length || ''),
  ]);
  const lines = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
  const sum = scores(corpus);
  const percent = (part: number) => `${(part * 100).toFixed(1)} %`;
  const similar = [...Map.groupBy(lookalikes, ({ name }) => name)].map(([name, ofName]) => {
    const right = ofName.filter(isRightVerdict).length;
    const found = ofName.filter(({ findings }) => findings.length > 0).length;
    return `| ${name} | ${ofName[0]!.expected ?? 'none'} | ${right} of ${ofName.length} | ${found} |`;
  });
  const alarms = clean.filter(({ findings }) => findings.length > 0);
  return [
    ...lines,
    '',
    '| what only looks like a divergence | verdict | right | findings |',
    '| --- | --- | --- | --- |',
    ...similar,
    '',
    `class right ${percent(sum.class)}, record exact ${percent(sum.record)}, of ${sum.sessions} sessions with a fault`,
    `${alarms.length} of ${sum.clean} clean sessions with a finding; ${sum.falseAlarms} false alarms in all; ${sum.wrongParts} parts of which something was said that is not so`,
  ].join('\n');
}
