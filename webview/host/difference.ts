import { escapeText, facts } from './print.ts';

/** What every difference has that `replay` and `play` find. */
export interface PrintedDifference {
  readonly sentence: string;
  readonly seq: number;
  readonly replica: string;
  /** What of it differs, in a word. */
  readonly differs: string;
  readonly recorded: unknown;
}

/** A difference between a recording and what came of it now: the sentence, and the facts. `more` stands between the replica and the values, `now` is the other side. */
export function describeDifference(
  { sentence, seq, replica, differs, recorded }: PrintedDifference,
  now: readonly [name: string, value: unknown],
  more: ReadonlyArray<readonly [string, string | number | undefined]> = [],
): string {
  const given = more.flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)] as const]));
  const [name, value] = now;
  const pairs = [
    ['record', String(seq)],
    ['replica', replica],
    ['differs', differs],
    ...given,
    ['recorded', short(recorded)],
    [name, short(value)],
  ] as const;
  return `${escapeText(sentence)}\n\n${facts(pairs)}`;
}

/** Any value of a record in a line. */
export function short(value: unknown): string {
  if (value instanceof Uint8Array) return cut(`0x${Buffer.from(value).toString('hex')}`);
  return cut(JSON.stringify(value, (_, one) => (one instanceof Uint8Array ? short(one) : one)) ?? '-');
}

function cut(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
