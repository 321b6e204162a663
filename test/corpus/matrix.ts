import type { CleanOutcome, Outcome } from './corpus.ts';

export const TO_REACH = { class: 0.95, record: 0.9, falseAlarms: 0 } as const;

export interface Scores {
  readonly sessions: number;
  readonly clean: number;
  /** Parts of one. */
  readonly class: number;
  readonly record: number;
  /** Clean sessions with a finding, and sessions with a fault in which another was found as well. */
  readonly falseAlarms: number;
  readonly reached: boolean;
}

export function scores(outcomes: readonly Outcome[], clean: readonly CleanOutcome[]): Scores {
  const part = (fits: (one: Outcome) => boolean) => outcomes.filter(fits).length / Math.max(1, outcomes.length);
  const ofClass = part(({ said, expected }) => said === expected);
  const ofRecord = part(({ isExact }) => isExact);
  const falseAlarms =
    clean.filter(({ findings }) => findings.length > 0).length +
    outcomes.filter(({ extra }) => extra.length > 0).length;
  const isReached = ofClass >= TO_REACH.class && ofRecord >= TO_REACH.record && falseAlarms <= TO_REACH.falseAlarms;
  return {
    ...{ sessions: outcomes.length, clean: clean.length, class: ofClass, record: ofRecord, falseAlarms },
    reached: isReached,
  };
}

/** A table in Markdown: a row a fault, a column a class that was said. */
export function matrixText(outcomes: readonly Outcome[], clean: readonly CleanOutcome[]): string {
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
  const sum = scores(outcomes, clean);
  const percent = (part: number) => `${(part * 100).toFixed(1)} %`;
  const alarms = clean.filter(({ findings }) => findings.length > 0);
  return [
    ...lines,
    '',
    `class right ${percent(sum.class)}, record exact ${percent(sum.record)}, of ${sum.sessions} sessions with a fault`,
    `${alarms.length} of ${sum.clean} clean sessions with a finding; ${sum.falseAlarms} false alarms in all`,
  ].join('\n');
}
