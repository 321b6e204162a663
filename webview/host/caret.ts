import { isSyncError } from '@syncscope/protocol/errors';
import { escapeText } from './print.ts';

/** Where in an expression something is wrong, for people: the expression, and under it a caret. */

const MARGIN = '  ';
const WIDTH = 76;
const AROUND = 36;

/** Shows where what went wrong is in the expression that was given. */
export class ExpressionFault extends Error {
  readonly expression: string;

  constructor(error: Error, expression: string) {
    super(error.message, { cause: error });
    this.expression = expression;
  }
}

/** Runs what reads an expression. @throws ExpressionFault where that cannot be read, and else what it throws */
export async function withExpression<T>(expression: string | undefined, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (expression === undefined || !isSyncError(error, 'FILTER_SYNTAX')) throw error;
    throw new ExpressionFault(error, expression);
  }
}

/** The expression and the caret, two lines; of a long one what is around it. */
export function caretLines(expression: string, offset: number): string {
  const parts = [...expression.matchAll(/\P{M}\p{M}*|\p{M}+/gsu)].map(({ 0: text, index }) => {
    const shown = escapeText(text);
    return { index, shown, width: shown === text ? widthOf(text) : shown.length };
  });
  const found = parts.findIndex(
    ({ index }, at) => offset >= index && offset < (parts[at + 1]?.index ?? expression.length),
  );
  const place = found < 0 ? parts.length : found;
  const width = (from: number, to: number): number => parts.slice(from, to).reduce((sum, one) => sum + one.width, 0);
  const isLong = width(0, parts.length) > WIDTH;
  let from = 0;
  let to = parts.length;
  if (isLong) {
    while (width(from, place) > AROUND) from++;
    while (width(place, to) > AROUND) to--;
  }
  const text = parts.slice(from, to).map(({ shown }) => shown);
  const before = from > 0 ? '…' : '';
  const after = to < parts.length ? '…' : '';
  const blank = ' '.repeat(before.length + width(from, place));
  return `${MARGIN}${before}${text.join('')}${after}\n${MARGIN}${blank}^`;
}

/** East Asian letters and pictures take two columns. */
const WIDE =
  /^[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|^\p{Emoji_Presentation}/u;

function widthOf(text: string): number {
  return WIDE.test(text) ? 2 : 1;
}
