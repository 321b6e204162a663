import { type FilterCompletions, parseFilter } from '@syncscope/protocol/capture';
import { isSyncError } from '@syncscope/protocol/errors';

/** What is wrong with a filter, and at which character. */
export interface FilterFault {
  readonly message: string;
  readonly offset: number;
}

/** Undefined where the filter can be applied. */
export function faultOf(text: string): FilterFault | undefined {
  try {
    parseFilter(text);
    return undefined;
  } catch (error) {
    if (!isSyncError(error)) throw error;
    return { message: error.message, offset: Math.max(0, Math.min(error.place.offset ?? 0, text.length)) };
  }
}

/** Terms that may be about inputs: who writes one wants to see them. */
const NAMES_INPUTS = /\binputs\b|\bkind:\S*\blog\b|\b(?:seq|position)\b|\bbody\.text\b/i;

/** Whether a filter says itself what becomes of inputs. */
export function namesInputs(filter: string): boolean {
  return NAMES_INPUTS.test(filter);
}

/** The filter without inputs: they only say what was given to a machine, so that it can be run again. */
export function withoutInputs(filter: string): string {
  if (namesInputs(filter)) return filter;
  const narrowed = filter.trim() === '' ? '-kind:inputs' : `(${filter}) -kind:inputs`;
  // What cannot be read alone stays as it is, so that its fault is told where it is.
  return faultOf(filter) || faultOf(narrowed) ? filter : narrowed;
}

/** The text with a choice put in, and where the cursor is then. A finished term gets a space, `field:` waits for its value. */
export function complete(
  text: string,
  completions: Pick<FilterCompletions, 'from' | 'to'>,
  choice: string,
): { readonly text: string; readonly cursor: number } {
  const rest = text.slice(completions.to);
  const spacer = choice.endsWith(':') || rest.startsWith(' ') ? '' : ' ';
  const head = text.slice(0, completions.from) + choice + spacer;
  return { text: head + rest, cursor: head.length };
}

/** The next choice in a direction, around the ends; -1 is none chosen. */
export function moveChoice(chosen: number, direction: 1 | -1, count: number): number {
  if (count === 0) return -1;
  if (chosen < 0) return direction === 1 ? 0 : count - 1;
  return (chosen + direction + count) % count;
}
