import type { RecordDifference } from '../merkle/index.ts';
import type { Value } from '../state/index.ts';
import type { Finding } from './finding.ts';

const VALUE_MAX_LENGTH = 60;

/** A finding in one sentence: `bot-2 differs from server since v12: item/golden_key · owner is 3, should be 1`. */
export function sentenceOf(
  finding: Pick<Finding, 'class' | 'replica' | 'against' | 'version' | 'differences'>,
): string {
  const { replica, against, version, differences } = finding;
  if (finding.class === 'not-progressing')
    return `${replica} is connected to ${against} and does not get on from v${version}`;
  if (finding.class === 'pending-stuck')
    return `${replica} waits for an answer of ${against} since v${version}, and none comes`;
  if (finding.class === 'split-decision' && differences.length === 0)
    return `${replica} broke a rule by which v${version} is decided only once`;
  const head =
    replica === against
      ? `${replica} went wrong at v${version}`
      : `${replica} differs from ${against} since v${version}`;
  const [first] = differences;
  if (!first) return `${head}; the capture does not tell in which values`;
  const more = differences.length > 1 ? `, and ${differences.length - 1} more` : '';
  return `${head}: ${differenceText(first)}${more}`;
}

/** `item/golden_key · owner is 3, should be 1` */
export function differenceText(difference: RecordDifference): string {
  if (difference.side === 'left') return `${difference.key} is there and should not be`;
  if (difference.side === 'right') return `${difference.key} is missing`;
  const field = difference.fields[0];
  if (!field) return difference.key;
  const is = field.left === undefined ? 'is missing' : `is ${valueText(field.left)}`;
  const should = field.right === undefined ? 'should not be there' : `should be ${valueText(field.right)}`;
  return `${difference.key} · ${field.field} ${is}, ${should}`;
}

function valueText(value: Value): string {
  const text =
    value instanceof Uint8Array
      ? `${value.length} bytes`
      : Object.is(value, -0)
        ? '-0'
        : typeof value === 'number'
          ? String(value)
          : JSON.stringify(value);
  return text.length > VALUE_MAX_LENGTH ? `${text.slice(0, VALUE_MAX_LENGTH)}…` : text;
}
