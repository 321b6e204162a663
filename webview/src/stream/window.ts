const STEP = 64;
const MARGIN = 64;

/**
 * The rows to ask for so that those to draw are there: aligned, so that scrolling by a few rows asks nothing new,
 * and with a margin, so that the next few are there already.
 */
export function pageFor(
  drawn: { readonly from: number; readonly to: number },
  records: number,
): { readonly offset: number; readonly limit: number } {
  const offset = Math.max(0, Math.floor((drawn.from - MARGIN) / STEP) * STEP);
  const end = Math.ceil((Math.max(drawn.to, 1) + MARGIN) / STEP) * STEP;
  return { offset: Math.min(offset, Math.max(0, records - 1)), limit: end - offset };
}

/** A page that was answered. */
interface AnsweredPage {
  readonly filter: string;
  readonly offset: number;
  readonly rows: { readonly length: number };
}

/**
 * How many rows the table has. Whoever follows a live session sees it end with the newest record that is there, since what is newer
 * than the answer would be empty rows, for as long as records come faster than answers.
 */
export function shownCount(total: number, following: boolean, page: AnsweredPage | undefined, filter: string): number {
  if (!following || page === undefined || page.filter !== filter) return total;
  return Math.min(total, page.offset + page.rows.length);
}
